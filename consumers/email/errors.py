"""Says what an SMTP server's reply means for the mail: one table by stage and code, the enhanced code first.

RFC 5321 4.2.1: 4yz may be asked again, 5yz may not. RFC 3463: enhanced codes x.y.z, whose class is preferred.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, Self

from core import values
from core.errors import ConfigurationError, OutageError, OutcomeError, PermanentError, TransientError
from core.texts import Text

Stage = Literal["greeting", "tls", "login", "sender", "recipient", "content"]

TEXT_LIMIT = 500  # characters of a server's text that are shown to people
_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?!\S)")
# RFC 3463 3.2 and 3.3, RFC 7505: the address of the recipient, and all about a mailbox. X.1.0, X.1.7 and X.1.8 are
# given for senders (Postfix: 550 5.1.0, 450 4.1.8 at RCPT).
_ABOUT_RECIPIENT = re.compile(r"[245]\.(?:1\.(?:1|2|3|4|6|10)|2\.\d+)")
_OUT_OF_STEP = range(500, 505)  # RFC 5321 4.2.2: about the command, never about a mail
_GREYLISTING = re.compile(r"gr[ae]y-?list", re.IGNORECASE)  # said in every language, with several codes


class RecipientRefusedError(PermanentError):
    """The server will never take this mail for this recipient. `may_be_about_us`: or for nobody, from this worker."""

    may_be_about_us = False


class RecipientDeferredError(TransientError):
    """The server does not take this mail for this recipient now. `may_be_about_us`: or for nobody, from this worker."""

    may_be_about_us = False


class Reply(NamedTuple):
    """One reply of the server."""

    code: int
    text: str

    @classmethod
    def of(cls, code: int, text: bytes | str) -> Self:
        written = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return cls(code, values.cut_words(" ".join(written.split()), TEXT_LIMIT))

    @property
    def enhanced(self) -> str:
        """The enhanced code, `5.1.1`, or an empty text."""
        found = _ENHANCED.match(self.text)
        return found[0] if found else ""

    @property
    def kind(self) -> int:
        """The kind of reply: 2, 4 or 5; 0 for what is no reply to what was asked."""
        if found := self.enhanced:
            return int(found[0])
        return self.code // 100

    @property
    def may_be_about_us(self) -> bool:
        """Whether it is a refusal at RCPT that does not say that it concerns the recipient, or a patient sender."""
        return not _ABOUT_RECIPIENT.fullmatch(self.enhanced) and not _GREYLISTING.search(self.text)

    @property
    def word(self) -> str:
        """The code for machines: the enhanced code if there is one."""
        return f"smtp_{self.enhanced or self.code}"

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip()


def outcome_of(stage: Stage, reply: Reply) -> OutcomeError:
    """Return the outcome of a reply that is no success."""
    what = _NAMES[stage]
    reason = Text(f"the mail server refused {what.en}: {reply}", f"почтовый сервер не принял {what.ru}: {reply}")
    if reply.code == 421:  # closing the connection, whatever it was asked
        return OutageError(reason, code=reply.word)
    error = _kind(stage, reply)(reason, code=reply.word)
    if isinstance(error, RecipientRefusedError | RecipientDeferredError):
        error.may_be_about_us = stage == "recipient" and reply.may_be_about_us
    return error


def _kind(stage: Stage, reply: Reply) -> type[OutcomeError]:
    temporary = reply.kind != 5
    if stage in ("recipient", "content"):
        if _wants_login(reply):
            return ConfigurationError
        out_of_step = stage == "content" and reply.code in _OUT_OF_STEP
        return RecipientDeferredError if temporary or out_of_step else RecipientRefusedError
    if stage == "sender" and _is_about_the_message(reply):
        return TransientError if temporary else RecipientRefusedError
    return OutageError if temporary else ConfigurationError


def _is_about_the_message(reply: Reply) -> bool:
    """Return whether it is about size or encoding, which the server gets with the sender (the worker's own matter)."""
    return reply.code == 552 or reply.enhanced[1:].startswith((".2.3", ".3.4", ".6."))


def _wants_login(reply: Reply) -> bool:
    """Return whether the server wants a log-in first, which is of no message's making.

    530 is "Authentication required" or "Must issue STARTTLS first" (RFC 4954, RFC 3207).
    """
    return reply.code == 530


_NAMES: dict[Stage, Text] = {
    "greeting": Text("to talk to this machine", "приветствие этой машины"),
    "tls": Text("TLS", "переход на TLS"),
    "login": Text(
        "the login (check EMAIL_SMTP_USERNAME and EMAIL_SMTP_PASSWORD)",
        "имя и пароль (проверьте EMAIL_SMTP_USERNAME и EMAIL_SMTP_PASSWORD)",
    ),
    "sender": Text("the sender (EMAIL_FROM)", "отправителя (EMAIL_FROM)"),
    "recipient": Text("the recipient", "получателя"),
    "content": Text("the mail", "письмо"),
}
