"""Events of alerts: what is sent to people on duty, and what could not be sent."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.events.base import Event
from core.texts import Text

Way = Literal["mail", "telegram"]


@dataclass(frozen=True, slots=True)
class AlertRaised(Event):
    """An alert was raised; `is_good` when it says that something is over."""

    system: str
    kind: str
    text: Text
    is_good: bool

    code = "alert.raised"
    levels = Text.of("error, info")
    meaning = Text(
        "what a person on duty should know, told once: see [Alerts](#alerts)",
        "что должен знать дежурный, один раз: см. [Уведомления](#уведомления)",
    )

    def severity(self) -> int:
        return logging.INFO if self.is_good else logging.ERROR

    def line(self) -> str:
        return self.text.en

    def fields(self) -> Mapping[str, Any]:
        return {"system": self.system, "alert": self.kind}


@dataclass(frozen=True, slots=True)
class AlertsSent(Event):
    """A channel has taken `count` alerts; `way` is its kind."""

    way: Way
    count: int


@dataclass(frozen=True, slots=True)
class AlertsUnsent(Event):
    channel: str
    reason: str
    error_code: str
    way: Way
    count: int

    code = "alert.unsent"
    level = logging.WARNING
    meaning = Text(
        "alerts could not be sent and wait",
        "уведомления не отправились и ждут",
    )

    def line(self) -> str:
        return f"alerts could not be sent by {self.channel}: {self.reason}"

    def fields(self) -> Mapping[str, Any]:
        return {"code": self.error_code}


@dataclass(frozen=True, slots=True)
class AlertsDropped(Event):
    text: str
    way: Way
    count: int
    error_code: str | None = None
    mistake: BaseException | None = field(default=None, compare=False)

    code = "alert.dropped"
    level = logging.ERROR
    meaning = Text(
        "too many alerts wait: the oldest is given up",
        "ждущих уведомлений слишком много: самое старое отброшено",
    )

    def line(self) -> str:
        return self.text

    def fields(self) -> Mapping[str, Any]:
        return {"code": self.error_code}
