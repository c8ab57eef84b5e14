"""A portal tells of everybody's tasks: which of them are finished and ours is one request."""

from __future__ import annotations

import pytest

from base_tracker import ChangedTask
from core.errors import OutcomeError
from sandbox.bitrix24 import BitrixSandbox, faults
from tests.systems.bitrix.test_tracker import bitrix_id, tasks, tracker_for


def test_only_finished_tasks_are_told_and_ours_with_their_keys() -> None:
    with BitrixSandbox() as portal:
        finished, declined, open_task = tasks(portal, 3)
        own = str(portal.create_task("Собственная задача"))
        portal.finish(bitrix_id(finished))
        portal.decline(bitrix_id(declined))
        portal.finish(own)
        ids = [bitrix_id(finished), bitrix_id(declined), bitrix_id(open_task), own, "77777", "no-id", "-1"]
        told = tracker_for(portal).finished_among(ids)
        assert {(each.external_id, each.task_id) for each in told} == {
            (finished.external_id, finished.task_id),
            (declined.external_id, declined.task_id),
            (own, None),
        }


def test_2500_tasks_are_one_request_and_none_is_no_request() -> None:
    with BitrixSandbox() as portal:
        tracked = tasks(portal, 2500)
        for each in tracked[::50]:
            portal.finish(bitrix_id(each))
        tracker, before = tracker_for(portal), portal.requests.http
        assert len(tracker.finished_among([bitrix_id(each) for each in tracked])) == 50
        assert portal.requests.http == before + 1
        assert tracker.finished_among(["nonsense"]) == []
        assert portal.requests.http == before + 1


def test_a_portal_that_ignores_the_filter_makes_nobody_elses_task_ours() -> None:
    with BitrixSandbox() as portal:
        first, second = tasks(portal, 2)
        portal.finish(bitrix_id(second))
        portal.state.ignored_filters = frozenset({"ID", "REAL_STATUS"})
        assert tracker_for(portal).finished_among([bitrix_id(first)]) == []


def test_a_portal_that_cannot_be_asked_raises_its_outcome() -> None:
    with BitrixSandbox() as portal:
        [task] = tasks(portal, 1)
        portal.inject(faults.error("INTERNAL_SERVER_ERROR"), "*", count=None)
        with pytest.raises(OutcomeError):
            tracker_for(portal).finished_among([bitrix_id(task)])


def test_what_is_told_is_a_changed_task() -> None:
    with BitrixSandbox() as portal:
        [task] = tasks(portal, 1)
        portal.finish(bitrix_id(task))
        assert tracker_for(portal).finished_among([bitrix_id(task)]) == [ChangedTask(task.external_id, task.task_id)]
