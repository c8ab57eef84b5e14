"""Which messages were begun and not finished when a worker died: how a message that kills the process is found.

Before a handler runs, the keys of its messages are written into memory that is mapped onto a file; the kernel keeps it
when the process dies. The next worker finds the file, sees that nobody holds its lock, and counts one unfinished start
for each key in it. This is never the truth about a message: without the folder everything works, but a message that
kills the process is delivered again for ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import mmap
import os
import struct
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

log = logging.getLogger(__name__)

START_LIMIT = 3  # unfinished starts after which a message is set aside
KEEP = 7 * 24 * 3600.0  # seconds that a count outlives its last start: the message may be gone for good

_COUNTS = "counts.json"
_LOCK = "counts.lock"
_HEADER = struct.Struct("<II")  # capacity of the slot, keys in it
_KEY_SIZE = 16

Key = bytes


def key_of(queue: str, task_id: str) -> Key:
    return blake2b(f"{queue}\n{task_id}".encode(), digest_size=_KEY_SIZE).digest()


class StartSlot:
    """What one thread has begun. Used by that thread only."""

    def __init__(self, memory: mmap.mmap | None, capacity: int) -> None:
        self._memory = memory
        if memory is not None:
            memory[: _HEADER.size] = _HEADER.pack(capacity, 0)

    def begin(self, keys: Sequence[Key]) -> None:
        """Until end() these messages count as begun and not finished."""
        self._write(keys)

    def end(self) -> None:
        self._write(())

    def _write(self, keys: Sequence[Key]) -> None:
        if self._memory is None:
            return
        # The keys before their number: whoever reads a half-written slot reads an older number.
        self._memory[_HEADER.size : _HEADER.size + len(keys) * _KEY_SIZE] = b"".join(keys)
        self._memory[4 : _HEADER.size] = struct.pack("<I", len(keys))


class StartJournal:
    """The slots of one worker, and the counts that earlier workers of the same folder have left."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` None, or one that cannot be used (said in the log): nothing is noted and nobody is a suspect."""
        # A suspect runs alone among suspects: then only the one that kills the process is counted again.
        self.alone = threading.Lock()
        self._lock = threading.Lock()
        self._folder = folder
        self._file: int | None = None
        self._path: Path | None = None
        self._suspects: dict[Key, int] = {}
        if folder is None:
            return
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._suspects = _collect(folder)
            self._path, self._file = _new_file(folder)
        except OSError as error:
            self._switch_off(error)

    def slot(self, capacity: int) -> StartSlot:
        """Room for the keys of one thread that begins at most `capacity` messages at once."""
        return StartSlot(self._room(_HEADER.size + capacity * _KEY_SIZE), capacity)

    def has_suspects(self) -> bool:
        return bool(self._suspects)

    def starts(self, key: Key) -> int:
        """How often a worker died after it had begun this message."""
        return self._suspects.get(key, 0)

    def forget(self, keys: Iterable[Key]) -> None:
        """These were handled and the process lives."""
        with self._lock:
            known = [key for key in keys if self._suspects.pop(key, None) is not None]
        if known and self._folder is not None:
            try:
                with _locked_counts(self._folder) as counts:
                    for key in known:
                        counts.pop(key.hex(), None)
            except OSError as error:
                log.warning("a count of starts stays: %s", error, extra={"event": "starts.unusable"})

    def close(self) -> None:
        """An orderly end: whatever was begun is given back by a living process, and counts for nothing."""
        if self._path is not None and self._file is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._path = self._file = None

    def _room(self, size: int) -> mmap.mmap | None:
        if self._file is None:
            return None
        offset = os.fstat(self._file).st_size
        length = -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        try:
            # Really allocated: on a full disk, touching a page of a file with holes would kill the process.
            os.posix_fallocate(self._file, offset, length)
            return mmap.mmap(self._file, length, offset=offset)
        except OSError as error:
            self._switch_off(error)
            return None

    def _switch_off(self, error: OSError) -> None:
        log.warning(
            "%s cannot be used: a message that kills the worker would not be found out: %s",
            self._folder,
            error,
            extra={"event": "starts.unusable"},
        )
        self.close()


def _new_file(folder: Path) -> tuple[Path, int]:
    path = folder / f"{uuid.uuid4().hex}.starts"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)  # goes when the process goes, however it goes
    return path, file


def _collect(folder: Path) -> dict[Key, int]:
    """Adds what dead workers have left to the counts and removes their files."""
    with _locked_counts(folder) as counts:
        for path in folder.glob("*.starts"):
            for key in _left_behind(path):
                starts, _ = counts.get(key.hex(), (0, 0.0))
                counts[key.hex()] = (starts + 1, time.time())
        return {bytes.fromhex(key): starts for key, (starts, _) in counts.items()}


def _left_behind(path: Path) -> set[Key]:
    """The unfinished keys in the file of a dead worker, which is removed; none if its worker lives."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return set()
        content = file.read()
        path.unlink()
    keys: set[Key] = set()
    offset = 0
    while offset + _HEADER.size <= len(content):
        capacity, count = _HEADER.unpack_from(content, offset)
        begin = offset + _HEADER.size
        keys.update(content[at : at + _KEY_SIZE] for at in range(begin, begin + count * _KEY_SIZE, _KEY_SIZE))
        size = _HEADER.size + capacity * _KEY_SIZE
        offset += -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
    return keys


@contextlib.contextmanager
def _locked_counts(folder: Path) -> Iterator[dict[str, tuple[int, float]]]:
    """The counts of all workers of the folder: key -> starts, time of the last one; written back after the block."""
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = folder / _COUNTS
        counts = _read(path)
        yield counts
        fresh = {key: value for key, value in counts.items() if value[1] > time.time() - KEEP}
        interim = path.with_suffix(".new")
        interim.write_text(json.dumps(fresh))
        interim.replace(path)


def _read(path: Path) -> dict[str, tuple[int, float]]:
    try:
        stored = json.loads(path.read_text())
        return {str(key): (int(starts), float(at)) for key, (starts, at) in stored.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):  # somebody edited it, or a power cut left it empty
        log.warning("%s is unreadable and begun anew", path, extra={"event": "starts.unusable"})
        return {}
