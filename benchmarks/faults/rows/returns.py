"""What RabbitMQ counts and drops: messages that come back to their queue again and again (quorum queues, 4.x)."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.faults.row import Row
from benchmarks.faults.rows.network import no_connection_was_lost
from benchmarks.faults.rows.worker import on_quorum
from benchmarks.faults.stage import Stage
from benchmarks.faults.strikes import PATIENCE, cut_and_come_back
from sandbox import faults

GROUP = "returns"
SWEEPS, LOSSES = 25, 25  # the limit of RabbitMQ 4 is 20
LOW_LIMIT = 3
_CONSUMER_TIMEOUT = 5  # seconds
_TOO_LONG = 9.0  # seconds that a creation takes
_LOST = "delivery.lost"  # the log's event
_UNREACHED = 60.0  # seconds after which so many sweeps should have failed


def rows() -> list[Row]:
    outage = Row(
        "outage-of-many-sweeps-quorum",
        GROUP,
        f"{SWEEPS} sweeps fail for an outage of the portal; the sent queue is a quorum queue",
        strike=outlast_sweeps,
        people_after=3,
        tasks=100,
        rounds=1,
        quorum=True,
        short=False,
    )
    timeout = Row(
        "handler-longer-than-consumer-timeout",
        GROUP,
        f"creations take {_TOO_LONG:.0f} s, and RabbitMQ takes unsettled messages back after {_CONSUMER_TIMEOUT} s",
        strike=create_slowly,
        check=was_told_of_the_lost_delivery,
        prepare=look_often,
        node_config={"consumer_timeout": str(1000 * _CONSUMER_TIMEOUT)},
        tasks=60,
        rounds=2,
        may_answer_twice=True,
        short=False,
    )
    lost = Row(
        "connections-lost-25-times-quorum",
        GROUP,
        f"the connections are lost {LOSSES} times while the same messages wait in the worker; quorum queues",
        strike=lose_connections,
        tasks=100,
        rounds=1,
        quorum=True,
        proxied=True,
        may_answer_twice=True,
        patience=150.0,
        short=False,
    )
    return [
        outage,
        replace(
            outage,
            name="outage-of-many-sweeps-limit-3",
            story=f"the same, and a policy of the administrator drops what came back more than {LOW_LIMIT} times",
            prepare=limit_returns,
        ),
        _by_default(outage),
        lost,
        _by_default(lost),
        replace(lost, name=f"{lost.name}@default", system="default"),  # one by one: most of them wait
        timeout,
        on_quorum(timeout),
    ]


def _by_default(row: Row) -> Row:
    """The same on queues that nobody has called quorum queues: on 4.x they are, with a limit of 20."""
    return replace(
        row,
        name=f"{row.name}-by-default",
        story="the same with RABBITMQ_QUEUE_TYPE=classic, in a virtual host whose default type is quorum",
        quorum=False,
        quorum_by_default=True,
    )


def outlast_sweeps(stage: Stage, _chance: random.Random) -> None:
    before = stage.target.created
    stage.feed(30, 0.2)
    if not stage.wait_for(lambda: stage.target.created >= before + 20, PATIENCE):
        raise TimeoutError("nothing was created that a sweep could ask about")
    failed = _failed_sweeps(stage)
    stage.target.server.go_down()
    try:
        if not stage.wait_for(lambda: _failed_sweeps(stage) >= failed + SWEEPS, _UNREACHED):
            raise TimeoutError(f"only {_failed_sweeps(stage) - failed} of {SWEEPS} sweeps have failed")
    finally:
        stage.target.server.come_back()


def limit_returns(stage: Stage) -> None:
    limit = json.dumps({"delivery-limit": LOW_LIMIT})
    pattern = f"^{stage.target.sent_queue}$"
    stage.node.ctl("set_policy", "--vhost", stage.address.vhost, "limit", pattern, limit, "--apply-to", "queues")


def lose_connections(stage: Stage, _chance: random.Random) -> None:
    create, match = stage.target.create.name, stage.target.create.match
    stage.target.server.inject(faults.delay(3), create, count=None, match=match)
    try:
        stage.feed(30, 0.5)
        stage.pause(1)
        for _ in range(LOSSES):
            cut_and_come_back(stage, 20)
            stage.pause(0.4)
    finally:
        stage.target.server.clear_faults()


def look_often(stage: Stage) -> None:
    """3.10 and 4.0 look each minute whether a message has been held for too long: for every channel opened from now
    on, each second (rabbit_channel.erl, init_tick_timer)."""
    stage.node.eval("application:set_env(rabbit, channel_tick_interval, 1000)")


def create_slowly(stage: Stage, _chance: random.Random) -> None:
    create, match = stage.target.create.name, stage.target.create.match
    slow = stage.target.server.inject(faults.delay(_TOO_LONG, after_execution=True), create, count=2, match=match)
    stage.feed(20, 0.5)
    if not stage.wait_for(lambda: slow.hits >= 2, 30):
        raise TimeoutError(f"only {slow.hits} of 2 creations were slow")
    stage.pause(2 * _TOO_LONG)


def was_told_of_the_lost_delivery(stage: Stage) -> Sequence[str]:
    lost = no_connection_was_lost(stage)
    is_classic_on_4_3 = not stage.spec.quorum and stage.node.version.startswith("4.3")
    if is_classic_on_4_3 or _LOST in stage.worker.output():  # measured: 4.3 times no message of a classic queue
        return lost
    return [*lost, "the log does not say that RabbitMQ has taken a message back"]


def _failed_sweeps(stage: Stage) -> int:
    return stage.worker.output().count("tracker.failed")
