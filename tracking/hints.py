"""Keeps the ids of tasks that a system has told of, until the tracker looks at them.

A hook tells of every task of a portal, whoever's it is, and of one task many times: what is here is a set, and what
does not fit into it is dropped, for a sweep finds it anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

MOST = 10_000  # ids


class Hints:
    """External ids, each once, the oldest first. Usable from any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._ids: dict[str, None] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, external_ids: Iterable[str]) -> int:
        """Keep them and return how many there was no room for."""
        dropped = 0
        with self._lock:
            for each in external_ids:
                if each in self._ids or len(self._ids) < self._most:
                    self._ids[each] = None
                else:
                    dropped += 1
        return dropped

    def take(self, most: int) -> list[str]:
        """Return the oldest `most` of them, which are here no longer."""
        with self._lock:
            taken = list(self._ids)[:most]
            for each in taken:
                del self._ids[each]
        return taken
