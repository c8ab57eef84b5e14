"""A mail server on the standard library alone: enough of SMTP (RFC 5321) for a client that sends."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from sandbox.email.connection import Connection
from sandbox.email.dialects import SANDBOX, Dialect, Refusal
from sandbox.email.mail import Mail
from sandbox.faults import Fault, FaultPlan, Injection
from sandbox.listening import Listening


class EmailSandbox:
    """Listens while it is used as a context; `port` 0 is any free one, kept for life. `latency`: seconds per mail.

    `dialect` is the server that it plays and `refusals` what that one has against this client (sandbox.email.dialects);
    `recipients` are those that it knows, None is everybody.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float = 0.0,
        seed: int = 0,
        dialect: Dialect = SANDBOX,
        refusals: Sequence[Refusal] = (),
        recipients: Collection[str] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.latency = latency
        self.dialect = dialect
        self.refusals = tuple(refusals)
        self.recipients = recipients
        self.taken_in = 0  # mails that have come in whole; they are kept, and answered, `latency` later
        self.connections = 0  # that were made so far
        self._lock = threading.Lock()
        self._faults = FaultPlan(seed)
        self._mails: list[Mail] = []
        self._queued: list[Mail] = []
        self._server: _Server | None = None
        self._listening: Listening | None = None

    def start(self) -> Self:
        if self._server is None:
            self._server = _Server((self.host, self.port), self)
            self.port = self._server.server_address[1]
            self._listening = Listening(self._server, "sandbox-email")
        return self

    def stop(self) -> None:
        server, listening = self._server, self._listening
        if server is None or listening is None:
            return
        listening.end()
        server.drop_connections()
        self._server = self._listening = None

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
        """What has been taken and handed on."""
        with self._lock:
            return tuple(self._mails)

    def forget(self) -> None:
        """All mails, as if there had been none."""
        with self._lock:
            self._mails.clear()
            self._queued.clear()

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

    def keep(self, mail: Mail, *, at_once: bool = True) -> None:
        with self._lock:
            self.taken_in += 1
        time.sleep(self.latency)
        with self._lock:
            (self._mails if at_once else self._queued).append(mail)

    def run_queue(self) -> None:
        """Hands on what waits in the queue, as a server does every now and then."""
        with self._lock:
            self._mails += self._queued
            self._queued.clear()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], sandbox: EmailSandbox) -> None:
        self.sandbox = sandbox
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, Connection)

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
