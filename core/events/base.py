"""Defines what an event is.

It is reported once and reaches every sink of the stream: statistics, alerts, the log and others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from core.texts import Text

log = logging.getLogger("events")
HAPPENED = "happened"  # the attribute of a record that holds the event itself, if that was given to no stream


class Identity(NamedTuple):
    """What an event is about. What is not known is None; `attempt` counts from 1.

    `message_id` is that of AMQP, or what stands for it where a message has none and no task can be read from it.
    """

    queue: str
    system: str
    task_id: str | None = None
    process_instance_id: str | None = None
    topic: str | None = None
    attempt: int | None = None
    external_id: str | None = None
    message_id: str | None = None


class Event:
    """Something that happened.

    With a `code` it makes a line in the log; `meaning` and `levels` explain the code in the operator's list of events,
    which is made from these classes.
    """

    __slots__ = ()

    code: ClassVar[str] = ""
    level: ClassVar[int] = logging.INFO
    levels: ClassVar[Text | None] = None  # as the list shows them, where it is not always the same one
    meaning: ClassVar[Text] = Text.of("")

    def severity(self) -> int:
        """Return the level of this event."""
        return self.level

    def line(self) -> str:
        """Return what the log says, in English."""
        return ""

    def fields(self) -> Mapping[str, Any]:
        """Return what stands beside the line, by the names of the log's fields; None leaves a field out."""
        return {}

    def throttle(self) -> str | None:
        """Return a key: log and journal show one event a minute of those with the same one. None shows each."""
        return None

    @property
    def mistake(self) -> BaseException | None:
        """What was raised, to be shown with its traceback: a mistake in a program."""
        return None


class MessageEvent(Event):
    """Something that happened to a message, or to the task that it has become."""

    __slots__ = ()

    identity: Identity

    @property
    def system(self) -> str:
        return self.identity.system

    def fields(self) -> Mapping[str, Any]:
        about = self.identity
        return {
            "system": about.system,
            "queue": about.queue,
            "task_id": about.task_id,
            "process_instance_id": about.process_instance_id,
            "attempt": about.attempt,
            "external_id": about.external_id,
            "message_id": about.message_id if about.task_id is None else None,
        }


@dataclass(frozen=True, slots=True)
class QueueEvent(Event):
    """Something that happened to one queue."""

    queue: str

    def fields(self) -> Mapping[str, Any]:
        return {"queue": self.queue}


@dataclass(frozen=True, slots=True)
class SinkFailed(Event):
    mistake: BaseException = field(compare=False)

    code = "sink.failed"
    level = logging.ERROR
    meaning = Text(
        "a statistics sink has a mistake in it",
        "ошибка в приёмнике статистики",
    )

    def line(self) -> str:
        return "event sink failed"


Sink = Callable[[Event], None]


class EventStream:
    """Hands each event to every sink. A sink that fails is logged and never disturbs the work that it watches.

    A sink may have a method `wants(kind)`, asked once for each class of events: most come with every message.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)
        self._of_kind: dict[type[Event], tuple[Sink, ...]] = {}

    def emit(self, event: Event) -> None:
        kind = type(event)
        sinks = self._of_kind.get(kind)
        if sinks is None:
            sinks = self._of_kind[kind] = tuple(sink for sink in self._sinks if wants(sink, kind))
        for sink in sinks:
            try:
                sink(event)
            except Exception as error:  # noqa: BLE001  # one of the four borders: watching must not stop working
                write(SinkFailed(error))


def wants(sink: Sink, kind: type[Event]) -> bool:
    """Return whether a sink is to be given events of this class."""
    asked = getattr(sink, "wants", None)
    return asked is None or bool(asked(kind))


class Log:
    """The log as a sink."""

    def wants(self, kind: type[Event]) -> bool:
        return bool(kind.code)

    def __call__(self, event: Event) -> None:
        if logging.getLogger().isEnabledFor(event.severity()):  # the level of the log; somebody may overhear the rest
            _write(event, {})


def write(event: Event) -> None:
    """Write the event's line to the log; code that is given no stream calls it. An event without a code makes none.

    Sinks hear of it by `runtime.overhearing`.
    """
    _write(event, {HAPPENED: event})


def _write(event: Event, extra: dict[str, Any]) -> None:
    level = event.severity()
    if not event.code or not log.isEnabledFor(level):
        return
    extra.update((name, value) for name, value in event.fields().items() if value is not None)
    extra["event"] = event.code
    if (key := event.throttle()) is not None:
        extra["throttle"] = key
    log.log(level, "%s", event.line(), extra=extra, exc_info=event.mistake)
