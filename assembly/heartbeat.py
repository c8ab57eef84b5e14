"""Makes the heartbeat: a line that a person reads at a glance, of the statistics that a machine gets whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from assembly.figures import Role
from core.events.worker import Heartbeat
from core.spans import span


class Pulse:
    """Makes one heartbeat after the other; rates are since the last one. Used by one thread."""

    def __init__(self, roles: Mapping[str, Role], clock: Callable[[], float] = time.monotonic) -> None:
        self._roles = roles
        self._clock = clock
        self._then = clock()
        self._counted = (0, 0)  # messages received, responses given

    def beat(self, stats: Mapping[str, Any]) -> Heartbeat:
        """Make the heartbeat of these figures (assembly.figures)."""
        received, answered = self._rates(stats)
        line = " ".join(f"{name}={value}" for name, value in self._figures(stats, received, answered))
        rates = {"received_per_minute": round(received, 2), "answered_per_minute": round(answered, 2)}
        return Heartbeat(line, {**stats, **rates})

    def _rates(self, stats: Mapping[str, Any]) -> tuple[float, float]:
        now = self._clock()
        counted = stats["total_messages"], sum(each.get("moved", 0) for each in stats["trackers"].values())
        minutes = max(now - self._then, 1e-3) / 60
        received, answered = ((new - old) / minutes for new, old in zip(counted, self._counted, strict=True))
        self._then, self._counted = now, counted
        return received, answered

    def _figures(self, stats: Mapping[str, Any], received: float, answered: float) -> Iterator[tuple[str, object]]:
        yield "up", span(stats["uptime_seconds"])
        yield "in", _rate(received)
        yield "out", _rate(answered)
        # What is not known is left out: a zero would be a lie.
        known = {
            "waiting": self._waiting(stats["queues"]),
            "oldest": _oldest(stats["queues"]),
            "tracked": self._tracked(stats),
            "errors": self._sum("errors", stats["queues"]),
            "responses": self._sum("responses", stats["queues"]),
        }
        yield from ((name, value) for name, value in known.items() if value is not None)
        yield "state", stats["state"]
        systems = stats["systems"].items()
        paused = (f"{name}:{span(each['paused_seconds'])}" for name, each in systems if each.get("paused") is not None)
        failing = (system for system, each in stats["trackers"].items() if each.get("trouble") is not None)
        lists = {"paused": ",".join(paused), "not_tracking": ",".join(failing)}
        yield from ((name, value) for name, value in lists.items() if value)
        for name in ("total", "processed", "failed", "postponed"):
            yield name, stats[f"{name}_messages"]
        yield "sent", stats["sent_to_success_queue"]
        yield "success_queue_rate", f"{stats['success_queue_rate']:g}%"

    def _waiting(self, queues: Mapping[str, Any]) -> int | None:
        inputs = self._sum("input", queues)
        waits = sum(each["messages"] for each in queues.values() if each["role"] == "wait")
        return None if inputs is None else inputs + waits

    def _sum(self, role: Role, queues: Mapping[str, Any]) -> int | None:
        """Return the messages in all queues of this role; None when one of them is not known."""
        names = [queue for queue, its in self._roles.items() if its == role]
        return sum(queues[name]["messages"] for name in names) if all(name in queues for name in names) else None

    def _tracked(self, stats: Mapping[str, Any]) -> int | None:
        tracked = 0
        for queue, role in self._roles.items():
            if role == "sent":
                depth = stats["queues"].get(queue, {}).get("messages")
                open_tasks = stats["trackers"].get(queue.removesuffix(".sent.queue"), {}).get("open")
                known = [each for each in (depth, open_tasks) if each is not None]
                if not known:
                    return None
                tracked += max(known)  # in the middle of a sweep its tracker holds what the queue does not show
        return tracked


def _oldest(queues: Mapping[str, Any]) -> str | None:
    ages = [each["oldest_seconds"] for each in queues.values() if each["role"] == "input"]
    known = [age for age in ages if age is not None]
    return span(max(known)) if known else None


def _rate(per_minute: float) -> str:
    return f"{per_minute:.0f}/m" if per_minute >= 10 or not per_minute else f"{per_minute:.1f}/m"
