"""Events of services alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.events.base import Event
from core.texts import Text

SYSTEM = "python-services"


@dataclass(frozen=True, slots=True)
class ServiceDown(Event):
    """A service is down; `is_fault` when it is set up wrongly."""

    text: str
    is_fault: bool = False
    outcome: str | None = None
    error_code: str | None = None

    code = "service.down"
    levels = Text.of("warning, error")
    meaning = Text(
        "one service cannot be used (error: it is set up wrongly); its messages and jobs wait, the others flow",
        "один сервис недоступен (error: неверно настроен); его сообщения и задания ждут, остальные идут",
    )

    def severity(self) -> int:
        return logging.ERROR if self.is_fault else logging.WARNING

    def line(self) -> str:
        return self.text

    def fields(self) -> Mapping[str, Any]:
        return {"system": SYSTEM, "outcome": self.outcome, "code": self.error_code}


@dataclass(frozen=True, slots=True)
class ServiceUp(Event):
    text: str

    code = "service.up"
    meaning = Text(
        "it can be used again",
        "он снова доступен",
    )

    def line(self) -> str:
        return self.text

    def fields(self) -> Mapping[str, Any]:
        return {"system": SYSTEM}


@dataclass(frozen=True, slots=True)
class ServiceOutput(Event):
    service: str
    text: str

    code = "service.output"
    meaning = Text(
        "a line that a callable has printed",
        "строка, которую напечатала вызываемая функция",
    )

    def line(self) -> str:
        return f"{self.service}: {self.text}"

    def fields(self) -> Mapping[str, Any]:
        return {"system": SYSTEM}
