"""Events in the life of the process: its start and its stop, what it consumes, mistakes in a program."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.events.base import Event, QueueEvent
from core.texts import Text


@dataclass(frozen=True, slots=True)
class Started(Event):
    version: str
    python: str

    code = "worker.started"
    meaning = Text(
        "start-up: which version this is",
        "запуск: какая это версия",
    )

    def line(self) -> str:
        return f"Task Creator {self.version} on Python {self.python}"


@dataclass(frozen=True, slots=True)
class QueueConsumed(QueueEvent):
    handler: str

    code = "queue.consumed"
    meaning = Text(
        "start-up: this queue is read",
        "запуск: эта очередь читается",
    )

    def line(self) -> str:
        return f"{self.queue} is consumed by {self.handler}"


@dataclass(frozen=True, slots=True)
class QueueTracked(QueueEvent):
    tracker: str

    code = "queue.tracked"
    meaning = Text(
        "start-up: this sent queue is followed",
        "запуск: за этой очередью отправленных следят",
    )

    def line(self) -> str:
        return f"{self.queue} is tracked by {self.tracker}"


@dataclass(frozen=True, slots=True)
class QueueSkipped(QueueEvent):
    what: str  # it is not
    reason: str

    code = "queue.skipped"
    meaning = Text(
        "start-up: this queue is not read, and why",
        "запуск: эта очередь не читается, и почему",
    )

    def line(self) -> str:
        return f"{self.queue} is not {self.what}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Heartbeat(Event):
    """The statistics of the worker. `figures` are those of `stats` that one reads at a glance."""

    figures: str
    stats: Mapping[str, Any]

    code = "heartbeat"
    meaning = Text(
        "statistics",
        "статистика",
    )

    def line(self) -> str:
        return self.figures

    def fields(self) -> Mapping[str, Any]:
        return {"stats": self.stats}


@dataclass(frozen=True, slots=True)
class HeartbeatFailed(Event):
    mistake: BaseException = field(compare=False)

    code = "heartbeat.failed"
    level = logging.ERROR
    meaning = Text(
        "the statistics could not be made; the work goes on",
        "статистику не удалось собрать; работа идёт",
    )

    def line(self) -> str:
        return "no heartbeat line"


@dataclass(frozen=True, slots=True)
class Stopping(Event):
    code = "worker.stopping"
    meaning = Text(
        "a stop signal came",
        "пришёл сигнал остановки",
    )

    def line(self) -> str:
        return "stopping"


@dataclass(frozen=True, slots=True)
class Stopped(Event):
    code = "worker.stopped"
    meaning = Text(
        "orderly stop",
        "остановлен в порядке",
    )

    def line(self) -> str:
        return "stopped"


@dataclass(frozen=True, slots=True)
class Aborted(Event):
    code = "worker.aborted"
    level = logging.WARNING
    meaning = Text(
        "a second signal: stopped at once",
        "второй сигнал: остановлен сразу",
    )

    def line(self) -> str:
        return "stopped at once; unfinished work is with RabbitMQ"


@dataclass(frozen=True, slots=True)
class Unfinished(Event):
    """A step of the stop did not finish, in time or because of a mistake in it."""

    mistake: BaseException | None = field(default=None, compare=False)

    code = "worker.unfinished"
    levels = Text.of("warning, error")
    meaning = Text(
        "the stop took too long or failed in part; the rest is with RabbitMQ",
        "остановка затянулась или частично не удалась; остальное у RabbitMQ",
    )

    def severity(self) -> int:
        return logging.WARNING if self.mistake is None else logging.ERROR

    def line(self) -> str:
        if self.mistake is None:
            return "shutdown time-out: unfinished work goes back to RabbitMQ"
        return "a stop step failed"


@dataclass(frozen=True, slots=True)
class SpansLost(Event):
    """`count` None: nobody knows how many."""

    count: int | None
    reason: str

    code = "spans.lost"
    level = logging.WARNING
    meaning = Text(
        "OpenTelemetry's collector did not take spans; nothing else is held up (once a minute)",
        "коллектор OpenTelemetry не взял спаны; больше ничего не задержано (раз в минуту)",
    )

    def line(self) -> str:
        return f"{'some' if self.count is None else self.count} spans are lost: {self.reason}"

    def throttle(self) -> str:
        return self.code


@dataclass(frozen=True, slots=True)
class HangupIgnored(Event):
    code = "worker.hangup"
    meaning = Text(
        "SIGHUP to a worker without a terminal: there was nothing to do",
        "SIGHUP воркеру без терминала: делать было нечего",
    )

    def line(self) -> str:
        return "SIGHUP changes nothing: moved log files are noticed by themselves, settings are read at a start"


@dataclass(frozen=True, slots=True)
class HandlerFailed(QueueEvent):
    mistake: BaseException = field(compare=False)

    code = "handler.failed"
    level = logging.ERROR
    meaning = Text(
        "a handler has a mistake in it; its messages count as transient",
        "ошибка в обработчике; его сообщения считаются transient",
    )

    def line(self) -> str:
        return "handler failed"


@dataclass(frozen=True, slots=True)
class ProcessorFailed(QueueEvent):
    what: str
    mistake: BaseException = field(compare=False)

    code = "processor.failed"
    level = logging.ERROR
    meaning = Text(
        "a mistake in this program; the messages go back to RabbitMQ",
        "ошибка в этой программе; сообщения возвращаются в RabbitMQ",
    )

    def line(self) -> str:
        return f"{self.what} failed"


@dataclass(frozen=True, slots=True)
class ThreadDied(Event):
    owner: str

    code = "thread.died"
    level = logging.ERROR
    meaning = Text(
        "a thread ended by a mistake in the program and was started again",
        "поток завершился из-за ошибки в программе и запущен снова",
    )

    def line(self) -> str:
        return f"a thread of {self.owner} has died and is started again"
