"""Reads a file that people may change while the worker runs, and reads it again when it has changed.

A file that cannot be used just now changes nothing: the last good content stays in use, and the log says what is wrong.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from core.errors import ConfigurationError
from core.events.base import write
from core.events.files import FileRenewed, FileUnreadable
from core.texts import Text

LOOK = 1.0  # seconds between two looks at a file

Stamp = tuple[int, int, int]
_Content = TypeVar("_Content")


def stamp_of(path: Path) -> Stamp:
    """Return a stamp that differs when the file has been written or replaced (also behind a link). Raises OSError."""
    found = os.stat(path)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def unreadable(error: OSError | ValueError) -> Text:
    """Return why the text of a file could not be read; a ValueError is about its encoding."""
    if isinstance(error, OSError):
        return Text(f"cannot be read: {error.strerror}", f"не читается: {error.strerror}")
    return Text("cannot be read: not UTF-8", "не читается: это не UTF-8")


class ChangingFile(Generic[_Content]):
    """A file whose content may change. Usable from any thread.

    `variable` names the file for people; `read` raises ConfigurationError. Stamps of network file systems may lie: the
    file is read anew after `max_age` seconds, changed or not.
    """

    def __init__(
        self,
        variable: str,
        path: Path,
        read: Callable[[Path], _Content],
        *,
        max_age: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._variable = variable
        self._path = path
        self._read = read
        self._max_age = max_age
        self._clock = clock
        self._lock = threading.Lock()
        self._content: _Content | None = None
        self._stamp: Stamp | None = None
        self._read_at = 0.0
        self._next_look = clock()

    def current(self) -> _Content:
        """Return the content as it is now. Raises ConfigurationError while the file has never been usable."""
        with self._lock:
            now = self._clock()
            if self._content is None:
                self._content = self._read_now(now)
            elif now >= self._next_look:
                self._look(self._content, now)
            return self._content

    def _look(self, content: _Content, now: float) -> None:
        self._next_look = now + LOOK
        try:
            if stamp_of(self._path) == self._stamp and now - self._read_at <= self._max_age:
                return
            self._content = self._read_now(now)
        except (OSError, ConfigurationError) as error:
            self._stamp = None  # looked at again and again until it can be used
            write(FileUnreadable(self._variable, self._told(error)))
            return
        if self._content != content:
            write(FileRenewed(self._variable))

    def _read_now(self, now: float) -> _Content:
        try:
            stamp = stamp_of(self._path)  # before reading: what is written meanwhile is found by the next look
        except OSError as error:
            raise ConfigurationError(self._told(error), code="file_unreadable") from error
        content = self._read(self._path)
        self._stamp, self._read_at, self._next_look = stamp, now, now + LOOK
        return content

    def _told(self, error: OSError | ConfigurationError) -> Text:
        if isinstance(error, ConfigurationError):
            return error.text
        return unreadable(error).led_by(f"{self._variable} {self._path} ")
