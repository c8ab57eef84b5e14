"""Sandbox and client before judges that nobody here wrote: a client from PyPI, and the server's OpenAPI document.

The document is test data beside the repository; where it is absent, Prism has nothing to judge by and is skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import openproject_api_client
import pytest
import requests

from core.messages import TrackedTask
from core.results import Accepted, Completed, Done
from sandbox.openproject import Instance, OpenProjectSandbox
from sandbox.ports import ReservedPort
from sandbox.process import ROOT
from tests.support import npm
from tests.systems.bitrix.support import outcomes
from tests.systems.openproject.support import handler_for, message, tracker_for

DOCUMENT = ROOT.parent / "shared" / "specs" / "openproject-apiv3.json"
PRISM = "@stoplight/prism-cli@5.14.2"


# -- the client --------------------------------------------------------------------------------------------------------


def test_a_foreign_client_creates_lists_changes_and_comments() -> None:
    with OpenProjectSandbox() as server:
        client = openproject_api_client.ApiClient(server.url, server.token, timeout=10)
        assert [each.name for each in client.get_projects()] == ["Договоры", "Офис", "Без ключа"]
        assert [each.isclosed for each in client.get_statuses()] == [False, False, True, True]
        made = client.create_workpackage(
            1, "Проба", type_id=3, assignee_id=4, due_date="2030-01-31", description="**a**"
        )
        assert (made.subject, made.duedate.date().isoformat(), made.description["raw"]) == (
            "Проба",
            "2030-01-31",
            "**a**",
        )
        changed = client.update_workpackage(made.id, made.lockversion, status_id=12)
        assert changed.lockversion == made.lockversion + 1
        client.add_workpackage_comment(made.id, "Готово")
        assert [each.comment["raw"] for each in client.get_activities(made.id)] == ["Готово"]
        assert [each.id for each in client.get_workpackages(status="closed")] == [made.id]
        assert client.get_workpackages(status="open") == []
        with pytest.raises(openproject_api_client.RequestError):
            client.update_workpackage(made.id, 0, subject="zu spät")
        assert client.get_workpackage(999) is None


def test_a_foreign_client_sees_what_the_worker_has_made() -> None:
    with OpenProjectSandbox() as server:
        results = outcomes(handler_for(server), [message(title=f"Задача {number}") for number in range(130)])
        client = openproject_api_client.ApiClient(server.url, server.token, timeout=10)
        seen = {
            str(each.id): each.subject for each in client.get_workpackages_by_project_id(1, status="all", page_size=50)
        }
        ids = [each.external_id for each in results if isinstance(each, Accepted)]
        assert [seen.get(str(number)) for number in ids] == [f"Задача {number}" for number in range(130)]


# -- the document ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prism(foreign_programs: None) -> Path:
    """The script of Prism, installed once per user."""
    if not DOCUMENT.is_file():
        pytest.skip("the OpenAPI document of OpenProject is not beside this repository")
    return npm.installed(PRISM) / "@stoplight" / "prism-cli" / "dist" / "index.js"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document without what the server's own source contradicts (opf/openproject, 17.6)."""
    told = json.loads(DOCUMENT.read_text())
    models = told["components"]["schemas"]
    # lib/api/v3/users/unpaginated_user_collection_representer.rb: groups and placeholders are among the assignees,
    # and in lists their members are not embedded.
    [_, assignees] = models["Available_AssigneesModel"]["allOf"]
    kinds = [{"$ref": f"#/components/schemas/{kind}Model"} for kind in ("User", "Group", "PlaceholderUser")]
    assignees["properties"]["_embedded"]["properties"]["elements"]["items"] = {"anyOf": kinds}
    models["GroupModel"]["allOf"][-1]["required"].remove("_embedded")
    # hierarchy_item_representer.rb: the root of a hierarchy has neither depth nor label.
    models["HierarchyItemReadModel"]["properties"]["depth"]["type"] = ["integer", "null"]
    models["Link"]["properties"]["title"]["type"] = ["string", "null"]
    # work_packages_api.rb, route_param: PROJ-42 is an address, too.
    for name, path in told["paths"].items():
        if name.startswith("/api/v3/work_packages/{id}"):
            for method in path.values():
                for parameter in method.get("parameters", []):
                    if parameter.get("name") == "id":
                        parameter["schema"]["type"] = ["integer", "string"]
    corrected = tmp_path_factory.mktemp("openapi") / "openproject.json"
    corrected.write_text(json.dumps(told))
    return corrected


