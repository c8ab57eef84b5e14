"""What happens between worker and RabbitMQ: cut, half-open, slow, refused."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

from benchmarks.faults.account import Published
from benchmarks.faults.row import Row
from benchmarks.faults.rows.worker import forget_earlier_deaths, on_quorum
from benchmarks.faults.stage import Stage
from benchmarks.faults.strikes import cut_and_come_back
from benchmarks.faults.tasks import task

GROUP = "network"


def rows() -> list[Row]:
    cut = Row(
        "link-cut",
        GROUP,
        "both connections are reset",
        strike=cut_link,
        proxied=True,
        may_answer_twice=True,
        soak=True,
    )
    cut_and_killed = Row(
        "link-cut-worker-killed",
        GROUP,
        "reset, and the worker is killed just after it has come back",
        strike=cut_and_kill,
        tasks=1200,  # far more in hand than in one request: a stale tag means a message that nobody has begun
        settings={"PREFETCH": "200"},
        latency=0.4,
        proxied=True,
        may_answer_twice=True,
    )
    half_open = Row(
        "link-half-open",
        GROUP,
        "nothing that is sent arrives, and no socket is closed (heartbeat 2 s)",
        strike=stall,
        settings={"RABBITMQ_HEARTBEAT": "2"},
        rounds=2,
        proxied=True,
        may_answer_twice=True,
        short=False,
    )
    return [
        cut,
        Row(
            "link-cut-mid-publish",
            GROUP,
            "reset with 50 KB messages on a slow link: frames are torn",
            strike=cut_slow_link,
            make_task=large,
            proxied=True,
            may_answer_twice=True,
        ),
        cut_and_killed,
        half_open,
        Row(
            "link-slow",
            GROUP,
            "everything takes 500 ms each way: nobody reconnects",
            strike=slow_down,
            check=no_connection_was_lost,
            proxied=True,
        ),
        Row(
            "link-lossy",
            GROUP,
            "one packet in twenty is lost and sent again 300 ms later: nobody reconnects",
            strike=lose_packets,
            check=no_connection_was_lost,
            proxied=True,
            short=False,
        ),
        Row(
            "link-trickle",
            GROUP,
            "one byte per second each way for 18 s: no frame is through when the next one is due (heartbeat 2 s)",
            strike=partial(trickle, 1.0),
            settings={"RABBITMQ_HEARTBEAT": "2"},
            rounds=2,
            proxied=True,
            may_answer_twice=True,
            short=False,
        ),
        Row(
            "link-narrow",
            GROUP,
            "200 bytes per second each way for 18 s: a message takes longer than a heartbeat (2 s), nobody reconnects",
            strike=partial(trickle, 1 / 200),
            check=no_connection_was_lost,
            settings={"RABBITMQ_HEARTBEAT": "2"},
            rounds=2,
            proxied=True,
            short=False,
        ),
        Row(
            "link-refused",
            GROUP,
            "reset, and connections are refused for 3 s",
            strike=refuse,
            proxied=True,
            may_answer_twice=True,
            soak=True,
        ),
        Row(
            "publisher-connection-lost",
            GROUP,
            "RabbitMQ closes the connection that publishes, and no other, with publishes on the way",
            strike=close_publisher,
            proxied=True,
            may_answer_twice=True,
        ),
        Row(
            "consumer-connection-lost",
            GROUP,
            "RabbitMQ closes the connection that consumes, and no other, with results on the way",
            strike=close_consumer,
            proxied=True,
            short=False,
        ),
        *(on_quorum(row) for row in (cut, cut_and_killed, half_open)),
    ]


def cut_link(stage: Stage, _chance: random.Random) -> None:
    stage.proxy.cut()


def cut_slow_link(stage: Stage, chance: random.Random) -> None:
    stage.proxy.delay(0.05)
    stage.pause(chance.uniform(0.1, 0.4))
    stage.proxy.cut()
    stage.proxy.restore()


def cut_and_kill(stage: Stage, chance: random.Random) -> None:
    forget_earlier_deaths(stage)
    cut_and_come_back(stage, 10)
    stage.pause(chance.uniform(0, 0.6))
    stage.worker.kill()


def close_publisher(stage: Stage, _chance: random.Random) -> None:
    _close_connection(stage, "publisher")


def close_consumer(stage: Stage, _chance: random.Random) -> None:
    _close_connection(stage, "consumer")


def _close_connection(stage: Stage, role: str) -> None:
    """Closes the worker's connection of that role while confirms take half a second to come."""
    stage.proxy.delay(0.25)
    try:
        stage.pause(0.6)
        for line in stage.node.ctl("list_connections", "pid", "vhost", "client_properties").splitlines():
            if stage.address.vhost in line and f"task-creator {role}" in line:
                stage.node.ctl("close_connection", line.split("\t")[0], "closed by the fault matrix")
    finally:
        stage.proxy.restore()


def stall(stage: Stage, _chance: random.Random) -> None:
    stage.proxy.stall()
    stage.pause(16)  # pika notices after 2 × (heartbeat + 5) seconds
    stage.proxy.restore()


def slow_down(stage: Stage, _chance: random.Random) -> None:
    stage.proxy.delay(0.5)
    stage.pause(3)
    stage.proxy.restore()


def lose_packets(stage: Stage, _chance: random.Random) -> None:
    stage.proxy.lose(0.05)
    stage.feed(20, 0.5)
    stage.pause(3)
    stage.proxy.restore()


def trickle(byte_time: float, stage: Stage, _chance: random.Random) -> None:
    stage.proxy.trickle(byte_time)
    stage.feed(20, 0.5)
    stage.pause(18)  # pika gives up when no whole frame has come for 2 × (heartbeat + 5) seconds
    stage.proxy.restore()


def refuse(stage: Stage, _chance: random.Random) -> None:
    stage.proxy.refuse()
    stage.proxy.cut()
    stage.pause(3)
    stage.proxy.restore()


def large(number: int) -> Published:
    return task(number, padding=50_000)


def no_connection_was_lost(stage: Stage) -> Sequence[str]:
    lost = stage.worker.output().count("rabbitmq.disconnected")
    return [f"{lost} connections were given up on a slow link"] if lost else []
