"""Passes items from any thread to an I/O thread, with few wake-ups.

Each wake-up costs a system call here and a turn of the loop there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from broker.connection_thread import ConnectionThread

COALESCE = 0.001  # seconds between two looks while things keep coming; an idle loop is woken at once

RELOOK = 0.01  # seconds between two looks at what cannot be handled at the moment

_Item = TypeVar("_Item")


class Mailbox(Generic[_Item]):
    """A mailbox, filled by put(); `handle` empties it in the I/O thread, as far as it can at the moment."""

    def __init__(self, thread: ConnectionThread, handle: Callable[[], None]) -> None:
        self._items: deque[_Item] = deque()
        self._thread = thread
        self._handle = handle
        self._is_due = False

    def put(self, item: _Item) -> None:
        """Add an item, from any thread."""
        self._items.append(item)
        self._wake()

    def __len__(self) -> int:
        return len(self._items)

    def first(self) -> _Item:
        """Return the item that take() gives next; it still counts. Raises IndexError when there is none."""
        return self._items[0]

    def take(self) -> _Item:
        """Remove and return the oldest item. Raises IndexError when there is none."""
        return self._items.popleft()

    def clear(self) -> None:
        self._items.clear()

    def look(self) -> None:
        """Handle what is there, in the I/O thread; to be called after each connect, when a wake-up may be lost."""
        self._is_due = True
        self._look()

    def _wake(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._thread.call(self._look)

    def _look(self) -> None:
        if self._items:
            self._handle()
            # What is left could not be handled yet (the broker is blocked), or came just now and has woken nobody.
            self._thread.call_later(RELOOK if self._items else COALESCE, self._look)
            return
        self._is_due = False
        if self._items:  # put between the look and the flag
            self._wake()
