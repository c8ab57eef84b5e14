"""The two limits of the cloud: requests per second (leaky bucket) and execution time per method (`operating`).

Source: documentation page "REST API Limits" (limits.html).
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.bitrix24.clock import Clock

_BUCKET_SECONDS = 60
_WINDOW_SECONDS = 600


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`capacity` requests at once, `drain` a second for ever."""

    capacity: float
    drain: float


STANDARD_RATE = RateLimit(capacity=50, drain=2)
ENTERPRISE_RATE = RateLimit(capacity=250, drain=5)


class LeakyBucket:
    """Counts requests per source address; a refused request is not counted."""

    def __init__(self, limit: RateLimit | None, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._levels: dict[str, tuple[float, float]] = {}

    def admit(self, source: str) -> bool:
        limit = self.limit
        if limit is None:
            return True
        with self._lock:
            now = self._clock.now()
            level, seen = self._levels.get(source, (0.0, now))
            level = max(0.0, level - (now - seen) * limit.drain)
            admitted = level + 1 <= limit.capacity
            self._levels[source] = (level + 1 if admitted else level, now)
            return admitted


@dataclass(frozen=True, slots=True)
class OperatingLimit:
    """`seconds` per method in ten minutes (None: counted, never refused).

    `costs` gives a method's virtual cost in seconds per call, because here every call takes microseconds.
    """

    seconds: float | None = None
    costs: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _MinuteBucket:
    opened: float
    minute: int
    seconds: float


class OperatingTime:
    """Ten one-minute buckets of execution time for each method; a bucket leaves ten minutes after its first call."""

    def __init__(self, limit: OperatingLimit, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: defaultdict[str, list[_MinuteBucket]] = defaultdict(list)

    def is_exhausted(self, method: str) -> bool:
        limit = self.limit.seconds
        if limit is None:
            return False
        with self._lock:
            return sum(bucket.seconds for bucket in self._current(method)) > limit

    def record(self, method: str, measured: float) -> tuple[float, int]:
        """Adds one call; returns the accumulated seconds and the unix time at which the oldest bucket leaves."""
        cost = self.limit.costs.get(method, measured)
        with self._lock:
            buckets = self._current(method)
            now = self._clock.now()
            minute = int(now // _BUCKET_SECONDS)
            if not buckets or buckets[-1].minute != minute:
                buckets.append(_MinuteBucket(opened=now, minute=minute, seconds=0.0))
            buckets[-1].seconds += cost
            reset_at = self._clock.real_time(buckets[0].opened + _WINDOW_SECONDS)
            return sum(bucket.seconds for bucket in buckets), int(reset_at)

    def _current(self, method: str) -> list[_MinuteBucket]:
        buckets = self._buckets[method]
        oldest = self._clock.now() - _WINDOW_SECONDS
        while buckets and buckets[0].opened <= oldest:
            buckets.pop(0)
        return buckets
