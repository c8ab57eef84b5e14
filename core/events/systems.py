"""Events of systems that become unusable and usable again, and of the sweeps of their trackers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from core.events.base import Event, QueueEvent
from core.holds import Hold
from core.texts import Text


@dataclass(frozen=True, slots=True)
class SystemPaused(Event):
    """The intake of a system has stopped; `is_alert` when a person has to repair something. `probe_in` in seconds."""

    system: str
    reason: Text
    outcome: str
    error_code: str
    is_alert: bool
    probe_in: float

    code = "system.paused"
    levels = Text.of("warning, error")
    meaning = Text(
        "a system is down (warning) or wrongly set up (error); its messages wait",
        "система упала (warning) или неверно настроена (error); её сообщения ждут",
    )

    def severity(self) -> int:
        return logging.ERROR if self.is_alert else logging.WARNING

    def line(self) -> str:
        return f"{self.system} is not usable, its messages wait: {self.reason.en}"

    def fields(self) -> Mapping[str, Any]:
        return {"system": self.system, "outcome": self.outcome, "code": self.error_code}


@dataclass(frozen=True, slots=True)
class ProbeFailed(Event):
    """A paused system is still not usable. `mistake` is what a faulty probe has raised."""

    system: str
    reason: Text
    outcome: str | None
    probe_in: float
    mistake: BaseException | None = field(default=None, compare=False)

    code = "system.probe"
    levels = Text.of("info, error")
    meaning = Text(
        "it is still not usable; error: the probe itself has a mistake",
        "она всё ещё недоступна; error: ошибка в самой проверке",
    )

    def severity(self) -> int:
        return logging.INFO if self.mistake is None else logging.ERROR

    def line(self) -> str:
        if self.mistake is None:
            return f"{self.system} is still not usable: {self.reason.en}"
        return f"probe of {self.system} failed"

    def fields(self) -> Mapping[str, Any]:
        return {"system": self.system, "outcome": self.outcome}


@dataclass(frozen=True, slots=True)
class SystemResumed(Event):
    """A probe has succeeded; messages are taken again."""

    system: str

    code = "system.resumed"
    meaning = Text(
        "it is usable again",
        "она снова доступна",
    )

    def line(self) -> str:
        return f"{self.system} is usable again"

    def fields(self) -> Mapping[str, Any]:
        return {"system": self.system}


@dataclass(frozen=True, slots=True)
class SystemHeld(Event):
    """A person has paused a system, or a worker has found such a pause at its start."""

    hold: Hold

    code = "system.held"
    level = logging.WARNING
    meaning = Text(
        "a person has paused a system; its messages wait until he resumes it or the time is over",
        "человек приостановил систему; её сообщения ждут, пока он не возобновит её или не выйдет время",
    )

    @property
    def system(self) -> str:
        return self.hold.system

    def line(self) -> str:
        end = "" if self.hold.until is None else f", until {_iso(self.hold.until)}"
        why = f": {self.hold.reason}" if self.hold.reason else ""
        return f"{self.system} is paused by {self.hold.by} ({self.hold.scope}){end}{why}"

    def fields(self) -> Mapping[str, Any]:
        until = None if self.hold.until is None else _iso(self.hold.until)
        return {"system": self.system, "by": self.hold.by, "scope": self.hold.scope, "until": until}


@dataclass(frozen=True, slots=True)
class SystemReleased(Event):
    """The pause of a person is over; `by` is None when its time was over."""

    system: str
    by: str | None

    code = "system.released"
    meaning = Text(
        "a person's pause is over",
        "пауза, поставленная человеком, окончена",
    )

    def line(self) -> str:
        return f"{self.system} is resumed " + ("by " + self.by if self.by is not None else "because its time is over")

    def fields(self) -> Mapping[str, Any]:
        return {"system": self.system, "by": self.by}


@dataclass(frozen=True, slots=True)
class SystemRemark(QueueEvent):
    """Something found when the worker looks at a system at its start.

    `is_fault`: it should be repaired; `mistake`: what a faulty look has raised.
    """

    text: Text
    is_fault: bool
    mistake: BaseException | None = field(default=None, compare=False)

    code = "system.remark"
    levels = Text.of("error, info")
    meaning = Text(
        "something in the set-up of a system should be mended (error), or could not be looked at",
        "в настройке системы надо что-то исправить (error) или её не удалось посмотреть",
    )

    def severity(self) -> int:
        return logging.ERROR if self.is_fault else logging.INFO

    def line(self) -> str:
        return self.text.en


@dataclass(frozen=True, slots=True)
class Swept(Event):
    """A tracker went once through its sent queue. `at` in unix seconds; `reason` says why it did not get through.

    `calls`: questions that the tracker was asked; `left`: messages that stay in the queue, None where it could not be
    opened.
    """

    system: str
    checked: int
    completed: int
    moved: int
    errors: int
    at: float
    reason: Text | None = None
    calls: int = 0
    left: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ChangesHeard(Event):
    """A system has told of changed tasks, anybody's; `is_worth_it`: a sweep has something to find among them."""

    system: str
    tasks: int
    is_worth_it: bool
    seconds: float

    code = "tracker.heard"
    level = logging.DEBUG
    meaning = Text(
        "a system has told by webhook of tasks that were changed; they were asked about at once",
        "система сообщила вебхуком об изменённых задачах; о них спрошено сразу",
    )

    def line(self) -> str:
        found = "a finished one is ours" if self.is_worth_it else "none of ours is finished"
        return f"{self.system} has told of {self.tasks} changed tasks: {found} ({self.seconds:.2f} s)"

    def fields(self) -> Mapping[str, Any]:
        return {"system": self.system}


