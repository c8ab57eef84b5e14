"""A large sent queue is left alone while nothing has changed, and nothing that has changed is overlooked for that."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import wait
from functools import partial
from typing import Any

import pytest

from base_tracker import ChangedTask, Changes
from broker.taken_queue import TakenQueue
from consumers.bitrix.tracker import BitrixTaskTracker
from core.envelopes import encode_sent
from core.errors import OutageError
from core.events.base import EventStream, Log
from core.messages import Limits, decode_task
from core.results import Accepted, Done
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from testbench.harness import ERRORS, RESPONSES, Bench, camunda_message, wait_until
from tests.support.queue_types import ON_CLASSIC
from tests.systems.bitrix.support import client_for, settings_for
from tests.tracking.test_tracking import SENT, Tracker, ids, put_sent
from tracking.changed_tasks import LOOKS
from tracking.sweeper import Sweeper
from tracking.tracked_queue import SweepResult, TrackedQueue
from tracking.tracker_thread import TrackerThread

OPEN = [f"task-{number}" for number in range(30)]  # three times the tracker's chunk: a large queue


class WatchfulTracker(Tracker):
    """Tells what was finished since a mark; its marks are positions in the list of all that happened."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[ChangedTask] = []
        self.cannot_tell = False
        self.questions: list[Any] = []

    def finish(self, task_id: str, external_id: str | None = None, *, keyed: bool = True) -> None:
        self.finished.add(task_id)
        self.told.append(ChangedTask(external_id or f"ext-{task_id}", task_id if keyed else None))

    def changes(self, since: int | None) -> Changes | None:
        self.questions.append(since)
        if self.cannot_tell and since is not None:
            return None
        return Changes(() if since is None else self.told[since:], len(self.told))


def sweeper_for(bench: Bench, tracker: Any, *, events: EventStream | None = None, **options: Any) -> Sweeper:
    """`options` are those of TrackedQueue."""
    tracked = TrackedQueue(SENT, "bitrix24", tracker, RESPONSES, ERRORS, echo_variables=True, **options)
    heard = events or bench.events
    return Sweeper(tracked, bench.topology, bench.parameters, bench.publisher, bench.stop.is_set, events=heard)


def swept(sweeper: Sweeper, *, woken: bool = False) -> SweepResult:
    result = SweepResult()
    sweeper.sweep(result, woken=woken)
    return result


def asked(tracker: Tracker) -> list[str]:
    """The tasks that `check` was asked about since the last call."""
    found = [task.task_id for tasks in tracker.asked for task in tasks]
    tracker.asked.clear()
    return found


def deliveries(broker: Broker) -> list[bool]:
    """For each message of the sent queue whether RabbitMQ has delivered it before."""
    flags = []
    with broker.channel() as channel:
        while (got := channel.basic_get(SENT))[0] is not None:
            flags.append(got[0].redelivered)
    return flags


