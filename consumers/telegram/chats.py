"""Reads which chats a value names: ids and @names, as text from here on. Pure."""

from __future__ import annotations

import re
from typing import Any

from core import values
from core.texts import Text
from core.values import BadValueError

WANTED = Text(
    "the id of a chat (such as 123456789 or -1001234567890) or the @name of a channel",
    "id чата (например 123456789 или -1001234567890) или @имя канала",
)

_ID = re.compile(r"-?[1-9][0-9]{0,18}")
_NAME = re.compile(r"@[A-Za-z][A-Za-z0-9_]{2,63}")


def chats_of(name: str, value: Any) -> tuple[str, ...]:
    """Return one chat, or several in a list or separated by commas; each once. Raises BadValueError."""
    found: dict[str, str] = {}
    for item in values.items(value):
        chat = values.text(item).removesuffix(".0")  # a whole number may have become a float on its way through JSON
        if isinstance(item, bool) or not (_ID.fullmatch(chat) or _NAME.fullmatch(chat)):
            raise BadValueError(name, item, WANTED)
        found.setdefault(chat.casefold(), chat)
    return tuple(found.values())


def is_group(chat: str) -> bool:
    """True for groups, supergroups and channels, which have negative ids; assumed for a name."""
    return chat.startswith(("-", "@"))


def as_parameter(chat: str) -> int | str:
    """Return the chat as the Bot API takes it."""
    return chat if chat.startswith("@") else int(chat)
