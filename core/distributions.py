"""Sorts measured values into a few classes, cheaply: what a histogram is made of."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Distribution:
    """How many values were at most as large as each of `bounds`, which rise. Not thread-safe."""

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.total = 0.0  # of all values
        self._counts = [0] * (len(bounds) + 1)  # the last one is beyond all bounds

    def add(self, value: float) -> None:
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def copy(self) -> Distribution:
        copy = Distribution(self.bounds)
        copy.total, copy._counts = self.total, list(self._counts)
        return copy

    def __add__(self, other: Distribution) -> Distribution:
        """Return the values of both, which have the same bounds."""
        both = self.copy()
        both.total += other.total
        both._counts = [one + another for one, another in zip(self._counts, other._counts, strict=True)]
        return both

    @property
    def count(self) -> int:
        return sum(self._counts)

    def cumulated(self) -> list[int]:
        """Return how many values were at most as large as each bound, and in the end how many there were."""
        return list(accumulate(self._counts))
