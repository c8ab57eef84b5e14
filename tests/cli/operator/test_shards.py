"""What lies in the shards of a large sent queue belongs to the queue, in everything that an operator sees and does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.track.stock import OpenTask, create_tasks, store
from broker.topology import shard_queue_names
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from testbench.harness import RESPONSES, Bench, wait_until
from tests.cli.operator.support import SENT, Done, Place
from tests.support.queue_types import ON_CLASSIC

OPEN = 2600  # more than a tracker asks about at once
NAMES = shard_queue_names(SENT)
RARELY = {"HEARTBEAT_INTERVAL": "3600", "TRACKER_FULL_SWEEP_INTERVAL": "3600"}


def in_the_sent_queue(place: Place) -> int | None:
    [depth] = [each["messages"] for each in place.run("status", "--json").data["queues"] if each["queue"] == SENT]
    return None if depth is None else int(depth)


def said_of_sent(done: Done) -> dict[str, Any]:
    [found] = [each for each in done.data["places"] if each["name"] == SENT]
    return dict(found)


@ON_CLASSIC  # `trace` looks through no queue that counts returns
def test_an_operator_sees_a_queue_and_its_shards_as_one(
    vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path
) -> None:
    place = Place(vhost, tmp_path, portal, RARELY)
    broker = place.broker
    broker.declare(SENT)
    tasks = create_tasks(portal, OPEN, keyed=True)
    fill(vhost, tasks)
    with place.daemon() as daemon:
        wait_until(lambda: broker.count_all(NAMES) == OPEN, what="the shards to be filled")
        assert broker.count(SENT) == 0
        assert in_the_sent_queue(place) == OPEN, "with a worker"
        rebuilt = place.run("journal", "rebuild", "--json")
        assert rebuilt.data["looked_at"][SENT] == OPEN
        assert broker.count_all(NAMES) == OPEN
        task = tasks[1234]
        portal.finish(task.bitrix_id)
        done = place.run("track", task.task_id, "--now")
        assert done.code == 0, done.err
        broker.wait_for_count(RESPONSES, 1)
        assert broker.count_all(NAMES) == OPEN - 1
        assert "tracker.spread" in daemon.output()
    assert in_the_sent_queue(place) == OPEN - 1, "without one"
    (tmp_path / "state" / "journal.sqlite").unlink()
    found = said_of_sent(place.run("trace", f"№ {tasks[2500].bitrix_id}", "--json"))
    assert found["messages"] == OPEN - 1
    assert [each["task_id"] for each in found["found"]] == [tasks[2500].task_id]


def test_a_worker_without_shards_brings_everything_back(
    vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path
) -> None:
    tasks = create_tasks(portal, OPEN, keyed=True)
    place = Place(vhost, tmp_path, portal, RARELY)
    place.broker.declare(SENT)
    fill(vhost, tasks)
    with place.daemon():
        wait_until(lambda: place.broker.count_all(NAMES) == OPEN, what="the shards to be filled")
    whole = Place(vhost, tmp_path, portal, {**RARELY, "TRACKER_SHARDS": "false"})
    with whole.daemon():
        wait_until(lambda: place.broker.count(SENT) == OPEN, what="all to be back")
    assert place.broker.count_all(NAMES) == 0
    assert place.broker.count(RESPONSES) == 0


def fill(vhost: BrokerAddress, tasks: list[OpenTask]) -> None:
    with Bench(vhost).running() as bench:
        store(bench.publisher, tasks, headers=True)
