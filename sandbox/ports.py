"""Free TCP ports for servers that must be found again on the same port after a restart."""

from __future__ import annotations

import random
import socket
import sys

LOOPBACK = "127.0.0.1"

# Below every system's range for outgoing connections (Linux: 32768-60999). A port out of that range could be given
# to some client while our server is down, even to the very client that is trying to reconnect to it.
_RANGE = range(20000, 32000)


class ReservedPort:
    """A loopback port that no other `ReservedPort` or `free_port` of this machine hands out until release().

    The mark is an abstract socket name (unix(7)), which vanishes with the process; elsewhere than on Linux there is
    none, and a clash shows as a failed bind.
    """

    def __init__(self) -> None:
        self._mark: socket.socket | None = None
        for port in random.sample(_RANGE, 200):
            if self._take(port):
                self.port = port
                return
        raise OSError(f"no free port between {_RANGE.start} and {_RANGE.stop}")

    def release(self) -> None:
        if self._mark is not None:
            self._mark.close()
            self._mark = None

    def _take(self, port: int) -> bool:
        mark = _mark_of(port)
        if mark is None and sys.platform == "linux":
            return False
        if _is_free(port):
            self._mark = mark
            return True
        if mark is not None:
            mark.close()
        return False


def free_port() -> int:
    """A loopback port on which nobody listens now. Somebody may take it later: a failed bind means try again."""
    reserved = ReservedPort()
    reserved.release()
    return reserved.port


def _mark_of(port: int) -> socket.socket | None:
    if sys.platform != "linux":
        return None
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        mark.bind(f"\0task-creator-port-{port}")
    except OSError:
        mark.close()
        return None
    return mark


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
