"""pika's frames leave in one system call per turn of the I/O loop, whole and in their order."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pika.adapters.utils.nbio_interface import AbstractStreamProtocol, AbstractStreamTransport

from broker.gathered_writes import LIMIT, GatheredWrites
from broker.turns import TurnLoop


class CountedSocket(socket.socket):
    """Remembers the sizes of its sends."""

    sizes: list[int]

    def send(self, data: Any, flags: int = 0, /) -> int:
        sent = super().send(data, flags)
        self.sizes.append(sent)
        return sent


class Protocol(AbstractStreamProtocol):
    """What pika's connection is to a transport."""

    transport: AbstractStreamTransport
    is_lost = False

    def __init__(self, ioloop: TurnLoop) -> None:
        self.ioloop = ioloop
        self.received = b""
        self.error: BaseException | None = None

    def connection_made(self, transport: AbstractStreamTransport) -> None:
        self.transport = transport

    def connection_lost(self, error: BaseException | None) -> None:
        self.is_lost = True
        self.error = error
        self.ioloop.stop()

    def eof_received(self) -> bool:
        return False

    def data_received(self, data: bytes) -> None:
        self.received += data


class Wire:
    """A linked transport, its protocol, and the other end of its socket."""

    def __init__(self) -> None:
        self.ioloop = TurnLoop()
        near, self.far = socket.socketpair()
        self.socket = CountedSocket(fileno=near.detach())
        self.socket.sizes = []
        self.socket.setblocking(False)
        self.protocol = Protocol(self.ioloop)
        self.linked: list[Any] = []
        self.services = GatheredWrites(self.ioloop)
        self.services.create_streaming_connection(lambda: self.protocol, self.socket, self.linked.append)
        self.run_until(lambda: bool(self.linked))

    def run_until(self, condition: Any) -> None:
        def look() -> None:
            if condition():
                self.ioloop.stop()
            else:
                self.ioloop.call_later(0.001, look)

        self.ioloop.call_later(0, look)
        self.ioloop.start()

    def abort(self) -> None:
        self.protocol.transport.abort()
        self.ioloop.start()  # until connection_lost


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    if not wire.protocol.is_lost:
        wire.abort()
    wire.ioloop.close()
    wire.far.close()


def test_what_is_written_in_one_turn_is_sent_at_once_and_in_order(wire: Wire) -> None:
    for turn in (b"a", b"b"):
        frames = [turn + str(number).encode() for number in range(300)]
        for frame in frames:
            wire.protocol.transport.write(frame)
        assert wire.protocol.transport.get_write_buffer_size() == len(b"".join(frames))
        wire.run_until(lambda: wire.protocol.transport.get_write_buffer_size() == 0)
        assert wire.far.recv(100_000) == b"".join(frames)
    assert len(wire.socket.sizes) == 2


def test_large_data_arrives_whole_and_in_order(wire: Wire) -> None:
    chunks = [bytes([number]) * size for number, size in enumerate((10, 3 * LIMIT, 20, LIMIT - 1, LIMIT, 5))]
    received = bytearray()

    def read() -> None:
        while len(received) < sum(map(len, chunks)):
            received.extend(wire.far.recv(LIMIT))

    reader = threading.Thread(target=read)
    reader.start()
    for chunk in chunks:
        wire.protocol.transport.write(chunk)
    wire.run_until(lambda: wire.protocol.transport.get_write_buffer_size() == 0)
    reader.join(20)
    assert bytes(received) == b"".join(chunks)


def test_what_was_written_has_left_when_the_turn_ends(wire: Wire) -> None:
    left: list[list[int]] = []
    wire.ioloop.call_later(0, lambda: wire.protocol.transport.write(b"frame"))
    wire.ioloop.call_later(0, lambda: wire.ioloop.at_end_of_turn(lambda: left.append(list(wire.socket.sizes))))
    wire.run_until(lambda: bool(left))
    assert left == [[5]], "it has waited for the next turn"


def test_a_connection_that_is_given_up_ends_for_both_sides(wire: Wire) -> None:
    wire.protocol.transport.write(b"too late")
    wire.abort()
    wire.far.settimeout(20)
    assert wire.far.recv(100) == b""


def test_pika_is_given_its_own_protocol_and_all_that_comes_in(wire: Wire) -> None:
    [(_, protocol)] = wire.linked
    assert protocol is wire.protocol
    wire.far.sendall(b"frames")
    wire.run_until(lambda: wire.protocol.received == b"frames")


class ResetAfterALook(socket.socket):
    """Tells of a connection that is gone at the next look."""

    looks = 0

    def getpeername(self) -> Any:
        self.looks += 1
        return ("127.0.0.1", 5672) if self.looks == 1 else super().getpeername()


@pytest.mark.parametrize("kind", [socket.socket, ResetAfterALook])
def test_a_socket_that_was_reset_meanwhile_counts_as_a_lost_connection_and_as_no_mistake(
    kind: type[socket.socket],
) -> None:
    ioloop = TurnLoop()
    told: list[Any] = []

    def done(linked: Any) -> None:
        told.append(linked)
        ioloop.stop()

    with kind() as unconnected:
        GatheredWrites(ioloop).create_streaming_connection(lambda: pytest.fail("used"), unconnected, done)
        ioloop.start()
        assert unconnected.fileno() == -1
    [error] = told
    assert isinstance(error, OSError)
    ioloop.close()


def test_an_aborted_connection_sends_nothing_more_and_is_told_why(wire: Wire) -> None:
    wire.protocol.transport.write(b"too late")
    assert wire.services.abort(ConnectionAbortedError("another host was quicker"))
    wire.ioloop.start()  # until connection_lost
    assert str(wire.protocol.error) == "another host was quicker"
    wire.far.settimeout(20)
    assert wire.far.recv(100) == b""


def test_where_nothing_is_connected_yet_there_is_nothing_to_abort() -> None:
    ioloop = TurnLoop()
    assert not GatheredWrites(ioloop).abort(ConnectionAbortedError("too early"))
    ioloop.close()
