"""What people call work packages and projects, on servers of every age.

Since 17.5 an administrator may have them called PROJ-42 (`displayId`; docs/release-notes/17-5-0 of opf/openproject).
Where the server understands that: app/models/work_package/semantic_identifier.rb and its finder_methods.rb,
lib/api/v3/work_packages/work_packages_api.rb (address) and work_package_representer.rb (parent: by number only).
"""

from __future__ import annotations

from typing import Any

import pytest
import requests

from base_handler import HandlerOutcome
from core.errors import OutcomeError, PermanentError, TransientError
from core.messages import TrackedTask
from core.results import Accepted, Completed, Done
from sandbox.openproject import Instance, OpenProjectSandbox, Project, faults
from tests.systems.bitrix.support import outcomes, redelivered
from tests.systems.openproject.support import handler_for, message, tracker_for

SEMANTIC = Instance(semantic=True)
OLD = Instance(version=(13, 4))


def done(outcome: HandlerOutcome) -> Done:
    assert isinstance(outcome, Done), outcome
    return outcome


def created(server: OpenProjectSandbox, **given: Any) -> Accepted:
    [outcome] = outcomes(handler_for(server), [message(**given)])
    assert isinstance(outcome, Accepted), outcome
    return outcome


@pytest.mark.parametrize("name", ["CONTRACTS-2", "contracts-2", "#CONTRACTS-2", 2, "2", "#2", 2.0])
def test_an_update_finds_its_work_package_by_what_people_call_it(name: Any) -> None:
    with OpenProjectSandbox(instance=SEMANTIC) as server:
        for _ in range(2):
            created(server)
        [outcome] = outcomes(
            handler_for(server), [message("op_update_task", work_package_id=name, title="Новое", comment="Готово")]
        )
        result = done(outcome)
        task = result.response["result"]["task"]
        assert (result.external_id, task["id"], task["displayId"]) == ("2", "2", "CONTRACTS-2")
        assert [each.subject for each in server.work_packages] == ["Согласовать договор", "Новое"]
        assert server.work_packages[1].comments == ["Готово"]


@pytest.mark.parametrize("name", ["CONTRACTS-1", "contracts-1", "1", "#1", "рамочный договор"])
def test_a_parent_is_found_by_what_people_call_it(name: str) -> None:
    with OpenProjectSandbox(instance=SEMANTIC) as server:
        created(server, title="Рамочный договор")
        child = created(server, parent=name)
        assert server.state.work_packages[int(child.external_id or 0)].parent == 1


def test_a_former_identifier_of_the_project_is_a_name_for_ever() -> None:
    projects = [Project(1, "NEU", "Договоры", former=("ALT", "alt"))]
    with OpenProjectSandbox(projects=projects, instance=SEMANTIC) as server:
        handler = handler_for(server, default_project="NEU")
        outcomes(handler, [message()])
        for number, name in enumerate(("ALT-1", "NEU-1", "alt-1")):
            update = message("op_update_task", work_package_id=name, title=f"Тема {number}")
            assert done(outcomes(handler, [update])[0]).external_id == "1"


def test_the_server_itself_takes_such_a_name_in_an_address_and_nowhere_else() -> None:
    with OpenProjectSandbox(instance=SEMANTIC) as server:
        created(server)
        headers = {"Authorization": f"Bearer {server.token}"}
        api = f"{server.url}/api/v3"
        assert requests.get(f"{api}/work_packages/CONTRACTS-1", headers=headers, timeout=10).json()["id"] == 1
        body = {"subject": "x", "_links": {"parent": {"href": "/api/v3/work_packages/CONTRACTS-1"}}}
        made = requests.post(f"{api}/projects/1/work_packages", json=body, headers=headers, timeout=10)
        assert made.status_code == 500
        condition = '[{"id":{"operator":"=","values":["CONTRACTS-1"]}}]'
        listed = requests.get(f"{api}/work_packages", {"filters": condition}, headers=headers, timeout=10)
        assert listed.status_code == 400


def test_an_old_server_knows_no_such_names_and_subjects_may_look_like_them() -> None:
    with OpenProjectSandbox(instance=OLD) as server:
        created(server, title="ABC-1")
        child = created(server, parent="abc-1")
        assert server.state.work_packages[int(child.external_id or 0)].parent == 1
        assert "displayId" not in child.response["result"]["task"]
        [outcome] = outcomes(handler_for(server), [message("op_update_task", work_package_id="ABC-1", title="x")])
        assert isinstance(outcome, PermanentError)
        assert (outcome.code, "'ABC-1'" in outcome.reason, "17.5" in outcome.reason) == ("task_not_found", True, True)


