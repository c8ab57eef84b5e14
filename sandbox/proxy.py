"""A TCP proxy on loopback that does to connections what networks do: cut them, refuse them, go silent, be slow.

with TcpProxy("127.0.0.1", 5672) as proxy:
    ...  # connect to proxy.port
    proxy.cut()
"""

from __future__ import annotations

import queue
import random
import select
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType

from sandbox.pipe import Pipe, reset
from sandbox.ports import LOOPBACK, ReservedPort

_TIMEOUT = 10.0  # seconds, for a command to take effect and for the target to accept


class TcpProxy:
    """Listens on `host`:`port`, the same for its whole life. All methods may be called from any thread.

    One thread owns all sockets; a method hands it a command and returns when the command has taken effect.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self.host = LOOPBACK
        self._reserved = ReservedPort()
        self.port = self._reserved.port
        self._target = (target_host, target_port)
        self._listener: socket.socket | None = None
        self._connections: list[tuple[Pipe, Pipe]] = []
        self._delay = 0.0
        self._losses = (0.0, 0.0)
        self._byte_time = 0.0
        self._chance = random.Random(target_port)
        self._stalled = False
        self._accepted = 0
        self._changed = threading.Condition()
        self._commands: queue.SimpleQueue[tuple[Callable[[], None], Future[None]]] = queue.SimpleQueue()
        self._listen()
        self._wake, self._woken = socket.socketpair()
        self._running = True
        self._thread = threading.Thread(target=self._run, name=f"tcp-proxy-{self.port}", daemon=True)
        self._thread.start()

    def __enter__(self) -> TcpProxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def accepted(self) -> int:
        """Connections made through this proxy since its start."""
        return self._accepted

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def wait_for_accepted(self, count: int, timeout: float) -> bool:
        """Waits until `accepted` is at least `count`; False if that took more than `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._accepted >= count, timeout)

    def cut(self) -> None:
        """Every connection is reset at both ends; new ones are welcome."""
        self._do(self._cut)

    def refuse(self) -> None:
        """New connections are refused, as if nobody listened there; existing ones live on."""
        self._do(self._stop_listening)

    def stall(self, stalled: bool = True) -> None:
        """A half-open link: nothing that is sent arrives, not even that the other end has gone.

        New connections are accepted and get no answer. `stall(False)` delivers late what was sent meanwhile,
        as TCP does when a link comes back.
        """
        self._do(lambda: setattr(self, "_stalled", stalled))

    def delay(self, seconds: float) -> None:
        """Whatever is sent from now on arrives this much later, each way; throughput stays."""
        self._do(lambda: setattr(self, "_delay", seconds))

    def lose(self, share: float, seconds: float = 0.3) -> None:
        """Loses packets: `share` of what is sent from now on arrives `seconds` later, when it has been sent again, and
        with it what is behind it. That is all that the ends of a TCP connection notice of a lost packet."""
        self._do(lambda: setattr(self, "_losses", (share, seconds)))

    def trickle(self, byte_time: float) -> None:
        """A link that nearly stands: one byte passes in `byte_time` seconds, each way."""
        self._do(lambda: setattr(self, "_byte_time", byte_time))

    def restore(self) -> None:
        """A perfect network again. Connections that were cut stay cut."""
        self._do(self._restore)

    def close(self) -> None:
        """Resets everything and ends the thread; may be called twice."""
        if self._running:
            self._do(self._close)
            self._thread.join(_TIMEOUT)
            self._wake.close()
            self._woken.close()
            self._reserved.release()

    def _do(self, command: Callable[[], None]) -> None:
        done: Future[None] = Future()
        self._commands.put((command, done))
        self._wake.send(b"!")
        done.result(_TIMEOUT)

    # Everything below runs in the proxy's own thread.

    def _run(self) -> None:
        while self._running:
            pipes = [pipe for connection in self._connections for pipe in connection]
            reading = [self._woken, *([self._listener] if self._listener else [])]
            reading += [pipe.source for pipe in pipes if pipe.wants_more]
            writing, pause = self._due(pipes)
            readable, writable, _ = select.select(reading, writing, [], pause)
            for pipe in pipes:
                if pipe.source in readable:
                    share, seconds = self._losses
                    pipe.read(self._delay + (seconds if self._chance.random() < share else 0.0))
                if pipe.sink in writable:
                    pipe.write(self._byte_time)
            self._forget_ended()
            if self._listener in readable:
                self._accept()
            if self._woken in readable:
                self._run_commands()

    def _due(self, pipes: list[Pipe]) -> tuple[list[socket.socket], float | None]:
        """The sockets to which something can be written now, and the seconds until there will be another."""
        if self._stalled:
            return [], None
        waits = {pipe: max(0.0, pipe.due - time.monotonic()) for pipe in pipes if pipe.due is not None}
        later = [wait for wait in waits.values() if wait > 0]
        return [pipe.sink for pipe, wait in waits.items() if wait == 0], min(later, default=None)

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # it has gone already
            return
        try:
            server = socket.create_connection(self._target, timeout=_TIMEOUT)
        except OSError:  # the target is down: to the client this proxy is the target
            reset(client)
            return
        self._connections.append((Pipe(client, server), Pipe(server, client)))
        with self._changed:
            self._accepted += 1
            self._changed.notify_all()

    def _forget_ended(self) -> None:
        for connection in list(self._connections):
            there, back = connection
            if there.broken or back.broken:
                self._reset(connection)
            elif there.finished and back.finished:
                there.source.close()
                back.source.close()
                self._connections.remove(connection)

    def _run_commands(self) -> None:
        self._woken.recv(1024)
        while not self._commands.empty():
            command, done = self._commands.get()
            try:
                command()
            except OSError as error:
                done.set_exception(error)
            else:
                done.set_result(None)

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server((self.host, self.port), backlog=128)
            self._listener.setblocking(False)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _cut(self) -> None:
        for connection in list(self._connections):
            self._reset(connection)

    def _reset(self, connection: tuple[Pipe, Pipe]) -> None:
        for pipe in connection:
            reset(pipe.source)
        self._connections.remove(connection)

    def _restore(self) -> None:
        self._stalled = False
        self._delay = 0.0
        self._losses = (0.0, 0.0)
        self._byte_time = 0.0
        self._listen()

    def _close(self) -> None:
        self._stop_listening()
        self._cut()
        self._running = False
