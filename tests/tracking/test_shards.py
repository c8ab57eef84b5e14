"""The open tasks of a large sent queue lie in shards, so that a finished one is found among few; none is lost there."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from base_tracker import ChangedTask
from broker.topology import SHARDS, shard_of, shard_queue_names
from core.envelopes import decode_sent_header
from core.errors import OutageError
from core.events.base import Event, EventStream
from core.events.systems import ShardsRefused, TasksSpread
from core.messages import TrackedTask
from core.results import Done, Verdict
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.rabbitmq import RabbitNode
from testbench.harness import RESPONSES, Bench
from tests.support.queue_types import CLASSIC_AND_QUORUM, ON_CLASSIC
from tests.support.users import user_with_rights
from tests.tracking import test_quiet_sweeps as quiet_sweeps
from tests.tracking.test_quiet_sweeps import OPEN, WatchfulTracker, asked, swept
from tests.tracking.test_tracking import SENT, ids, put_sent
from tracking.sweeper import Sweeper

NAMES = shard_queue_names(SENT)


@pytest.fixture
def told() -> list[Event]:
    return []


def sweeper_for(
    bench: Bench, tracker: WatchfulTracker, told: list[Event], *, has_shards: bool = True, **options: Any
) -> Sweeper:
    events = EventStream([told.append])
    new = {"has_shards": has_shards, "shard_growth": 0.0}
    return quiet_sweeps.sweeper_for(bench, tracker, events=events, **new, **options)


def spread_by(
    bench: Bench, sent: Broker, tracker: WatchfulTracker, told: list[Event], tasks: Sequence[str] = OPEN, **options: Any
) -> Sweeper:
    """A sweeper that has put tasks into shards, and has asked about them."""
    put_sent(sent, tasks)
    sweeper = sweeper_for(bench, tracker, told, **options)
    swept(sweeper)
    tracker.asked.clear()
    return sweeper


def shard(task_id: str) -> str:
    return NAMES[shard_of(f"ext-{task_id}")]


def in_shards(broker: Broker) -> dict[str, list[str]]:
    """The task ids of each shard that holds any; they stay there."""
    held = {}
    for name in NAMES:
        if broker.count(name):
            found = [decode_sent_header(body, properties.headers or {}) for properties, body in broker.peek(name)]
            held[name] = [header.task_id for header in found]
    return held


def contents(broker: Broker, *queues: str) -> dict[str | None, tuple[dict[str, Any], bytes]]:
    """Message id -> headers and body; without the headers by which RabbitMQ counts returns."""
    found = {}
    for properties, body in (each for queue in queues for each in broker.peek(queue)):
        headers = {name: value for name, value in (properties.headers or {}).items() if not name.startswith("x-")}
        found[properties.message_id] = (headers, body)
    return found


def delete_if_empty(broker: Broker, queue: str) -> None:
    if not broker.count(queue):
        with broker.channel() as channel:
            channel.queue_delete(queue)


def all_in_shards(broker: Broker) -> list[str]:
    return sorted(task_id for each in in_shards(broker).values() for task_id in each)


def test_a_task_lies_in_the_shard_that_every_version_computes() -> None:
    assert [shard_of(each) for each in ("1", "42", "100500", "ext-task-7", "задача")] == [23, 8, 8, 0, 9]
    assert NAMES[0] == "bitrix24.sent.queue.shard.00", "names in a broker outlive the program"
    assert len(NAMES) == SHARDS == 32
    numbers = [shard_of(str(number)) for number in range(100_000)]
    sizes = [numbers.count(each) for each in range(SHARDS)]
    assert max(sizes) < 1.2 * min(sizes), "ids that are given one after the other fill them alike"


@CLASSIC_AND_QUORUM
def test_a_large_queue_is_spread_and_its_messages_stay_what_they_are(
    bench: Bench, sent: Broker, told: list[Event]
) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    before = contents(sent, SENT)
    sweeper = sweeper_for(bench, tracker, told)
    assert sweeper.shards == ()
    result = swept(sweeper)

    assert (result.found, result.left, result.checked) == (len(OPEN), len(OPEN), len(OPEN))
    assert sent.count(SENT) == 0
    held = in_shards(sent)
    assert {task_id: name for name, tasks in held.items() for task_id in tasks} == {each: shard(each) for each in OPEN}
    assert contents(sent, *held) == before
    assert sweeper.shards == NAMES
    assert [type(event) for event in told if isinstance(event, TasksSpread)] == [TasksSpread]
    assert swept(sweeper).taken == 0, "and then they are left alone"
    assert all_in_shards(sent) == sorted(OPEN)


@CLASSIC_AND_QUORUM
def test_a_finished_task_is_sought_in_its_own_shard_only(bench: Bench, sent: Broker, told: list[Event]) -> None:
    tracker = WatchfulTracker()
    sweeper = spread_by(bench, sent, tracker, told)
    for task_id in ("task-3", "task-29"):
        tracker.finish(task_id)
        result = swept(sweeper)
        assert (result.completed, asked(tracker)) == (1, [task_id])
        assert result.taken <= len([each for each in OPEN if shard(each) == shard(task_id)])
    assert ids(sent, RESPONSES) == ["task-3", "task-29"]
    assert all_in_shards(sent) == sorted(set(OPEN) - {"task-3", "task-29"})
    assert result.left == len(OPEN) - 2


@CLASSIC_AND_QUORUM
def test_a_task_that_is_known_by_its_camunda_id_alone_is_sought_in_all_shards(
    bench: Bench, sent: Broker, told: list[Event]
) -> None:
    tracker = WatchfulTracker()
    sweeper = spread_by(bench, sent, tracker, told)
    tracker.finished.add("task-17")
    sweeper.look_for(ChangedTask(None, "task-17"))
    assert (swept(sweeper).completed, asked(tracker)) == (1, ["task-17"])
    assert ids(sent, RESPONSES) == ["task-17"]


@CLASSIC_AND_QUORUM
def test_tasks_of_many_shards_are_asked_about_together(bench: Bench, sent: Broker, told: list[Event]) -> None:
    tracker = WatchfulTracker()
    sweeper = spread_by(bench, sent, tracker, told, full_sweep_interval=0.0)
    swept(sweeper)
    assert sorted(task.task_id for tasks in tracker.asked for task in tasks) == sorted(OPEN)
    assert len(tracker.asked) <= 5, "30 tasks in 20 shards, by tens, of eight queues at the most"
    tracker.asked.clear()
    for task_id in OPEN[:12]:
        tracker.finish(task_id)
    sweeper = sweeper_for(bench, tracker, told)
    swept(sweeper)
    assert sorted(ids(sent, RESPONSES)) == sorted(OPEN[:12])


@CLASSIC_AND_QUORUM
def test_what_is_new_is_asked_about_once_and_follows_into_the_shards(
    bench: Bench, sent: Broker, told: list[Event]
) -> None:
    tracker = WatchfulTracker()
    sweeper = spread_by(bench, sent, tracker, told)
    put_sent(sent, ["new-1", "new-2", "new-3"])
    put_sent(sent, ["done-1"], Done({"ok": True}))
    tracker.finished.add("new-2")
    result = swept(sweeper, woken=True)
    assert (result.completed, sorted(asked(tracker))) == (2, ["new-1", "new-2", "new-3"])
    assert sorted(ids(sent, RESPONSES)) == ["done-1", "new-2"]
    assert sent.count(SENT) == 0
    assert all_in_shards(sent) == sorted([*OPEN, "new-1", "new-3"])
    assert swept(sweeper).taken == 0


@CLASSIC_AND_QUORUM
def test_every_task_in_the_shards_is_looked_at_by_a_full_sweep(bench: Bench, sent: Broker, told: list[Event]) -> None:
    tracker = WatchfulTracker()
    sweeper = spread_by(bench, sent, tracker, told, full_sweep_interval=0.0)
    tracker.deleted.add("task-7")
    result = swept(sweeper)
    assert sorted(asked(tracker)) == sorted(OPEN)
    assert (result.moved, result.errors) == (1, 1)
    assert all_in_shards(sent) == sorted(set(OPEN) - {"task-7"})


@CLASSIC_AND_QUORUM
def test_few_tasks_come_back_into_the_queue(bench: Bench, sent: Broker, told: list[Event]) -> None:
    tracker = WatchfulTracker()
    sweeper = spread_by(bench, sent, tracker, told)
    for task_id in OPEN[:26]:
        tracker.finish(task_id)
    assert swept(sweeper).completed == 26
    result = swept(sweeper)
    assert (result.found, result.left) == (4, 4)
    assert in_shards(sent) == {}
    assert sorted(ids(sent, SENT)) == sorted(OPEN[26:])
    assert sorted(ids(sent, RESPONSES)) == sorted(OPEN[:26])


@CLASSIC_AND_QUORUM
def test_the_first_shard_becomes_empty_last_for_it_stands_for_all(
    bench: Bench, sent: Broker, told: list[Event]
) -> None:
    class Failing(WatchfulTracker):
        def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
            self.down = bool(self.asked)  # the first question is answered, the second one is not
            return super().check(tasks)

    spread_by(bench, sent, WatchfulTracker(), told)
    tracker = Failing()
    full = list(in_shards(sent))
    with pytest.raises(OutageError):
        swept(sweeper_for(bench, tracker, told, has_shards=False))
    left = list(in_shards(sent))
    assert 0 < len(left) < len(full)
    assert left == full[: len(left)]


@CLASSIC_AND_QUORUM
def test_a_shard_that_somebody_has_deleted_hides_no_other(bench: Bench, sent: Broker, told: list[Event]) -> None:
    tracker = WatchfulTracker()
    tasks = [each for each in (f"task-{number}" for number in range(60)) if shard(each) != NAMES[0]]
    sweeper = spread_by(bench, sent, tracker, told, tasks, full_sweep_interval=0.0)
    delete_if_empty(sent, NAMES[0])
    assert swept(sweeper).found == len(tasks)
    assert sorted(asked(tracker)) == sorted(tasks)


@CLASSIC_AND_QUORUM
def test_shards_that_somebody_has_deleted_are_made_again(bench: Bench, sent: Broker, told: list[Event]) -> None:
    tracker = WatchfulTracker()
    sweeper = spread_by(bench, sent, tracker, told)
    for task_id in OPEN:
        tracker.finish(task_id)
    swept(sweeper)
    for name in NAMES:
        delete_if_empty(sent, name)
    new = [f"new-{number}" for number in range(30)]
    put_sent(sent, new)
    swept(sweeper)
    assert all_in_shards(sent) == sorted(new)
    assert swept(sweeper_for(bench, tracker, told)).checked == len(new), "also by a new worker"


@CLASSIC_AND_QUORUM
def test_without_shards_everything_comes_back_and_nothing_is_lost(
    bench: Bench, sent: Broker, told: list[Event]
) -> None:
    tracker = WatchfulTracker()
    spread_by(bench, sent, tracker, told)
    sweeper = sweeper_for(bench, tracker, told, has_shards=False)
    tracker.finished.add("task-5")
    result = swept(sweeper)
    assert (result.completed, sorted(asked(tracker))) == (1, sorted(OPEN))
    assert in_shards(sent) == {}
    assert sorted(ids(sent, SENT)) == sorted(set(OPEN) - {"task-5"})
    assert ids(sent, RESPONSES) == ["task-5"]


def test_a_tracker_that_cannot_tell_what_has_changed_keeps_one_queue(
    bench: Bench, sent: Broker, told: list[Event]
) -> None:
    class Silent(WatchfulTracker):
        def changes(self, since: int | None) -> None:
            return None

    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, Silent(), told)
    assert swept(sweeper).checked == len(OPEN)
    assert sent.count(SENT) == len(OPEN)
    assert sweeper.shards == ()


@CLASSIC_AND_QUORUM
def test_a_worker_killed_between_the_copy_and_the_ack_answers_once(
    bench: Bench, sent: Broker, told: list[Event]
) -> None:
    tracker = WatchfulTracker()
    spread_by(bench, sent, tracker, told)
    put_sent(sent, OPEN[:8])  # what its channel returned
    sweeper = sweeper_for(bench, tracker, told, full_sweep_interval=0.0)
    tracker.finished.update(OPEN)
    assert swept(sweeper).completed == len(OPEN)
    assert sorted(ids(sent, RESPONSES)) == sorted(OPEN)
    assert (in_shards(sent), sent.count(SENT)) == ({}, 0)


@CLASSIC_AND_QUORUM
def test_a_second_worker_finds_what_the_first_one_has_spread(bench: Bench, sent: Broker, told: list[Event]) -> None:
    tracker, other = WatchfulTracker(), WatchfulTracker()
    put_sent(sent, OPEN[:5])
    second = sweeper_for(bench, other, told, full_sweep_interval=0.0)
    assert swept(second).checked == 5
    put_sent(sent, OPEN[5:])
    swept(sweeper_for(bench, tracker, told))  # and it dies
    asked(other)
    other.finished.add("task-11")
    result = swept(second)
    assert (result.completed, sorted(asked(other))) == (1, sorted(OPEN))
    assert all_in_shards(sent) == sorted(set(OPEN) - {"task-11"})


@CLASSIC_AND_QUORUM
def test_nothing_is_spread_while_the_system_does_not_answer(bench: Bench, sent: Broker, told: list[Event]) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker, told)
    tracker.down = True
    for _ in range(3):
        with pytest.raises(OutageError):
            swept(sweeper)
    assert in_shards(sent) == {}
    assert sorted(each for each in ids(sent, SENT)) == sorted(OPEN)


@ON_CLASSIC
@pytest.mark.parametrize("refused", ["configure", "read"])
def test_a_queue_whose_shards_rabbitmq_refuses_stays_whole_and_is_tracked(
    vhost: BrokerAddress, sent: Broker, node: RabbitNode, told: list[Event], refused: str
) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    rights = {"configure": ".*", "write": ".*", "read": ".*", refused: r"^(?!.*\.shard\.).*$"}
    with user_with_rights(node, vhost, **rights) as user, Bench(user).running() as bench:
        sweeper = sweeper_for(bench, tracker, told)
        swept(sweeper)
        tracker.finish("task-4")
        assert swept(sweeper).completed == 1
    [said] = [event for event in told if isinstance(event, ShardsRefused)]  # once, and not at every sweep
    assert ".shard." in said.line()
    assert sent.count(SENT) == len(OPEN) - 1


@CLASSIC_AND_QUORUM
def test_whatever_happens_to_shards_every_task_is_answered_once(vhost: BrokerAddress, sent: Broker) -> None:
    """Workers come and go, with shards and without, tasks are made and finished, somebody deletes empty shards."""
    chance = random.Random(20261201)
    tracker = WatchfulTracker()
    made: list[str] = []
    with Bench(vhost).running() as bench:
        sweepers = [sweeper_for(bench, tracker, [], full_sweep_interval=0.0)]
        for turn in range(25):
            new = [f"turn-{turn}-{number}" for number in range(chance.randrange(14))]
            put_sent(sent, new)
            made += new
            left = [each for each in made if each not in tracker.finished]
            for task_id in chance.sample(left, chance.randrange(len(left) // 2 + 1)):
                tracker.finish(task_id)
            match chance.randrange(5):
                case 0:
                    sweepers.append(sweeper_for(bench, tracker, [], has_shards=chance.random() < 0.7))
                case 1 if len(sweepers) > 1:
                    sweepers.pop(0)
                case 2:
                    delete_if_empty(sent, chance.choice(NAMES))
            swept(chance.choice(sweepers))
        for task_id in made:
            tracker.finish(task_id)
        last = sweeper_for(bench, tracker, [], full_sweep_interval=0.0)
        swept(last)
    assert sorted(ids(sent, RESPONSES)) == sorted(made)
    assert (sent.count(SENT), in_shards(sent)) == (0, {})