@pytest.mark.parametrize("instance", [SEMANTIC, OLD, Instance()])
@pytest.mark.parametrize("name", ["2026-1", "1-1", "НОМЕР-1", "42x", "#", "-1", "1/2", "PROJ-", "../users/me", 0, True])
def test_what_nobody_is_called_is_refused_by_name(instance: Instance, name: Any) -> None:
    with OpenProjectSandbox(instance=instance) as server:
        created(server)
        [target] = outcomes(handler_for(server), [message("op_update_task", work_package_id=name, title="x")])
        [child] = outcomes(handler_for(server), [message(parent=name)])
        for outcome in (target, child):
            assert isinstance(outcome, PermanentError), outcome
            assert repr(name) in outcome.reason
        assert [each.subject for each in server.work_packages] == ["Согласовать договор"]


def test_a_failing_server_is_no_proof_that_nobody_is_called_so() -> None:
    with OpenProjectSandbox(instance=SEMANTIC) as server:
        created(server)
        server.inject(faults.refusal(500, "InternalServerError"), "GET work_packages/contracts-1", count=None)
        [outcome] = outcomes(handler_for(server), [message(parent="CONTRACTS-1")])
        assert isinstance(outcome, TransientError), outcome


def test_what_is_followed_is_the_number() -> None:
    with OpenProjectSandbox(instance=SEMANTIC) as server:
        first = created(server)
        server.close(1)
        [verdict] = tracker_for(server).check([TrackedTask("k", first.external_id)])
        assert isinstance(verdict, Completed)
        assert verdict.response["result"]["task"]["displayId"] == "CONTRACTS-1"


# -- projects --------------------------------------------------------------------------------------------------------


def test_a_project_without_an_identifier_gets_one_that_the_server_takes() -> None:
    """app/models/projects/identifier.rb: a-z, 0-9, - and _, or ten of A-Z, 0-9 and _, by a setting."""
    for instance in (SEMANTIC, OLD, Instance()):
        with OpenProjectSandbox(instance=instance) as server:
            task = message("op_create_project", key="k", name="Проект заказчика")
            first = done(outcomes(handler_for(server), [task])[0])
            again = done(outcomes(handler_for(server), [redelivered(task)])[0])
            assert (first.external_id, again.external_id, again.duplicate) == ("4", "4", True)
            identifier = first.response["result"]["task"]["identifier"]
            assert (identifier.isupper(), len(identifier)) == ((True, 10) if instance.semantic else (False, 32))


def test_a_project_that_was_renamed_when_the_server_changed_its_rules_is_still_found() -> None:
    with OpenProjectSandbox() as server:
        task = message("op_create_project", key="k", name="Проект")
        made = done(outcomes(handler_for(server), [task])[0])
        classic = made.response["result"]["task"]["identifier"]
    projects = [Project(4, "PROJEKT", "Проект", former=(classic,))]
    with OpenProjectSandbox(projects=projects, instance=SEMANTIC) as renamed:
        assert done(outcomes(handler_for(renamed), [redelivered(task)])[0]).external_id == "4"
        assert len(renamed.state.projects) == 1


@pytest.mark.parametrize(
    ("instance", "identifier", "is_taken"),
    [
        (SEMANTIC, "KUNDE_1", True),
        (SEMANTIC, "kunde", False),
        (Instance(), "kunde-1", True),
        (Instance(), "KUNDE", False),
        (OLD, "kunde_1", True),
    ],
)
def test_an_identifier_of_the_other_kind_is_refused_by_the_server(
    instance: Instance, identifier: str, is_taken: bool
) -> None:
    with OpenProjectSandbox(instance=instance) as server:
        [outcome] = outcomes(handler_for(server), [message("op_create_project", name="x", identifier=identifier)])
        assert isinstance(outcome, Done) is is_taken
        if isinstance(outcome, OutcomeError):
            assert "identifier" in outcome.reason


@pytest.mark.parametrize("identifier", ["Kunde", "12", "a b", "ÄÖ", "ELEVEN_CHARS", "x" * 101, "a/b"])
def test_an_identifier_of_neither_kind_is_refused_at_once(identifier: str) -> None:
    with OpenProjectSandbox() as server:
        [outcome] = outcomes(handler_for(server), [message("op_create_project", name="x", identifier=identifier)])
        assert isinstance(outcome, PermanentError)
        assert repr(identifier)[:50] in outcome.reason
        assert server.requests == 0


def test_an_address_of_something_else_is_no_project_that_exists() -> None:
    """`projects/schema` answers, and is no project (lib/api/v3/projects/projects_api.rb)."""
    with OpenProjectSandbox() as server:
        [outcome] = outcomes(handler_for(server), [message("op_create_project", name="Схема", identifier="schema")])
        assert done(outcome).response["result"]["task"]["identifier"] == "schema"


@pytest.mark.parametrize("project", ["CONTRACTS", "contracts", "Договоры", "1"])
def test_a_project_is_meant_by_its_identifier_of_either_kind(project: str) -> None:
    with OpenProjectSandbox(instance=SEMANTIC) as server:
        assert created(server, project=project).external_id == "1"
