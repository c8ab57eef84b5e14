"""Somebody else listens at the portal's port: with a certificate that nobody trusts, or with no TLS at all."""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.certificate import make_certificate
from sandbox.ports import LOOPBACK

_POLL = 0.1  # seconds between two looks whether it is over
_SILENCE = 2.0  # seconds that a peer may take for its part of a handshake


class Impostor:
    """`with Impostor(port, tls=…) as impostor:` answers every connection to `port` and counts them in `met`.

    tls=True shows a self-signed certificate of its own; tls=False sends bytes that are no TLS.
    """

    def __init__(self, port: int, *, tls: bool) -> None:
        self._port = port
        self._tls = tls
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="impostor", daemon=True)
        self.met = 0

    def __enter__(self) -> Self:
        self._context = _own_context() if self._tls else None
        self._listener = socket.create_server((LOOPBACK, self._port))
        self._listener.settimeout(_POLL)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            with suppress(OSError):  # the time-out, or a peer that does not like what it sees
                connection, _ = self._listener.accept()
                self.met += 1
                with connection:
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(_SILENCE)
        if self._context is None:
            connection.recv(64)
            connection.sendall(b"220 mail.example.com ESMTP\r\n")
        else:
            with self._context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)  # the peer has seen the certificate by now


def _own_context() -> ssl.SSLContext:
    with tempfile.TemporaryDirectory(prefix="impostor-") as folder:
        return make_certificate(Path(folder)).server_context()