@dataclass(frozen=True, slots=True)
class LargeQueueSwept(QueueEvent):
    """A sent queue was swept that holds more messages than a system is asked about at once."""

    taken: int
    checked: int
    completed: int
    is_full: bool
    seconds: float

    code = "tracker.swept"
    meaning = Text(
        "a large sent queue was gone through: for everything, or for what has changed",
        "большая очередь отправленных пройдена: целиком или в поисках изменившихся задач",
    )

    def line(self) -> str:
        kind = "all" if self.is_full else "the changed ones"
        counts = f"{self.checked} checked, {self.completed} completed"
        return f"looked through {self.taken} messages for {kind} in {self.seconds:.1f} s: {counts}"


@dataclass(frozen=True, slots=True)
class TasksSpread(QueueEvent):
    """A sent queue has become so large that its open tasks go into shards from now on."""

    messages: int

    code = "tracker.spread"
    meaning = Text(
        "a sent queue has become large: its open tasks are kept in shards beside it from now on",
        "очередь отправленных стала большой: её открытые задачи теперь хранятся в частях рядом с ней",
    )

    def line(self) -> str:
        return f"has many open tasks: {self.messages} have been moved into its shards, and all new ones will be"


@dataclass(frozen=True, slots=True)
class ShardsRefused(QueueEvent):
    reason: Text

    code = "tracker.shards_refused"
    level = logging.WARNING
    meaning = Text(
        "RabbitMQ refuses the shards of a large sent queue: its tasks stay in it, and a finished one is found later",
        "RabbitMQ отказывает в частях большой очереди отправленных: задачи остаются в ней, завершённая находится позже",
    )

    def line(self) -> str:
        return f"stays whole, though it is large: {self.reason.en}"


@dataclass(frozen=True, slots=True)
class SweepLate(QueueEvent):
    code = "tracker.late"
    level = logging.WARNING
    meaning = Text(
        "a sweep takes longer than ten minutes and goes on in the next one",
        "проход длится дольше десяти минут и продолжится в следующем",
    )

    def line(self) -> str:
        return f"the sweep of {self.queue} takes too long and goes on later"


@dataclass(frozen=True, slots=True)
class TrackingFailed(Event):
    """A sweep, or a part of one, did not succeed. `mistake` is what a faulty tracker has raised."""

    system: str
    text: str
    queue: str | None = None
    mistake: BaseException | None = field(default=None, compare=False)

    code = "tracker.failed"
    levels = Text.of("warning, error")
    meaning = Text(
        "a sweep did not succeed; the next one comes by itself",
        "проход не удался; следующий будет сам собой",
    )

    def severity(self) -> int:
        return logging.WARNING if self.mistake is None else logging.ERROR

    def line(self) -> str:
        return self.text

    def fields(self) -> Mapping[str, Any]:
        return {"system": self.system, "queue": self.queue}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
