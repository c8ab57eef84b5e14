"""pika's I/O loop, with work that is done at the end of a turn.

pika's own way to say so is a timer of no seconds, which goes through a heap. Counted in the relay benchmark for each
message: 1.7 of 2.5 timers were such, and 8 of 13 comparisons in the heap.
"""

from __future__ import annotations

from collections.abc import Callable

from pika.adapters.select_connection import IOLoop


class TurnLoop(IOLoop):
    """The I/O loop of a connection; a turn is one look at its sockets, and what follows from it."""

    def __init__(self) -> None:
        self._at_end: list[Callable[[], None]] = []
        super().__init__()

    def at_end_of_turn(self, callback: Callable[[], None]) -> None:
        """Call it when all is done that the loop is doing now, timers included. In the loop's thread."""
        self._at_end.append(callback)

    def start(self) -> None:
        self._end_turn()  # what was said before the first turn
        super().start()

    def process_timeouts(self) -> None:
        """Do what pika calls at the end of each turn."""
        super().process_timeouts()
        self._end_turn()

    def _end_turn(self) -> None:
        while self._at_end:
            callbacks, self._at_end = self._at_end, []
            for callback in callbacks:
                callback()
