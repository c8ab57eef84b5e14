"""Holds the deliveries that no thread of a queue has taken yet, and gives them out one by one or in bursts."""

from __future__ import annotations

import contextlib
import queue as queues
import threading
import time

from broker.deliveries import Delivery

LINGER = 0.02  # seconds that a burst is waited for
GLANCE = 0.002  # seconds between looks at whether more of it has come


class Intake:
    """Usable from any thread."""

    def __init__(self) -> None:
        self._deliveries: queues.SimpleQueue[Delivery | None] = queues.SimpleQueue()
        self._collecting = threading.Lock()  # one full batch and then the next, rather than many small ones
        self.put = self._deliveries.put
        self.qsize = self._deliveries.qsize
        self.empty = self._deliveries.empty

    def wake(self) -> None:
        """Let one thread that waits in `next` go on with nothing."""
        self._deliveries.put(None)

    def forget(self) -> None:
        """Drop what nobody has taken."""
        with contextlib.suppress(queues.Empty):
            while self._deliveries.get_nowait() is not None:
                pass
            self.wake()  # what was found was meant for a stopping thread: none of the deliveries

    def next(self, limit: int) -> list[Delivery]:
        """Wait for a delivery; return it with those that come along, at most `limit`. Nothing: after `wake`."""
        return self._burst(self._deliveries.get(), limit)

    def at_hand(self, limit: int) -> list[Delivery]:
        """Return the same as `next`, without waiting for a first one."""
        try:
            return self._burst(self._deliveries.get_nowait(), limit)
        except queues.Empty:
            return []

    def _burst(self, first: Delivery | None, limit: int) -> list[Delivery]:
        if first is None:
            return []
        batch = [first]
        if limit == 1:
            return batch
        with self._collecting:
            deadline = time.monotonic() + LINGER
            while len(batch) < limit:
                try:
                    # Never with a time-out: where another thread was quicker and the time is over by then, SimpleQueue
                    # goes on with a negative one, which is none (CPython 3.11.7, Modules/_queuemodule.c).
                    delivery = self._deliveries.get_nowait()
                except queues.Empty:
                    if time.monotonic() >= deadline:
                        break
                    time.sleep(GLANCE)
                    continue
                if delivery is None:
                    break
                batch.append(delivery)
        return batch
