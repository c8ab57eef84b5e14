"""Tracks `email.sent.queue`: a mail that the server has taken is finished."""

from __future__ import annotations

import threading

from consumers.email.config import EmailSettings
from core.errors import NotConfiguredError
from toolkit.done_tracker import DoneTracker


class EmailTracker(DoneTracker):
    """Forwards the results of sent mails."""

    settings_class = EmailSettings

    @classmethod
    def from_settings(cls, settings: EmailSettings, stop: threading.Event) -> EmailTracker:
        """Build the tracker. Raises NotConfiguredError when EMAIL_SMTP_HOST is empty."""
        if settings.smtp_host is None:
            raise NotConfiguredError(variable="EMAIL_SMTP_HOST")
        return cls("email")
