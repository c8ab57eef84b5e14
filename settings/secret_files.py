"""Reads secrets that stand in files (`<VARIABLE>_FILE`): each use gets what the file holds now.

A password is rotated by writing the file anew, without a restart. A file that cannot be read or used just now
changes nothing: the last good secret stays.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from core.events.base import write
from core.events.files import SecretRenewed, SecretUnreadable
from core.texts import BilingualError, Text
from settings.changing_file import LOOK, Stamp, stamp_of, unreadable

LIMIT = 64 * 1024  # bytes


class SecretFileError(BilingualError):
    """Why there is no secret in a file."""


def read_secret(path: Path) -> str:
    """Return the text of the file without the end of its line. Raises SecretFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
        text = content.decode().rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise SecretFileError(unreadable(error)) from None
    if not text or len(content) > LIMIT:
        raise SecretFileError(Text("is empty or far too large", "пуст или слишком велик"))
    return text


class FileSecret(SecretStr):
    """A secret in a file. Usable from any thread.

    `accept` gives the form in which it is used, and raises ValueError for what is none. It is to be asked for at each
    use: a value that is kept is an old secret one day.
    """

    def __init__(self, value: str, variable: str, path: Path, accept: Callable[[str], str]) -> None:
        super().__init__(value)
        self.path = path
        self._variable = variable
        self._accept = accept
        self._lock = threading.Lock()
        self._current = value
        self._stamp: Stamp | None = None  # of what was looked at last; none: the first look reads the file
        self._next_look = 0.0
        self._watchers: list[Callable[[str], None]] = []
        self._is_stale = False

    def is_stale(self) -> bool:
        """Look whether the file cannot be used now, so that an earlier secret is."""
        self.get_secret_value()
        return self._is_stale

    def get_secret_value(self) -> str:
        if time.monotonic() >= self._next_look:
            with self._lock:
                self._look()
        return self._current

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretStr) and self.get_secret_value() == other.get_secret_value()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Call `watcher` with each new value before that is used."""
        self._watchers.append(watcher)

    def _look(self) -> None:
        self._next_look = time.monotonic() + LOOK
        try:
            stamp = stamp_of(self.path)
            if stamp == self._stamp:
                self._is_stale = False
                return
            value = self._accept(read_secret(self.path))
        except OSError as error:
            self._complain(f"cannot be read: {error.strerror}")
            return
        except SecretFileError as error:
            self._complain(str(error))
            return
        except ValueError:  # its text may hold the secret
            self._complain("holds nothing that could be used")
            return
        self._stamp = stamp
        self._is_stale = False
        if value != self._current:
            for watcher in self._watchers:
                watcher(value)
            self._current = value
            write(SecretRenewed(self._variable))

    def _complain(self, reason: str) -> None:
        self._is_stale = True
        write(SecretUnreadable(self._variable, f"{self.path} {reason}"))


def watch(secret: SecretStr | None, watcher: Callable[[str], None]) -> None:
    """Call `watcher` with each new value of a secret that may change."""
    if isinstance(secret, FileSecret):
        secret.watch(watcher)
