"""Events with no more in them than a test is about."""

from __future__ import annotations

from core.events.base import Identity
from core.events.messages import MessageParked, MessageRerouted, PartDown, RetryScheduled
from core.events.systems import Swept, SystemPaused
from core.outcomes import Outcome
from core.texts import Text


def about(system: str, topic: str | None = None) -> Identity:
    return Identity(f"{system}.queue", system, "8f6c1a52", topic=topic, attempt=1)


def parked(
    system: str, code: str, topic: str | None = None, reason: str | Text = "There is no handler"
) -> MessageParked:
    return MessageParked(about(system, topic), Text.of(reason), code, Outcome.PERMANENT)


def put_off(system: str) -> RetryScheduled:
    return RetryScheduled(about(system), Text.of("reset"), "http_500", 5.0)


def rerouted(target: str, *, is_consumed: bool) -> MessageRerouted:
    return MessageRerouted(about("default"), target, is_consumed)


def part_down(system: str, part: str | Text, reason: str | Text) -> PartDown:
    return PartDown(about(system), Text.of(part), Text.of(reason))


def paused(system: str, reason: str | Text, *, alert: bool = False) -> SystemPaused:
    outcome = "configuration" if alert else "outage"
    return SystemPaused(system, Text.of(reason), outcome, outcome, is_alert=alert, probe_in=15.0)


def swept(system: str, failure: str | Text | None = None) -> Swept:
    return Swept(system, 0, 0, 0, 0, at=0.0, reason=None if failure is None else Text.of(failure))
