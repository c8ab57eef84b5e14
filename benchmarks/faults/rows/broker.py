"""What happens to RabbitMQ: killed, restarted, gone for long, throwing clients out, short of memory or disk."""

from __future__ import annotations

import random
from collections.abc import Sequence

from benchmarks.faults.row import Row
from benchmarks.faults.rows.worker import forget_earlier_deaths, on_quorum
from benchmarks.faults.stage import Stage
from sandbox.rabbitmq import RabbitNode

GROUP = "broker"
ACK_TIMEOUT = 60  # seconds; less is not supported by RabbitMQ


def rows() -> list[Row]:
    killed = Row(
        "broker-killed",
        GROUP,
        "kill -9 of RabbitMQ, then a start",
        strike=crash,
        prepare=age_queues,
        may_answer_twice=True,
    )
    closed = Row(
        "connections-closed",
        GROUP,
        "every connection is closed by RabbitMQ",
        strike=close_connections,
        may_answer_twice=True,
        soak=True,
    )
    storm = Row(
        "retry-storm-broker-killed",
        GROUP,
        "the portal refuses every third creation for a while; RabbitMQ is killed in the middle of the retries",
        strike=crash,
        prepare=refuse_often,
        settings={"RETRY_ATTEMPTS": "50", "RETRY_MAX_DELAY": "0.2"},
        may_answer_twice=True,
        short=False,
    )
    young = Row(
        "broker-killed-young-wait-queue",
        GROUP,
        "RabbitMQ is killed when the worker has just created a wait queue: it forgets what is in it, or cannot use it",
        strike=crash_when_a_wait_queue_appears,
        settings={"RETRY_ATTEMPTS": "50", "RETRY_MAX_DELAY": "0.2"},
        tasks=100,
        rounds=2,
        patience=150.0,  # RabbitMQ refuses what such a queue cannot take after 65 s
        may_answer_twice=True,
        short=False,
    )
    return [
        killed,
        young,
        Row(
            "broker-restarted",
            GROUP,
            "orderly stop and start",
            strike=restart,
            may_answer_twice=True,
            short=False,
            soak=True,
        ),
        Row(
            "broker-gone-for-long",
            GROUP,
            "RabbitMQ is away for 20 s",
            strike=long_absence,
            prepare=age_queues,
            rounds=2,
            may_answer_twice=True,
            short=False,
        ),
        closed,
        Row(
            "password-changed",
            GROUP,
            "every connection is closed, and RabbitMQ refuses the password for 3 s",
            strike=refuse_password,
            may_answer_twice=True,
        ),
        Row(
            "memory-alarm",
            GROUP,
            "RabbitMQ takes no publishes for want of memory",
            strike=memory_alarm,
            rounds=2,
            soak=True,
        ),
        Row(
            "memory-alarm-worker-killed",
            GROUP,
            "the worker is killed while RabbitMQ takes no publishes",
            strike=memory_alarm_and_kill,
            latency=0.2,
            may_answer_twice=True,
        ),
        Row("disk-alarm", GROUP, "the same for want of disk", strike=disk_alarm, rounds=2, short=False, soak=True),
        storm,
        Row(
            "ack-timeout",
            GROUP,
            f"consumer_timeout is {ACK_TIMEOUT} s, and people take longer",
            strike=wait_for_people,
            people_after=2.5 * ACK_TIMEOUT,
            node_config={"consumer_timeout": str(1000 * ACK_TIMEOUT)},
            rounds=1,
            tasks=100,
            patience=240,
            short=False,
        ),
        *(on_quorum(row) for row in (killed, closed, storm)),
    ]


def crash(stage: Stage, chance: random.Random) -> None:
    stage.pause(chance.uniform(0, 0.5))
    stage.node.kill()
    stage.node.start()


def crash_when_a_wait_queue_appears(stage: Stage, chance: random.Random) -> None:
    delete_wait_queues(stage, chance)
    refuse_creations(stage, 0.5)
    try:
        stage.feed(20, 0.2)
        names = [f"{stage.target.queue}.retry.{milliseconds}ms" for milliseconds in (100, 200)]
        wait_for_any(stage, names, "no wait queue was created, although creations are refused")
        stage.node.kill()
        stage.node.start()
    finally:
        stage.target.server.clear_faults()
    stage.quiesce()


def wait_for_any(stage: Stage, queues: Sequence[str], otherwise: str) -> None:
    """Until one of them is there, noticed at once. Raises TimeoutError with these words."""
    if not stage.wait_for(lambda: any(map(stage.queues.exists, queues)), 10.0, poll=0.01):
        raise TimeoutError(otherwise)


def delete_wait_queues(stage: Stage, _chance: random.Random) -> None:
    stage.quiesce()
    for queue in stage.wait_queues():
        stage.queues.delete(queue)


def restart(stage: Stage, _chance: random.Random) -> None:
    stage.node.stop()
    stage.node.start()


def long_absence(stage: Stage, _chance: random.Random) -> None:
    stage.node.kill()
    stage.pause(20)
    stage.node.start()


def close_connections(stage: Stage, _chance: random.Random) -> None:
    stage.node.close_all_connections()


def refuse_password(stage: Stage, _chance: random.Random) -> None:
    address = stage.node.address
    stage.node.ctl("change_password", address.username, "another one")
    try:
        stage.node.close_all_connections()
        stage.pause(3)
    finally:
        stage.node.ctl("change_password", address.username, address.password)


def memory_alarm(stage: Stage, _chance: random.Random) -> None:
    stage.node.set_memory_alarm(True)
    try:
        stage.pause(stage.length(30, short=3))
    finally:
        stage.node.set_memory_alarm(False)


def memory_alarm_and_kill(stage: Stage, _chance: random.Random) -> None:
    forget_earlier_deaths(stage)
    stage.feed(40, 2.0)  # rabbitmqctl takes its time: without these nothing would be in anybody's hands by then
    stage.node.set_memory_alarm(True)
    try:
        stage.pause(0.5)  # what is in the worker's hands now is published into the blocked connection
        stage.worker.kill()
    finally:
        stage.node.set_memory_alarm(False)


def disk_alarm(stage: Stage, _chance: random.Random) -> None:
    _set_disk_limit(stage.node, "1000000GB")
    try:
        stage.pause(stage.length(15, short=2))
    finally:
        _set_disk_limit(stage.node, "50MB")


def age_queues(stage: Stage) -> None:
    """A quorum queue whose node is killed within a second of its creation may take nothing any more.

    See docs/guarantees.md: so the wait queues are there from the beginning, and old when the node is killed.
    """
    for milliseconds in (100, 200, 1000, 2000):
        stage.queues.declare_wait_queue(milliseconds, stage.target.queue)
    stage.pause(3)


def refuse_often(stage: Stage) -> None:
    age_queues(stage)
    refuse_creations(stage, 0.3)


def refuse_creations(stage: Stage, share: float) -> None:
    """The system refuses that share of the creations from now on."""
    create, match = stage.target.create.name, stage.target.create.match
    if stage.spec.system == "bitrix24":
        create, match = "tasks.task.add", None  # each of a batch for itself
    stage.target.server.inject(stage.target.failure(), create, count=None, probability=share, match=match)


def wait_for_people(stage: Stage, _chance: random.Random) -> None:
    stage.pause(2.5 * ACK_TIMEOUT)


def _set_disk_limit(node: RabbitNode, limit: str) -> None:
    node.ctl("set_disk_free_limit", limit)
