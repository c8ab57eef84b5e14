"""Events of Bitrix24 alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.events.base import Event
from core.texts import Text


@dataclass(frozen=True, slots=True)
class TaskUnseen(Event):
    task_id: str
    reason: str

    code = "task.unseen"
    level = logging.WARNING
    meaning = Text(
        "Bitrix24 refuses to show one task; the others are checked",
        "Bitrix24 отказывается показать одну задачу; остальные проверяются",
    )

    def line(self) -> str:
        return f"Bitrix24 does not show the task: {self.reason}"

    def fields(self) -> Mapping[str, Any]:
        return {"external_id": self.task_id}


@dataclass(frozen=True, slots=True)
class TrackerBlind(Event):
    reason: str

    code = "tracker.blind"
    level = logging.WARNING
    meaning = Text(
        "the portal cannot be asked what was finished; every task is looked at each time",
        "портал нельзя спросить, что завершено; каждый раз просматриваются все задачи",
    )

    def line(self) -> str:
        return f"finished tasks cannot be asked for, every task is looked at: {self.reason}"
