"""What AMQP 1.0 clients leave in a queue, as bytes: OASIS AMQP 1.0, parts 1 and 3. No broker is needed here."""

from __future__ import annotations

import contextlib
import json
import struct
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.amqp10_values import (
    APPLICATION_PROPERTIES,
    DATA,
    PROPERTIES,
    VALUE,
    Described,
    Symbol,
    read_value,
    written,
)
from broker.undeliverable import undeliverable
from core.amqp10 import NoTextError, text_of
from core.errors import InvalidMessageError
from core.messages import Limits, decode_task
from testbench.harness import camunda_message

UNREADABLE = (ValueError, IndexError, struct.error, RecursionError)
ORDER = uuid.UUID("7c1d9e52-0b3f-4c8e-9a51-2f6d0e8b4a17")


def value_section(code: int, text: bytes) -> bytes:
    width = ">B" if code < 0xB0 else ">I"
    return b"\x00\x53\x77" + bytes((code,)) + struct.pack(width, len(text)) + text


def section(descriptor: int, value: bytes) -> bytes:
    return struct.pack(">BBB", 0x00, 0x53, descriptor) + value


def pairs(*items: bytes) -> bytes:
    joined = b"".join(items)
    return struct.pack(">BII", 0xD1, len(joined) + 4, len(items)) + joined


def message(*sections: bytes, body: bytes = b"{}") -> bytes:
    return b"".join(sections) + section(DATA, written(body))


class TestBodies:
    @pytest.mark.parametrize("code", [0xB0, 0xB1, 0xB3])
    @given(text=st.binary(max_size=400))
    def test_the_text_of_a_value_is_read_whatever_its_length(self, code: int, text: bytes) -> None:
        assert text_of(value_section(code, text)) == text
        if len(text) < 256:
            assert text_of(value_section(code - 0x10, text)) == text

    @given(st.binary(max_size=40))
    def test_no_body_raises_anything_but_a_reason(self, body: bytes) -> None:
        for start in (b"", b"\x00\x53\x77", b"\x00\x53\x76", b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x77"):
            with contextlib.suppress(NoTextError):
                text_of(start + body)

    def test_what_is_no_amqp_value_is_left_alone(self) -> None:
        for body in (b'{"task_id": "a"}', b"", b"\x00", b"\x00\x00 binary", b"Sw\xa1\x01x"):
            assert text_of(body) == body

    def test_a_text_that_is_cut_off_is_refused(self) -> None:
        with pytest.raises(InvalidMessageError) as refused:
            decode_task(value_section(0xB1, camunda_message("task-1"))[:-1], Limits())
        assert refused.value.code == "amqp10_value"


class TestUndeliverable:
    def test_a_uuid_is_told_and_the_task_is_whole(self) -> None:
        body = camunda_message("task-1")
        properties = section(APPLICATION_PROPERTIES, pairs(written("order"), b"\x98" + ORDER.bytes))
        report = undeliverable(message(properties, body=body), "bitrix24.queue")
        assert report is not None
        fields = json.loads(report.body)
        assert (fields["task_id"], fields["code"]) == ("task-1", "unreadable_properties")
        assert fields["original_message"] == json.loads(body)
        assert fields["properties"] == {"application_properties": {"order": str(ORDER)}}
        assert "order holds a uuid" in fields["error"]

    @pytest.mark.parametrize(
        "value",
        [
            b"\x73\x00\x00\x00A",
            b"\x84" + bytes(8),
            struct.pack(">Bd", 0x82, float("nan")),
            b"\xc0\x12\x01\x98" + ORDER.bytes,
            pairs(written("deep"), b"\x98" + ORDER.bytes),
            struct.pack(">BBBB", 0xE0, 18, 1, 0x98) + ORDER.bytes,
        ],
        ids=["char", "decimal", "nan", "list", "map", "array"],
    )
    def test_so_is_every_type_that_0_9_1_lacks_wherever_it_stands(self, value: bytes) -> None:
        assert undeliverable(message(section(APPLICATION_PROPERTIES, pairs(written("x"), value))), "q") is not None

    def test_ids_may_be_of_any_type_and_so_may_what_the_body_holds(self) -> None:
        # RabbitMQ 4 writes them as texts.
        identified = section(PROPERTIES, b"\xc0\x12\x01\x98" + ORDER.bytes)
        assert undeliverable(message(identified), "q") is None
        assert undeliverable(identified + section(VALUE, pairs(written("x"), b"\x98" + ORDER.bytes)), "q") is None

    def test_an_ordinary_message_stays_in_its_queue(self) -> None:
        ordinary = pairs(written("a"), written("text"), written("b"), written(7), written("c"), written(None))
        assert undeliverable(message(section(APPLICATION_PROPERTIES, ordinary)), "q") is None

    @settings(deadline=None)
    @given(st.binary(max_size=60))
    def test_no_bytes_raise_anything_that_is_not_expected(self, raw: bytes) -> None:
        for start in (b"", b"\x00\x53\x73", b"\x00\x53\x74\xc1", b"\x00\x53\x74\xd1", b"\x00\x53\x75\xa0"):
            with contextlib.suppress(*UNREADABLE):
                undeliverable(start + raw, "q")

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(0, 2**32 - 1) | st.text() | st.binary(),
            lambda inner: st.lists(inner, max_size=4),
        )
    )
    def test_what_is_written_is_read(self, value: Any) -> None:
        assert read_value(written(Described(0x10, [value, Symbol("s")])), 0)[0] == Described(0x10, [value, "s"])
