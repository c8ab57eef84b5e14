"""Sockets in a folder: a name that is short enough, and which of them nobody listens at any more."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

SUFFIX = ".sock"
_BETWEEN_TRIES = 0.02  # seconds
_LONGEST = 100  # bytes of a name: sun_path of unix(7) holds 108 with its end


@contextlib.contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Yield a name under which this process reaches the socket, however deep its folder lies. Raises OSError."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path, backlog: int) -> socket.socket:
    """Return a socket that listens at `path`, for this user alone. Raises OSError."""
    interim = path.with_name(f".{path.name}")  # a socket at which nobody listens yet looks like a dead one
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with reachable(interim) as name:
            listening.bind(name)
        interim.chmod(0o600)
        listening.listen(backlog)
        interim.rename(path)
    except OSError:
        listening.close()
        interim.unlink(missing_ok=True)
        raise
    return listening


def connect(path: Path, timeout: float) -> socket.socket:
    """Return a connection; `timeout` in seconds counts for all that is done with it. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    deadline = time.monotonic() + timeout
    try:
        with reachable(path) as name:
            while True:
                try:
                    connection.connect(name)
                except BlockingIOError:  # so many are waiting to be let in: unlike TCP this is told at once
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(_BETWEEN_TRIES)
                else:
                    return connection
    except OSError:
        connection.close()
        raise


def remove_dead(folder: Path) -> None:
    """Remove the sockets of processes that have been killed. Raises OSError."""
    for path in folder.glob(f"[!.]*{SUFFIX}"):  # at one with a dot somebody will listen in a moment
        try:
            connect(path, 1.0).close()
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            pass  # has ended meanwhile, is somebody else's, or gives no answer
