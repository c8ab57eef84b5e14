"""Pauses between tries to reconnect."""

from __future__ import annotations

import random


class Backoff:
    """Growing pauses between tries to reconnect, in seconds, with jitter so that many workers do not come at once."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def delay(self) -> float:
        delay = self._next * random.uniform(0.5, 1.0)
        self._next = min(self._longest, self._next * 2)
        return delay

    def reset(self) -> None:
        self._next = self._first
