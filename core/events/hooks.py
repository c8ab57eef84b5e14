"""Events of the hooks by which Bitrix24 and OpenProject tell of changed tasks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.events.base import Event
from core.texts import Text


@dataclass(frozen=True, slots=True)
class HooksRefused(Event):
    """Told once a minute at the most; `count` since the last time."""

    source: str
    count: int

    code = "hooks.refused"
    level = logging.WARNING
    meaning = Text(
        "webhooks came whose name, token or signature is not the configured one, or that are not configured",
        "пришли вебхуки, у которых имя, токен или подпись не те, что заданы, или которые не заданы",
    )

    def line(self) -> str:
        return f"{self.count} webhooks at /hooks/{self.source}/ were refused: forged, or HOOK_* does not fit"

    def fields(self) -> Mapping[str, Any]:
        return {"system": self.source, "count": self.count}


@dataclass(frozen=True, slots=True)
class HooksUnheard(Event):
    """Told when it begins, not for each hook."""

    system: str
    reason: str

    code = "hooks.unheard"
    level = logging.WARNING
    meaning = Text(
        "webhooks come, and no worker takes the ids of their tasks; nothing is lost: sweeps find what was finished",
        "вебхуки приходят, но ни один воркер не берёт id их задач; ничего не пропало: завершённое найдут проходы",
    )

    def line(self) -> str:
        return f"no worker hears of changed tasks of {self.system}; sweeps will find them: {self.reason}"

    def fields(self) -> Mapping[str, Any]:
        return {"system": self.system}


@dataclass(frozen=True, slots=True)
class HooksHeard(Event):
    system: str

    code = "hooks.heard"
    meaning = Text(
        "a worker takes the ids of webhooks again",
        "воркер снова берёт id из вебхуков",
    )

    def line(self) -> str:
        return f"a worker hears of changed tasks of {self.system} again"

    def fields(self) -> Mapping[str, Any]:
        return {"system": self.system}
