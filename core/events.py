"""What happened, told once: statistics, journal, metrics and alerts are sinks of this one stream."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.texts import Text

log = logging.getLogger(__name__)

NO_REASON = Text.of("")


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A delivery was taken from a queue; `redelivered` when a worker had held it before."""

    system: str
    redelivered: bool


@dataclass(frozen=True, slots=True)
class MessageProcessed:
    """A handler succeeded and its result is durable. `duplicate`: an earlier attempt had created the task."""

    system: str
    duplicate: bool


@dataclass(frozen=True, slots=True)
class MessageFailed:
    """A handler did not succeed; `outcome` is a word of core.errors."""

    system: str
    outcome: str


@dataclass(frozen=True, slots=True)
class ResultStored:
    """A result was confirmed in the sent queue."""

    system: str


@dataclass(frozen=True, slots=True)
class ResultNotStored:
    """A result could not be put into the sent queue; its input message stays in its queue."""

    system: str


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    system: str


@dataclass(frozen=True, slots=True)
class MessageParked:
    """A message was confirmed in the error queue. `topic` is None when it could not be read."""

    system: str
    code: str
    topic: str | None = None
    reason: Text = NO_REASON


@dataclass(frozen=True, slots=True)
class MessageRerouted:
    """A message was confirmed in another input queue; `is_consumed` when this worker consumes that one."""

    system: str
    queue: str
    is_consumed: bool


@dataclass(frozen=True, slots=True)
class PartDown:
    """A message met a part of its system (a service) that is down; it waits, the others flow."""

    system: str
    part: Text
    reason: Text


@dataclass(frozen=True, slots=True)
class SystemPaused:
    system: str
    reason: Text
    alert: bool


@dataclass(frozen=True, slots=True)
class SystemResumed:
    system: str


@dataclass(frozen=True, slots=True)
class Published:
    """The broker confirmed `count` messages."""

    count: int


@dataclass(frozen=True, slots=True)
class PublishFailed:
    """One try to publish failed (returned, nacked, connection lost); the publisher tries again by itself."""

    queue: str


@dataclass(frozen=True, slots=True)
class ConnectionUnstable:
    """A connection to RabbitMQ was lost soon after it was made, the `losses`th time in a row."""

    connection: str
    losses: int
    reason: Text


@dataclass(frozen=True, slots=True)
class QueueUnusable:
    """RabbitMQ refuses what the worker needs of a queue, or says nothing about it; it is asked again and again."""

    queue: str
    reason: Text


@dataclass(frozen=True, slots=True)
class Swept:
    """A tracker went once through its sent queue. `at` in unix seconds, `failure` says why it did not get through."""

    system: str
    checked: int
    completed: int
    moved: int
    errors: int
    at: float
    failure: Text | None = None


Event = (
    MessageReceived
    | MessageProcessed
    | MessageFailed
    | ResultStored
    | ResultNotStored
    | RetryScheduled
    | MessageParked
    | MessageRerouted
    | PartDown
    | SystemPaused
    | SystemResumed
    | Published
    | PublishFailed
    | ConnectionUnstable
    | QueueUnusable
    | Swept
)

Sink = Callable[[Event], None]


class EventStream:
    """Hands each event to every sink. A sink that fails is logged and never disturbs the work that it watches."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)

    def emit(self, event: Event) -> None:
        for sink in self._sinks:
            try:
                sink(event)
            except Exception:  # one of the four borders: watching must not stop working
                log.exception("event sink failed", extra={"event": "sink.failed"})
