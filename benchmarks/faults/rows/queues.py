"""What happens to queues: deleted while the worker runs, full, missing.

Messages that were in a deleted queue are the deleter's loss. So a queue is deleted when nothing is in it, and the next
tasks come right afterwards.
"""

from __future__ import annotations

import json
import random

from benchmarks.faults.row import Row
from benchmarks.faults.rows.broker import delete_wait_queues, refuse_creations
from benchmarks.faults.rows.worker import wait_for_quiet
from benchmarks.faults.stage import Stage
from benchmarks.faults.tasks import INPUT_QUEUE
from sandbox.camunda import RESPONSES_QUEUE

GROUP = "queues"

_BESIDE = 40  # tasks that come while queues are silent
_LONG_ENOUGH = 20.0  # seconds in which half of them must be done
_USELESS = f"{INPUT_QUEUE}.retry.200ms"


def rows() -> list[Row]:
    return [
        Row(
            "input-queue-deleted",
            GROUP,
            "the input queue is deleted while the worker consumes it",
            strike=delete_input,
            through_exchange=False,
        ),
        Row(
            "sent-queue-deleted",
            GROUP,
            "the sent queue is deleted just before results are stored",
            strike=delete_sent,
            settings={"HEARTBEAT_INTERVAL": "2"},  # a sweep would make the queue again
        ),
        Row(
            "responses-queue-deleted",
            GROUP,
            "the responses queue is read empty and deleted while responses come",
            strike=delete_responses,
        ),
        Row(
            "wait-queues-deleted",
            GROUP,
            "the wait queues are deleted; the portal refuses creations, so that they are needed",
            strike=delete_wait_queues,
            prepare=refuse_some,
        ),
        Row(
            "wait-queue-useless",
            GROUP,
            "the first wait queue takes nothing for good; a third of the creations is refused",
            strike=wait_for_quiet,
            prepare=refuse_often_and_fill_first_wait_queue,
            tasks=60,
            rounds=1,
            patience=120.0,  # a minute until it is bypassed
            aside=(_USELESS,),
            short=False,
        ),
        Row(
            "wait-queues-silent",
            GROUP,
            "the wait queues give no answer, and all connections are made anew; what needs none of them goes on",
            strike=silence_wait_queues,
            prepare=refuse_some_and_have_wait_queues,
            settings={"RETRY_MAX_DELAY": "0.2"},
            may_answer_twice=True,
        ),
        Row(
            "responses-queue-full",
            GROUP,
            "the responses queue takes no more (max-length, reject-publish) for 3 s",
            strike=fill_responses,
            prepare=bound_responses,
        ),
    ]


def delete_input(stage: Stage, _chance: random.Random) -> None:
    stage.quiesce()
    stage.queues.delete(stage.target.queue)


def delete_sent(stage: Stage, _chance: random.Random) -> None:
    stage.quiesce()
    stage.queues.delete(stage.target.sent_queue)


def delete_responses(stage: Stage, _chance: random.Random) -> None:
    while True:
        stage.take_responses()
        if stage.queues.delete_if_empty(RESPONSES_QUEUE):
            return
        stage.pause(0)


def silence_wait_queues(stage: Stage, _chance: random.Random) -> None:
    with stage.node.silenced(stage.address.vhost, stage.wait_queues()):
        # Their first message on a channel is the one that RabbitMQ's channel waits for.
        stage.node.close_all_connections()
        before = stage.answered() or 0
        stage.feed(_BESIDE, 1.0)
        if not stage.wait_for(lambda: (stage.answered() or 0) >= before + _BESIDE // 2, _LONG_ENOUGH):
            reason = f"while the wait queues were silent not half of {_BESIDE} tasks was done in {_LONG_ENOUGH:.0f} s"
            raise TimeoutError(reason)


def refuse_often_and_fill_first_wait_queue(stage: Stage) -> None:
    refuse_creations(stage, 0.3)
    stage.queues.declare_useless(_USELESS)


def refuse_some(stage: Stage) -> None:
    refuse_creations(stage, 0.2)


def refuse_some_and_have_wait_queues(stage: Stage) -> None:
    refuse_some(stage)
    stage.queues.declare_wait_queue(200, stage.target.queue)


def bound_responses(stage: Stage, limit: int = 1_000_000) -> None:
    # The overflow rule must be there before the limit is reached: RabbitMQ applies a new limit first, by dropping.
    limits = json.dumps({"max-length": limit, "overflow": "reject-publish"})
    stage.node.ctl("set_policy", "--vhost", stage.address.vhost, "full", f"^{RESPONSES_QUEUE}$", limits)


def fill_responses(stage: Stage, _chance: random.Random) -> None:
    bound_responses(stage, 1)
    try:
        stage.pause(3)
    finally:
        bound_responses(stage)
