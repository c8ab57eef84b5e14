"""Events of Telegram alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.events.base import Event
from core.texts import Text


@dataclass(frozen=True, slots=True)
class GroupMigrated(Event):
    chat: str
    new_chat: str

    code = "telegram.migrated"
    level = logging.WARNING
    meaning = Text(
        "a group has become a supergroup with another id; messages go there",
        "группа стала супергруппой с другим id; сообщения идут туда",
    )

    def line(self) -> str:
        return f"the group {self.chat} has become the supergroup {self.new_chat}: correct it where it is configured"

    def fields(self) -> Mapping[str, Any]:
        return {"chat_id": self.chat, "new_chat_id": self.new_chat}


@dataclass(frozen=True, slots=True)
class MarkupRefused(Event):
    chat: str
    reason: str

    code = "telegram.plain_text"
    level = logging.WARNING
    meaning = Text(
        "Telegram refused the markup of a text; it was sent without it",
        "Telegram отклонил разметку текста; он отправлен без неё",
    )

    def line(self) -> str:
        return f"Telegram refused the markup, the text is sent without it: {self.reason}"

    def fields(self) -> Mapping[str, Any]:
        return {"chat_id": self.chat}


@dataclass(frozen=True, slots=True)
class PartResent(Event):
    task_id: str
    part: str

    code = "telegram.resent"
    level = logging.WARNING
    meaning = Text(
        "what may have arrived before is sent again (`TELEGRAM_ON_AMBIGUOUS`)",
        "то, что могло дойти раньше, отправляется ещё раз (`TELEGRAM_ON_AMBIGUOUS`)",
    )

    def line(self) -> str:
        return "what was being sent before and may have arrived is sent again"

    def fields(self) -> Mapping[str, Any]:
        return {"task_id": self.task_id, "part": self.part}
