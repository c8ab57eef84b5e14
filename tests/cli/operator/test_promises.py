"""What holds for every command: the keys of its JSON stay, no secret is in what it says, its mistakes have a code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cli.grammar import make_parser
from core.texts import Language
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.process import ROOT
from testbench.harness import ERRORS, wait_until
from tests.cli.operator.support import SENT, Place
from tests.support.commands import environment

# Keys may be added. One that is here is used by somebody's script.
MESSAGE = {
    *("name", "process", "business", "topic", "system", "queue", "title", "external", "message_id", "state"),
    *("attempts", "first", "last", "due", "code", "outcome", "reason", "reason_ru", "error_group"),
}
TRACE = {"kind", "query", "message", "stage", "since", "now", "next", "steps", "ahead", "address", "remarks"}
KEYS: Mapping[str, set[str]] = {
    "status": {
        *("verdict", "at", "workers", "broker", "systems", "queues", "errors_waiting", "remarks", "exit_code"),
    },
    "status.workers": {"version", "host", "pid", "started", "now", "is_ready", "systems", "statistics"},
    "status.workers.systems": {
        *("system", "queue", "sent_queue", "is_tracked", "state", "unused", "hold", "down", "tracker", "sweeps"),
    },
    "status.systems": {
        *("system", "state", "hold", "down", "unused", "waiting", "consumers", "oldest_waiting", "in_retry", "open"),
        *("oldest_open", "open_by_age", "errors", "oldest_error", "last_check", "trouble"),
    },
    "status.queues": {"queue", "kind", "messages", "consumers", "oldest"},
    "trace": TRACE,
    "trace.message": MESSAGE,
    "trace.steps": {"stage", "at", "code", "said", "is_setback"},
    "trace.next": {"said", "at", "is_obstacle"},
    "list": {"kind", "query", "messages"},
    "list.messages": MESSAGE,
    "places": {"kind", "query", "is_found", "places"},
    "places.places": {"kind", "name", "was_asked", "said", "messages", "found"},
    "track": {"message", "stage", "since", "now", "next", "address", "remarks", "asked", "in_the_system", "exit_code"},
    "track.asked": {"has_been_asked", "held", "trouble"},
    "track.in_the_system": {"external_id", "title", "status", "address"},
    "send": {"queue", "topic", "task_ids", "messages", "exit_code"},
    "send.messages": MESSAGE,
    "config show": {"env_file", "settings", "remarks"},
    "config show.settings": {"variable", "value", "source", "is_secret", "file"},
    "pause": {"system", "until", "scope", "workers"},
    "pause.workers": {"hold", "warning"},
    "resume": {"system", "workers"},
    "resume.workers": {"warning", "down"},
}


def at(data: Mapping[str, Any], path: Sequence[str]) -> Mapping[str, Any]:
    """What is there; of a list its first element."""
    found: Any = data
    for name in path:
        found = found[name]
        found = found[0] if isinstance(found, list) else found
    assert isinstance(found, Mapping), path
    return found


def test_the_keys_of_the_answers_stay(place: Place) -> None:
    with place.daemon(HEARTBEAT_INTERVAL="3600"):
        place.publish("task-1", "task-2", business_key="ORD-1")
        place.wait_for_stage("task-1", "tracking")
        place.wait_for_stage("task-2", "tracking")
        answers = {
            "status": place.run("status", "--json").data,
            "trace": place.run("trace", "task-1", "--json").data,
            "list": place.run("trace", "ORD-1", "--json").data,
            "places": place.run("trace", "nix", "--json").data,
            "track": place.run("track", "task-1", "--now", "--json").data,
            "send": place.run("send", "bitrix24", "--title", "x", "--wait", "--timeout", "2", "--json").data,
            "config show": place.run("config", "show", "--json").data,
            "pause": place.run("pause", "bitrix24", "--json").data,
            "resume": place.run("resume", "bitrix24", "--json").data,
        }
    missing = {}
    for name, keys in KEYS.items():
        command, *path = name.split(".")
        if lost := keys - at(answers[command], path).keys():
            missing[name] = lost
    assert missing == {}


def commands(folder: Path) -> list[list[str]]:
    return [
        ["status", "--all"],
        ["trace", "task-1"],
        ["trace", "task-1", "--bundle", str(folder / "case.zip"), "--force"],
        ["trace", "nix"],
        ["track", "task-1"],
        ["track", "task-1", "--now", "--timeout", "5"],
        ["send", "bitrix24", "--title", "x"],
        ["config", "show"],
        ["pause", "bitrix24"],
        ["resume", "bitrix24"],
        ["errors", "list"],
        ["journal", "info"],
    ]


def test_no_secret_is_in_what_a_command_says(vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path) -> None:
    """While all is well, while the portal is down, with a refused webhook, and without RabbitMQ."""
    portal_secret, token = portal.webhook_token, "op-token-of-forty-characters-0123456789"
    variables = {"OPENPROJECT_URL": f"http://127.0.0.1:1/{token}", "OPENPROJECT_TOKEN": token}
    place = Place(vhost, tmp_path, portal, variables)
    said: list[str] = []

    def run_all(**changes: str) -> None:
        for arguments in commands(tmp_path):
            for form in ([], ["--json"]):
                done = place.run(*arguments, *form, lang="en", **changes)
                said.extend((done.out, done.err))

    with place.daemon(PROBE_INTERVAL="3600"):
        place.publish("task-1", variables={"title": f"http://portal/rest/1/{portal_secret}/tasks"})
        place.publish("op-1", queue="openproject.queue", topic="op_create_task", variables={"title": token})
        place.wait_for_stage("task-1", "tracking")
        run_all()
        portal.revoke_webhook()
        place.publish("task-2")
        wait_until(lambda: place.run("status", "--json").data["verdict"] == "degraded", what="the refusal")
        run_all()
        portal.go_down()
        run_all()
        run_all(RABBITMQ_PORT="1")
        portal.come_back()
    text = "\n".join(said)
    assert len(text) > 10_000
    for secret in (portal_secret, token, vhost.password):
        assert secret not in text
    assert (tmp_path / "case.zip").exists()


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_every_command_has_a_help_with_examples_in_both_languages(lang: Language) -> None:
    parser = make_parser(lang)
    told = parser.format_help()
    for name in ("status", "trace", "track", "pause", "resume", "send", "sandbox", "config"):
        assert name in told
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["trace", "--help"])
    assert ended.value.code == 0


@pytest.mark.parametrize(
    "arguments",
    [["track"], ["send"], ["pause"], ["trace", "x", "--nix"], ["pause", "x", "--for", "soon"], ["config", "shwo"]],
)
def test_a_russian_shell_hears_of_mistakes_in_russian(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *arguments],
        env=environment({"LANG": "ru_RU.UTF-8"}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    for english in ("usage", "error", "argument", "required", "invalid", "unrecognized", "expected"):
        assert english not in done.stderr


def test_a_reader_who_stops_reading_sees_no_traceback(place: Place, tmp_path: Path) -> None:
    place.broker.declare(ERRORS)
    place.broker.declare(SENT)
    for command in ("config show", "status --json", "trace nix --json"):
        done = subprocess.run(
            ["sh", "-c", f"{sys.executable} {ROOT / 'main.py'} {command} | true"],
            cwd=tmp_path,
            env=environment(place.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
