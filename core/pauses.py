"""Knows which systems take no messages now, since when, why and until when: one read model of the event stream.

Statistics, alerts and the heartbeat read it, and whatever else shows it to people. Times are seconds of a clock that
does not jump; `age` is how long ago something was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from core.events.base import Event
from core.events.systems import ProbeFailed, SystemHeld, SystemPaused, SystemReleased, SystemResumed
from core.holds import Hold
from core.texts import Text


@dataclass(frozen=True, slots=True)
class SystemPause:
    """The pause that a worker has put on a system which cannot be used. `ended` is None while it goes on."""

    system: str
    reason: Text
    outcome: str
    error_code: str
    is_alert: bool  # a person has to mend something
    since: float
    next_probe: float
    ended: float | None = None


class Pauses:
    """The pauses of all systems: a sink of the event stream. Thread-safe.

    A system that is usable for less than `steady` seconds was not back: its pause is the same one, with a later reason.
    """

    def __init__(self, clock: Callable[[], float], steady: float = 60.0) -> None:
        self._clock = clock
        self._steady = steady
        self._lock = threading.Lock()
        self._latest: dict[str, SystemPause] = {}
        self._holds: dict[str, Hold] = {}

    def wants(self, kind: type[Event]) -> bool:
        return kind in {SystemPaused, ProbeFailed, SystemResumed, SystemHeld, SystemReleased}

    def __call__(self, event: Event) -> None:
        self.note(event, self._clock())

    def note(self, event: Event, now: float) -> None:
        """Update the pauses with an event that happened at `now`."""
        with self._lock:
            match event:
                case SystemPaused():
                    self._latest[event.system] = self._paused(event, now)
                case ProbeFailed() if (pause := self._latest.get(event.system)) is not None:
                    self._latest[event.system] = replace(pause, reason=event.reason, next_probe=now + event.probe_in)
                case SystemResumed() if (pause := self._latest.get(event.system)) is not None:
                    self._latest[event.system] = replace(pause, ended=now)
                case SystemHeld():
                    self._holds[event.system] = event.hold
                case SystemReleased():
                    self._holds.pop(event.system, None)

    def latest(self) -> list[SystemPause]:
        """Return the last pause of each system that had one, also those that are over; sorted by system."""
        with self._lock:
            return [self._latest[system] for system in sorted(self._latest)]

    def of(self, system: str) -> SystemPause | None:
        """Return the pause in which the system is now, if any."""
        with self._lock:
            pause = self._latest.get(system)
        return pause if pause is not None and pause.ended is None else None

    def hold_of(self, system: str) -> Hold | None:
        """Return the pause that a person has put on the system, if any."""
        with self._lock:
            return self._holds.get(system)

    def holds(self) -> list[Hold]:
        """Return what persons have paused, sorted by system."""
        with self._lock:
            return [self._holds[system] for system in sorted(self._holds)]

    def age(self, moment: float) -> float:
        """Return the seconds since `moment`; negative when it is still to come."""
        return self._clock() - moment

    def _paused(self, event: SystemPaused, now: float) -> SystemPause:
        since, before = now, self._latest.get(event.system)
        if before is not None and (before.ended is None or now - before.ended < self._steady):
            since = before.since
        return SystemPause(
            event.system,
            event.reason,
            event.outcome,
            event.error_code,
            event.is_alert,
            since=since,
            next_probe=now + event.probe_in,
        )
