"""What real mail servers say, word for word, and when they lose patience.

Measured on the servers of sandbox.email.servers (Debian 12: Postfix 3.7.11, Exim 4.96, OpenSMTPD 6.8.0p2);
tests/sandbox/test_email_dialects.py holds every reply against them. {name}, {sender} and {recipient} are the client's
own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HOST_NAME = "mail.test"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply in place of a good one. `call` is where it is told: connect, helo, mail or rcpt.

    `again` is what is said from the second time on in one mail, if that is something else.
    """

    call: str
    reply: str
    again: str | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """What one connection may cost. None: as much as it likes."""

    slow_from: int | None = None  # errors, from which on every reply takes a second
    errors: tuple[int, str] | None = None  # after so many replies with 4xx or 5xx: this one, whatever is asked next
    resets: tuple[int, str] | None = None
    mails: tuple[int, str] | None = None
    mails_at_once: int | None = None  # what is taken beyond is handed on by the next queue run


@dataclass(frozen=True, slots=True)
class Dialect:
    """One server's replies. `refusals` are those that a configuration brings about, by their reason."""

    name: str
    greeting: str = "220 sandbox ESMTP"
    hello: str = "250-sandbox"
    features: tuple[str, ...] = ("SIZE 31457280", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8")
    plain_hello: str = "250 sandbox"
    mail: str = "250 2.1.0 OK"
    recipient: str = "250 2.1.5 OK"
    go_ahead: str = "354 go ahead"
    taken: str = "250 2.0.0 taken"
    reset: str = "250 2.0.0 OK"
    noop: str = "250 2.0.0 OK"
    bye: str = "221 2.0.0 bye"
    unknown_user: str = "550 5.1.1 <{recipient}>: no such user"
    relay_denied: str = "550 5.7.1 <{recipient}>: relaying denied"
    no_path: str = "501 5.5.4 an address in angle brackets is missing"
    no_mail_yet: str = "503 5.5.1 MAIL comes first"
    no_recipient_yet: str = "503 5.5.1 no recipient yet"
    unknown_command: str = "502 5.5.1 unknown command"
    too_large: str = "552 5.3.4 too large"
    patience: Patience = Patience()
    refusals: Mapping[str, Refusal] = field(default_factory=dict)


SANDBOX = Dialect("sandbox")

_BARE_NAME = "504 5.5.2 <{name}>: Helo command rejected: need fully-qualified hostname"

POSTFIX = Dialect(
    "Postfix",
    greeting=f"220 {HOST_NAME} ESMTP Postfix",
    hello=f"250-{HOST_NAME}",
    features=(
        *("PIPELINING", "SIZE 10240000", "VRFY", "ETRN", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8"),
        "CHUNKING",
    ),
    plain_hello=f"250 {HOST_NAME}",
    mail="250 2.1.0 Ok",
    recipient="250 2.1.5 Ok",
    go_ahead="354 End data with <CR><LF>.<CR><LF>",
    taken="250 2.0.0 Ok: queued as {id}",
    reset="250 2.0.0 Ok",
    noop="250 2.0.0 Ok",
    bye="221 2.0.0 Bye",
    unknown_user="550 5.1.1 <{recipient}>: Recipient address rejected: User unknown in relay recipient table",
    relay_denied="454 4.7.1 <{recipient}>: Relay access denied",  # Debian's defer_unauth_destination
    no_mail_yet="503 5.5.1 Error: need MAIL command",
    no_recipient_yet="503 5.5.1 Error: need RCPT command",
    unknown_command="500 5.5.2 Error: command not recognized",
    patience=Patience(slow_from=10, errors=(20, f"421 4.7.0 {HOST_NAME} Error: too many errors")),
    refusals={
        "bare name": Refusal("rcpt", _BARE_NAME),
        "name not found": Refusal("rcpt", "450 4.7.1 <{name}>: Helo command rejected: Host not found"),
        "bare name at once": Refusal(
            "helo", "504 5.5.2 <{name}>: Helo command rejected: need fully-qualified hostname"
        ),
        "sender's domain": Refusal("rcpt", "450 4.1.8 <{sender}>: Sender address rejected: Domain not found"),
        "sender unknown": Refusal(
            "rcpt", "550 5.1.0 <{sender}>: Sender address rejected: User unknown in relay recipient table"
        ),
        "sender denied": Refusal("rcpt", "554 5.7.1 <{sender}>: Sender address rejected: Access denied"),
        "client": Refusal("rcpt", "554 5.7.1 <localhost[127.0.0.1]>: Client host rejected: Access denied"),
        "client at once": Refusal("connect", "554 5.7.1 <localhost[127.0.0.1]>: Client host rejected: Access denied"),
    },
)

EXIM = Dialect(
    "Exim",
    greeting=f"220 {HOST_NAME} ESMTP Exim 4.96 {{date}}",
    hello=f"250-{HOST_NAME} Hello {{name}} [127.0.0.1]",
    features=("SIZE 52428800", "8BITMIME", "PIPELINING", "PIPECONNECT", "CHUNKING", "HELP"),
    plain_hello=f"250 {HOST_NAME} Hello {{name}} [127.0.0.1]",
    mail="250 OK",
    recipient="250 Accepted",
    go_ahead='354 Enter message, ending with "." on a line by itself',
    taken="250 OK id={id}",
    reset="250 Reset OK",
    noop="250 OK",
    bye=f"221 {HOST_NAME} closing connection",
    unknown_user="550 Unrouteable address",
    relay_denied="550 relay not permitted",
    no_mail_yet="503 sender not yet given",
    no_recipient_yet="503 valid RCPT command must precede DATA",
    unknown_command="500 unrecognized command",
    patience=Patience(resets=(11, "554 Too many nonmail commands"), mails_at_once=10),
    refusals={
        "underscore": Refusal("helo", "501 Syntactically invalid {verb} argument(s)"),
        "bare name at once": Refusal("helo", "550 Administrative prohibition"),
        "sender unknown": Refusal(
            "rcpt",
            "550-Verification failed for <{sender}>\r\n550-Unrouteable address\r\n550 Sender verify failed",
            again="550 Sender verify failed",
        ),
        "client at once": Refusal("connect", "554 SMTP service not available"),
    },
)

OPENSMTPD = Dialect(
    "OpenSMTPD",
    greeting=f"220 {HOST_NAME} ESMTP OpenSMTPD",
    hello=f"250-{HOST_NAME} Hello {{name}} [127.0.0.1], pleased to meet you",
    features=("8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 36700160", "DSN", "HELP"),
    plain_hello=f"250 {HOST_NAME} Hello {{name}} [127.0.0.1], pleased to meet you",
    mail="250 2.0.0 Ok",
    recipient="250 2.1.5 Destination address valid: Recipient ok",
    go_ahead='354 Enter mail, end with "." on a line by itself',
    taken="250 2.0.0 {id} Message accepted for delivery",
    reset="250 2.0.0 Reset state",
    noop="250 2.0.0 Ok",
    bye="221 2.0.0 Bye",
    unknown_user="550 Invalid recipient: <{recipient}>",
    relay_denied="550 Invalid recipient: <{recipient}>",
    no_path="553 5.1.0 Sender address syntax error",
    no_mail_yet="503 5.5.1 Invalid command: Command not allowed at this point.",
    no_recipient_yet="503 5.5.1 Invalid command: Command not allowed at this point.",
    unknown_command="500 5.5.1 Invalid command: Command unrecognized",
    patience=Patience(mails=(100, "452 4.5.3 Too many recipients: Too many messages sent")),
    refusals={
        "dot at the end": Refusal("helo", "501 5.5.4 Invalid command arguments: Invalid domain name"),
        # Its rules have one answer for whatever they do not match: name, sender, client, relaying, user.
        "bare name": Refusal("rcpt", "550 Invalid recipient: <{recipient}>"),
        "sender denied": Refusal("rcpt", "550 Invalid recipient: <{recipient}>"),
        "client": Refusal("rcpt", "550 Invalid recipient: <{recipient}>"),
    },
)

REAL = (POSTFIX, EXIM, OPENSMTPD)
