"""Puts together what the worker counts and knows: the specification's statistics, queues, the state of the whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from base_handler import BaseMessageHandler
from base_tracker import BaseTracker
from broker.queue_depths import QueueDepth, QueueDepths
from core.stats import Statistics

Role = Literal["input", "wait", "sent", "responses", "errors"]  # what the worker uses a queue for


class Figures:
    """The figures of a worker. Usable from any thread.

    `handlers` and `trackers` by system; `roles` by queue. `is_connected`: RabbitMQ takes messages; `is_consuming`: it
    gives those of every queue that should be read.
    """

    def __init__(
        self,
        statistics: Statistics,
        depths: QueueDepths,
        *,
        roles: Mapping[str, Role],
        handlers: Mapping[str, BaseMessageHandler],
        trackers: Mapping[str, BaseTracker],
        is_connected: Callable[[], bool],
        is_consuming: Callable[[], bool],
    ) -> None:
        self._statistics = statistics
        self._depths = depths
        self._roles = roles
        self._handlers = handlers
        self._trackers = trackers
        self._is_connected = is_connected
        self._is_consuming = is_consuming

    def snapshot(self) -> dict[str, Any]:
        """Return everything as plain values: that of core.stats, each system's own as `api`, `queues` and `state`."""
        now = time.time()
        stats = self._statistics.snapshot(now)
        parts: tuple[tuple[str, Mapping[str, BaseMessageHandler | BaseTracker]], ...] = (
            ("systems", self._handlers),
            ("trackers", self._trackers),
        )
        for kind, by_system in parts:
            for system, part in by_system.items():
                if own := part.get_stats():
                    stats[kind].setdefault(system, {})["api"] = own
        stats["queues"] = queue_figures(self._roles, self._depths.latest(), now)
        stats["state"] = state_of(stats, is_connected=self._is_connected(), is_consuming=self._is_consuming())
        return stats


def queue_figures(roles: Mapping[str, Role], depths: Mapping[str, QueueDepth], now: float) -> dict[str, dict[str, Any]]:
    """Return what is known of each queue; one without a role is a wait queue. What is not known is not there.

    `oldest_seconds`: the oldest message has waited so long at the most; None: not known, or there is none.
    `age_seconds` is that of these figures.
    """
    return {
        queue: {
            "role": roles.get(queue, "wait"),
            "messages": depth.messages,
            "consumers": depth.consumers,
            "oldest_seconds": None if depth.oldest_since is None else _since(depth.oldest_since, now),
            "age_seconds": _since(depth.at, now),
        }
        for queue, depth in sorted(depths.items())
    }


def state_of(stats: Mapping[str, Any], *, is_connected: bool, is_consuming: bool) -> str:
    """Return `down` when RabbitMQ takes or gives nothing, `degraded` when a part of the work waits, else `ok`."""
    if not is_connected:
        return "down"
    paused = any(each.get("paused") is not None for each in stats["systems"].values())
    failing = any(each.get("trouble") is not None for each in stats["trackers"].values())
    return "degraded" if paused or failing or not is_consuming else "ok"


def _since(moment: float, now: float) -> float:
    return round(max(0.0, now - moment), 1)
