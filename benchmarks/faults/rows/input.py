"""What comes in: bytes that are no task, tasks that cannot be done, messages that come twice or are far too large.

Each bad message must end in the error queue exactly once, with its reason and its bytes unchanged; the good ones
between them are done as if nothing were the matter.
"""

from __future__ import annotations

import random
from dataclasses import replace

from benchmarks.faults.account import Published
from benchmarks.faults.bad_input import bad_message, oversized, unknown_topic, with_byte_order_mark
from benchmarks.faults.memory import MemoryWatch
from benchmarks.faults.row import Row
from benchmarks.faults.stage import Stage
from benchmarks.faults.tasks import task
from benchmarks.measure import MIB
from sandbox.camunda import ERRORS_QUEUE

GROUP = "input"
OVERSIZED = 64 * MIB
# As it comes in, as it is put together, as it goes out; and what the other tasks and malloc need meanwhile.
ROOM_FOR_OVERSIZED = 3 * OVERSIZED + 32 * MIB


def rows() -> list[Row]:
    malformed = Row(
        "input-malformed",
        GROUP,
        "every second message is none, or no task that can be done: cut off, cp1251, null, missing or mistyped keys, …",
        strike=leave_alone,
        make_task=good_or_bad,
        short=False,
    )
    memory = MemoryWatch(send_oversized, ROOM_FOR_OVERSIZED)
    return [
        malformed,
        replace(
            malformed,
            name="input-twice",
            story="each message twice, good and bad",
            make_task=twice,
            short=True,
        ),
        Row(
            "input-oversized",
            GROUP,
            f"a message of 64 MiB; the worker's memory grows by {ROOM_FOR_OVERSIZED // MIB} MiB at the most",
            strike=memory.strike,
            prepare=memory.prepare,
            check=memory.check,
            # RabbitMQ 4 takes 16 MiB when nobody tells it otherwise (4.0.5, 4.3.6), 3.10 takes 128.
            node_config={"max_message_size": str(2 * OVERSIZED)},
        ),
    ]


def good_or_bad(number: int) -> Published:
    if number == 1:
        return Published("empty", b"", ends="parked", code="not_json")
    match number % 4:
        case 1 | 3:
            return unknown_topic(number) if number % 20 == 19 else bad_message(number // 2)
        case 2:
            return with_byte_order_mark(number)
    return task(number)


def twice(number: int) -> Published:
    return replace(good_or_bad(number), copies=2)


def leave_alone(stage: Stage, _chance: random.Random) -> None:
    stage.pause(0.5)


def send_oversized(stage: Stage, _chance: random.Random) -> None:
    reports = stage.queues.count(ERRORS_QUEUE)
    stage.driver.feed([oversized(stage.round, OVERSIZED)])
    stage.feed(20, 1.0)
    if not stage.wait_for(lambda: stage.queues.count(ERRORS_QUEUE) > reports, stage.patience):
        raise TimeoutError("the oversized message was not reported")
