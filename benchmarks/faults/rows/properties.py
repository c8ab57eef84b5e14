"""What stands beside a message's body: headers that a client library cannot read, and headers that route."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from benchmarks.faults.account import Published
from benchmarks.faults.row import Row
from benchmarks.faults.rows.broker import delete_wait_queues, refuse_creations
from benchmarks.faults.rows.worker import on_quorum
from benchmarks.faults.stage import Stage
from benchmarks.faults.tasks import task

GROUP = "properties"
ASIDE = "archive.queue"  # where CC and BCC lead
_MILLISECONDS = 1_795_416_779_220  # what Node's amqplib writes for {'!': 'timestamp', value: Date.now()}


class WildTimestamp(datetime):
    """A moment that pika writes and no Python can read: its seconds are `_MILLISECONDS`."""

    def utctimetuple(self) -> time.struct_time:
        return time.struct_time((1970, 1, 1, 0, 0, _MILLISECONDS, 3, 1, 0))


_WILD = WildTimestamp(1970, 1, 1)  # pika asks for its time tuple alone
# What a client library refuses to read, or hands on as no text.
UNREADABLE: Sequence[Mapping[Any, Any]] = (
    {"created": _WILD},
    {"trace": {"steps": [{"at": _WILD}]}},
    {"who": "Анна", "when": [_WILD, _WILD], "x-version": 3},
    {b"\xcf\xf0\xe8\xe2\xe5\xf2": "cp1251"},
    {b"\xff\xfe": 1, "ключ": "значение"},
)


def rows() -> list[Row]:
    undecodable = Row(
        "input-undecodable-properties",
        GROUP,
        "every fourth message has a header with a timestamp in milliseconds, or whose name is not UTF-8: it is parked",
        strike=leave_alone,
        prepare=refuse_some,
        make_task=odd_or_not,
        settings={"RETRY_ATTEMPTS": "50"},
        short=True,
    )
    return [
        undecodable,
        on_quorum(undecodable),
        Row(
            "input-routing-headers",
            GROUP,
            "headers CC and BCC; creations are refused, and the wait queues are missing",
            strike=delete_wait_queues,
            prepare=set_aside,
            check=was_routed_once,
            make_task=routed,
            settings={"RETRY_ATTEMPTS": "50"},
            through_exchange=False,  # CC and BCC are routing keys of the same exchange: here names of queues
            aside=(ASIDE,),
        ),
    ]


def odd_or_not(number: int) -> Published:
    if number % 4 != 1:
        return task(number)
    headers = UNREADABLE[number // 4 % len(UNREADABLE)]
    return replace(task(number), ends="parked", code="unreadable_properties", headers=headers, checklist=0)


def routed(number: int) -> Published:
    names = ("CC", "BCC")
    return replace(task(number), headers={names[number % 2]: [ASIDE]}) if number % 3 else task(number)


def leave_alone(stage: Stage, _chance: random.Random) -> None:
    stage.pause(0.5)


def refuse_some(stage: Stage) -> None:
    refuse_creations(stage, 0.2)


def set_aside(stage: Stage) -> None:
    stage.queues.declare(ASIDE)
    refuse_creations(stage, 0.3)


def was_routed_once(stage: Stage) -> Sequence[str]:
    """The broker has followed Camunda's side, and nobody else has asked it to."""
    wanted = sum(bool(each.headers) for each in stage.driver.confirmed)
    found = len(stage.aside[ASIDE])
    return [] if found == wanted else [f"{found} messages in {ASIDE}, {wanted} were published with CC or BCC"]
