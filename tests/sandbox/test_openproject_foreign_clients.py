"""Clients that nobody here wrote, each in an environment of its own, against the sandbox and what the worker makes.

Not in the project's environment: pyopenproject pins requests 2.25.1, the command lines want newer typer and click.
The typed client and the server's OpenAPI document are in test_openproject_openapi.py.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from core.results import Accepted
from sandbox.openproject import Instance, OpenProjectSandbox
from tests.support import pypi
from tests.support.places import DATA
from tests.systems.bitrix.support import outcomes
from tests.systems.openproject.support import handler_for, message

pytestmark = pytest.mark.usefixtures("foreign_programs")

PYOPENPROJECT = "pyopenproject==0.7.4"
AGENT_TOOL = "agent-tool-openproject-cli==0.5.4"
COMMAND_LINE = "openproject-cli==0.4.0"
STORY = DATA / "pyopenproject_story.py"


def run(server: OpenProjectSandbox, home: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONUTF8": "1",
        "OPCLI_BASE_URL": server.url,
        "OPCLI_TOKEN": server.token,
        "OPENPROJECT_URL": server.url,
        "OPENPROJECT_TOKEN": server.token,
    }
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
    )


def told(server: OpenProjectSandbox, home: Path, command: Sequence[str]) -> Any:
    done = run(server, home, command)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


# -- pyopenproject 0.7.4: a library of 2021, with slashes doubled and at the end ---------------------------------------


def test_pyopenproject_finds_choices_in_a_form_creates_changes_and_turns_pages(tmp_path: Path) -> None:
    python = pypi.installed(PYOPENPROJECT) / "python"
    with OpenProjectSandbox() as server:
        seen = told(server, tmp_path, [str(python), str(STORY), server.url, server.token])
        assert seen == {
            "options": {"Да": 31, "Нет": 32},
            "created": [1, "Проба", "Да"],
            "changed": "Новая тема",
            "refused": True,
            "found": "Новая тема",
            "all": 26,
            "of the project": 26,
            "projects": ["Договоры", "Офис", "Без ключа"],
            "types": ["Task", "Milestone", "Bug"],
            "versions": ["1.0", "Релиз осени", "0.9"],
            "assignees": ["OpenProject Admin", "Анна Соколова", "Борис Лебедев", "Юристы"],
            "statuses": ["New", "In progress", "Closed", "Rejected"],
            "members": 6,
            "me": "OpenProject Admin",
        }
        assert any("//" in each.path for each in server.log)
        assert any(each.path.endswith("/") for each in server.log)
        assert server.work_packages[0].custom["customField9"] == [31]


# -- the command lines: they name things as people do, and ask many lists for them -------------------------------------


class AgentTool:
    """agent-tool-openproject-cli 0.5.4."""

    def __init__(self, server: OpenProjectSandbox, home: Path) -> None:
        self._server, self._home = server, home
        self._program = str(pypi.installed(AGENT_TOOL) / "openproject")

    def __call__(self, *arguments: str) -> Any:
        return told(self._server, self._home, [self._program, *arguments])

    def exit_code(self, *arguments: str) -> int:
        return run(self._server, self._home, [self._program, *arguments]).returncode


def test_a_command_line_creates_changes_comments_and_deletes(tmp_path: Path) -> None:
    with OpenProjectSandbox() as server:
        tool = AgentTool(server, tmp_path)
        made = tool(
            *("wp", "create", "Проба", "--project", "contracts", "--type", "Bug", "--assignee", "sokolova"),
            *("--priority", "High", "--custom-fields", '{"customField10": 12.5}'),
        )
        assert (made["id"], made["type"], made["assignee"]["name"]) == (1, "Bug", "Анна Соколова")
        assert tool("wp", "update", "1", "--status", "Closed")["status"] == "Closed"
        assert tool("comment", "add", "1", "Готово")["comment"] == "Готово"
        assert [each["id"] for each in tool("wp", "list", "--project", "contracts", "--status", "closed")] == [1]
        assert server.work_packages[0].custom["customField10"] == 12.5
        assert tool("wp", "delete", "1", "--yes")["status"] == "deleted"
        assert tool.exit_code("wp", "get", "1") == 5  # not found


def test_a_command_line_finds_choices_people_and_members(tmp_path: Path) -> None:
    with OpenProjectSandbox() as server:
        tool = AgentTool(server, tmp_path)
        fields = {each["key"]: each for each in tool("cf", "wp", "--project", "contracts")}
        assert [each["name"] for each in fields["customField9"]["allowedValues"]] == ["Да", "Нет"]
        assert {each["key"]: each["type"] for each in tool("cf", "project")}["customField33"] == "CalculatedValue"
        assert tool("auth", "whoami")["login"] == "admin"
        assert [each["roles"] for each in tool("member", "list")][:1] == [["Project admin"]]


def test_a_command_line_sees_what_the_worker_has_made(tmp_path: Path) -> None:
    with OpenProjectSandbox(instance=Instance(semantic=True)) as server:
        given = {"cf_Решение": "Да", "cf_Регион": "Тверь", "cf_Куратор": "Юристы"}
        [outcome] = outcomes(handler_for(server), [message(title="Согласовать", extensions=given)])
        assert isinstance(outcome, Accepted), outcome
        [seen] = AgentTool(server, tmp_path)("search", "wp", "--project", "CONTRACTS", "--status", "open")
        assert (str(seen["id"]), seen["subject"]) == (outcome.external_id, "Согласовать")


@pytest.mark.parametrize("name", ["1", "CONTRACTS-1"])
def test_another_command_line_reads_by_what_people_call_it(tmp_path: Path, name: str) -> None:
    program = str(pypi.installed(COMMAND_LINE) / "openproject-cli")
    with OpenProjectSandbox(instance=Instance(semantic=True)) as server:
        made = told(
            server, tmp_path, [program, "wp", "create", "--project", "CONTRACTS", "--subject", "Проба", "--type", "Bug"]
        )
        assert (made["id"], made["projectId"]) == (1, 1)
        seen = told(server, tmp_path, [program, "api", "GET", f"work_packages/{name}"])
        assert (seen["id"], seen["displayId"]) == (1, "CONTRACTS-1")
        assert told(server, tmp_path, [program, "api", "GET", "users/me"])["name"] == "OpenProject Admin"
