"""Gives pika I/O services with few system calls: one sends all that was written in a turn of the I/O loop.

pika writes every frame by a `send` of its own, three for a message, and reads 4 KiB at a time. Each costs a system call
here, a packet and a wake-up at the broker, and gives the interpreter's lock away to threads that want it for long.
Measured: a fifth of the CPU time that pika needs for a message. It also asks first whether the socket can take
more, which costs two more system calls and a turn of the loop; nearly always it can.

This is pika's own extension point: SelectConnection takes an `AbstractIOServices` as `custom_ioloop`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from socket import socket
from ssl import SSLContext
from typing import cast

from pika.adapters.utils.nbio_interface import AbstractIOReference, AbstractStreamProtocol, AbstractStreamTransport
from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter

from broker.turns import TurnLoop

LIMIT = 64 * 1024  # bytes; what is larger gains nothing from being joined, and joining copies
READ_SIZE = 64 * 1024  # bytes

_Linked = tuple[AbstractStreamTransport, AbstractStreamProtocol] | BaseException


class GatheredWrites(SelectorIOServicesAdapter):
    """The I/O services of one SelectConnection."""

    def __init__(self, ioloop: TurnLoop) -> None:
        super().__init__(ioloop)  # type: ignore[arg-type]  # it is one; the stubs do not say so
        self._ioloop = ioloop
        self._protocol: _GatheringProtocol | None = None

    def abort(self, reason: OSError) -> bool:
        """End the connection as if the network had, with that reason; return False when there is none yet."""
        if self._protocol is None:
            return False
        self._protocol.abort(reason)
        return True

    def create_streaming_connection(
        self,
        protocol_factory: Callable[[], AbstractStreamProtocol],
        sock: socket,
        on_done: Callable[[_Linked], None],
        ssl_context: SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> AbstractIOReference:
        if (reset := _why_unconnected(sock)) is not None:
            return self._failed(sock, reset, on_done)

        def make_protocol() -> AbstractStreamProtocol:
            # Encrypted, what is to be sent is not what was written.
            plain = sock if ssl_context is None else None
            self._protocol = _GatheringProtocol(protocol_factory(), self._ioloop, plain)
            return self._protocol

        def done(linked: _Linked) -> None:
            # pika looks for its own protocol here, which is the connection in disguise.
            protocol = self._protocol
            on_done(linked if isinstance(linked, BaseException) or protocol is None else (linked[0], protocol.inner))

        try:
            return super().create_streaming_connection(make_protocol, sock, done, ssl_context, server_hostname)
        except ValueError:
            # pika has looked, too. If the connection was reset since we did, that must not end the I/O loop with
            # everything else in it.
            if (reset := _why_unconnected(sock)) is None:
                raise
            return self._failed(sock, reset, on_done)

    def _failed(self, sock: socket, reason: OSError, on_done: Callable[[_Linked], None]) -> AbstractIOReference:
        sock.close()
        failed = self.call_later(0, partial(on_done, reason))
        return cast(AbstractIOReference, failed)  # both can be cancelled, which is all that pika wants of it


def _why_unconnected(sock: socket) -> OSError | None:
    try:
        sock.getpeername()
    except OSError as error:
        return error
    return None


class _GatheringProtocol(AbstractStreamProtocol):
    """Gives pika's protocol another transport; everything else passes through."""

    def __init__(self, inner: AbstractStreamProtocol, ioloop: TurnLoop, plain: socket | None) -> None:
        self.inner = inner
        self._ioloop = ioloop
        self._plain = plain
        self._transport: AbstractStreamTransport | None = None
        self._aborted: OSError | None = None

    def abort(self, reason: OSError) -> None:
        if self._transport is not None:
            self._aborted = reason
            self._transport.abort()

    def connection_made(self, transport: AbstractStreamTransport) -> None:
        transport._MAX_RECV_BYTES = READ_SIZE  # type: ignore[attr-defined]  # no stub; pika 1.4.4 has no setting for it
        self._transport = _GatheringTransport(transport, self._ioloop, self._plain)
        self.inner.connection_made(self._transport)

    def connection_lost(self, error: BaseException | None) -> None:
        self._transport = None
        self.inner.connection_lost(error or self._aborted)

    def eof_received(self) -> bool | None:
        return self.inner.eof_received()

    def data_received(self, data: bytes) -> None:
        self.inner.data_received(data)


class _GatheringTransport(AbstractStreamTransport):
    def __init__(self, inner: AbstractStreamTransport, ioloop: TurnLoop, plain: socket | None) -> None:
        self._inner = inner
        self._ioloop = ioloop
        self._plain = plain  # what is written can be sent through this socket as it is
        self._gathered: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._gathered:
            self._ioloop.at_end_of_turn(self._flush)
        self._gathered.append(data)
        self._size += len(data)
        if self._size > LIMIT:
            self._flush()

    def abort(self) -> None:
        self._plain = None
        self._inner.abort()

    def get_protocol(self) -> AbstractStreamProtocol:
        return self._inner.get_protocol()

    def get_write_buffer_size(self) -> int:
        return self._size + self._inner.get_write_buffer_size()

    def _flush(self) -> None:
        if self._gathered:
            data = b"".join(self._gathered)
            self._gathered.clear()
            self._size = 0
            if rest := data[self._sent_at_once(data) :]:
                self._inner.write(rest)

    def _sent_at_once(self, data: bytes) -> int:
        """Return how many bytes the socket has taken, which may be none."""
        if self._plain is None or self._inner.get_write_buffer_size():
            return 0
        try:
            return self._plain.send(data)
        except OSError:  # it is full, or broken: pika's transport is told so as well, and knows what is to be done
            return 0
