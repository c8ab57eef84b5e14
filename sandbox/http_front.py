"""The HTTP front of every sandbox: kept-alive connections, TLS on request, answers as they are or none at all.

It can go down and come back on the same port: connections are refused meanwhile and the open ones are cut.
"""

from __future__ import annotations

import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sandbox.listening import Listening

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`headers` by their names in lower case, `source` is the client's address."""

    method: str
    path: str
    query: str
    body: bytes
    headers: Mapping[str, str]
    source: str

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An HTTP answer as it goes over the wire; `body` without a known length is sent until the peer leaves."""

    status: int
    body: bytes | Iterable[bytes]
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    content_length: int | None = None


class AnswerReplacedError(Exception):
    """Something between server and client answers in the server's place."""

    def __init__(self, answer: RawAnswer) -> None:
        super().__init__(f"answer replaced by HTTP {answer.status}")
        self.answer = answer


class ConnectionDroppedError(Exception):
    """The connection is reset and nothing is answered."""


Serve = Callable[[HttpRequest], RawAnswer]
Answered = Callable[[float], None]


class HttpFront:
    """Listens on `port` (0: any free one, kept for life) and answers with what `serve` returns.

    `serve` may raise AnswerReplacedError and ConnectionDroppedError.
    `answered` is told after each request how many seconds it was here, from its arrival to the end of its answer.
    """

    def __init__(self, serve: Serve, host: str, port: int, tls: ssl.SSLContext | None, *, answered: Answered) -> None:
        self.host = host
        self.port = port
        self._serve = serve
        self._answered = answered
        self._tls = tls
        self._down = threading.Event()
        self._server: _Server | None = None
        self._listening: Listening | None = None

    def come_up(self) -> None:
        if self._server is not None:
            return
        self._down = threading.Event()
        self._server = _Server((self.host, self.port), self._serve, self._answered, self._tls)
        self.port = self._server.server_address[1]
        self._listening = Listening(self._server, "sandbox-http")

    def go_down(self) -> None:
        """Refuses connections and resets the open ones; waits of faults end by ConnectionDroppedError."""
        server, listening = self._server, self._listening
        if server is None or listening is None:
            return
        self._down.set()
        listening.end()
        server.drop_connections()
        self._server = self._listening = None

    def wait(self, seconds: float) -> None:
        """Sleeps while the front is up. Raises ConnectionDroppedError when it goes down meanwhile."""
        if self._down.wait(seconds):
            raise ConnectionDroppedError


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], serve: Serve, answered: Answered, tls: ssl.SSLContext | None) -> None:
        self.serve = serve
        self.answered = answered
        self._tls = tls
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = self.socket.accept()
        if self._tls is not None:
            # The handshake belongs to the connection's own thread: a silent peer must not stop the listener.
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away or refused our certificate is its own business; anything else must be seen."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def drop_connections(self) -> None:
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            # Not SSLSocket.shutdown: its own thread may be reading from the TLS object that this would remove.
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _phrase(status: int) -> str:
    """Proxies answer statuses that no standard knows (520)."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def reset(connection: socket.socket) -> None:
    """Closes with RST, as a dying machine or a firewall does."""
    with suppress(OSError):  # the peer was faster
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    socket.socket.close(connection)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "nginx"
    sys_version = ""
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PATCH(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a path may hold a secret, and the sandbox keeps its own log."""

    def _handle(self) -> None:
        arrived = time.perf_counter()
        try:
            self._answer()
        finally:
            self.server.answered(time.perf_counter() - arrived)

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        request = HttpRequest(
            method=self.command,
            path=path,
            query=query,
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            headers={name.lower(): value for name, value in self.headers.items()},
            source=self.client_address[0],
        )
        try:
            answer = self.server.serve(request)
        except AnswerReplacedError as replaced:
            answer = replaced.answer
        except ConnectionDroppedError:
            self.close_connection = True
            reset(self.connection)
            return
        self._send(answer)

    def _send(self, answer: RawAnswer) -> None:
        if isinstance(answer.body, bytes):
            self._send_head(answer.status, answer.content_type, len(answer.body), answer.headers, answer.body)
            return
        self.close_connection = True
        self._send_head(answer.status, answer.content_type, answer.content_length, answer.headers, b"")
        for piece in answer.body:
            self.wfile.write(piece)

    def _send_head(
        self, status: int, content_type: str, length: int | None, headers: Mapping[str, str], body: bytes
    ) -> None:
        lines = [
            f"HTTP/1.1 {status} {_phrase(status)}",
            f"Server: {self.server_version}",
            f"Date: {self.date_time_string()}",
            f"Content-Type: {content_type}",
            *(f"{name}: {value}" for name, value in headers.items()),
            f"Content-Length: {length}" if length is not None else "Connection: close",
        ]
        # One write, one packet: with two, a delayed ACK of the peer may cost 40 ms per request.
        self.wfile.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
