"""What a system tells of changed tasks makes a click answered sooner, and costs little where it is not ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from base_tracker import BaseTracker, ChangedTask
from core.events.base import Event, EventStream
from core.events.systems import ChangesHeard, LargeQueueSwept, TrackingFailed
from sandbox.broker_view import Broker
from testbench.harness import RESPONSES, Bench, wait_until
from tests.support.queue_types import ON_CLASSIC
from tests.tracking.test_quiet_sweeps import OPEN, WatchfulTracker, deliveries, sweeper_for, swept
from tests.tracking.test_tracking import ids, put_sent
from tracking.hints import Hints
from tracking.tracker_thread import TrackerThread

FOREIGN = "ext-of-somebody-else"
SENT = "bitrix24.sent.queue"


class ToldTracker(WatchfulTracker):
    """Knows which of the tasks that it is told of are finished; `changes` tells nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.told_of: list[Sequence[str]] = []
        self.broken: Exception | None = None
        self.answering = threading.Event()
        self.answering.set()

    def finished_among(self, external_ids: Sequence[str]) -> Sequence[ChangedTask] | None:
        self.told_of.append(external_ids)
        assert self.answering.wait(30)
        if self.broken is not None:
            raise self.broken
        keys = {f"ext-{task}": task for task in OPEN}
        finished = (each for each in external_ids if each == FOREIGN or keys.get(each) in self.finished)
        return [ChangedTask(each, keys.get(each)) for each in finished]


