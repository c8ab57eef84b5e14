"""Which keys are being worked on in this process: a key has one owner at a time.

The portal has no unique constraint, so two threads that both look up first would both find nothing and both create.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable


class KeyClaims:
    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._lock = threading.Lock()

    def take(self, key: str) -> bool:
        """False when another thread has the key."""
        with self._lock:
            if key in self._keys:
                return False
            self._keys.add(key)
            return True

    def release(self, keys: Iterable[str]) -> None:
        with self._lock:
            self._keys.difference_update(keys)
