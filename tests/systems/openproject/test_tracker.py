"""Which work packages are closed, asked in bulk; nothing is called closed or deleted by mistake."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from base_tracker import Changes
from consumers.openproject.changes import MOST_ROWS, OVERLAP
from consumers.openproject.tracker import OpenProjectTaskTracker
from core.errors import ConfigurationError, OutageError
from core.messages import TrackedTask
from core.results import Completed, Pending, Rejected, Verdict
from sandbox.http_front import RawAnswer
from sandbox.openproject import OpenProjectSandbox, faults, query
from sandbox.openproject import writing as server_side
from sandbox.openproject.sandbox import REJECTED
from tests.systems.openproject.support import tracker_for


def tasks(server: OpenProjectSandbox, count: int) -> list[TrackedTask]:
    tracked = []
    with server.state.lock:
        for number in range(count):
            body = {"subject": f"Задача {number}", "customField7": f"key-{number}"}
            made = server_side.create(server.state, body, server.state.projects[1])
            tracked.append(TrackedTask(f"key-{number}", str(made.id)))
    return tracked


def ids(*tracked: TrackedTask) -> list[str]:
    return [str(task.external_id) for task in tracked]


def number_of(task: TrackedTask) -> int:
    return int(task.external_id or 0)


def task_of(verdict: Verdict) -> dict[str, Any]:
    assert isinstance(verdict, Completed), verdict
    task: dict[str, Any] = verdict.response["result"]["task"]
    return task


def test_a_closed_work_package_is_completed_with_its_data() -> None:
    with OpenProjectSandbox() as server:
        first, second = tasks(server, 2)
        server.change(number_of(first), subject="Новое имя", custom={"customField7": "key-0", "customField9": [31]})
        server.close(number_of(first))
        completed, pending = tracker_for(server).check([first, second])
        task = task_of(completed)
        assert (task["id"], task["title"], task["status"]) == (first.external_id, "Новое имя", "Closed")
        assert (task["statusId"], task["customField9"], task["project"]) == ("12", "Да", "Договоры")
        assert pending == Pending()


@pytest.mark.parametrize(("status", "closed"), [(1, False), (7, False), (12, True), (14, True)])
def test_closed_is_what_the_server_calls_closed(status: int, closed: bool) -> None:
    with OpenProjectSandbox() as server:
        [task] = tasks(server, 1)
        server.close(number_of(task), status)
        [verdict] = tracker_for(server).check([task])
        assert isinstance(verdict, Completed) is closed


def test_a_status_may_stand_for_an_answer() -> None:
    with OpenProjectSandbox() as server:
        yes, no, silent = tasks(server, 3)
        server.close(number_of(yes))
        server.close(number_of(no), REJECTED)
        server.close(number_of(silent))
        tracker = tracker_for(server, answers={"closed": "ДА", "14": "НЕТ"})
        answers = [task_of(each).get("ufResultAnswer_text") for each in tracker.check([yes, no])]
        assert answers == ["ДА", "НЕТ"]
        [verdict] = tracker_for(server).check([silent])
        assert "ufResultAnswer_text" not in task_of(verdict)


def test_ten_thousand_open_ones_cost_forty_requests_and_a_quiet_cycle_one(ten_thousand: int) -> None:
    with OpenProjectSandbox() as server:
        open_ones = tasks(server, ten_thousand)
        tracker = tracker_for(server)
        tracker.check(open_ones[:1])  # the statuses are read
        mark = tracker.changes(None)
        assert mark is not None
        before = server.requests
        verdicts = [
            verdict
            for start in range(0, ten_thousand, OpenProjectTaskTracker.chunk_size)
            for verdict in tracker.check(open_ones[start : start + OpenProjectTaskTracker.chunk_size])
        ]
        assert verdicts == [Pending()] * ten_thousand
        assert server.requests - before == 40
        quiet = tracker.changes(mark.mark)
        assert quiet is not None
        assert (quiet.tasks, server.requests - before) == ([], 41)


def test_a_hundred_closed_ones_need_no_request_of_their_own() -> None:
    with OpenProjectSandbox() as server:
        open_ones = tasks(server, 1000)
        for task in open_ones[::10]:
            server.close(number_of(task))
        tracker = tracker_for(server)
        verdicts = tracker.check(open_ones)
        assert sum(isinstance(each, Completed) for each in verdicts) == 100
        assert server.requests == 4 + 1  # and the list of statuses


def test_deleted_and_hidden_ones_are_found_out_by_halves_and_told_after_three_looks() -> None:
    with OpenProjectSandbox() as server:
        open_ones = tasks(server, 250)
        server.delete(number_of(open_ones[17]))
        server.change(number_of(open_ones[200]), visible=False)
        server.close(number_of(open_ones[18]))
        tracker = tracker_for(server)
        looks = [tracker.check(open_ones) for _ in range(3)]
        for verdicts in looks[:2]:
            assert sum(isinstance(each, Completed) for each in verdicts) == 1
            assert not any(isinstance(each, Rejected) for each in verdicts)
        rejected = {task.task_id for task, each in zip(open_ones, looks[2], strict=True) if isinstance(each, Rejected)}
        assert rejected == {"key-17", "key-200"}


def test_one_that_can_be_seen_again_is_not_deleted() -> None:
    with OpenProjectSandbox() as server:
        task, other = tasks(server, 2)
        tracker = tracker_for(server)
        for visible in (False, False, True, False, False):
            server.change(number_of(task), visible=visible)
            assert tracker.check([task, other]) == [Pending(), Pending()]


def test_a_token_that_sees_nothing_any_more_deletes_nothing() -> None:
    with OpenProjectSandbox() as server:
        open_ones = tasks(server, 20)
        for task in open_ones:
            server.change(number_of(task), visible=False)
        tracker = tracker_for(server)
        for _ in range(4):
            with pytest.raises(ConfigurationError, match="lost the right"):
                tracker.check(open_ones)


def test_an_outage_is_no_verdict() -> None:
    with OpenProjectSandbox() as server:
        [task] = tasks(server, 1)
        tracker = tracker_for(server)
        server.inject(faults.html(502), "GET work_packages", count=None)
        with pytest.raises(OutageError):
            tracker.check([task])
        server.clear_faults()
        assert tracker.check([task]) == [Pending()]


# -- what has changed ------------------------------------------------------------------------------------------------


def told(changes: Changes | None) -> list[str]:
    assert changes is not None
    return sorted(str(each.external_id) for each in changes.tasks)


def test_only_what_was_closed_since_is_told_and_only_once() -> None:
    with OpenProjectSandbox() as server:
        first, second, third = tasks(server, 3)
        server.close(number_of(first))
        tracker = tracker_for(server)
        start = tracker.changes(None)
        assert told(start) == []
        assert start is not None
        server.close(number_of(second))
        found = tracker.changes(start.mark)
        # What the overlap reaches is told once more at the beginning: a task too many costs little.
        assert told(found) == ids(first, second)
        assert found is not None
        again = tracker.changes(found.mark)
        assert told(again) == []
        assert again is not None
        server.close(number_of(third))
        assert told(tracker.changes(again.mark)) == ids(third)


def test_the_servers_clock_may_be_wrong_by_a_day() -> None:
    with OpenProjectSandbox() as server:
        server.state.clock_offset = timedelta(days=-1)
        first, second = tasks(server, 2)
        server.close(number_of(first))
        tracker = tracker_for(server)
        start = tracker.changes(None)
        assert start is not None
        server.close(number_of(second))
        assert ids(second)[0] in told(tracker.changes(start.mark))


def test_a_failed_sweep_may_ask_again_from_the_same_mark() -> None:
    with OpenProjectSandbox() as server:
        [task] = tasks(server, 1)
        tracker = tracker_for(server)
        start = tracker.changes(None)
        assert start is not None
        server.close(number_of(task))
        assert told(tracker.changes(start.mark)) == told(tracker.changes(start.mark)) == ids(task)


def test_too_many_changes_ask_for_a_full_look() -> None:
    with OpenProjectSandbox() as server:
        open_ones = tasks(server, MOST_ROWS + 1)
        tracker = tracker_for(server)
        start = tracker.changes(None)
        assert start is not None
        for task in open_ones:
            server.close(number_of(task))
        assert tracker.changes(start.mark) is None


def test_an_ignored_filter_is_not_believed() -> None:
    with OpenProjectSandbox() as server:
        [task] = tasks(server, 1)
        server.close(number_of(task))
        tracker = tracker_for(server)
        start = tracker.changes(None)
        assert start is not None
        with server.state.lock:
            server.state.work_packages[number_of(task)].updated_at -= timedelta(days=30)
        server.inject(faults.answer(_a_page_of(server)), "GET work_packages", count=None)
        assert tracker.changes(start.mark) is None


def _a_page_of(server: OpenProjectSandbox) -> RawAnswer:
    page = query.listing(server.state, {"filters": "[]", "pageSize": "500"}, None)
    return RawAnswer(200, json.dumps(page).encode(), "application/hal+json; charset=utf-8")


def test_copies_of_one_sent_message_do_not_shorten_the_three_looks() -> None:
    with OpenProjectSandbox() as server:
        task, other = tasks(server, 2)
        server.delete(number_of(task))
        tracker = tracker_for(server)
        for _ in range(2):
            assert tracker.check([task, task, task, other]) == [Pending()] * 4
        assert isinstance(tracker.check([task, other])[0], Rejected)


def test_what_was_closed_within_a_second_of_the_mark_is_no_filter_that_is_ignored() -> None:
    with OpenProjectSandbox() as server:
        first, second = tasks(server, 2)
        server.close(number_of(first))
        tracker = tracker_for(server)
        start = tracker.changes(None)
        assert start is not None
        # Exactly the overlap later, and later within its second: the filter, in whole seconds, tells the first again.
        with server.state.lock:
            moment = server.state.work_packages[number_of(first)].updated_at
            server.close(number_of(second))
            later = (moment + OVERLAP).replace(microsecond=900_000)
            server.state.work_packages[number_of(first)].updated_at = moment.replace(microsecond=200_000)
            server.state.work_packages[number_of(second)].updated_at = later
        found = tracker.changes(start.mark)
        assert found is not None
        assert tracker.changes(found.mark) is not None
