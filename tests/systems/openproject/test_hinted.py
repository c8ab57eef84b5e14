"""A server tells of the work packages of all its projects: which are closed and ours is known without the queue."""

from __future__ import annotations

import pytest

from base_tracker import ChangedTask, Changes
from core.errors import OutageError
from sandbox.openproject import OpenProjectSandbox, faults
from sandbox.openproject import writing as server_side
from tests.systems.openproject.support import tracker_for
from tests.systems.openproject.test_tracker import ids, number_of, tasks


def own(server: OpenProjectSandbox, project: int = 1, **body: object) -> str:
    """A work package that a person has made."""
    with server.state.lock:
        made = server_side.create(server.state, {"subject": "Своя", **body}, server.state.projects[project])
    return str(made.id)


def test_only_closed_work_packages_are_told_and_ours_with_their_keys() -> None:
    with OpenProjectSandbox() as server:
        closed, opened, hidden = tasks(server, 3)
        mine = own(server)
        server.close(number_of(closed))
        server.close(mine)
        server.close(number_of(hidden))
        server.change(number_of(hidden), visible=False)
        told = tracker_for(server).finished_among([*ids(closed, opened, hidden), mine, "77777", "no-id"])
        assert set(told) == {ChangedTask(closed.external_id, closed.task_id), ChangedTask(mine, None)}


@pytest.mark.parametrize("key_field", ["Camunda ID", "camunda id", "customField7"])
def test_a_closed_work_package_is_told_with_its_key_however_the_field_is_called(key_field: str) -> None:
    with OpenProjectSandbox() as server:
        [task] = tasks(server, 1)
        tracker = tracker_for(server, key_field=key_field)
        start = tracker.changes(None)
        assert isinstance(start, Changes)
        server.close(number_of(task))
        changes = tracker.changes(start.mark)
        assert changes is not None
        assert list(changes.tasks) == [ChangedTask(task.external_id, task.task_id)]
        assert tracker.finished_among(ids(task)) == list(changes.tasks)


def test_work_packages_without_texts_of_their_own_cost_no_further_question() -> None:
    with OpenProjectSandbox() as server:
        tracker = tracker_for(server)
        mine = [own(server, project=3) for _ in range(5)]
        for each in mine:
            server.close(each)
        server.log.clear()
        assert [each.task_id for each in tracker.finished_among(mine)] == [None] * 5
        assert not [each for each in server.log if "schemas" in each.path]


def test_a_hundred_of_one_project_ask_for_its_fields_once() -> None:
    with OpenProjectSandbox() as server:
        tracked = tasks(server, 100)
        for each in tracked:
            server.close(number_of(each))
        tracker = tracker_for(server)
        assert len(tracker.finished_among(ids(*tracked))) == 100
        assert len([each for each in server.log if "schemas" in each.path]) == 1


def test_a_server_that_cannot_be_asked_raises_its_outcome() -> None:
    with OpenProjectSandbox() as server:
        [task] = tasks(server, 1)
        server.inject(faults.html(502), "*", count=None)
        with pytest.raises(OutageError):
            tracker_for(server).finished_among(ids(task))
