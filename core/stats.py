"""The specification's statistics, counted from the event stream."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

from core.events.base import Event
from core.events.messages import (
    MessageFailed,
    MessageParked,
    MessageProcessed,
    MessageReceived,
    MessageRerouted,
    ResultNotStored,
    ResultStored,
    RetryScheduled,
    TaskFound,
)
from core.events.publishing import Published, PublishFailed
from core.events.systems import Swept
from core.pauses import Pauses


class Statistics:
    """The counts of a worker: a sink of the event stream. `started_at` and `now` are unix seconds."""

    def __init__(self, started_at: float, pauses: Pauses) -> None:
        self._started_at = started_at
        self._pauses = pauses
        self._lock = threading.Lock()
        self._systems: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._publisher: Counter[str] = Counter()
        self._trackers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._last_sweep: dict[str, Swept] = {}
        self._open: dict[str, int] = {}  # tasks, by system; as far as the last sweep that got to them knows

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._count(event)

    def snapshot(self, now: float) -> dict[str, Any]:
        """Return all figures as plain values; `success_queue_rate` in percent, `uptime_seconds` in seconds."""
        with self._lock:
            totals: Counter[str] = Counter()
            for counts in self._systems.values():
                totals.update(counts)
            stored, not_stored = totals["sent_to_success_queue"], totals["success_queue_failures"]
            tries = stored + not_stored
            return {
                "total_messages": totals["total"],
                "processed_messages": totals["processed"],
                "failed_messages": totals["failed"],
                "postponed_messages": totals["postponed"],
                "sent_to_success_queue": stored,
                "success_queue_failures": not_stored,
                "success_queue_rate": round(100.0 * stored / tries, 2) if tries else 100.0,
                "uptime_seconds": round(now - self._started_at, 1),
                "systems": {name: self._system(name, now) for name in self._names()},
                "publisher": {"published": self._publisher["published"], "failed": self._publisher["failed"]},
                "trackers": {name: self._tracker(name) for name in sorted(self._trackers)},
            }

    def _count(self, event: Event) -> None:
        match event:  # those of every message first
            case MessageReceived():
                self._systems[event.system]["total"] += 1
            case MessageProcessed():
                self._systems[event.system]["processed"] += 1
                self._systems[event.system]["duplicates"] += isinstance(event, TaskFound)
            case ResultStored():
                self._systems[event.system]["sent_to_success_queue"] += 1
            case Published():
                self._publisher["published"] += event.count
            case MessageFailed():
                self._systems[event.system]["postponed" if event.is_postponed else "failed"] += 1
            case ResultNotStored():
                self._systems[event.system]["success_queue_failures"] += 1
            case RetryScheduled():
                self._systems[event.system]["retries"] += 1
            case MessageParked():
                self._systems[event.system]["parked"] += 1
            case MessageRerouted():
                self._systems[event.system]["rerouted"] += 1
            case _:
                self._count_rare(event)

    def _count_rare(self, event: Event) -> None:
        match event:
            case PublishFailed():
                self._publisher["failed"] += 1
            case Swept():
                self._trackers[event.system].update(
                    checked=event.checked, completed=event.completed, moved=event.moved, errors=event.errors
                )
                self._last_sweep[event.system] = event
                if event.left is not None:
                    self._open[event.system] = event.left

    def _names(self) -> list[str]:
        held = (hold.system for hold in self._pauses.holds())
        return sorted({*self._systems, *(pause.system for pause in self._pauses.latest()), *held})

    def _system(self, name: str, now: float) -> dict[str, Any]:
        counts = self._systems.get(name, Counter())  # a paused one may have had no message yet
        names = ("total", "processed", "failed", "postponed", "sent_to_success_queue", "success_queue_failures")
        figures: dict[str, Any] = {key: counts[key] for key in (*names, "duplicates", "retries", "parked", "rerouted")}
        pause, hold = self._pauses.of(name), self._pauses.hold_of(name)
        figures["paused"] = None
        if pause is not None:
            figures["paused"] = pause.reason.en
            figures["paused_seconds"] = round(self._pauses.age(pause.since), 1)
            figures["paused_since"] = _iso(now - self._pauses.age(pause.since))
            figures["paused_by"] = "worker"
            figures["next_probe"] = _iso(now - self._pauses.age(pause.next_probe))
        if hold is not None:  # whether it is usable or not: it is the person who decides
            figures["paused"] = hold.reason or f"paused by {hold.by}"
            figures["paused_seconds"] = round(max(0.0, now - hold.since), 1)
            figures["paused_since"] = _iso(hold.since)
            figures["paused_by"] = hold.by
            figures["paused_scope"] = hold.scope
            figures["paused_until"] = None if hold.until is None else _iso(hold.until)
        return figures

    def _tracker(self, name: str) -> dict[str, Any]:
        counts = self._trackers[name]
        figures: dict[str, Any] = {key: counts[key] for key in ("checked", "completed", "moved", "errors")}
        last = self._last_sweep[name]
        figures["open"] = self._open.get(name)
        figures["last_check"] = _iso(last.at)
        figures["trouble"] = None if last.reason is None else last.reason.en
        return figures


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
