"""Sends mails over one SMTP connection after another: one recipient in a transaction of its own, or one outcome.

Until the final dot is on its way nothing can have been delivered, afterwards only the server knows (RFC 1047): that
line is drawn here. smtplib draws none, so the content is sent by hand, everything before it by smtplib.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NamedTuple, Self

from consumers.email.client import SmtpClient, errors, require, say_goodbye, shown, socket_of
from consumers.email.errors import RecipientRefusedError, Reply, outcome_of
from core.errors import AmbiguousError, OutageError, OutcomeError, PermanentError
from core.texts import Text

# Exim hands on ten mails of a connection at once and leaves the rest to its next queue run, half an hour later on
# Debian (smtp_accept_queue_per_connection).
MAILS_PER_CONNECTION = 10
# Postfix holds back every reply by a second from the tenth error on and hangs up after twenty (smtpd_soft_error_limit,
# smtpd_hard_error_limit); Exim hangs up at the twelfth RSET (smtp_accept_max_nonmail).
REFUSALS_PER_CONNECTION = 5

_PIECE = 64 * 1024  # bytes
_LINE_END = re.compile(rb"\r\n|\r|\n")
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


class Letter(NamedTuple):
    """A mail as it goes over the wire. `needs_utf8`: an address in its headers is not ASCII (RFC 6531)."""

    content: bytes
    needs_utf8: bool = False


class SmtpSession:
    """A session for one thread: connects when it has to, anew after a loss, and says goodbye at the end."""

    def __init__(self, client: SmtpClient) -> None:
        self._client = client
        self._smtp: smtplib.SMTP | None = None
        self._used = False
        self._mails = 0  # that the connection has carried
        self._refusals = 0
        self.is_silent = False  # the server has let a time-out pass with a mail in its hands

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hang_up()

    def check(self) -> None:
        """Connect and begin a mail, which is not sent. Raises OutageError, ConfigurationError or TransientError."""
        smtp = self._connection()
        with self._dropping_on_loss(), errors("sender"):
            require(smtp.mail(self._client.sender), "sender", 250)
            smtp.rset()

    def deliver(self, letter: Letter, recipient: str, before_end: Callable[[], None]) -> str:
        """Give the server the mail for one recipient; return its answer.

        `before_end` is called when all but its end is sent. Raises RecipientRefusedError, RecipientDeferredError,
        AmbiguousError (the server may have it), and with nothing delivered any other outcome.
        """
        self._client.require_running()
        if self._mails >= MAILS_PER_CONNECTION or self._refusals >= REFUSALS_PER_CONNECTION:
            self._hang_up()
        if self._smtp is not None and self._used:
            try:
                return self._transaction(letter, recipient, before_end)
            except OutageError:  # idle for too long, or enough mails for one connection: only a fresh one can tell
                self._drop()
        self._used = False
        return self._transaction(letter, recipient, before_end)

    def _transaction(self, letter: Letter, recipient: str, before_end: Callable[[], None]) -> str:
        smtp = self._connection()
        with self._dropping_on_loss():
            self._agree(smtp, letter, recipient)
            self._content(smtp, letter)
        try:
            before_end()
        except BaseException:
            self._drop()  # the server waits for an end that must not come: without it, it throws the mail away
            raise
        with self._dropping_on_loss():
            return self._end(smtp)

    def _agree(self, smtp: smtplib.SMTP, letter: Letter, recipient: str) -> None:
        """Go from MAIL to the server's "go ahead"."""
        options = []
        if smtp.has_extn("size"):
            options.append(f"SIZE={len(letter.content)}")
        needs_utf8 = letter.needs_utf8 or not recipient.isascii()
        if needs_utf8:
            if not smtp.has_extn("smtputf8"):
                kind = PermanentError if letter.needs_utf8 else RecipientRefusedError
                reason = Text(
                    "an address holds letters beyond ASCII before the @, and the mail server has no SMTPUTF8",
                    "в адресе перед @ есть буквы вне ASCII, а почтовый сервер не поддерживает SMTPUTF8",
                )
                raise kind(reason, code="no_smtputf8")
            options.append("SMTPUTF8")
        smtp.command_encoding = "utf-8" if needs_utf8 else "ascii"
        self._used = True
        try:
            with errors("sender"):
                require(smtp.mail(self._client.sender, options), "sender", 250)
            with errors("recipient"):
                require(smtp.rcpt(recipient), "recipient", 250, 251)
            with errors("content"):
                require(smtp.docmd("DATA"), "content", 354)
        except OutageError:
            raise
        except OutcomeError:
            self._refusals += 1
            self._reset(smtp)
            raise

    def _content(self, smtp: smtplib.SMTP, letter: Letter) -> None:
        with errors("content"):
            content = _quoted(letter.content)
            for start in range(0, len(content), _PIECE):  # the time-out is for each of them
                smtp.send(content[start : start + _PIECE])

    def _end(self, smtp: smtplib.SMTP) -> str:
        settings = self._client.settings
        try:
            socket_of(smtp).settimeout(settings.data_timeout)
            smtp.send(b".\r\n")
            reply = Reply.of(*smtp.getreply())
            socket_of(smtp).settimeout(settings.command_timeout)
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            self.is_silent = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
            why = shown(error)
            reason = Text(
                f"the mail server did not say whether it has taken the mail: {why.en}",
                f"почтовый сервер не сказал, принял ли он письмо: {why.ru}",
            )
            raise AmbiguousError(reason, code="no_answer") from None
        if reply.code // 100 == 2:
            self._client.count_mail()
            self._mails += 1
            return str(reply)
        if reply.code // 100 not in (4, 5):
            self._drop()
            reason = Text(
                f"the mail server answered a mail with {reply}", f"почтовый сервер ответил на письмо: {reply}"
            )
            raise AmbiguousError(reason, code="bad_answer")
        self._refusals += 1
        raise outcome_of("content", reply)

    def _connection(self) -> smtplib.SMTP:
        if self._smtp is None:
            self._smtp = self._client.connect()
            self._used = False
            self._mails = self._refusals = 0
        return self._smtp

    def _hang_up(self) -> None:
        """End the connection. Every mail is settled: no answer is needed."""
        smtp, self._smtp = self._smtp, None
        self._mails = self._refusals = 0
        if smtp is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                say_goodbye(smtp)
            smtp.close()

    def _reset(self, smtp: smtplib.SMTP) -> None:
        try:
            if smtp.rset()[0] != 250:
                self._drop()
        except (OSError, smtplib.SMTPException):
            self._drop()  # the next mail gets a connection of its own

    def _drop(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            smtp.close()

    @contextlib.contextmanager
    def _dropping_on_loss(self) -> Iterator[None]:
        try:
            yield
        except OutageError:
            self._drop()
            raise


def _quoted(content: bytes) -> bytes:
    """Return the content with line ends and leading dots as RFC 5321 4.5.2 wants them; it ends with a line end."""
    lines = _LEADING_DOT.sub(b"..", _LINE_END.sub(b"\r\n", content))
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"
