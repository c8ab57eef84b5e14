"""Checks whether the worker may send at all, when a server refuses everybody and does not say whose fault it is.

Servers refuse a client, a name or a sender that they do not want only when the first recipient is named (Postfix's
smtpd_delay_reject), for now or for good, and often without an enhanced code (Exim, OpenSMTPD).
"""

from __future__ import annotations

import contextlib
import smtplib
from collections.abc import Iterable

from consumers.email.client import SmtpClient, errors, require, say_goodbye
from consumers.email.errors import Reply, outcome_of
from core.errors import ConfigurationError
from core.texts import Text


class NoRightError(ConfigurationError):
    """The server takes this worker's mails for nobody; `asked` are the recipients that it was asked about."""

    asked: tuple[str, ...] = ()


def require_right_to_send(client: SmtpClient, candidates: Iterable[str]) -> None:
    """Return if the server takes one of the addresses as a recipient, or refuses it for its own sake.

    Each is asked about on a fresh connection: on one with refusals servers answer otherwise, or not at all. Nothing is
    sent. Raises NoRightError, or why nothing can be asked now.
    """
    refusals: dict[str, Reply] = {}
    for address in candidates:
        reply = _reply(client, address)
        if reply.kind == 2 or not reply.may_be_about_us:
            return
        refusals[address] = reply
    first = next(iter(refusals.values()))
    text = Text(
        f"the mail server takes mails of this worker for nobody, not even for EMAIL_FROM: {first}; check EMAIL_FROM, "
        f"EMAIL_EHLO_NAME (the worker calls itself {client.last_name}), the login, and whether the server accepts mail "
        "from this machine",
        f"почтовый сервер не берёт писем этого воркера ни для кого, даже для EMAIL_FROM: {first}; проверьте "
        f"EMAIL_FROM, EMAIL_EHLO_NAME (воркер называет себя {client.last_name}), имя и пароль и то, принимает ли "
        "сервер почту с этой машины",
    )
    error = NoRightError(text, code=first.word)
    error.asked = tuple(refusals)
    raise error


def _reply(client: SmtpClient, address: str) -> Reply:
    smtp = client.connect()
    try:
        with errors("sender"):
            require(smtp.mail(client.sender), "sender", 250)
        with errors("recipient"):
            reply = Reply.of(*smtp.rcpt(address))
        if reply.code in (421, 530):
            raise outcome_of("recipient", reply)
        return reply
    finally:
        with contextlib.suppress(OSError, smtplib.SMTPException):
            say_goodbye(smtp)
        smtp.close()
