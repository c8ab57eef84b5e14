"""Keeps what was read from the server for a while.

An unknown name makes it be read again, once a minute at the most: it may be new.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

FRESH_ENOUGH = 60.0  # seconds: how often an unknown name may make us read something again

_Kept = TypeVar("_Kept")


class Remembered:
    """What was read, each thing at most `ttl` seconds old. Usable from any thread."""

    def __init__(self, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._ttl = ttl
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Any]] = {}

    def ages(self) -> tuple[float, float]:
        """Return the ages for a look-up that is tried again with something fresher when it has not found its name."""
        return self._ttl, FRESH_ENOUGH

    def read(self, name: str, read: Callable[[], _Kept], max_age: float | None = None) -> _Kept:
        """Return what is remembered, or read it. Raises what `read` raises."""
        with self._lock:
            kept = self._kept.get(name)
        if kept is not None and self.clock() - kept[0] <= (self._ttl if max_age is None else max_age):
            found: _Kept = kept[1]
            return found
        asked = self.clock()
        fresh = read()
        with self._lock:
            self._kept[name] = (asked, fresh)
        return fresh