class Judged:
    """A server that is reached through Prism only, which lets nothing pass that the document does not know."""

    def __init__(self, server: OpenProjectSandbox, port: int) -> None:
        self.server = server
        self.url = f"http://127.0.0.1:{port}"


@pytest.fixture
def judged(prism: Path, document: Path, tmp_path: Path) -> Iterator[Judged]:
    reserved = ReservedPort()
    with OpenProjectSandbox(host="127.0.0.1", instance=Instance(semantic=True)) as server:
        command = [str(prism), "proxy", "-h", "127.0.0.1", "-p", str(reserved.port), "--errors"]
        command += ["--multiprocess", "false", str(document), server.url]
        with npm.running(command, reserved.port, tmp_path / "prism.log"):
            yield Judged(server, reserved.port)
    reserved.release()


def test_what_the_worker_asks_and_what_the_sandbox_answers_is_what_the_document_says(judged: Judged) -> None:
    """Prism turns a wrong request into 422 and a wrong answer into 500, and neither is an outcome asked for here."""
    handler = handler_for(judged.server, url=judged.url)
    handler.probe()
    rich = message(
        project="contracts",
        title="Согласовать договор",
        description="Проверьте **сроки**",
        type="Bug",
        status="New",
        priority="High",
        assignee="Анна Соколова",
        version="1.0",
        due_date="2030-01-31",
        estimated_time="PT8H",
        extensions={
            "cf_Решение": "Да",
            "cf_Сумма": "12.5",
            "cf_Метки": "срочно",
            "cf_Регион": "Тверь",
            "cf_Риск": "низкий",
            "cf_Куратор": "sokolova",
            "cf_Наблюдатели": "Юристы",
            "cf_Сборка": "1.0",
            "cf_Ссылка": "https://a.b",
        },
    )
    first, second, milestone = outcomes(handler, [rich, message(), message("op_create_milestone", date="2030-02-01")])
    assert isinstance(first, Accepted), first
    assert isinstance(second, Accepted), second
    assert isinstance(milestone, Done), milestone
    assert "warnings" not in first.response
    update = message(
        *("op_update_task",), work_package_id="CONTRACTS-1", status="Closed", comment="Готово", cf_Решение="Нет"
    )
    project = message("op_create_project", name="Проект заказчика", description="Новый", cf_Класс="A")
    child = message(parent="CONTRACTS-2")
    updated, created, nested = outcomes(handler, [update, project, child])
    assert isinstance(updated, Done), updated
    assert isinstance(created, Done), created
    assert isinstance(nested, Accepted), nested
    tracker = tracker_for(judged.server, url=judged.url)
    start = tracker.changes(None)
    assert start is not None
    closed, open_ = tracker.check([TrackedTask("a", first.external_id), TrackedTask("b", second.external_id)])
    assert (type(closed), isinstance(open_, Completed)) == (Completed, False)
    assert tracker.changes(start.mark) is not None


def test_the_judge_sees_a_wrong_request(judged: Judged) -> None:
    headers = {"Authorization": f"Bearer {judged.server.token}"}
    wrong = {"subject": 5, "_links": {"project": {"href": "/api/v3/projects/1"}}}
    answer = requests.post(f"{judged.url}/api/v3/projects/1/work_packages", json=wrong, headers=headers, timeout=30)
    assert answer.status_code == 422
    assert judged.server.work_packages == []
