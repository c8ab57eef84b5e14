"""Sends one message to one chat: in its turn, to where the chat has moved, without markup when that is refused."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consumers.telegram.chats import as_parameter
from consumers.telegram.client import TelegramClient
from consumers.telegram.errors import EntitiesError, FloodError, MigratedError
from consumers.telegram.events import GroupMigrated, MarkupRefused
from consumers.telegram.kept import addresses, not_kept, written
from consumers.telegram.limiter import Limiter
from consumers.telegram.markup import Rich, Run, is_styled, plain, render
from core.errors import StoppingError
from core.events.base import write
from core.texts import Text
from toolkit.http import Guard, unguarded


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was sent, and where it is now.

    Ids are text: they do not fit into Camunda's integers. `told`: what it has lost.
    """

    chat_id: str
    message_id: str
    told: tuple[Text, ...] = ()


class Sender:
    """Sends messages to chats. Usable from any thread. `is_html` says whether styles are sent at all."""

    def __init__(self, client: TelegramClient, limiter: Limiter, stop: threading.Event, *, is_html: bool) -> None:
        self._client = client
        self._limiter = limiter
        self._stop = stop
        self._is_html = is_html
        self._moved: dict[str, str] = {}

    def wait_for_turn(self, chat: str, patience: float, key: str = "") -> float:
        """Wait until the chat may be written to; return the seconds that were waited, at most `patience`.

        Raises PartialOutageError or OutageError when it takes longer, StoppingError when the daemon stops.
        """
        wait = self._limiter.turn(self._moved.get(chat, chat), patience, key)
        if self._stop.wait(wait) if wait > 0 else self._stop.is_set():
            raise StoppingError
        self._client.throttled(wait)
        return wait

    def send(self, chat: str, part: Rich, options: Mapping[str, Any], guard: Guard = unguarded) -> Sent:
        """Send one message.

        Raises an outcome: after AmbiguousError and DoubtfulOutageError it may have been sent, else not.

        `guard` is asked directly before each request, and may raise.
        """
        target = self._moved.get(chat, chat)
        try:
            return self._styled(target, part, options, guard)
        except MigratedError as moved:
            write(GroupMigrated(target, moved.chat_id))
            self._moved[chat] = moved.chat_id
            return self._styled(moved.chat_id, part, options, guard)

    def _styled(self, target: str, part: Rich, options: Mapping[str, Any], guard: Guard) -> Sent:
        unmarked = (Run(plain(part)),)
        if not is_styled(part):
            return self._post(target, part, options, guard)
        if not self._is_html:
            told: tuple[Text, ...] = ()
            if lost := addresses(part):
                tags = written(lost)
                without = Text(f"sent without {tags.en}", f"отправлено без {tags.ru}")
                told = (without.led_by("TELEGRAM_PARSE_MODE=none: "),)
            return self._post(target, unmarked, options, guard, told)
        try:
            return self._post(target, part, options, guard)
        except EntitiesError as refused:
            write(MarkupRefused(target, str(refused)))
            unstyled = Text(
                f"the text was sent without its markup: {refused.text.en}",
                f"текст отправлен без разметки: {refused.text.ru}",
            )
            return self._post(target, unmarked, options, guard, (unstyled,))

    def _post(
        self, target: str, part: Rich, options: Mapping[str, Any], guard: Guard, told: tuple[Text, ...] = ()
    ) -> Sent:
        text = {"text": render(part), "parse_mode": "HTML"} if is_styled(part) else {"text": plain(part)}
        try:
            message = self._client.send_message({"chat_id": as_parameter(target), **text, **options}, guard)
        except FloodError as flood:
            self._limiter.flooded(target, flood.retry_after or 0.0)
            raise
        chat = message.get("chat")
        chat_id = _id(chat.get("id")) if isinstance(chat, Mapping) else ""
        message_id = _id(message.get("message_id"))
        told = (*told, *not_kept(part, message))
        if not message_id:
            told = (*told, Text("Telegram has not told the id of the message", "Telegram не сообщил id сообщения"))
        return Sent(chat_id or target, message_id, told)


def _id(told: Any) -> str:
    return str(told) if type(told) is int else ""
