"""Tracks `telegram.sent.queue`: a message that was sent is finished."""

from __future__ import annotations

import threading

from consumers.telegram.config import TelegramSettings
from core.errors import NotConfiguredError
from toolkit.done_tracker import DoneTracker


class TelegramTracker(DoneTracker):
    settings_class = TelegramSettings

    @classmethod
    def from_settings(cls, settings: TelegramSettings, stop: threading.Event) -> TelegramTracker:
        """Build the tracker. Raises NotConfiguredError when TELEGRAM_BOT_TOKEN is empty."""
        if settings.bot_token is None:
            raise NotConfiguredError(variable="TELEGRAM_BOT_TOKEN")
        return cls("telegram")
