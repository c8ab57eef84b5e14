"""Chats and what was written into them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sandbox.telegram.errors import ApiError, bad_request, forbidden

Kind = Literal["private", "group", "supergroup", "channel"]

# What the bot meets in a chat that it cannot write to.
REFUSALS = {
    "blocked": forbidden("bot was blocked by the user"),
    "deactivated": forbidden("user is deactivated"),
    "not_started": forbidden("bot can't initiate conversation with a user"),
    "kicked": forbidden("bot was kicked from the supergroup chat"),
    "not_member": forbidden("bot is not a member of the channel chat"),
    "no_rights": bad_request("not enough rights to send text messages to the chat"),
    "restricted": bad_request("CHAT_WRITE_FORBIDDEN"),
}


@dataclass(slots=True)
class Chat:
    """`state` is empty or one of REFUSALS; `topics` are the threads of a forum."""

    id: int
    kind: Kind = "private"
    name: str = ""
    username: str | None = None
    state: str = ""
    migrated_to: int | None = None
    topics: frozenset[int] = frozenset()
    last_message: int = 0

    def view(self) -> dict[str, Any]:
        view: dict[str, Any] = {"id": self.id, "type": self.kind}
        view["first_name" if self.kind == "private" else "title"] = self.name
        return {**view, "username": self.username} if self.username else view


PERSON, GROUP, SUPERGROUP, CHANNEL = 1001, -2001, -1002003004005, -1009008007006
CHATS = (
    Chat(PERSON, "private", "Анна Соколова", "sokolova"),
    Chat(GROUP, "group", "Договоры"),
    Chat(SUPERGROUP, "supergroup", "Отдел продаж", topics=frozenset({7})),
    Chat(CHANNEL, "channel", "Новости", "company_news"),
)


@dataclass(frozen=True, slots=True)
class Message:
    """`text` as people see it, `sent` the parameters as they came."""

    message_id: int
    chat_id: int
    text: str
    entities: tuple[dict[str, Any], ...]
    date: int
    sent: dict[str, Any] = field(default_factory=dict)
    is_silent: bool = False
    is_protected: bool = False
    thread: int | None = None
    reply_to: int | None = None


class State:
    """Guarded by `lock`; `changed` is told after every request."""

    def __init__(self, chats: Iterable[Chat]) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.chats: dict[int, Chat] = {}
        self.messages: list[Message] = []
        for chat in chats:
            self.add(chat)

    def add(self, chat: Chat) -> None:
        self.chats[chat.id] = replace(chat)

    def find(self, wanted: Any) -> Chat:
        """The chat of an id or an @name, if the bot may write to it. Raises ApiError."""
        name = str(wanted).strip()
        if name.startswith("@"):
            found = next(
                (each for each in self.chats.values() if (each.username or "").lower() == name[1:].lower()), None
            )
            # A person is not found by name: the bot knows those only that have written to it, by their ids.
            found = None if found is not None and found.kind == "private" else found
        else:
            try:
                found = self.chats.get(int(name))
            except ValueError:
                found = None
        if found is None:
            raise bad_request("chat not found")
        if found.migrated_to is not None:
            raise ApiError(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=found.migrated_to,
            )
        if found.state:
            raise REFUSALS[found.state]
        return found

    def message(self, chat_id: int, message_id: int) -> Message | None:
        return next((each for each in self.messages if (each.chat_id, each.message_id) == (chat_id, message_id)), None)

    def write(
        self, chat: Chat, text: str, entities: list[dict[str, Any]], sent: dict[str, Any], **options: Any
    ) -> Message:
        chat.last_message += 1
        message = Message(chat.last_message, chat.id, text, tuple(entities), int(time.time()), sent, **options)
        self.messages.append(message)
        return message
