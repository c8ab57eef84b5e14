"""What a search lets go by unread is held and given back like everything else, and nothing that counts goes by."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from pika import spec
from pika.frame import Body, Header, Method

from broker.properties import OutgoingProperties
from broker.sieve import Sieve
from broker.taken_queue import TakenQueue
from core.messages import HEADER_EXTERNAL_ID, HEADER_STATE, HEADER_TASK_ID
from sandbox.broker_view import Broker
from testbench.harness import Bench
from tests.support.queue_types import ON_CLASSIC
from tests.tracking.conftest import bench
from tracking.passing import passing

__all__ = ["bench"]  # a fixture

QUEUE = "to.search.queue"


def encoded(headers: Mapping[str, Any] | None, **more: Any) -> bytes:
    return b"".join(OutgoingProperties(headers=None if headers is None else dict(headers), **more).encode())


def ours(task_id: str, state: str = "accepted", **more: Any) -> dict[str, Any]:
    return {HEADER_TASK_ID: task_id, HEADER_EXTERNAL_ID: "42", HEADER_STATE: state, **more}


def delivery(tag: int, headers: Mapping[str, Any] | None, body: bytes, piece: int = 1000) -> bytes:
    """As RabbitMQ sends it."""
    method = spec.Basic.Deliver("ctag1", tag, False, "", QUEUE)
    pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
    return b"".join(
        [
            Method(1, method).marshal(),
            Header(1, len(body), OutgoingProperties(headers=None if headers is None else dict(headers))).marshal(),
            *(Body(1, each).marshal() for each in pieces),
        ]
    )


def always(_properties: bytes) -> bool:
    return True


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 5000])
def test_a_whole_delivery_goes_by_and_a_part_of_one_does_not(size: int) -> None:
    whole = delivery(7, ours("a"), b"x" * size)
    for end in range(len(whole)):
        assert Sieve(always).pass_by(whole[:end], 0) == 0
    sieve = Sieve(always)
    assert sieve.pass_by(b"before" + whole + b"behind", 6) == len(whole)
    assert sieve.tags == [7]


def test_what_is_no_delivery_does_not_go_by() -> None:
    other = [
        Method(1, spec.Basic.CancelOk("ctag1")).marshal(),
        Method(1, spec.Basic.GetOk(7, False, "", QUEUE, 3)).marshal(),
        Method(1, spec.Channel.Close(404, "NOT_FOUND", 0, 0)).marshal(),
        struct.pack(">BHI", 8, 0, 0) + b"\xce",  # a heartbeat
        b"\x00" * 50,
        delivery(7, ours("a"), b"x" * 10)[:-1] + b"\x00",
    ]
    for each in other:
        assert Sieve(always).pass_by(each + delivery(8, ours("b"), b""), 0) == 0


@pytest.mark.parametrize(
    ("headers", "goes_by"),
    [
        (ours("other"), True),
        (ours("o"), True),
        (ours("иное"), True),
        (ours("sought"), False),
        (ours("answered"), False),
        (ours("задача"), False),
        (ours("other", "done"), False),
        ({HEADER_TASK_ID: ""}, False),
        ({HEADER_TASK_ID: 7}, False),
        ({}, False),
        (None, False),
        ({"their-own": "sought"}, False),
        (ours("other") | {"x-delivery-count": 1}, False),
        (ours("other") | {"x-acquired-count": 1}, False),
        (ours("other", theirs=True), True),
    ],
)
def test_only_what_is_certainly_not_sought_goes_by(headers: dict[str, Any] | None, goes_by: bool) -> None:
    is_passed = passing(["sought", "задача"], ["answered"])
    assert is_passed(encoded(headers, message_id="m", delivery_mode=2)) is goes_by


@pytest.mark.parametrize("cut", range(0, 200, 7))
def test_properties_that_end_too_soon_raise_nothing(cut: int) -> None:
    whole = encoded(ours("other"))
    passing(["sought"], [])(whole[:cut])


@ON_CLASSIC
def test_what_goes_by_is_held_counted_and_given_back_in_its_place(bench: Bench, broker: Broker) -> None:
    chance = random.Random(5)
    broker.declare(QUEUE)
    names = [f"task-{number}" for number in range(300)]
    sought = set(chance.sample(names, 5))
    with broker.channel() as channel:
        for name in names:
            size = chance.choice((0, 10, 1400, 5_000, 200_000))
            properties = spec.BasicProperties(headers=ours(name), message_id=name, delivery_mode=2)
            channel.basic_publish("", QUEUE, b"x" * size, properties)
    broker.wait_for_count(QUEUE, len(names))
    with TakenQueue.opened(QUEUE, bench.topology, bench.parameters, bench.stop.is_set) as queue:
        found: list[str] = []
        seen = passed = 0
        while seen < len(names):
            taken = queue.take(70, passing(sought, []))
            found += [str(properties.message_id) for _, properties, _ in taken]
            seen += len(taken) + queue.passed
            passed += queue.passed
            queue.ack([tag for tag, properties, _ in taken if properties.message_id in sought])
        assert seen == len(names)
        assert sought <= set(found)
        assert passed > len(names) // 2, "small ones, at the least"
    left = [str(properties.message_id) for properties, _ in broker.get_all(QUEUE)]
    assert left == [name for name in names if name not in sought]
