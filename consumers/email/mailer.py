"""Sends mails that are no task of a process: what the worker itself has to say to its operators."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from consumers.email.addresses import distinct, header_text, parse_addresses
from consumers.email.client import SmtpClient
from consumers.email.compose import as_letter, new_mail
from consumers.email.config import EmailSettings
from consumers.email.headers import set_addresses
from consumers.email.session import SmtpSession
from core import values
from core.errors import OutcomeError

_SUBJECT_LIMIT = 255  # characters


class Mailer:
    """Sends plain texts with the server of EmailSettings. Usable from any thread."""

    def __init__(self, settings: EmailSettings) -> None:
        """Raise NotConfiguredError when EMAIL_SMTP_HOST is empty."""
        self._settings = settings
        # Not the daemon's: its last words are worth sending.
        self._client = SmtpClient(settings, threading.Event())

    def send(self, subject: str, text: str, recipients: Sequence[str]) -> dict[str, str]:
        """Send a text; return who has not got it, and why. Raises the first OutcomeError when nobody has."""
        addresses = distinct(parse_addresses("recipients", list(recipients)))
        one_line = header_text("subject", " ".join(subject.split()))
        mail = new_mail(self._settings, values.cut_characters(one_line, _SUBJECT_LIMIT), datetime.now(UTC))
        set_addresses(mail, "To", addresses)
        mail["Message-ID"] = f"<{uuid.uuid4()}@{self._client.sender.rpartition('@')[2]}>"
        mail.set_content(text)
        letter = as_letter(mail, addresses)
        failures: dict[str, OutcomeError] = {}
        with SmtpSession(self._client) as session:
            for address in addresses:
                try:
                    session.deliver(letter, address.addr_spec, _nothing)
                except OutcomeError as error:
                    failures[address.addr_spec] = error
        if failures and len(failures) == len(addresses):
            raise next(iter(failures.values()))
        return {address: error.reason for address, error in failures.items()}


def _nothing() -> None:
    """Do nothing: there is no journal. A notice that arrives twice is better than one that does not arrive."""
