"""How a long move through a queue is watched, stopped, and slowed down."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

SHORTEST = 1.0  # seconds between two turns
SHARE = 4.0  # the pause after a turn, in durations of it: a long queue is not gone through again and again
LOOK = 0.2  # seconds between looks whether to stop

Advance = Callable[[int], None]  # told how many messages have been looked at
IsStopping = Callable[[], bool]  # asked after each portion


def _unwatched(_looked_at: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Whoever has something moved. `turn` surrounds each walk through the queue, and says whether it may begin."""

    advance: Advance = _unwatched
    is_stopping: IsStopping = lambda: False
    turn: Callable[[], AbstractContextManager[bool]] = lambda: nullcontext(True)


class Pace:
    """Keeps to `rate` messages a second, None: as fast as it goes.

    Between two turns nothing is held: others get at the queue, however slow it is.
    """

    def __init__(self, rate: float | None, is_stopping: IsStopping) -> None:
        self._rate = rate
        self._is_stopping = is_stopping
        self._began = self._turn = time.monotonic()

    def begin_turn(self, moved: int) -> int | None:
        """Return how many may be moved in this turn after the `moved` ones; None: any number."""
        self._turn = time.monotonic()
        return self._allowed(moved)

    def rest(self, moved: int) -> None:
        """Wait until the next turn may begin, or somebody stops it."""
        now = time.monotonic()
        next_turn = now + max(SHORTEST, SHARE * (now - self._turn))
        while not self._is_stopping() and (time.monotonic() < next_turn or self._allowed(moved) == 0):
            time.sleep(LOOK)

    def _allowed(self, moved: int) -> int | None:
        if self._rate is None:
            return None
        seconds = time.monotonic() - self._began
        return max(0, max(1, int(self._rate * (seconds + 1))) - moved)
