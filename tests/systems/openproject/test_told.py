"""No input is ignored without a word: it is used, refused by name, or told in the result."""

from __future__ import annotations

from typing import Any

import pytest

from base_handler import HandlerOutcome
from core.errors import OutcomeError, PermanentError
from core.results import Accepted, Done
from sandbox.openproject import OpenProjectSandbox
from sandbox.openproject.state import State
from tests.systems.bitrix.support import outcomes
from tests.systems.openproject.support import handler_for, message

# What the README documents, but for the custom fields. Each name is given alone, to each topic.
DOCUMENTED: dict[str, Any] = {
    "project": "office",
    "type": "Bug",
    "subject": "Новая тема",
    "title": "Новая тема",
    "name": "Новая тема",
    "description": "Новый текст",
    "description_additional": "Новый текст",
    "status": "In progress",
    "priority": "High",
    "task_priority": "High",
    "assignee": "Анна Соколова",
    "assigneeId": 4,
    "responsible_id": 4,
    "accountable": "Борис Лебедев",
    "responsible": "Борис Лебедев",
    "version": "1.0",
    "parent": "1",
    "parentTaskId": "1",
    "start_date": "2030-01-07",
    "due_date": "2030-01-08",
    "deadline": "2030-01-08",
    "finish_date": "2030-01-08",
    "estimated_time": "PT8H",
    "estimated_hours": "8",
    "comment": "Готово",
    "identifier": "new-one",
    "work_package_id": "1",
}


def warnings_of(outcome: HandlerOutcome) -> list[str]:
    assert isinstance(outcome, Accepted | Done), outcome
    told: list[str] = outcome.response.get("warnings", [])
    return told


def image(state: State) -> str:
    """Everything that is stored, but for what only counts changes."""
    with state.lock:
        packages = [
            {
                key: getattr(each, key)
                for key in each.__slots__
                if key not in {"updated_at", "created_at", "lock_version"}
            }
            for each in state.work_packages.values()
        ]
        return repr((packages, list(state.projects.values())))


@pytest.mark.parametrize("topic", ["op_create_task", "op_create_milestone", "op_update_task", "op_create_project"])
@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_is_documented_for_one_topic_is_not_ignored_by_another(topic: str, name: str) -> None:
    images, outcome = [], None
    for given in ({}, {name: DOCUMENTED[name]}):
        with OpenProjectSandbox() as server:
            handler = handler_for(server)
            outcomes(handler, [message(key="parent")])
            outcomes(handler, [message(key="other")])
            fixed = {"work_package_id": "2", "extensions": {"cf_Сумма": 1}} if topic == "op_update_task" else {}
            [outcome] = outcomes(handler, [message(topic, key="k", **{**fixed, **given})])
            images.append(image(server.state))
    assert outcome is not None
    is_used = images[0] != images[1]
    is_refused = isinstance(outcome, OutcomeError) and name in outcome.reason
    is_told = not isinstance(outcome, OutcomeError) and any(name in each for each in warnings_of(outcome))
    assert is_used or is_refused or is_told, outcome


@pytest.mark.parametrize("topic", ["op_create_task", "op_create_milestone", "op_update_task"])
def test_what_is_used_is_not_warned_about(topic: str) -> None:
    with OpenProjectSandbox() as server:
        handler = handler_for(server)
        outcomes(handler, [message(key="parent")])
        given = {name: DOCUMENTED[name] for name in ("subject", "description", "status", "priority", "assignee")}
        given |= {name: DOCUMENTED[name] for name in ("accountable", "version", "due_date", "estimated_time")}
        if topic == "op_update_task":
            given |= {"work_package_id": 1, "comment": "Готово", "project": "contracts", "type": "Bug"}
        [outcome] = outcomes(handler, [message(topic, **given)])
        assert warnings_of(outcome) == []


