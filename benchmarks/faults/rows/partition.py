"""A worker that has lost its messages and does not know it yet, while another one has them.

It reaches the outside system and no RabbitMQ, or it stands still for longer than RabbitMQ waits for it. Times are those
of the defaults divided by ten where the row is about proportions: heartbeat 3 s (30), time-out 6.5 s (65), wait after a
request without an answer 6 s (60).
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

from benchmarks.faults.row import Row
from benchmarks.faults.stage import Stage
from benchmarks.faults.strikes import PATIENCE

GROUP = "partition"

HEARTBEAT = 2  # seconds; RabbitMQ gives a silent connection up after two to three of them, pika after 2 × (2 + 5)
SILENCE = 18.0  # seconds
_SLOW = 5.5  # seconds that a request takes, of 6.5 that the time-out allows
_PROPORTIONS = {"RABBITMQ_HEARTBEAT": "3"}
# Systems of which one worker at a time creates, and functions, whose journal says what was begun.
EXCLUSIVE = ("bitrix24", "openproject", "email", "telegram", "callables")
KEYED = ("1c", "python-services", "default")


def rows() -> list[Row]:
    partitioned = Row(
        "worker-partitioned",
        GROUP,
        "the worker reaches the system and not RabbitMQ, first silently, then refused; a second worker takes over",
        strike=partial(partition, SILENCE),
        settings={"RABBITMQ_HEARTBEAT": str(HEARTBEAT)},
        latency=0.3,
        tasks=160,
        rounds=3,
        workers=2,
        proxied=True,
        may_answer_twice=True,
        short=False,
    )
    slow = replace(
        partitioned,
        name="worker-partitioned-slow-portal",
        story="the same, and each request takes nearly as long as its time-out allows (all times a tenth)",
        strike=partial(partition, 2 * SILENCE),
        settings=_PROPORTIONS,
        slow=True,
        latency=_SLOW,
        ambiguous_wait=6,
        tasks=24,
        rounds=1,
        patience=300.0,
    )
    frozen = replace(
        partitioned,
        name="worker-frozen-long",
        story="SIGSTOP for 25 s, ten heartbeats and more, then SIGCONT; a second worker has taken over",
        strike=partial(freeze, 25.0),
        proxied=False,
    )
    return [
        *(_at(partitioned, system) for system in (*EXCLUSIVE, *KEYED)),
        *(_at(slow, system) for system in EXCLUSIVE),
        *(_at(frozen, system) for system in EXCLUSIVE),
    ]


def _at(row: Row, system: str) -> Row:
    return row if system == row.system else replace(row, name=f"{row.name}@{system}", system=system, rounds=1)


def partition(seconds: float, stage: Stage, chance: random.Random) -> None:
    _let_the_first_work(stage, chance)
    stage.proxy.stall()
    stage.doubt()
    stage.feed(stage.spec.tasks // 8, 1.0)
    stage.pause(seconds)
    stage.proxy.refuse()
    stage.proxy.cut()
    stage.pause(3)
    stage.proxy.restore()


def freeze(seconds: float, stage: Stage, chance: random.Random) -> None:
    _let_the_first_work(stage, chance)
    stage.worker.suspend()
    stage.doubt()
    stage.feed(stage.spec.tasks // 8, 1.0)
    stage.pause(seconds)
    stage.worker.resume()


def _let_the_first_work(stage: Stage, chance: random.Random) -> None:
    """The second worker leaves and comes back: whatever it had is the first one's now, which is busy with it."""
    stage.workers[1].terminate()
    before = stage.target.created
    stage.feed(stage.spec.tasks // 4, 0.5)
    if not stage.wait_for(lambda: stage.target.created > before, PATIENCE + 2 * stage.spec.latency):
        raise TimeoutError("the first worker creates nothing")
    stage.pause(chance.uniform(0, 0.5))