@ON_CLASSIC
def test_a_quiet_cycle_moves_no_message(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    assert swept(sweeper).checked == len(OPEN), "at start everything is looked at"
    put_sent(sent, ["new-1", "new-2"])
    for _ in range(3):
        assert swept(sweeper) == SweepResult(found=len(OPEN) + 2, calls=1)
    assert tracker.questions == [None, 0, 0, 0], "one question a cycle"
    assert deliveries(sent) == [True] * len(OPEN) + [False] * 2


@ON_CLASSIC
def test_a_task_finished_by_a_person_is_answered_although_the_queue_is_only_skimmed(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    asked(tracker)
    tracker.finish("task-17")
    result = swept(sweeper)
    assert (result.checked, result.completed) == (1, 1)
    assert asked(tracker) == ["task-17"]
    assert ids(sent, RESPONSES) == ["task-17"]
    assert ids(sent, SENT) == [task for task in OPEN if task != "task-17"], "the others in their order"


@pytest.mark.parametrize(
    "task", [ChangedTask(None, "task-17"), ChangedTask("ext-task-17"), ChangedTask("task-17", "task-17")]
)
def test_a_task_that_somebody_asks_about_is_asked_about_in_the_next_sweep(
    bench: Bench, sent: Broker, task: ChangedTask
) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    asked(tracker)
    tracker.finished.add("task-17")  # and the system tells no change of it
    assert swept(sweeper).taken == 0
    sweeper.look_for(task)
    result = swept(sweeper)
    assert (result.checked, result.completed) == (1, 1)
    assert asked(tracker) == ["task-17"]
    assert ids(sent, RESPONSES) == ["task-17"]


def test_a_question_survives_a_sweep_that_fails(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    asked(tracker)
    tracker.finished.add("task-17")
    sweeper.look_for(ChangedTask(None, "task-17"))
    tracker.down = True
    with pytest.raises(OutageError):
        swept(sweeper)
    tracker.down = False
    assert swept(sweeper).completed == 1


def test_a_tracker_says_at_the_end_of_which_sweep_a_task_has_been_asked_about(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    stop = threading.Event()
    thread = TrackerThread(
        SENT, "bitrix24", sweeper_for(bench, tracker), events=bench.events, interval=3600.0, stop=stop
    )
    thread.start()
    wait_until(lambda: thread.ended == 1, what="the first sweep")
    assert thread.next_sweep is not None
    assert 3500 < thread.next_sweep - time.time() < 3700
    asked(tracker)
    for number in range(5):
        tracker.finished.add(OPEN[number])
        due = thread.look_for(ChangedTask(None, OPEN[number]))
        wait_until(partial(has_ended, thread, due), what="that sweep")
        assert OPEN[number] in asked(tracker)
    stop.set()
    thread.wake()
    assert thread.join(10)
    assert sorted(ids(sent, RESPONSES)) == OPEN[:5]


def test_what_was_answered_is_not_looked_for_again(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    tracker.finish("task-3")
    swept(sweeper)
    tracker.finish("task-3")  # somebody has written a comment under the finished task
    assert swept(sweeper).taken == 0
    assert sent.count(RESPONSES) == 1


def test_a_failed_sweep_does_not_lose_the_changes(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    tracker.finish("task-17")
    tracker.down = True
    for _ in range(LOOKS + 1):
        with pytest.raises(OutageError):
            swept(sweeper)
    assert tracker.questions[1:] == [0] * (LOOKS + 1), "the mark has not moved"
    tracker.down = False
    tracker.finish("task-25")
    assert swept(sweeper).completed == 2
    assert sorted(ids(sent, RESPONSES)) == ["task-17", "task-25"]


def test_a_task_finished_before_its_message_was_stored_is_answered_when_the_message_comes(
    bench: Bench, sent: Broker
) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    tracker.finish("quick")
    assert swept(sweeper).completed == 0
    put_sent(sent, ["quick"])
    assert swept(sweeper).completed == 1
    assert ids(sent, RESPONSES) == ["quick"]


def test_a_full_sweep_in_between_does_not_forget_what_is_still_to_come(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    tracker.finish("quick")
    sweeper._watch._full_at = None  # the full sweep is due
    assert swept(sweeper).checked == len(OPEN)
    put_sent(sent, ["quick"])
    assert swept(sweeper).completed == 1


def test_somebody_elses_task_is_looked_for_three_times_and_then_forgotten(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    tracker.finish("of-another-daemon")
    asked(tracker)
    assert [swept(sweeper).taken for _ in range(5)] == [len(OPEN)] * 3 + [0, 0]
    assert asked(tracker) == []


def test_a_deleted_task_is_found_by_the_full_sweep(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker, full_sweep_interval=0.5)
    swept(sweeper)
    tracker.deleted = {"task-9"}
    wait_until(lambda: swept(sweeper).errors == 1, what="the full sweep")
    [(_, body)] = sent.get_all(ERRORS)
    assert json.loads(body)["code"] == "task_deleted"


def test_a_done_result_is_forwarded_from_behind_ten_thousand_open_tasks(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    tracker.chunk_size = 2500
    store(bench, [f"task-{number}" for number in range(10_000)])
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    asked(tracker)
    put_sent(sent, ["item"], Done({"result": {"item": {"id": 7}}}))
    assert swept(sweeper).taken == 0, "nobody has told the tracker"
    assert swept(sweeper, woken=True).completed == 1
    assert ids(sent, RESPONSES) == ["item"]
    assert asked(tracker) == []
    assert swept(sweeper).taken == 0
    assert sent.count(SENT) == 10_000


def test_a_wake_up_is_kept_until_a_sweep_has_succeeded(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    put_sent(sent, ["item"], Done({}))
    tracker.finish("task-1")
    tracker.down = True
    with pytest.raises(OutageError):
        swept(sweeper, woken=True)
    tracker.down = False
    swept(sweeper)
    assert sorted(ids(sent, RESPONSES)) == ["item", "task-1"]


def test_a_tracker_without_changes_sweeps_as_before(bench: Bench, sent: Broker) -> None:
    tracker = Tracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    for _ in range(3):
        assert swept(sweeper).checked == len(OPEN)
    tracker.finished = {"task-29"}
    assert swept(sweeper).completed == 1


def test_when_the_system_cannot_tell_everything_is_looked_at(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    tracker.finish("task-5")
    tracker.cannot_tell = True
    result = swept(sweeper)
    assert (result.checked, result.completed) == (len(OPEN), 1)
    tracker.cannot_tell = False
    assert swept(sweeper).taken == 0, "the question was begun anew"


def test_what_was_finished_while_no_worker_ran_is_found_at_start(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    swept(sweeper_for(bench, tracker))
    tracker.finish("task-11")
    assert swept(sweeper_for(bench, tracker)).completed == 1


def test_a_queue_that_grows_large_is_looked_through_once(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN[:8])
    sweeper = sweeper_for(bench, tracker)
    assert [swept(sweeper).checked for _ in range(2)] == [8, 8]
    assert tracker.questions == [], "a small queue is asked about as a whole"
    put_sent(sent, OPEN[8:])
    assert [swept(sweeper).checked for _ in range(2)] == [len(OPEN), 0]


def test_tasks_of_the_origin_have_no_key_and_are_found_by_their_id(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    originals = (json.loads(camunda_message(task)) for task in OPEN)
    bodies: list[bytes | str] = [
        json.dumps({"original_message": original, "response_data": {"result": {"task": {"id": str(4000 + number)}}}})
        for number, original in enumerate(originals)
    ]
    sent.publish_all(SENT, bodies)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    asked(tracker)
    tracker.finish("a person's own task", "17", keyed=False)
    assert swept(sweeper).taken == 0
    tracker.finish("task-12", "4012", keyed=False)
    assert swept(sweeper).completed == 1
    assert asked(tracker) == ["task-12"]


def test_a_task_whose_id_says_that_it_is_ours_waits_for_no_full_sweep(bench: Bench, sent: Broker) -> None:
    # 1C keeps no key that could be read. Seen: above one chunk of open tasks an answer came up to 15 minutes late.
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    asked(tracker)
    tracker.finished.add("task-12")
    tracker.told.append(ChangedTask("ext-task-12", None, is_ours=True))
    assert swept(sweeper).completed == 1
    assert asked(tracker) == ["task-12"]


def test_on_a_quorum_queue_a_skimmed_message_is_not_returned_but_rotated(bench: Bench, broker: Broker) -> None:
    # RabbitMQ 4.0 drops a message of a quorum queue after 20 returns; here the limit is 3.
    broker.declare(SENT, arguments={"x-queue-type": "quorum", "x-delivery-limit": 3})
    tracker = WatchfulTracker()
    put_sent(broker, OPEN)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    for number in range(10):
        tracker.finish(OPEN[number])
        assert swept(sweeper).completed == 1
    assert sorted(ids(broker, SENT)) == sorted(OPEN[10:])


# A quorum queue counts what a closed channel returned a moment later (3.10.8), and no sweep returns to one.
@ON_CLASSIC
def test_messages_given_back_are_there_for_whoever_looks_next(bench: Bench, sent: Broker) -> None:
    store(bench, [f"task-{number}" for number in range(20_000)])
    for _ in range(3):
        with TakenQueue.opened(SENT, bench.topology, bench.parameters, bench.stop.is_set) as queue:
            before = queue.ready
            tags = [tag for _ in range(4) for tag, _, _ in queue.take(2500)]
            queue.ack(tags[5000:6000:10])
        assert sent.count(SENT) == before - 100


def test_bitrix24_tells_what_people_finish_and_is_asked_once_a_cycle(bench: Bench, sent: Broker) -> None:
    with BitrixSandbox() as portal:
        tracker = BitrixTaskTracker(settings_for(portal), client_for(portal))
        tracker.chunk_size = 10
        external = {
            task: portal.create_task(task, UF_CAMUNDA_ID_EXTERNAL_TASK=task) for task in [*OPEN, "declined", "reopened"]
        }
        for task, bitrix_id in external.items():
            put_sent(sent, [task], Accepted({"result": {"task": {"id": str(bitrix_id)}}}, str(bitrix_id)))
        sweeper = sweeper_for(bench, tracker)
        swept(sweeper)
        before = portal.requests.http
        assert [swept(sweeper) for _ in range(3)] == [SweepResult(found=len(external), calls=1)] * 3
        assert portal.requests.http == before + 3

        portal.finish(external["task-20"], answer="ДА")
        portal.decline(external["declined"])
        portal.finish(external["reopened"])
        portal.set_status(external["reopened"], 3)
        result = swept(sweeper)
        assert (result.checked, result.completed, result.errors) == (2, 1, 1)
        [(_, body)] = sent.get_all(RESPONSES)
        assert json.loads(body)["response_data"]["result"]["task"]["ufResultAnswer_text"] == "ДА"
        portal.finish(external["reopened"])
        assert swept(sweeper).completed == 1
        assert swept(sweeper).taken == 0, "what the overlap tells again is known"


class SlowSweeper(Sweeper):
    """Every sweep takes a while and goes through a large queue."""

    def __init__(self) -> None:
        self.begun: list[tuple[float, bool]] = []
        self.ended: list[float] = []
        self.twice = threading.Event()
        self.large = True

    def sweep(self, result: SweepResult, *, woken: bool = False) -> None:
        self.begun.append((time.monotonic(), woken))
        threading.Event().wait(0.1)
        self.ended.append(time.monotonic())
        if len(self.begun) == 2:
            self.twice.set()

    def is_large(self, result: SweepResult) -> bool:
        return self.large


def test_sweeps_of_a_large_queue_do_not_follow_each_other_at_once() -> None:
    sweeper, stop = SlowSweeper(), threading.Event()
    thread = TrackerThread(SENT, "bitrix24", sweeper, events=EventStream([Log()]), interval=60.0, stop=stop)
    thread.start()
    wait_until(lambda: bool(sweeper.begun), what="the first sweep")
    thread.wake()
    assert sweeper.twice.wait(30), "the wake-up is not lost"
    stop.set()
    thread.wake()
    assert thread.join(10)
    assert [woken for _, woken in sweeper.begun] == [False, True]
    assert sweeper.begun[1][0] - sweeper.ended[0] >= 4 * (sweeper.ended[0] - sweeper.begun[0][0])


def has_ended(thread: TrackerThread, number: int) -> bool:
    return thread.ended >= number


def store(bench: Bench, task_ids: Sequence[str]) -> None:
    """Many at once: `put_sent` waits for each."""
    confirmed = []
    for task_id in task_ids:
        task = decode_task(camunda_message(task_id), Limits())
        message = encode_sent(task, "bitrix24.queue", Accepted({}, f"ext-{task_id}"), now=1.0)
        confirmed.append(bench.publisher.publish(SENT, message))
    wait(confirmed)
