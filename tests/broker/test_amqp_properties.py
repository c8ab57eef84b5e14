"""Whatever RabbitMQ can hand over is read, or told; and its copy carries it on as it came. No broker is needed here."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pika
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pika import data

from broker.deliveries import Delivery
from broker.fields import DEPTH_LIMIT, UnreadableError, read_table
from broker.properties import OutgoingProperties, ReceivedProperties
from core.copies import FOREIGN_HEADERS_LIMIT, speaks_to_the_broker
from core.envelopes import SentHeader
from core.policy import Tries
from processing.in_flight import InFlight
from tests.support.wire import (
    UNREADABLE,
    entry,
    header_tables,
    nested,
    section,
    sections,
    table,
    text,
    timestamp,
)
from tracking.held import Held

OURS = "task-creator-"


def received(raw: bytes) -> ReceivedProperties:
    return ReceivedProperties().decode(raw)


def work(properties: ReceivedProperties, body: bytes = b"{}") -> InFlight:
    return InFlight.begin(Delivery("bitrix24.queue", 1, 1, False, properties, body, "tasks", "bitrix24.x"), "bitrix24")


def published(copy: Any) -> ReceivedProperties:
    """As the one who consumes the copy gets it."""
    properties = OutgoingProperties(
        content_type=copy.content_type,
        content_encoding=copy.content_encoding,
        delivery_mode=2,
        message_id=copy.message_id,
        headers=dict(copy.headers),
        **copy.properties,
    )
    return received(b"".join(properties.encode()))


def headers_of(properties: ReceivedProperties) -> dict[str, Any]:
    return dict(properties.headers or {})


def foreign(headers: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in headers.items() if not name.startswith(OURS)}


class TestReading:
    @pytest.mark.parametrize("headers", UNREADABLE.values(), ids=UNREADABLE)
    def test_what_cannot_be_read_is_told_and_the_rest_is_read(self, headers: bytes) -> None:
        good = entry(b"tenant", text("север".encode()))
        properties = received(section(headers + good, b"id-7"))
        assert properties.unreadable
        assert (properties.message_id, headers_of(properties)["tenant"]) == ("id-7", "север")
        refusal = properties.refusal()
        assert refusal is not None
        assert refusal.code == "unreadable_properties"
        assert json.loads(json.dumps(properties.told()))["properties"]["message_id"] == "id-7"

    def test_milliseconds_are_called_by_their_name(self) -> None:
        reason = received(section(UNREADABLE["a timestamp in milliseconds"])).unreadable
        assert reason is not None
        for told, word in zip(reason, ("milliseconds", "миллисекунды"), strict=True):
            assert all(each in told for each in ("sent-at", "1764000000000", word))

    def test_nothing_in_a_header_makes_readable_properties_unreadable(self) -> None:
        forged = entry(b"unreadable", text(b"yes")) + entry(b"task-creator-unreadable", text(b"yes"))
        assert received(section(forged)).refusal() is None

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (b"d" + struct.pack(">d", 12.75), 12.75),
            (b"f" + struct.pack(">f", 0.5), 0.5),
            (timestamp(-86_400), datetime(1969, 12, 31, tzinfo=UTC)),
            (timestamp(253_402_300_799), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
            (b"D\x02" + struct.pack(">i", 1234), Decimal("12.34")),
            (text(b"\xff"), b"\xff"),
            (b"x" + struct.pack(">I", 2) + b"ab", b"ab"),
        ],
    )
    def test_a_value_is_what_its_sender_wrote(self, value: bytes, expected: Any) -> None:
        assert read_table(entry(b"name", value)) == {"name": expected}

    def test_the_nesting_that_is_read_has_one_limit(self) -> None:
        assert read_table(entry(b"n", nested(DEPTH_LIMIT - 1)))
        with pytest.raises(UnreadableError):
            read_table(entry(b"n", nested(DEPTH_LIMIT)))

    @settings(deadline=None)
    @given(header_tables)
    def test_what_both_can_read_they_read_alike(self, headers: bytes) -> None:
        try:
            ours = read_table(headers)
        except UnreadableError:
            return
        try:
            pika_s, _ = data.decode_table(struct.pack(">I", len(headers)) + headers, 0)
        except (ValueError, OverflowError):  # a date before 1970, or its integer for an infinite float
            return
        assert _without_fractions(ours) == _without_fractions(pika_s)

    @settings(deadline=None)
    @given(sections())
    def test_all_other_properties_are_read_as_pika_reads_them(self, raw: bytes) -> None:
        try:
            pika_s = pika.BasicProperties().decode(raw)
        except (ValueError, OverflowError, OSError, RecursionError):  # a timestamp beyond the C library's calendar
            return
        ours = received(raw)
        for name in ("content_type", "delivery_mode", "priority", "correlation_id", "timestamp", "cluster_id"):
            wanted, got = getattr(pika_s, name), getattr(ours, name)
            assert got == (wanted.decode("utf-8", "surrogateescape") if isinstance(wanted, bytes) else wanted)

    @settings(deadline=None)
    @given(st.binary(max_size=300) | sections().map(lambda raw: raw[: len(raw) // 2]))
    def test_no_bytes_at_all_raise(self, raw: bytes) -> None:
        properties = received(raw)
        json.dumps(properties.told()).encode()
        work(properties).copy(Tries(), "again")


class TestCopies:
    @settings(deadline=None)
    @given(sections())
    def test_a_copy_carries_every_foreign_header_as_it_came_and_none_for_the_broker(self, raw: bytes) -> None:
        original = received(raw)
        once = published(work(original).copy(Tries(2, 1), "the portal says no"))
        assert once.unreadable is None
        kept = {name: value for name, value in original.wire_headers().items() if not speaks_to_the_broker(name)}
        assert foreign(once.wire_headers()) == foreign(kept)
        again = published(work(once).copy(Tries(3, 1), "the portal says no"))
        assert foreign(again.wire_headers()) == foreign(once.wire_headers()), "a copy of a copy is the same"
        assert work(again).tries == Tries(3, 1)
        for name in ("content_type", "content_encoding", "timestamp", "correlation_id", "type", "app_id", "priority"):
            assert getattr(again, name) == getattr(original, name)
        assert (again.expiration, again.user_id, again.cluster_id, again.delivery_mode) == (None, None, None, 2)
        if original.message_id:
            assert again.message_id == original.message_id

    @settings(deadline=None)
    @given(sections())
    def test_so_do_a_rerouted_message_and_the_copy_of_a_sent_one(self, raw: bytes) -> None:
        original = received(raw)
        sent = Held(1, original, b"{}", SentHeader("task-1", None, "accepted"))
        for copy in (work(original).rerouted(), sent.copy()):
            headers = published(copy).wire_headers()
            assert not [name for name in headers if speaks_to_the_broker(name)]
            kept = {name: value for name, value in original.wire_headers().items() if not speaks_to_the_broker(name)}
            assert foreign(headers) == foreign(kept)

    def test_a_copy_names_no_direct_reply(self) -> None:
        # RabbitMQ 3.10.8, 4.0.5, 4.3.6: 406 "fast reply consumer does not exist" closes the publisher's channel. An
        # AMQP 1.0 client can bring such a message into a queue.
        original = ReceivedProperties(reply_to="amq.rabbitmq.reply-to", correlation_id="7")
        assert work(original).copy(Tries(), "").properties == {"correlation_id": "7"}
        assert work(ReceivedProperties(reply_to="answers")).copy(Tries(), "").properties == {"reply_to": "answers"}

    def test_a_copy_with_too_many_headers_keeps_ours(self) -> None:
        large = entry(b"large", text(b"x" * FOREIGN_HEADERS_LIMIT))
        original = received(section(large + entry(b"task-creator-origin", text(b"tasks/bitrix24.x"))))
        headers = headers_of(published(work(original).rerouted()))
        assert headers["task-creator-origin"] == "tasks/bitrix24.x"
        assert "large" not in headers

    @settings(deadline=None)
    @given(st.dictionaries(st.text(max_size=20), st.text(max_size=30) | st.integers(-(2**62), 2**62), max_size=5))
    def test_what_we_write_ourselves_is_written_as_pika_writes_it(self, headers: dict[str, Any]) -> None:
        fields: dict[str, Any] = {
            "content_type": "application/json",
            "headers": headers,
            "message_id": "id-ё",
            "priority": 7,
        }
        ours, pika_s = OutgoingProperties(**fields), pika.BasicProperties(**fields)
        assert b"".join(ours.encode()) == b"".join(pika_s.encode())


def test_values_of_every_type_are_carried_in_tables_and_lists() -> None:
    everything = table([entry(b"CC", text(b"inside, it speaks to nobody")), entry(b"f", b"d" + struct.pack(">d", 1.5))])
    copy = published(work(received(section(entry(b"table", everything)))).copy(Tries(), ""))
    assert headers_of(copy)["table"] == {"CC": "inside, it speaks to nobody", "f": 1.5}


def _without_fractions(value: Any) -> Any:
    # pika 1.4.4, data.py: long(struct.unpack_from('>d', ...)) reads 12.75 as 12.
    if isinstance(value, dict):
        return {name: _without_fractions(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_fractions(inner) for inner in value]
    return int(value) if isinstance(value, float) else value
