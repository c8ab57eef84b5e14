"""Refuses who writes too fast, as Telegram does: nothing is sent, and for some seconds nothing will be."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.telegram.errors import too_many_requests


@dataclass(frozen=True, slots=True)
class FloodLimits:
    """Messages in `period` seconds, in one chat and in all (None: any number), and the seconds that excess costs."""

    per_chat: int | None = None
    per_bot: int | None = None
    period: float = 1.0
    penalty: float = 1.0


class Flood:
    """To be called with the lock held. `clock` gives seconds (monotonic)."""

    def __init__(self, limits: FloodLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._times: defaultdict[int | None, deque[float]] = defaultdict(deque)
        self._closed: dict[int | None, float] = {}
        self.refused = 0

    def pass_one(self, chat_id: int) -> None:
        """Raises ApiError 429."""
        now = self._clock()
        for key, limit in ((chat_id, self._limits.per_chat), (None, self._limits.per_bot)):
            if limit is None:
                continue
            times = self._times[key]
            while times and times[0] <= now - self._limits.period:
                times.popleft()
            if len(times) >= limit and self._closed.get(key, 0.0) <= now:
                self._closed[key] = now + self._limits.penalty
            if (left := self._closed.get(key, 0.0) - now) > 0:
                self.refused += 1
                raise too_many_requests(max(1, math.ceil(left)))
        for key in (chat_id, None):
            self._times[key].append(now)
