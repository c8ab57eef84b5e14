"""Sends one message to one chat: in its turn, to where the chat has moved, without markup when that is refused."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consumers.telegram.chats import as_parameter
from consumers.telegram.client import TelegramClient
from consumers.telegram.errors import EntitiesError, FloodError, MigratedError
from consumers.telegram.limiter import Limiter
from consumers.telegram.markup import Rich, is_styled, plain, render
from core.errors import StoppingError
from runtime.http import Guard, unguarded

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a message is now. Ids are text: they do not fit into Camunda's integers."""

    chat_id: str
    message_id: str


class Sender:
    """Usable from any thread. `is_html` says whether styles are sent at all."""

    def __init__(self, client: TelegramClient, limiter: Limiter, stop: threading.Event, *, is_html: bool) -> None:
        self._client = client
        self._limiter = limiter
        self._stop = stop
        self._is_html = is_html
        self._moved: dict[str, str] = {}

    def wait_for_turn(self, chat: str, patience: float, key: str = "") -> float:
        """Waits until the chat may be written to; returns the seconds that were waited, `patience` at the most.

        Raises PartialOutageError or OutageError when it takes longer, StoppingError when the daemon stops.
        """
        wait = self._limiter.turn(self._moved.get(chat, chat), patience, key)
        if self._stop.wait(wait) if wait > 0 else self._stop.is_set():
            raise StoppingError
        return wait

    def send(self, chat: str, part: Rich, options: Mapping[str, Any], guard: Guard = unguarded) -> Sent:
        """Raises an outcome. After AmbiguousError and DoubtfulOutageError it may have been sent, after others not.

        `guard` is asked directly before each request, and may raise.
        """
        target = self._moved.get(chat, chat)
        try:
            return self._styled(target, part, options, guard)
        except MigratedError as moved:
            log.warning(
                "the group %s has become the supergroup %s: correct it where it is configured",
                target,
                moved.chat_id,
                extra={"event": "telegram.migrated", "chat_id": target, "new_chat_id": moved.chat_id},
            )
            self._moved[chat] = moved.chat_id
            return self._styled(moved.chat_id, part, options, guard)

    def _styled(self, target: str, part: Rich, options: Mapping[str, Any], guard: Guard) -> Sent:
        if not (self._is_html and is_styled(part)):
            return self._post(target, {"text": plain(part), **options}, guard)
        try:
            return self._post(target, {"text": render(part), "parse_mode": "HTML", **options}, guard)
        except EntitiesError as refused:
            extra = {"event": "telegram.plain_text", "chat_id": target}
            log.warning("Telegram refused the markup, the text is sent without it: %s", refused, extra=extra)
            return self._post(target, {"text": plain(part), **options}, guard)

    def _post(self, target: str, parameters: dict[str, Any], guard: Guard) -> Sent:
        try:
            message = self._client.send_message({"chat_id": as_parameter(target), **parameters}, guard)
        except FloodError as flood:
            self._limiter.flooded(target, flood.retry_after or 0.0)
            raise
        chat = message.get("chat")
        chat_id = chat.get("id") if isinstance(chat, Mapping) else None
        return Sent(target if chat_id is None else str(chat_id), str(message.get("message_id") or ""))
