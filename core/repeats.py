"""Lets one of many equal things through per interval and counts the others."""

from __future__ import annotations

REPEAT_INTERVAL = 60.0  # seconds between two events with one throttle key, in the log and in the journal

_MOST = 1000  # keys that are remembered, the latest ones: keys made of data must not fill the memory


class Repeats:
    """What was let through when, by key. `interval` in seconds. Used by one thread."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._seen: dict[str, tuple[float, int]] = {}  # key -> (passes again at, held back since)

    def admit(self, key: str, now: float) -> int | None:
        """Return how many were held back since the last one that passed; None when this one is held back as well."""
        passes_at, held_back = self._seen.get(key, (now, 0))
        if now < passes_at:
            self._seen[key] = (passes_at, held_back + 1)
            return None
        self._seen.pop(key, None)
        while len(self._seen) >= _MOST:  # the oldest first
            self._seen.pop(next(iter(self._seen)))
        self._seen[key] = (now + self._interval, 0)
        return held_back
