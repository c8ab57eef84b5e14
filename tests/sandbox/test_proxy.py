"""The proxy that later tests trust: each fault is what it says, seen from both ends of a real connection."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sandbox.pipe import Pipe
from sandbox.proxy import TcpProxy

TIMEOUT = 5.0
SILENCE = 0.3  # seconds without a byte that prove a stalled link


@dataclass
class Wire:
    """A server socket that takes connections by hand, and the proxy in front of it."""

    listener: socket.socket
    proxy: TcpProxy

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """(client's end, server's end) of a new connection through the proxy."""
        client = socket.create_connection((self.proxy.host, self.proxy.port), timeout=TIMEOUT)
        server, _ = self.listener.accept()
        server.settimeout(TIMEOUT)
        return client, server


@pytest.fixture
def wire() -> Iterator[Wire]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        with TcpProxy("127.0.0.1", listener.getsockname()[1]) as proxy:
            yield Wire(listener, proxy)


@pytest.fixture
def ends(wire: Wire) -> Iterator[tuple[socket.socket, socket.socket]]:
    client, server = wire.connect()
    with client, server:
        yield client, server


Ends = tuple[socket.socket, socket.socket]


def read(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (chunk := end.recv(size - len(data))):
        data += chunk
    return data


def assert_silent(end: socket.socket) -> None:
    end.settimeout(SILENCE)
    with pytest.raises(TimeoutError):
        end.recv(1)
    end.settimeout(TIMEOUT)


def test_bytes_pass_both_ways_unchanged(ends: Ends) -> None:
    client, server = ends
    client.sendall(b"ping")
    assert read(server, 4) == b"ping"
    server.sendall(b"pong")
    assert read(client, 4) == b"pong"


def test_a_slow_reader_gets_every_byte_of_a_big_message(ends: Ends) -> None:
    client, server = ends
    message = bytes(range(256)) * 64 * 1024  # 16 MiB: far more than proxy and kernel hold
    sender = threading.Thread(target=client.sendall, args=(message,))
    sender.start()
    received = read(server, len(message))
    sender.join(TIMEOUT)
    assert received == message


def test_the_end_of_one_direction_leaves_the_other_open(ends: Ends) -> None:
    client, server = ends
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert read(server, 100) == b"question"
    server.sendall(b"answer")
    server.close()
    assert read(client, 100) == b"answer"


def test_a_cut_resets_both_ends_and_the_next_connection_works(wire: Wire, ends: Ends) -> None:
    wire.proxy.cut()
    for end in ends:
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    assert wire.proxy.open_connections == 0

    client, server = wire.connect()
    with client, server:
        client.sendall(b"again")
        assert read(server, 5) == b"again"
    assert wire.proxy.accepted == 2


def test_refusing_turns_newcomers_away_but_keeps_who_is_there(wire: Wire, ends: Ends) -> None:
    client, server = ends
    wire.proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((wire.proxy.host, wire.proxy.port), timeout=TIMEOUT)
    client.sendall(b"still here")
    assert read(server, 10) == b"still here"

    wire.proxy.restore()
    for end in wire.connect():
        end.close()


def test_a_stalled_link_delivers_nothing_and_tells_nobody(wire: Wire, ends: Ends) -> None:
    client, server = ends
    wire.proxy.stall()
    client.sendall(b"lost for now")
    server.sendall(b"me too")
    assert_silent(server)
    assert_silent(client)


def test_a_stalled_link_hides_that_the_other_end_has_gone(wire: Wire, ends: Ends) -> None:
    client, server = ends
    wire.proxy.stall()
    server.close()
    assert_silent(client)
    wire.proxy.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_link_that_comes_back_delivers_what_was_sent_meanwhile(wire: Wire, ends: Ends) -> None:
    client, server = ends
    wire.proxy.stall()
    client.sendall(b"first ")
    assert_silent(server)
    client.sendall(b"second")
    wire.proxy.restore()
    assert read(server, 12) == b"first second"


def test_a_delayed_link_delivers_later_each_way_and_in_order(wire: Wire, ends: Ends) -> None:
    client, server = ends
    wire.proxy.delay(0.2)
    started = time.monotonic()
    for number in range(10):
        client.sendall(bytes([number]))
    assert read(server, 10) == bytes(range(10))
    server.sendall(b"!")
    assert read(client, 1) == b"!"
    assert time.monotonic() - started >= 0.4  # a lower bound: a loaded machine can only add


def test_what_is_lost_arrives_late_and_keeps_its_place(wire: Wire, ends: Ends) -> None:
    client, server = ends
    wire.proxy.lose(1.0, seconds=0.2)
    started = time.monotonic()
    client.sendall(b"lost ")
    wire.proxy.lose(0.0)
    client.sendall(b"not lost")
    assert read(server, 13) == b"lost not lost"
    assert time.monotonic() - started >= 0.2  # a lower bound: a loaded machine can only add


def test_a_trickle_delivers_byte_by_byte_until_the_link_is_restored(wire: Wire, ends: Ends) -> None:
    client, server = ends
    wire.proxy.trickle(0.1)
    started = time.monotonic()
    client.sendall(b"abc")
    client.sendall(b"de" * 10_000)
    assert read(server, 4) == b"abcd"
    assert time.monotonic() - started >= 0.3
    wire.proxy.restore()
    assert read(server, 19_999) == b"ed" * 9_999 + b"e"


def test_a_trickle_on_a_busy_machine_is_no_narrower_than_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        source, _ = listener.accept()
    sink, server = socket.socketpair()
    with client, source, sink, server:
        pipe = Pipe(source, sink)
        client.sendall(b"x" * 10_000)
        select.select([source], [], [], TIMEOUT)
        pipe.read(0.0)
        pipe.write(0.001)
        time.sleep(0.2)  # as long as a busy machine may come late
        pipe.write(0.001)
        assert len(server.recv(10_000)) >= 200


def test_a_dead_target_resets_the_client(wire: Wire) -> None:
    wire.listener.close()
    address = (wire.proxy.host, wire.proxy.port)
    # The reset may arrive while the client is still connecting.
    with pytest.raises(ConnectionResetError), socket.create_connection(address, timeout=TIMEOUT) as client:
        client.recv(1)
    assert wire.proxy.accepted == 0


def test_a_reset_by_one_end_reaches_the_other(wire: Wire, ends: Ends) -> None:
    client, server = ends
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.close()
    with pytest.raises(ConnectionResetError):
        server.recv(1)


def test_connections_are_counted_as_they_come_and_go(wire: Wire) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            for end in wire.connect():
                stack.enter_context(end)
        assert wire.proxy.wait_for_accepted(3, TIMEOUT)
        assert wire.proxy.open_connections == 3
    assert not wire.proxy.wait_for_accepted(4, 0.1)


def test_closing_frees_the_port_and_ends_the_thread() -> None:
    threads = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as target:
        proxy = TcpProxy("127.0.0.1", target.getsockname()[1])
        with socket.create_connection((proxy.host, proxy.port), timeout=TIMEOUT) as client:
            assert proxy.wait_for_accepted(1, TIMEOUT)
            proxy.close()
            proxy.close()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    with socket.create_server((proxy.host, proxy.port)):
        pass
    assert threading.active_count() == threads
