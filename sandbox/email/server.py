"""A mail server on the standard library alone: enough of SMTP (RFC 5321) for a client that sends."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from types import TracebackType
from typing import Any, Self

from sandbox.email.faults import ReplyError
from sandbox.faults import Fault, FaultPlan, Injection
from sandbox.http_front import ConnectionDroppedError, reset

LINE_LIMIT = 4096  # bytes of a command; RFC 5321 asks for 512
SIZE_LIMIT = 30 * 1024 * 1024  # bytes of a mail

_PATH = re.compile(r"(?:FROM|TO):\s*<([^<>]*)>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as one transaction brought it; `at` in seconds since 1970."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes = field(repr=False)
    at: float

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=default)

    @property
    def task_id(self) -> str:
        return str(self.message["X-Camunda-Task-Id"] or "")

    @property
    def subject(self) -> str:
        return str(self.message["Subject"] or "")


class EmailSandbox:
    """Listens while it is used as a context; `port` 0 is any free one, kept for life. `latency`: seconds per mail."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, latency: float = 0.0, seed: int = 0) -> None:
        self.host = host
        self.port = port
        self.latency = latency
        self.taken_in = 0  # mails that have come in whole; they are kept, and answered, `latency` later
        self.connections = 0  # that were made so far
        self._lock = threading.Lock()
        self._faults = FaultPlan(seed)
        self._mails: list[Mail] = []
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        if self._server is None:
            self._server = _Server((self.host, self.port), self)
            self.port = self._server.server_address[1]
            self._thread = threading.Thread(
                target=self._server.serve_forever, args=(0.05,), name="sandbox-email", daemon=True
            )
            self._thread.start()
        return self

    def stop(self) -> None:
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        server.shutdown()
        server.server_close()
        thread.join()
        server.drop_connections()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def go_down(self) -> None:
        """Connections are refused, open ones cut. Nothing that was taken is lost."""
        self.stop()

    def come_back(self) -> None:
        """Listens again on the same port."""
        self.start()

    def inject(
        self,
        fault: Fault,
        call: str,
        *,
        count: int | None = 1,
        probability: float = 1.0,
        match: Callable[[dict[str, Any]], bool] | None = None,
    ) -> Injection:
        """Arms a fault of sandbox.email.faults, as HttpSandbox.inject does. It is given sender and recipients."""
        return self._faults.inject(fault, call, count=count, probability=probability, match=match)

    def clear_faults(self) -> None:
        self._faults.clear()

    def draw(self, call: str, sender: str | None, recipients: Sequence[str]) -> list[Injection]:
        return self._faults.draw(call, {"sender": sender, "recipients": tuple(recipients)})

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def mails(self) -> Sequence[Mail]:
        with self._lock:
            return tuple(self._mails)

    def by_task(self) -> Mapping[str, Sequence[Mail]]:
        """The mails under each Camunda task id; those without one are left out."""
        found: defaultdict[str, list[Mail]] = defaultdict(list)
        for mail in self.mails():
            if mail.task_id:
                found[mail.task_id].append(mail)
        return found

    def count_connection(self) -> None:
        with self._lock:
            self.connections += 1

    def keep(self, mail: Mail) -> None:
        with self._lock:
            self.taken_in += 1
        time.sleep(self.latency)
        with self._lock:
            self._mails.append(mail)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], sandbox: EmailSandbox) -> None:
        self.sandbox = sandbox
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Connection)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        if isinstance(request, socket.socket):
            with self._lock:
                self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        if isinstance(request, socket.socket):
            with self._lock:
                self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is its own business: it sees the same."""

    def drop_connections(self) -> None:
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.StreamRequestHandler):
    """One client, from the greeting to QUIT."""

    server: _Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            self._serve()
        except ConnectionDroppedError:
            reset(self.connection)

    def _serve(self) -> None:
        self._sender: str | None = None
        self._recipients: list[str] = []
        self.server.sandbox.count_connection()
        if not self._struck("connect"):
            self._reply("220 sandbox ESMTP")
        while line := self.rfile.readline(LINE_LIMIT):
            word, _, rest = line.decode("utf-8", "replace").rstrip("\r\n").partition(" ")
            if word.upper() == "QUIT":
                self._reply("221 2.0.0 bye")
                return
            self._command(word.upper(), rest)

    def _command(self, word: str, rest: str) -> None:
        match word:
            case "EHLO":
                self._forget()
                self._reply(
                    f"250-sandbox\r\n250-SIZE {SIZE_LIMIT}\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8"
                )
            case "HELO":
                self._forget()
                self._reply("250 sandbox")
            case "NOOP":
                self._reply("250 2.0.0 OK")
            case "RSET":
                self._forget()
                self._reply("250 2.0.0 OK")
            case "MAIL" | "RCPT":
                self._envelope(word, rest)
            case "DATA" if self._recipients:
                self._data()
            case "DATA":
                self._reply("503 5.5.1 no recipient yet")
            case _:
                self._reply("502 5.5.1 unknown command")

    def _envelope(self, word: str, rest: str) -> None:
        path = _PATH.match(rest)
        if path is None:
            self._reply("501 5.5.4 an address in angle brackets is missing")
        elif word == "MAIL":
            self._forget()
            if not self._struck("mail"):
                self._sender = path[1]
                self._reply("250 2.1.0 OK")
        elif self._sender is None:
            self._reply("503 5.5.1 MAIL comes first")
        elif not self._struck("rcpt"):
            self._recipients.append(path[1])
            self._reply("250 2.1.5 OK")

    def _data(self) -> None:
        self._reply("354 go ahead")
        lines: list[bytes] = []
        size = 0
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise ConnectionError("the client went away in the middle of a mail")
            size += len(line)
            if size <= SIZE_LIMIT:
                lines.append(line.removeprefix(b"."))
        if size > SIZE_LIMIT:
            self._reply("552 5.3.4 too large")
        else:
            self._take(b"".join(lines))
        self._forget()

    def _take(self, content: bytes) -> None:
        drawn = self.server.sandbox.draw("content", self._sender, self._recipients)
        if self._struck_by(drawn, after_execution=False):
            return
        self.server.sandbox.keep(Mail(self._sender or "", tuple(self._recipients), content, time.time()))
        if not self._struck_by(drawn, after_execution=True):
            self._reply("250 2.0.0 taken")

    def _struck(self, call: str) -> bool:
        return self._struck_by(self.server.sandbox.draw(call, self._sender, self._recipients), after_execution=False)

    def _struck_by(self, drawn: Sequence[Injection], *, after_execution: bool) -> bool:
        """Whether a fault has answered in our place. Raises ConnectionDroppedError."""
        for injection in drawn:
            if injection.fault.after_execution is after_execution:
                try:
                    injection.strike(time.sleep)
                except ReplyError as error:
                    self._reply(str(error))
                    return True
        return False

    def _forget(self) -> None:
        self._sender = None
        self._recipients = []

    def _reply(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())