class Heard:
    """What the stream told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def wants(self, kind: type[Event]) -> bool:
        return kind in {ChangesHeard, LargeQueueSwept, TrackingFailed}

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Event]) -> list[Any]:
        return [each for each in self.events if isinstance(each, kind)]


@contextmanager
def tracked(bench: Bench, tracker: BaseTracker) -> Iterator[tuple[TrackerThread, Heard]]:
    """A tracker that has swept once and would not sweep again within the test."""
    heard, stop = Heard(), threading.Event()
    sweeper = sweeper_for(bench, tracker)
    thread = TrackerThread(SENT, "bitrix24", sweeper, events=EventStream([heard]), interval=3600.0, stop=stop)
    thread.start()
    wait_until(lambda: thread.ended == 1, what="the first sweep")
    heard.events.clear()
    try:
        yield thread, heard
    finally:
        stop.set()
        thread.wake()
        assert thread.join(30)


def test_a_finished_task_of_which_the_system_tells_is_answered_before_the_next_sweep(
    bench: Bench, sent: Broker
) -> None:
    tracker = ToldTracker()
    put_sent(sent, OPEN)
    with tracked(bench, tracker) as (thread, _):
        tracker.finished.add("task-17")
        assert thread.hear_of(["ext-task-17"]) == 0
        sent.wait_for_count(RESPONSES, 1)
    assert ids(sent, RESPONSES) == ["task-17"]
    assert sorted(ids(sent, SENT)) == sorted(each for each in OPEN if each != "task-17")


@ON_CLASSIC
@pytest.mark.parametrize("told", [FOREIGN, "ext-task-4", "no-task-at-all"], ids=["foreign", "open", "unknown"])
def test_a_hint_that_leads_to_no_finished_task_of_ours_moves_no_message(bench: Bench, sent: Broker, told: str) -> None:
    tracker = ToldTracker()
    put_sent(sent, OPEN)
    with tracked(bench, tracker) as (thread, heard):
        put_sent(sent, ["new-1"])
        thread.hear_of([told])
        wait_until(lambda: bool(heard.of(ChangesHeard)), what="the look")
        assert not heard.of(ChangesHeard)[0].is_worth_it
        assert thread.begun == 1
    assert tracker.told_of == [[told]]
    assert deliveries(sent) == [True] * len(OPEN) + [False], "what is new has been touched by nobody"


def test_hints_that_come_during_a_look_are_one_look_more(bench: Bench, sent: Broker) -> None:
    tracker = ToldTracker()
    put_sent(sent, OPEN)
    with tracked(bench, tracker) as (thread, heard):
        tracker.answering.clear()
        tracker.finished |= {"task-3", "task-4"}
        thread.hear_of(["ext-task-3"])
        wait_until(lambda: bool(tracker.told_of), what="the question")
        for number in range(200):
            thread.hear_of([f"ext-task-{number % 2 + 3}"])
        tracker.answering.set()
        sent.wait_for_count(RESPONSES, 2)
        wait_until(lambda: len(heard.of(ChangesHeard)) == 2, what="the second look")
    assert [sorted(each) for each in tracker.told_of] == [["ext-task-3"], ["ext-task-3", "ext-task-4"]]
    assert sorted(ids(sent, RESPONSES)) == ["task-3", "task-4"]


def test_what_is_answered_is_not_sought_when_the_system_tells_of_it_again(bench: Bench, sent: Broker) -> None:
    tracker = ToldTracker()
    put_sent(sent, OPEN)
    with tracked(bench, tracker) as (thread, heard):
        tracker.finished.add("task-5")
        thread.hear_of(["ext-task-5"])
        sent.wait_for_count(RESPONSES, 1)
        wait_until(lambda: thread.ended == 2, what="the end of the sweep")
        thread.hear_of(["ext-task-5"])
        wait_until(lambda: len(heard.of(ChangesHeard)) == 2, what="the second look")
        assert thread.begun == 2


def test_a_look_that_fails_is_nobodys_trouble_and_a_mistake_is_told(bench: Bench, sent: Broker) -> None:
    tracker = ToldTracker()
    put_sent(sent, OPEN)
    with tracked(bench, tracker) as (thread, heard):
        tracker.broken = ValueError("a tracker's own mistake")
        thread.hear_of(["ext-task-5"])
        wait_until(lambda: bool(heard.of(ChangesHeard)), what="the look")
        assert [each.mistake for each in heard.of(TrackingFailed)] == [tracker.broken]
        tracker.broken = None
        tracker.finished.add("task-5")
        thread.hear_of(["ext-task-5"])
        sent.wait_for_count(RESPONSES, 1)


def test_a_tracker_without_the_question_sweeps_sooner(bench: Bench, sent: Broker) -> None:
    tracker = WatchfulTracker()
    put_sent(sent, OPEN)
    with tracked(bench, tracker) as (thread, _):
        tracker.finish("task-9")
        thread.hear_of(["ext-task-9"])
        sent.wait_for_count(RESPONSES, 1)


def test_a_held_tracker_looks_when_it_is_released(bench: Bench, sent: Broker) -> None:
    tracker = ToldTracker()
    put_sent(sent, OPEN)
    with tracked(bench, tracker) as (thread, _):
        thread.hold()
        tracker.finished.add("task-9")
        thread.hear_of(["ext-task-9"])
        thread.release()
        sent.wait_for_count(RESPONSES, 1)


def test_a_task_finished_in_a_small_queue_is_answered_as_well(bench: Bench, sent: Broker) -> None:
    tracker = ToldTracker()
    put_sent(sent, OPEN[:5])
    with tracked(bench, tracker) as (thread, _):
        tracker.finished.add("task-1")
        thread.hear_of(["ext-task-1"])
        sent.wait_for_count(RESPONSES, 1)


def test_the_search_ends_where_the_task_is_found(bench: Bench, sent: Broker) -> None:
    tracker = ToldTracker()
    put_sent(sent, OPEN)
    sweeper = sweeper_for(bench, tracker)
    swept(sweeper)
    tracker.finished.add("task-3")
    assert sweeper.heard_of(["ext-task-3", FOREIGN])
    assert swept(sweeper).taken == tracker.chunk_size


def test_hints_have_a_bound_and_each_id_is_kept_once() -> None:
    hints = Hints(most=3)
    assert hints.add(["1", "2", "1", "3", "2"]) == 0
    assert hints.add(["3", "4", "5"]) == 2
    assert hints.take(2) == ["1", "2"]
    assert hints.take(2) == ["3"]
    assert hints.take(2) == []
