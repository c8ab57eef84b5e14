"""Finds the message that kills the process: notes which messages were begun and not finished when a worker died.

Before a handler runs, the keys of its messages are written into memory that is mapped onto a file; the kernel keeps it
when the process dies. The next worker finds the file, sees that nobody holds its lock, and counts one unfinished start
for each key in it. This is never the truth about a message: without the folder everything works, but a message that
kills the process is delivered again for ever. What a count means is decided in core.deaths.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from core import deaths
from core.deaths import Key, Suspect
from core.events.base import write
from core.events.files import CrashJournalUnusable
from toolkit.liveness import new_locked_file

PROOF = 10.0  # seconds; see `seconds_to_prove`
KEEP = 7 * 24 * 3600.0  # seconds that a count outlives its last start: the message may be gone for good

_COUNTS = "counts.json"
_LOCK = "counts.lock"
_STARTS = ".starts"
_HEADER = struct.Struct("<II")  # capacity of the slot, keys in it
_KEY_SIZE = 16

_Counts = dict[Key, Suspect]


def key_of(queue: str, task_id: str) -> Key:
    return blake2b(f"{queue}\n{task_id}".encode(), digest_size=_KEY_SIZE).digest()


class CrashSlot:
    """The messages that one thread has begun. Used by that thread only."""

    def __init__(self, memory: mmap.mmap | None, capacity: int) -> None:
        self._memory = memory
        if memory is not None:
            memory[: _HEADER.size] = _HEADER.pack(capacity, 0)

    def begin(self, keys: Sequence[Key]) -> None:
        """Count these messages as begun and not finished until end()."""
        self._write(keys)

    def end(self) -> None:
        self._write(())

    def _write(self, keys: Sequence[Key]) -> None:
        if self._memory is None:
            return
        # The keys before their number: whoever reads a half-written slot reads an older number.
        self._memory[_HEADER.size : _HEADER.size + len(keys) * _KEY_SIZE] = b"".join(keys)
        self._memory[4 : _HEADER.size] = struct.pack("<I", len(keys))


class CrashJournal:
    """The slots of one worker, and the counts that earlier workers of the same folder have left."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` None, or one that cannot be used (said in the log): nothing is noted and nobody is a suspect."""
        self._begun_at = time.monotonic()
        self._one = threading.Condition()
        self._waiting: list[int] = []  # starts of the suspects that wait for their turn
        self._is_taken = False
        self._lock = threading.Lock()
        self._folder = folder
        self._file: int | None = None
        self._path: Path | None = None
        self._suspects: _Counts = {}
        if folder is None:
            return
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._suspects = _collect(folder)
            self._path, self._file = new_locked_file(folder, _STARTS)
        except OSError as error:
            self._switch_off(error)

    def slot(self, capacity: int) -> CrashSlot:
        """Return room for the keys of one thread that begins at most `capacity` messages at once."""
        return CrashSlot(self._room(_HEADER.size + capacity * _KEY_SIZE), capacity)

    def has_suspects(self) -> bool:
        return bool(self._suspects)

    def starts(self, key: Key) -> int:
        """Return how often a worker died after it had begun this message."""
        suspect = self._suspects.get(key)
        return 0 if suspect is None else suspect.starts

    def is_killer(self, key: Key) -> bool:
        """Return whether this message is what the workers died of, as far as their deaths show."""
        with self._lock:
            return deaths.is_killer(self._suspects, key)

    def seconds_to_prove(self) -> float:
        """Return how long the worker must yet live without the messages that it died with twice, before it tries them.

        If it dies before, something else kills it, and they are not blamed for that.
        """
        return self._begun_at + PROOF - time.monotonic()

    @contextlib.contextmanager
    def alone(self, starts: int) -> Iterator[None]:
        """Let a suspect run alone among suspects: then only the one that kills the process is counted again.

        The most suspicious first, so that of several killers one is found out after the other.
        """
        with self._one:
            self._waiting.append(starts)
            self._one.wait_for(lambda: not self._is_taken and starts == max(self._waiting))
            self._waiting.remove(starts)
            self._is_taken = True
        try:
            yield
        finally:
            with self._one:
                self._is_taken = False
                self._one.notify_all()

    def forget(self, keys: Iterable[Key]) -> None:
        """Forget messages that were handled while the process lives."""
        self._change(keys, _acquit)

    def convict(self, keys: Iterable[Key]) -> None:
        """Remove messages that were set aside as killers."""
        self._change(keys, deaths.convict)

    def _change(self, keys: Iterable[Key], change: Callable[[_Counts, Iterable[Key]], None]) -> None:
        with self._lock:
            known = [key for key in keys if key in self._suspects]
            change(self._suspects, known)
        if known and self._folder is not None:
            try:
                with _locked_counts(self._folder) as counts:
                    change(counts, known)
            except OSError as error:
                write(CrashJournalUnusable(f"a count of starts stays: {error}"))

    def close(self) -> None:
        """End in order: what was begun is given back by a living process, and counts for nothing."""
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
        told = "a message that kills the worker would not be found out"
        write(CrashJournalUnusable(f"{self._folder} cannot be used: {told}: {error}"))
        self.close()


def _acquit(counts: _Counts, keys: Iterable[Key]) -> None:
    for key in keys:
        counts.pop(key, None)


def _collect(folder: Path) -> _Counts:
    """Add what dead workers have left to the counts, and remove their files."""
    with _locked_counts(folder) as counts:
        for path in folder.glob(f"*{_STARTS}"):
            if (in_hand := _left_behind(path)) is not None:
                deaths.record(counts, path.stem[:12], in_hand, time.time())
        return dict(counts)


def _left_behind(path: Path) -> set[Key] | None:
    """Return the unfinished keys in the file of a dead worker, which is removed; None if its worker lives."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        content = file.read()
        path.unlink()
    keys: set[Key] = set()
    offset = 0
    while offset + _HEADER.size <= len(content):
        capacity, count = _HEADER.unpack_from(content, offset)
        begin = offset + _HEADER.size
        end = begin + count * _KEY_SIZE
        if count > capacity or end > len(content):
            break  # damaged: the rest says nothing, and a number of four billion would take minutes
        keys.update(content[at : at + _KEY_SIZE] for at in range(begin, end, _KEY_SIZE))
        size = _HEADER.size + capacity * _KEY_SIZE
        offset += -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
    return keys


@contextlib.contextmanager
def _locked_counts(folder: Path) -> Iterator[_Counts]:
    """Give the counts of all workers of the folder; they are written back after the block."""
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = folder / _COUNTS
        counts = _read(path)
        yield counts
        oldest = time.time() - KEEP
        fresh = {key.hex(): (each.inside, each.outside, each.at) for key, each in counts.items() if each.at > oldest}
        interim = path.with_suffix(".new")
        interim.write_text(json.dumps(fresh))
        interim.replace(path)


def _read(path: Path) -> _Counts:
    try:
        stored = json.loads(path.read_text())
        return {bytes.fromhex(key): _suspect(*told) for key, told in stored.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):  # somebody edited it, or a power cut left it empty
        write(CrashJournalUnusable(f"{path} is unreadable and begun anew"))
        return {}


def _suspect(inside: list[str] | int, *further: list[str] | float) -> Suspect:
    """Return a suspect as it was written; earlier versions wrote the number of starts and the time."""
    if isinstance(inside, int):
        [at] = further
        return Suspect([f"before-{number}" for number in range(inside)], [], float(at))  # type: ignore[arg-type]
    outside, at = further
    return Suspect([str(each) for each in inside], [str(each) for each in outside], float(at))  # type: ignore[arg-type, union-attr]
