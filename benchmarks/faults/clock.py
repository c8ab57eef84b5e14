"""A wall clock that is wrong, for the worker's process alone, and by how much a file says at any moment.

`time.time` and `time.time_ns` are replaced before the daemon runs: whatever Python code reads the wall clock by them
reads the wrong one, be it the daemon's, pika's, or that of requests or logging. Not covered are
`datetime.now`, which the daemon does not use, and C code that asks the kernel itself (TLS: the dates of certificates).
The monotonic clock runs on, as it does on a machine whose clock is set.
"""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

_ERROR = struct.Struct("<d")
_NANOSECONDS = 1_000_000_000


def set_error(file: Path, seconds: float) -> None:
    """By how much the clocks of all processes that were given `file` are wrong from now on."""
    # Eight bytes in place: whoever maps the file reads either the old or the new number.
    with file.open("r+b" if file.exists() else "w+b") as opened:
        opened.write(_ERROR.pack(seconds))


def install(file: Path) -> None:
    """Makes the clock of this process wrong, for good."""
    with file.open("rb") as opened:
        error = mmap.mmap(opened.fileno(), _ERROR.size, access=mmap.ACCESS_READ)
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + _ERROR.unpack_from(error)[0]
    time.time_ns = lambda: right_ns() + int(_ERROR.unpack_from(error)[0] * _NANOSECONDS)
