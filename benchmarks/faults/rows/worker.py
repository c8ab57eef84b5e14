"""What happens to the worker's process: killed anywhere, told to stop, frozen, ended by a message, one of several."""

from __future__ import annotations

import random
from dataclasses import replace

from benchmarks.faults.account import Published
from benchmarks.faults.row import Row
from benchmarks.faults.stage import Stage
from benchmarks.faults.tasks import task
from sandbox import faults

GROUP = "worker"
POISON = "SEGFAULT"

_FURTHER_PORTIONS = 20
_FURTHER_TASKS = 20
# Point -> what it means, and the latest of its passages at which the worker dies.
_POINTS = {
    "delivered": ("just after a message was delivered", 20),
    "looked-up": ("when the portal has said that a task does not exist yet", 20),
    "created": ("when the portal has created the tasks", 20),
    "checklist": ("between the task, the headlines and the items of its checklist", 20),
    "published": ("when RabbitMQ has the result, its confirm not looked at", 20),
    "confirmed": ("when the result is confirmed, before the ack is due", 20),
    "acking": ("just before acks are sent", 5),
    "acked": ("just after acks were sent", 5),
}
_NOT_IN_SHORT = {"looked-up", "acked", "answer-acked"}  # their neighbours are
_TRACKER_POINTS = {
    "status-read": ("when the portal has said that tasks are finished", 2),
    "response-published": ("when RabbitMQ has the response, its confirm not looked at", 10),
    "response-confirmed": ("when the response is confirmed", 10),
    "answer-acking": ("just before the sent message is acked", 3),
    "answer-acked": ("just after the sent message was acked", 3),
}


def rows() -> list[Row]:
    undisturbed = Row("undisturbed", "baseline", "nothing: what all other rows are to be compared with", strike=nothing)
    killed = Row("worker-killed", GROUP, "kill -9 at random times", strike=kill, may_answer_twice=True)
    looping = Row(
        "worker-killed-in-a-loop",
        GROUP,
        "kill -9 three times in a row, each 0.3 to 2.5 s after a start",
        strike=kill_in_a_loop,
        may_be_suspected=True,
        may_answer_twice=True,
        short=False,
    )
    on_the_wire = Row(
        "worker-killed-on-the-wire",
        GROUP,
        "kill -9 while the portal is executing a request, for longer than the restart takes",
        strike=die_at_point,
        prepare=slow_creation,
        kill_at="on-the-wire",
        kill_within=2,
        ambiguous_wait=5,
        may_answer_twice=True,
    )
    stopped = Row("worker-stopped", GROUP, "SIGTERM under load: code 0, the rest is with RabbitMQ", strike=terminate)
    frozen = Row(
        "worker-frozen",
        GROUP,
        "SIGSTOP for longer than the heartbeat, then SIGCONT: it wakes up with stale channels",
        strike=freeze,
        settings={"RABBITMQ_HEARTBEAT": "2"},
        may_answer_twice=True,
        short=False,
    )
    two = Row(
        "two-workers-one-killed",
        GROUP,
        "two workers on the same queues, each task published twice; one is killed",
        strike=kill_one,
        copies=2,
        workers=2,
        may_answer_twice=True,
    )
    return [
        undisturbed,
        killed,
        *(_at_point(point, *meaning) for point, meaning in _POINTS.items()),
        on_the_wire,
        *(_at_point(point, *meaning) for point, meaning in _TRACKER_POINTS.items()),
        looping,
        stopped,
        frozen,
        two,
        replace(two, name="three-workers-one-killed", story="the same with three", workers=3, copies=1, short=False),
        Row(
            "poison",
            GROUP,
            "the handler ends the process for one of the tasks: it is parked, the others flow",
            strike=wait_for_quiet,
            prepare=expect_crashes,
            make_task=with_poison,
            poison=POISON,
            tasks=60,
            rounds=1,
            may_answer_twice=True,
        ),
        on_quorum(killed),
        on_quorum(looping),
        on_quorum(stopped),
        on_quorum(frozen),
        on_quorum(two),
        on_quorum(_at_point("confirmed", *_POINTS["confirmed"])),
        on_quorum(_at_point("answer-acking", *_TRACKER_POINTS["answer-acking"])),
    ]


def _at_point(point: str, meaning: str, within: int) -> Row:
    return Row(
        f"worker-killed-{point}",
        GROUP,
        f"kill -9 {meaning}",
        strike=die_at_point,
        kill_at=point,
        kill_within=within,
        may_answer_twice=True,
        short=point not in _NOT_IN_SHORT,
    )


def on_quorum(row: Row) -> Row:
    """The same on quorum queues, which count returns; RabbitMQ 4's limit of 20 is set."""
    name, story = f"{row.name}-quorum", f"{row.story}; quorum queues"
    return replace(row, name=name, story=story, quorum=True, soak=False, short=row.name == "worker-killed")


def nothing(stage: Stage, _chance: random.Random) -> None:
    stage.pause(0.5)


def forget_earlier_deaths(stage: Stage) -> None:
    """A message that is in hand at three deaths counts as their cause, and is parked. Here we are the cause."""
    if stage.round > 2:
        stage.quiesce()  # what was in hand is handled, and no longer suspected
        stage.feed(20, 0.3)
        stage.pause(0.3)


def kill(stage: Stage, chance: random.Random) -> None:
    forget_earlier_deaths(stage)
    stage.pause(chance.uniform(0, 0.5))
    stage.worker.kill()


def kill_in_a_loop(stage: Stage, chance: random.Random) -> None:
    for _ in range(3):
        stage.worker.kill()
        stage.pause(chance.uniform(0.3, 2.5))


def die_at_point(stage: Stage, _chance: random.Random) -> None:
    """A worker that will die at the row's kill point takes over, dies there, and is followed by a sound one."""
    forget_earlier_deaths(stage)
    stage.arm()
    stage.worker.terminate()
    for _ in range(_FURTHER_PORTIONS):
        stage.feed(_FURTHER_TASKS, 0.5)
        if stage.worker.wait_for_deaths(stage.round, 1.5):
            stage.worker.wait_for_start(2 * stage.round + 1)
            return
    raise TimeoutError(f"the worker did not come to {stage.spec.kill_at}")


def slow_creation(stage: Stage) -> None:
    # The portal goes on with what the dead worker has sent: its answer comes when the next one works already.
    create = stage.target.create
    call = "tasks.task.add" if stage.spec.system == "bitrix24" else create.name
    stage.target.server.inject(faults.delay(3), call, count=None, probability=0.02)


def terminate(stage: Stage, chance: random.Random) -> None:
    stage.pause(chance.uniform(0, 0.5))
    stage.worker.terminate()


def freeze(stage: Stage, _chance: random.Random) -> None:
    stage.worker.suspend()
    stage.doubt()
    stage.pause(9)  # RabbitMQ gives a connection up after about three heartbeats
    stage.worker.resume()


def kill_one(stage: Stage, chance: random.Random) -> None:
    forget_earlier_deaths(stage)
    chance.choice(stage.workers).kill()


def expect_crashes(stage: Stage) -> None:
    stage.worker.expect(70)


def with_poison(number: int) -> Published:
    return replace(task(number, title=POISON), ends="parked") if number == 7 else task(number)


def wait_for_quiet(stage: Stage, _chance: random.Random) -> None:
    stage.quiesce()
