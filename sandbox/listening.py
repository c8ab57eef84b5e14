"""Runs a server of the standard library in a thread, so that it can be ended at once.

`serve_forever` looks every so often whether it should end: with a sandbox for each test these waits were a third of the
time of the quick tests.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import suppress

_LOOK = 1.0  # seconds; where a listening socket cannot be shut down, the end is noticed so late


class Listening:
    """Takes connections from the moment it is made until `end()`; the port is free afterwards."""

    def __init__(self, server: socketserver.TCPServer, name: str) -> None:
        self._server = server
        self._is_ending = False
        server.timeout = _LOOK
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._is_ending = True
        with suppress(OSError):
            self._server.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread: nothing is accepted any more
        self._thread.join()
        self._server.server_close()

    def _run(self) -> None:
        while not self._is_ending:
            self._server.handle_request()
