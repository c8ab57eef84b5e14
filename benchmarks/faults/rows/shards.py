"""What happens to open tasks on their way into the shards of their sent queue, and back: none is lost or doubled.

The trackers ask about ten tasks at once in place of 2,500, so that the tasks of a row are many.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.faults.row import Row
from benchmarks.faults.rows import broker, worker
from benchmarks.faults.stage import Stage
from broker.topology import shard_queue_names

GROUP = "shards"
CHUNK = 10

_SETTINGS = {"TRACKER_FULL_SWEEP_INTERVAL": "5"}  # what a kill has left aside is found by a look at everything


def rows() -> list[Row]:
    killed = Row(
        "shards-worker-killed",
        GROUP,
        "open tasks lie in shards; kill -9 at random times",
        strike=worker.kill,
        may_answer_twice=True,
        check=were_spread,
        chunk=CHUNK,
        people_after=6.0,  # new shards rest for three seconds
        settings=_SETTINGS,
    )
    moving = replace(
        killed,
        name="shards-worker-killed-moving",
        story="kill -9 when RabbitMQ has the copy of an open task in its shard, the confirm not looked at",
        strike=worker.die_at_point,
        kill_at="moved",
        kill_within=20,
    )
    shared = replace(
        killed,
        name="shards-two-workers-one-killed",
        story="open tasks lie in shards; two workers look for them, one is killed",
        strike=worker.kill_one,
        workers=2,
    )
    switched = replace(
        killed,
        name="shards-switched",
        story="open tasks lie in shards; each next worker has them switched off, or on again",
        strike=switch,
        may_answer_twice=False,
    )
    crashed = replace(
        killed,
        name="shards-broker-killed",
        story="open tasks lie in shards; kill -9 of RabbitMQ, then a start",
        strike=broker.crash,
        prepare=broker.age_queues,
        short=False,
    )
    on_openproject = replace(moving, name=f"{moving.name}@openproject", system="openproject", short=False)
    young = replace(
        worker.on_quorum(crashed),
        name="shards-broker-killed-young",
        story="RabbitMQ is killed when shards have just been made, as quorum queues",
        strike=crash_when_shards_appear,
        patience=150.0,
        tasks=100,
        people_after=15.0,  # the restart of RabbitMQ lies between the making of shards and their first task
    )
    plain = [killed, moving, shared, switched, crashed, on_openproject]
    return [
        *plain,
        young,
        *(replace(worker.on_quorum(row), short=row is moving) for row in (killed, moving, switched, crashed)),
    ]


def were_spread(stage: Stage) -> Sequence[str]:
    """Without shards the row has shown nothing. A worker that dies while it fills them cannot say so any more."""
    said = stage.spec.kill_at == "moved" or any("tracker.spread" in each.output() for each in stage.workers)
    return () if said else ("no worker has put a task into a shard",)


def crash_when_shards_appear(stage: Stage, chance: random.Random) -> None:
    stage.quiesce()
    shards = shard_queue_names(stage.target.sent_queue)
    for shard in shards:
        stage.queues.delete(shard)
    stage.feed(60, 0.5)
    # The last one is the first that is made.
    broker.wait_for_any(stage, shards[-1:], "no shard was made, although many tasks are open")
    stage.pause(chance.choice([0.0, chance.uniform(0, 4.0)]))
    stage.node.kill()
    stage.node.start()


def switch(stage: Stage, _chance: random.Random) -> None:
    is_on = stage.worker.variables.get("TRACKER_SHARDS") != "false"
    stage.worker.variables["TRACKER_SHARDS"] = "false" if is_on else "true"
    stage.worker.terminate()
    stage.pause(1.0)
