"""Events of the people who operate the worker, and of the door by which they come in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.events.base import Event
from core.texts import Text


@dataclass(frozen=True, slots=True)
class DoorUnusable(Event):
    folder: str
    reason: str

    code = "control.unusable"
    level = logging.WARNING
    meaning = Text(
        "start-up: the socket for the commands cannot be opened; the worker works without it",
        "запуск: не открыть сокет для команд; воркер работает без него",
    )

    def line(self) -> str:
        return f"no command reaches this worker: {self.folder} cannot be used: {self.reason}"


@dataclass(frozen=True, slots=True)
class QuestionFailed(Event):
    mistake: BaseException = field(compare=False)

    code = "control.failed"
    level = logging.ERROR
    meaning = Text(
        "a mistake in a program while a command was answered",
        "ошибка в программе при ответе на команду",
    )

    def line(self) -> str:
        return "a command was not answered"


@dataclass(frozen=True, slots=True)
class OperatorActed(Event):
    """A person has done something: a user of this machine, or of the API. `what` in the words of a command."""

    who: str
    what: str
    system: str | None = None
    count: int | None = None

    code = "operator.acted"
    meaning = Text(
        "a person has done something, with a command or through the API",
        "человек что-то сделал: командой или через API",
    )

    def line(self) -> str:
        how_many = "" if self.count is None else f", {self.count} messages"
        return f"{self.who}: {self.what}{how_many}"

    def fields(self) -> Mapping[str, Any]:
        return {"who": self.who, "what": self.what, "system": self.system, "count": self.count}
