"""Knows which processes of this machine live: each holds the lock of a file of its own, however it may end.

The kernel takes the lock away with the process: nothing has to be written at the end, and no process id is trusted,
which another process may have by then.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path


def new_locked_file(folder: Path, suffix: str) -> tuple[Path, int]:
    """Return a new file and its descriptor, which holds the lock until it is closed or the process ends.

    Raises OSError. It gets its name only when it is locked: between the two, another process would take its owner for
    dead.
    """
    name = uuid.uuid4().hex
    interim = folder / f".{name}.new"
    file = os.open(interim, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        path = folder / f"{name}{suffix}"
        interim.rename(path)
    except BaseException:
        os.close(file)
        interim.unlink(missing_ok=True)
        raise
    return path, file


def owner_lives(path: Path) -> bool:
    """Return whether somebody holds the lock of the file. One whose owner is dead is removed. Raises OSError."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who ask at once do not see each other
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
