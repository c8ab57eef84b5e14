"""What is read and written is cut into the same frames as by pika. No broker is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pika
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pika.exceptions import InvalidFrameError
from pika.frame import Body, Frame, Header, Heartbeat, Method, decode_frame
from pika.spec import Basic

from broker.frames import FramedConnection, read_frame, write_message
from tests.support.wire import RawProperties, section, sections

CHANNELS = st.integers(1, 65_535)


def deliveries() -> st.SearchStrategy[Frame]:
    return st.builds(
        lambda channel, tag: Method(channel, Basic.Deliver("consumer", tag, False, "", "a.queue")),
        CHANNELS,
        st.integers(1, 2**40),
    )


def frames() -> st.SearchStrategy[Frame]:
    return st.one_of(
        deliveries(),
        st.builds(lambda channel, tag: Method(channel, Basic.Ack(tag, True)), CHANNELS, st.integers(1, 9)),
        st.builds(lambda channel, size: Header(channel, size, pika.BasicProperties(type="x")), CHANNELS, CHANNELS),
        st.builds(Body, CHANNELS, st.binary(max_size=200)),
        st.builds(Heartbeat),
    )


class Reader(FramedConnection):
    """Has no socket, and hands what it reads to nobody."""

    def __init__(self) -> None:
        self._frame_buffer = b""
        self.frames_received = self.bytes_received = 0
        self.read: list[Any] = []
        self.refused: int | None = None

    def _process_frame(self, frame: Any) -> None:
        self.frames_received += 1
        self._deliver_frame_to_channel(frame)

    def _deliver_frame_to_channel(self, frame: Any) -> None:
        if self.refused == len(self.read):
            raise ValueError("a callback failed")
        self.read.append(frame)

    def take(self, data: bytes) -> None:
        self._on_data_available(data)


def read_by_pika(stream: bytes) -> list[Any]:
    read: list[Any] = []
    while stream:
        used, frame = decode_frame(stream)
        read.append(frame)
        stream = stream[used:]
    return read


def alike(frames: Sequence[Any]) -> list[str]:
    return [repr(frame).replace("ReceivedProperties", "BasicProperties") for frame in frames]


@settings(deadline=None)
@given(st.lists(frames(), max_size=8), st.lists(st.integers(1, 60), min_size=1))
def test_a_stream_is_cut_as_pika_cuts_it_wherever_the_network_cuts_it(sent: list[Frame], sizes: list[int]) -> None:
    stream = b"".join(frame.marshal() for frame in sent)
    reader = Reader()
    place = 0
    while place < len(stream):
        for size in sizes:
            reader.take(stream[place : place + size])
            place += size
    assert alike(reader.read) == alike(read_by_pika(stream))
    assert (reader.frames_received, reader.bytes_received) == (len(sent), len(stream))


def test_a_callback_that_fails_does_not_make_a_frame_come_twice() -> None:
    stream = b"".join(Body(1, str(number).encode()).marshal() for number in range(4))
    reader = Reader()
    reader.refused = 1
    with pytest.raises(ValueError, match="a callback failed"):
        reader.take(stream)
    reader.refused = None
    reader.take(b"")
    assert [frame.fragment for frame in reader.read] == [b"0", b"2", b"3"]


@settings(deadline=None)
@given(CHANNELS, st.text(max_size=40), st.booleans(), sections(), st.binary(max_size=300), st.integers(1, 100))
def test_a_message_is_written_as_pika_writes_it(
    channel: int, queue: str, mandatory: bool, raw: bytes, body: bytes, limit: int
) -> None:
    method, properties = Basic.Publish(exchange="tasks", routing_key=queue, mandatory=mandatory), RawProperties(raw)
    parts = [Body(channel, body[start : start + limit]) for start in range(0, len(body), limit)]
    by_pika: list[Frame] = [Method(channel, method), Header(channel, len(body), properties), *parts]
    written = write_message(channel, method, properties, body, limit=limit)
    assert b"".join(written) == b"".join(frame.marshal() for frame in by_pika)
    assert len(written) == max(1, len(parts)), "a large message stays in pieces"


@settings(deadline=None)
@given(sections(), CHANNELS, st.integers(0, 2**40), st.binary(max_size=20), st.binary(max_size=20))
def test_headers_of_content_are_cut_as_pika_cuts_them(
    raw: bytes, channel: int, size: int, before: bytes, behind: bytes
) -> None:
    frame = Header(channel, size, RawProperties(raw)).marshal()
    for part in range(len(frame)):
        assert read_frame(before + frame[:part], len(before)) == (0, None)
    used, header = read_frame(before + frame + behind, len(before))
    assert isinstance(header, Header)
    assert (used, header.channel_number, header.body_size) == (len(frame), channel, size)


@pytest.mark.parametrize("frame", [Header(1, 2, RawProperties(section(b""))), Body(1, b"{}"), Heartbeat()])
def test_a_frame_with_a_wrong_end_is_refused_as_by_pika(frame: Frame) -> None:
    broken = frame.marshal()[:-1] + b"\x00"
    for reader in (decode_frame, lambda data: read_frame(data, 0)):
        with pytest.raises(InvalidFrameError):
            reader(broken)


def test_an_unknown_kind_of_frame_is_refused_as_by_pika() -> None:
    broken = b"\x05" + Heartbeat().marshal()[1:]
    for reader in (decode_frame, lambda data: read_frame(data, 0)):
        with pytest.raises(InvalidFrameError):
            reader(broken)


def test_a_broker_that_speaks_another_version_is_understood_as_by_pika() -> None:
    assert alike([read_frame(b"AMQP\x00\x00\x09\x01", 0)]) == alike([decode_frame(b"AMQP\x00\x00\x09\x01")])
