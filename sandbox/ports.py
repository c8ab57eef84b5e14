"""Free TCP ports for servers that must be found again on the same port after a restart."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"

# Below every system's range for outgoing connections (Linux: 32768-60999). A port out of that range could be given
# to some client while our server is down, even to the very client that is trying to reconnect to it.
_RANGE = range(20000, 32000)


def free_port() -> int:
    """A loopback port on which nobody listens now. Somebody may take it later: a failed bind means try again."""
    for port in random.sample(_RANGE, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {_RANGE.start} and {_RANGE.stop}")
