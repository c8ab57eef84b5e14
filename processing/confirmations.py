"""Does what follows a confirm, in a thread of the queue that it belongs to.

A confirm is noticed in the publisher's I/O thread, which all queues share: were the acks and log lines of a burst made
there, the messages of every other queue would wait behind them.
"""

from __future__ import annotations

import queue as queues
import threading
from collections.abc import Callable
from concurrent.futures import Future

from core.events.base import EventStream
from core.events.worker import ProcessorFailed

Confirmed = Future[None]
OnConfirmed = Callable[[Confirmed], None]


class Confirmations:
    """One thread that runs what is put, in that order."""

    def __init__(self, queue: str, events: EventStream) -> None:
        self._queue = queue
        self._events = events
        self._due: queues.SimpleQueue[tuple[OnConfirmed, Confirmed] | None] = queues.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, also in the place of a dead one."""
        if not self.is_alive():
            self._thread = threading.Thread(target=self._run, name=f"{self._queue}-settling", daemon=True)
            self._thread.start()

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def put(self, follow_up: OnConfirmed, confirmed: Confirmed) -> None:
        """Have `follow_up(confirmed)` called in this thread. From any thread, when `confirmed` is done."""
        self._due.put((follow_up, confirmed))

    def finish(self, timeout: float) -> None:
        """Wait until everything that was put is done, at most `timeout` seconds; nothing may be put after."""
        self._due.put(None)
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while (due := self._due.get()) is not None:
            follow_up, confirmed = due
            try:
                follow_up(confirmed)
            # Part of the processor's border: unacked, the message comes again with the next channel.
            except Exception as error:  # noqa: BLE001
                self._events.emit(ProcessorFailed(self._queue, "settling", error))
            del due, follow_up, confirmed  # they hold a message, perhaps a large one, and the next may come hours later
