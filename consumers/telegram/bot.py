"""Sends notes of the daemon to its operators by the bot, with nothing of Camunda in them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from consumers.telegram.chats import chats_of
from consumers.telegram.client import TelegramClient
from consumers.telegram.config import TelegramSettings
from consumers.telegram.fields import MessageFields
from consumers.telegram.limiter import Limiter
from consumers.telegram.markup import Run
from consumers.telegram.sender import Sender
from core.errors import ConfigurationError, OutcomeError, PermanentError
from core.texts import Text

_PATIENCE = 10.0  # seconds that one note may wait for Telegram's limits


class TelegramBot:
    """A sender of notes. Usable from any thread."""

    def __init__(self, settings: TelegramSettings, stop: threading.Event) -> None:
        """Raise NotConfiguredError when TELEGRAM_BOT_TOKEN is empty."""
        self._fields = MessageFields(settings)
        self._default_chats = settings.chat_id
        self._sender = Sender(TelegramClient(settings, stop), Limiter(settings), stop, is_html=False)

    def send(self, text: str, chats: Sequence[str] = ()) -> None:
        """Send plain text to `chats`, else to those of TELEGRAM_CHAT_ID.

        Every chat is tried; then the first outcome that was met is raised. Raises BadValueError for what is no chat,
        ConfigurationError when there is none, PermanentError for a text that is blank or too long.
        """
        failures: list[OutcomeError] = []
        parts = self._fields.parts((Run(text),))
        wanted = chats_of("chats", list(chats)) or chats_of("TELEGRAM_CHAT_ID", self._default_chats)
        if not parts:
            raise PermanentError(Text("The note has no text", "В уведомлении нет текста"), code="no_text")
        if not wanted:
            reason = Text(
                "There is no chat for notes: set TELEGRAM_CHAT_ID", "Нет чата для уведомлений: задайте TELEGRAM_CHAT_ID"
            )
            raise ConfigurationError(reason, code="no_chat")
        for chat in wanted:
            try:
                for part in parts:
                    self._sender.wait_for_turn(chat, _PATIENCE)
                    self._sender.send(chat, part, {})
            except OutcomeError as error:
                failures.append(error)
        if failures:
            raise failures[0]
