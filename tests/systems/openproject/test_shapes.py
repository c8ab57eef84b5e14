"""Answers of another shape: a row that cannot be read costs itself, and nothing but an outcome ever comes out.

`core/errors.py` has the outcomes; `base_tracker.py` says which of them a tracker may raise.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base_tracker import Changes
from core.errors import (
    AmbiguousError,
    ConfigurationError,
    OutageError,
    OutcomeError,
    TransientError,
)
from core.messages import IncomingMessage, TrackedTask
from core.results import Accepted, Completed, Done, Pending, Rejected
from sandbox.http_front import RawAnswer
from sandbox.openproject import OpenProjectSandbox, faults
from sandbox.openproject import writing as server_side
from tests.systems.bitrix.support import outcomes
from tests.systems.openproject.misshapen import Blow, MisshapenOpenProject
from tests.systems.openproject.support import handler_for, message, tracker_for

LOOK_UP = "GET projects/*/work_packages"
LIST = "GET work_packages"

# What stands where a row should be, and rows that are none.
BAD_ROWS: list[Any] = [7, None, "x", [], [[]], True, {}, {"id": None}, {"id": "x"}, {"id": -1}, {"id": 1.5}, {"id": {}}]
# What a work package has instead of a status that can be read.
BAD_STATUSES: list[Any] = [
    *(None, 7, [], {}, {"status": None}, {"status": 7}, {"status": []}, {"status": {}}),
    *({"status": {"href": None}}, {"status": {"href": 7}}, {"status": {"href": "/api/v3/statuses/x"}}),
    *({"status": {"href": "/api/v3/statuses/999"}}, {"status": {"href": "urn:openproject-org:api:v3:undisclosed"}}),
]
# Objects that are no answer to a question for a list.
NO_LISTS: list[dict[str, Any]] = [
    *({}, {"_embedded": None}, {"_embedded": {"elements": {}}, "total": 0}, {"_embedded": {"elements": []}}),
    *({"_embedded": {"elements": []}, "total": None}, {"_embedded": {"elements": []}, "total": "0"}),
    *({"_embedded": {"elements": []}, "total": True}, {"_embedded": {"elements": []}, "total": -1}),
    *({"_embedded": [], "total": 5}, {"total": 5}, {"status": "please log in"}, {"_type": "Error"}),
]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
    | st.sampled_from(["/api/v3/users/4", "urn:openproject-org:api:v3:undisclosed", "0001-01-01T00:00:00Z", "", "Да"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
blows = st.builds(Blow, st.integers(0, 10**6), json_values, st.booleans())
storms = st.lists(st.lists(blows, max_size=3), min_size=1, max_size=8)


def answer(body: Any) -> faults.Fault:
    return faults.answer(RawAnswer(200, json.dumps(body).encode(), "application/hal+json; charset=utf-8"))


def put_in(server: OpenProjectSandbox, count: int, prefix: str = "key") -> list[TrackedTask]:
    tracked = []
    with server.state.lock:
        for number in range(count):
            body = {"subject": f"Задача {number}", "customField7": f"{prefix}-{number}"}
            made = server_side.create(server.state, body, server.state.projects[1])
            tracked.append(TrackedTask(f"{prefix}-{number}", str(made.id)))
    return tracked


class Bent(OpenProjectSandbox):
    """Bends each row of each list of work packages by `bend`."""

    bend: Callable[[Any], Any] = staticmethod(lambda row: row)

    def _answer(self, request: Any) -> RawAnswer:
        made = super()._answer(request)
        body = json.loads(made.body) if isinstance(made.body, bytes) and made.body else {}
        if body.get("_type") != "WorkPackageCollection":
            return made
        body["_embedded"]["elements"] = [self.bend(row) for row in body["_embedded"]["elements"]]
        return RawAnswer(made.status, json.dumps(body).encode(), made.content_type, made.headers)


# -- the tracker: one bad row costs one verdict ------------------------------------------------------------------------


@pytest.mark.parametrize("bad", BAD_ROWS)
def test_a_row_that_is_none_costs_one_verdict(bad: Any) -> None:
    with Bent() as server:
        tracked = put_in(server, 40)
        for task in tracked[::2]:
            server.close(int(task.external_id or 0))
        server.bend = lambda row: bad if row["id"] == 7 else row
        tracker = tracker_for(server)
        for look in range(3):
            verdicts = tracker.check(tracked)
            assert sum(isinstance(each, Completed) for each in verdicts) == 19
            assert isinstance(verdicts[6], Pending if look < 2 else Rejected)
        assert [each.code for each in verdicts if isinstance(each, Rejected)] == ["task_unreadable"]


@pytest.mark.parametrize("links", BAD_STATUSES)
def test_a_status_that_cannot_be_read_costs_one_verdict(links: Any) -> None:
    with Bent() as server:
        tracked = put_in(server, 10)
        for task in tracked:
            server.close(int(task.external_id or 0))
        server.bend = lambda row: {**row, "_links": links} if row["id"] == 3 else row
        tracker = tracker_for(server)
        for look in range(3):
            verdicts = tracker.check(tracked)
            assert sum(isinstance(each, Completed) for each in verdicts) == 9
            assert isinstance(verdicts[2], Pending if look < 2 else Rejected)
        server.bend = lambda row: row
        assert sum(isinstance(each, Completed) for each in tracker.check(tracked)) == 10


def test_when_nothing_can_be_read_nobody_is_given_up() -> None:
    with Bent() as server:
        tracked = put_in(server, 3)
        for task in tracked:
            server.close(int(task.external_id or 0))
        server.bend = lambda row: {**row, "_links": None}
        tracker = tracker_for(server)
        for _ in range(5):
            with pytest.raises(OutageError, match="cannot be read"):
                tracker.check(tracked)


@pytest.mark.parametrize("body", NO_LISTS)
def test_what_is_no_list_is_an_outage_and_no_empty_list(body: dict[str, Any]) -> None:
    with OpenProjectSandbox() as server:
        tracked = put_in(server, 3)
        server.close(tracked[0].external_id or 0)
        tracker = tracker_for(server)
        server.inject(answer(body), LIST, count=None)
        with pytest.raises(OutageError):
            tracker.check(tracked)
        with pytest.raises(OutageError):
            tracker.changes(None)


@pytest.mark.parametrize(
    "bad", [*BAD_ROWS, {"id": 1}, {"id": 1, "updatedAt": 7}, {"id": 1, "updatedAt": "0001-01-01T00:00:00Z"}]
)
def test_a_change_that_cannot_be_read_asks_for_a_full_look(bad: Any) -> None:
    with Bent() as server:
        tracked = put_in(server, 3)
        tracker = tracker_for(server)
        start = tracker.changes(None)
        assert start is not None
        server.close(tracked[0].external_id or 0)
        server.bend = lambda row: bad
        assert tracker.changes(start.mark) is None
        assert tracker.changes(None) is None


def test_a_server_that_turns_no_pages_is_not_asked_for_ever() -> None:
    with OpenProjectSandbox() as server:
        [task] = put_in(server, 1)
        page = {"_embedded": {"elements": [{"id": 1}]}, "total": 10**9}
        server.inject(answer(page), LIST, count=None)
        with pytest.raises(OutageError, match="pages"):
            tracker_for(server).check([task])
        assert server.requests < 10


# -- the handler: a look-up that cannot be read creates nothing --------------------------------------------------------


@pytest.mark.parametrize("bad", [*BAD_ROWS, {"id": 5}])
def test_a_row_that_is_none_in_a_look_up_costs_one_message(bad: Any) -> None:
    with Bent() as server:
        put_in(server, 20)
        server.bend = lambda row: bad if row["customField7"] == "key-7" else row
        messages = [message(key=f"key-{number}") for number in range(20)] + [message(key=f"new-{n}") for n in range(5)]
        results = outcomes(handler_for(server), messages)
        assert isinstance(results[7], TransientError), results[7]
        assert all(isinstance(each, Accepted) and each.duplicate for at, each in enumerate(results[:20]) if at != 7)
        assert all(isinstance(each, Accepted) and not each.duplicate for each in results[20:])
        assert all(len(ids) == 1 for ids in server.by_key().values())


@pytest.mark.parametrize("body", NO_LISTS)
def test_a_look_up_that_is_no_list_creates_nothing(body: dict[str, Any]) -> None:
    """Read as an empty list it would be a second work package for a task that has one."""
    with OpenProjectSandbox() as server:
        put_in(server, 1)
        handler = handler_for(server)
        handler.probe()
        server.inject(answer(body), LOOK_UP, count=None)
        results = outcomes(handler, [message(key="key-0"), message(key="new")])
        assert all(isinstance(each, OutageError) for each in results)
        assert len(server.work_packages) == 1


@pytest.mark.parametrize("body", NO_LISTS)
@pytest.mark.parametrize("path", ["projects", "projects/1/types", "statuses", "projects/1/available_assignees"])
def test_a_list_of_names_that_is_none_is_an_outage_and_no_unknown_name(path: str, body: dict[str, Any]) -> None:
    """Else every message would be parked for a name that is right."""
    with OpenProjectSandbox() as server:
        server.inject(answer(body), f"GET {path}", count=None)
        [outcome] = outcomes(handler_for(server), [message(type="Task", status="New", assignee="sokolova")])
        assert isinstance(outcome, OutageError), outcome


@pytest.mark.parametrize("body", [{}, {"_type": "Schema2"}, {"status": "log in"}, {"_type": None}])
def test_a_schema_that_is_none_is_an_outage_and_no_missing_field(body: dict[str, Any]) -> None:
    with OpenProjectSandbox() as server:
        server.inject(answer(body), "GET work_packages/schemas/*", count=None)
        [outcome] = outcomes(handler_for(server), [message()])
        assert isinstance(outcome, OutageError), outcome
        server.clear_faults()
        server.inject(answer(body), "POST *form", count=None)
        [outcome] = outcomes(handler_for(server), [message(cf_Решение="Да")])
        assert isinstance(outcome, OutageError), outcome


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": "x"}, {"status": "log in"}, {"id": [1]}])
def test_a_creation_whose_answer_has_no_id_is_looked_up(body: dict[str, Any]) -> None:
    with OpenProjectSandbox() as server:
        fault = faults.answer(RawAnswer(201, json.dumps(body).encode()), after_execution=True)
        server.inject(fault, "POST projects/*/work_packages")
        [outcome] = outcomes(handler_for(server), [message(key="k")])
        assert isinstance(outcome, Accepted), outcome
        assert (outcome.external_id, len(server.work_packages)) == ("1", 1)
        server.inject(fault, "POST projects")
        project = message("op_create_project", key="p", name="Проект")
        [doubt] = outcomes(handler_for(server), [project])
        assert isinstance(doubt, AmbiguousError | Done), doubt
        [found] = outcomes(handler_for(server), [project])
        assert isinstance(found, Done), found
        assert (found.external_id, len(server.state.projects)) == ("4", 4)


@pytest.mark.parametrize(
    "change", [{"id": None}, {"_links": None}, {"_links": {"project": {}}}, {"lockVersion": None}, {"lockVersion": "x"}]
)
def test_a_work_package_that_cannot_be_read_costs_its_own_update(change: dict[str, Any]) -> None:
    with OpenProjectSandbox() as server:
        put_in(server, 2)
        body = {"id": 1, "lockVersion": 0, "_links": {"project": {"href": "/api/v3/projects/1"}}}
        server.inject(answer({**body, **change}), "GET work_packages/1", count=None)
        bad, good = outcomes(
            handler_for(server), [message("op_update_task", work_package_id=n, title="x") for n in (1, 2)]
        )
        assert isinstance(bad, TransientError), bad
        assert isinstance(good, Done), good


# -- anything at all ---------------------------------------------------------------------------------------------------


def every_topic() -> list[IncomingMessage]:
    choices = {"cf_Решение": "Да", "cf_Регион": "Тверь", "cf_Куратор": "sokolova", "cf_Сумма": 1}
    return [
        message(title="Одна", assignee="sokolova", version="1.0", parent="CONTRACTS-1", status="New"),
        message(extensions=choices, due_date="2030-01-08", priority="High", parent="Задача 0"),
        message("op_create_milestone", date="2030-01-08"),
        message("op_update_task", work_package_id="#1", title="Другая", comment="Готово", extensions=choices),
        message("op_update_task", work_package_id=2, type="Bug", attempt=2, comment="Готово"),
        message("op_create_project", name="Проект", cf_Класс="A", parent="office"),
    ]


@given(storms, st.booleans())
def test_whatever_is_answered_every_message_gets_an_outcome(storm: list[list[Blow]], reads_only: bool) -> None:
    with MisshapenOpenProject() as server:
        put_in(server, 3)
        server.reads_only = reads_only
        server.blows = storm
        handler = handler_for(server)
        for _ in range(2):
            results = outcomes(handler, every_topic())
            assert all(isinstance(each, Accepted | Done | OutcomeError) for each in results)
            assert all(
                each.external_id and each.external_id.isdecimal() for each in results if isinstance(each, Accepted)
            )


@given(storms)
def test_whatever_is_answered_a_sweep_has_verdicts_or_an_outcome(storm: list[list[Blow]]) -> None:
    with MisshapenOpenProject() as server:
        tracked = put_in(server, 6)
        tracker = tracker_for(server, id_chunk=4)
        start = tracker.changes(None)
        for task in tracked[::2]:
            server.close(int(task.external_id or 0))
        server.delete(2)
        server.blows = storm
        mark = start.mark if start else None
        allowed = (OutageError, ConfigurationError, TransientError)  # base_tracker.py
        for _ in range(3):
            with contextlib.suppress(*allowed):
                verdicts = tracker.check(tracked)
                assert [type(each) in {Pending, Completed, Rejected} for each in verdicts] == [True] * 6
            with contextlib.suppress(*allowed):
                changes = tracker.changes(mark)
                assert changes is None or isinstance(changes, Changes)
                mark = changes.mark if changes else mark
