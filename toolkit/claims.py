"""Knows which keys are being worked on in this process: a key has one owner at a time.

A system without a unique constraint: two threads that both look up first would both find nothing and both create.
The same holds for a second message of a task whose creation is in doubt: its request may still be running.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from core.errors import AmbiguousError, BusyError
from core.texts import Text


class KeyClaims:
    """The keys that are in use. Usable from any thread. `clock` gives seconds (monotonic)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._keys: set[str] = set()
        self._in_doubt: dict[str, float] = {}  # key -> when the doubt ends, the oldest first
        self._lock = threading.Lock()

    def take(self, key: str) -> bool:
        """Take the key; return False when another thread has it."""
        with self._lock:
            if key in self._keys:
                return False
            self._keys.add(key)
            return True

    def release(self, keys: Iterable[str]) -> None:
        with self._lock:
            self._keys.difference_update(keys)

    def doubt(self, key: str, seconds: float) -> None:
        """Note that a request that may have created the task is perhaps still running, `seconds` at the longest."""
        with self._lock:
            self._in_doubt.pop(key, None)
            self._in_doubt[key] = self._clock() + seconds

    def is_in_doubt(self, key: str) -> bool:
        with self._lock:
            while self._in_doubt and next(iter(self._in_doubt.values())) <= self._clock():
                del self._in_doubt[next(iter(self._in_doubt))]
            return key in self._in_doubt


def busy(wait: float) -> BusyError:
    """Return the error for a message whose key `KeyClaims.take` refuses.

    It comes again after `wait` seconds, and nothing is spent.
    """
    reason = Text("Another message of this task is being processed", "Другое сообщение этой задачи уже в работе")
    return BusyError(reason, code="key_in_use", retry_after=wait)


def being_created(wait: float) -> AmbiguousError:
    """Return the error for a task that a worker which has died, or has lost its way to RabbitMQ, had begun."""
    reason = Text(
        "An earlier worker may be creating this task still", "Возможно, прежний воркер ещё создаёт эту задачу"
    )
    return come_back_later(reason, "redelivered", wait)


def come_back_later(reason: Text, code: str, wait: float) -> AmbiguousError:
    """Return an error with which the message comes again after `wait` seconds, when the work on it has ended."""
    return AmbiguousError(reason, code=code, retry_after=wait)