def test_an_update_changes_the_type_and_writes_the_fields_of_the_new_one() -> None:
    with OpenProjectSandbox() as server:
        handler = handler_for(server)
        outcomes(handler, [message(due_date="2030-01-08")])
        update = message("op_update_task", work_package_id=1, type="Milestone", due_date="2030-02-01", cf_Решение="Да")
        [outcome] = outcomes(handler, [update])
        assert warnings_of(outcome) == []
        [made] = server.work_packages
        assert (made.type, made.date, made.due_date, made.custom["customField9"]) == (2, "2030-02-01", None, [31])


def test_a_work_package_that_people_have_moved_stays_where_it_is() -> None:
    with OpenProjectSandbox() as server:
        handler = handler_for(server)
        outcomes(handler, [message()])
        server.change(1, project=2)
        [outcome] = outcomes(handler, [message("op_update_task", work_package_id=1, project="contracts", title="x")])
        assert warnings_of(outcome) == ["project: work package 1 is in project 2 and stays there"]
        assert (server.work_packages[0].project, server.work_packages[0].subject) == (2, "x")


def test_a_date_on_a_day_off_is_moved_by_the_server_and_told() -> None:
    with OpenProjectSandbox() as server:
        [outcome] = outcomes(handler_for(server), [message(due_date="2026-11-28")])
        assert warnings_of(outcome) == ["dueDate: OpenProject has '2026-11-30', not '2026-11-28'"]
        update = message("op_update_task", work_package_id=1, start_date="2026-11-21")
        [outcome] = outcomes(handler_for(server), [update])
        assert warnings_of(outcome) == ["startDate: OpenProject has '2026-11-23', not '2026-11-21'"]


def test_a_duration_is_the_same_in_other_words() -> None:
    with OpenProjectSandbox() as server:
        for given, kept in (("PT150M", "PT150M"), ("2.5", "PT2H30M"), ("0,01", "PT0H36S"), ("p3d", "P3D")):
            [outcome] = outcomes(handler_for(server), [message(estimated_time=given)])
            assert warnings_of(outcome) == []
            assert server.work_packages[-1].estimated_time == kept


def test_a_subject_that_is_too_long_is_cut_and_told() -> None:
    with OpenProjectSandbox() as server:
        [created] = outcomes(handler_for(server), [message(title="я" * 300)])
        [updated] = outcomes(handler_for(server), [message("op_update_task", work_package_id=1, title="z" * 256)])
        [project] = outcomes(handler_for(server), [message("op_create_project", name="п" * 256)])
        assert [warnings_of(each)[0].partition(":")[0] for each in (created, updated, project)] == [
            "subject",
            "subject",
            "name",
        ]


def test_a_milestone_has_one_date() -> None:
    with OpenProjectSandbox() as server:
        both = message("op_create_milestone", start_date="2030-01-07", due_date="2030-01-08")
        [outcome] = outcomes(handler_for(server), [both])
        assert warnings_of(outcome) == ["start_date: a milestone has one date, it is 2030-01-08"]


def test_a_type_that_is_none_of_milestones_is_refused_for_a_milestone() -> None:
    with OpenProjectSandbox() as server:
        [by_message] = outcomes(handler_for(server), [message("op_create_milestone", type="Bug")])
        [by_setting] = outcomes(handler_for(server, milestone_type="Task"), [message("op_create_milestone")])
        for outcome, name in ((by_message, "type: Bug"), (by_setting, "OPENPROJECT_MILESTONE_TYPE: Task")):
            assert isinstance(outcome, PermanentError)
            assert outcome.reason.startswith(name)
        assert server.work_packages == []


def test_a_work_package_that_was_found_is_not_held_against_what_people_have_changed() -> None:
    with OpenProjectSandbox() as server:
        task = message(key="k", title="Старое")
        outcomes(handler_for(server), [task])
        server.change(1, subject="Новое")
        [outcome] = outcomes(handler_for(server), [task])
        assert warnings_of(outcome) == []


def test_a_group_may_be_the_assignee() -> None:
    with OpenProjectSandbox() as server:
        [outcome] = outcomes(handler_for(server), [message(assignee="Юристы")])
        assert warnings_of(outcome) == []
        assert server.work_packages[0].assignee == 6
        assert isinstance(outcome, Accepted)
        assert outcome.response["result"]["task"]["assignee"] == "Юристы"
