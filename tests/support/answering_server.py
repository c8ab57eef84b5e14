"""A host that answers HTTP with whatever bytes it is told, or drops the connection instead."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from types import TracebackType

from sandbox.ports import LOOPBACK

_HEAD_END = b"\r\n\r\n"


class AnsweringServer:
    """Reads one whole request per connection, sends `answer`, closes. `answer` None: closes without a word."""

    def __init__(self) -> None:
        self.answer: bytes | None = None
        self.requests = 0
        self.latest = b""  # the latest request, whole
        self.secret = secrets.token_urlsafe(16)  # for addresses that must not show up anywhere
        self._listener = socket.create_server((LOOPBACK, 0))
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}"

    def __enter__(self) -> AnsweringServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(ConnectionError):  # a client that has read enough may hang up
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        request = b""
        while _HEAD_END not in request:
            request += _received(connection)
        head, _, body = request.partition(_HEAD_END)
        told = (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        size = next(told, 0)  # a GET has none
        while len(body) < size:
            body += _received(connection)
        self.latest = head + _HEAD_END + body
        self.requests += 1
        if self.answer is not None:
            connection.sendall(self.answer)


def _received(connection: socket.socket) -> bytes:
    piece = connection.recv(65536)
    if not piece:
        raise ConnectionResetError("the client has gone")
    return piece


def http_answer(status: int, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """A complete answer; `headers` may lie about it."""
    lines = {"Content-Length": str(len(body)), "Connection": "close", **(headers or {})}
    head = f"HTTP/1.1 {status} Reason\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return head.encode("latin-1") + b"\r\n" + body
