"""Writes log files without ever stopping the work: a full disk or a missing folder costs lines, and says so once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

RETRY_INTERVAL = 5.0  # seconds between two attempts to write to a file that refused


class Failed(NamedTuple):
    """The file has begun to refuse lines."""

    path: Path
    error: OSError


class Recovered(NamedTuple):
    """The file takes lines again; `dropped` were lost in between."""

    path: Path
    dropped: int


class LogFile:
    """One rotating file: `worker.log`, and `worker.log.1` (the youngest) to `worker.log.<backups>`.

    Not thread-safe: its owner's lock is used. Nothing is buffered, so a kill loses no line. Several processes
    may write into the same file: each line is one write in append mode, and a file that another process has
    rotated or that somebody has removed is noticed at the next line.
    """

    def __init__(
        self, path: Path, max_bytes: int, backups: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._clock = clock
        self._file: int | None = None
        self._dropped = 0
        self._retry_at: float | None = None

    def write(self, line: str) -> Failed | Recovered | None:
        """Append the line, or drop it; return what has changed when the one turns into the other."""
        if self._retry_at is not None and self._clock() < self._retry_at:
            self._dropped += 1
            return None
        failed_before = self._retry_at is not None
        try:
            self._append(f"{line}\n".encode())
        except OSError as error:
            self.close()
            self._dropped += 1
            self._retry_at = self._clock() + RETRY_INTERVAL
            return None if failed_before else Failed(self._path, error)
        self._retry_at = None
        if not failed_before:
            return None
        dropped, self._dropped = self._dropped, 0
        return Recovered(self._path, dropped)

    def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with contextlib.suppress(OSError):  # some file systems report a full disk only here; the line is lost
                os.close(file)

    def _append(self, data: bytes) -> None:
        file = self._opened()
        size = os.fstat(file).st_size
        if size and size + len(data) > self._max_bytes:
            self._rotate(file)
            file = self._opened()
        # A disk that is nearly full takes a part; the attempt to write the rest says why.
        while data:
            data = data[os.write(file, data) :]

    def _opened(self) -> int:
        if self._file is not None and not self._is_current(self._file):
            self.close()
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self._end_torn_line(self._file)
        return self._file

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), os.stat(self._path))
        except FileNotFoundError:
            return False

    @staticmethod
    def _end_torn_line(file: int) -> None:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            os.write(file, b"\n")

    def _rotate(self, file: int) -> None:
        """Move the file aside, unless another process does it or has done it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        try:
            # A folder that forbids renaming must not cost lines: the file then grows beyond its size.
            with contextlib.suppress(PermissionError):
                if self._is_current(file):
                    self._shift()
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _shift(self) -> None:
        if self._backups == 0:
            os.truncate(self._path, 0)
            return
        for number in range(self._backups, 1, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(self._backup(number - 1), self._backup(number))
        # Last: until then no other process can have a new file that it would want to move as well.
        os.replace(self._path, self._backup(1))

    def _backup(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
