"""`errors …` as an operator types it, with a real worker: what he is told is what has become of each task."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox, User
from sandbox.broker_view import Broker
from testbench.daemon import Daemon
from testbench.harness import ERRORS, camunda_message, wait_until
from tests.cli.operator.conftest import Done, Typed
from tests.daemon.test_bitrix import created_times
from tests.operation.support import INPUT

NEWCOMER = 77


@pytest.fixture
def worker(broker: Broker, vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path) -> Iterator[Daemon]:
    broker.declare(INPUT)
    with Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as worker:
        yield worker


@pytest.fixture
def command(typed: Typed, vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path) -> Typed:
    variables = {
        **vhost.environment(),
        "BITRIX_WEBHOOK_URL": portal.webhook_url,
        "STATE_DIR": str(tmp_path / "state"),
        "LOG_DIR": str(tmp_path / "logs"),
    }

    def run(*words: str, **more: str) -> Done:
        done = typed({**variables, **more}, *words)
        for secret in (portal.webhook_token, vhost.password):
            assert secret not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def task(name: str, responsible: int) -> bytes:
    inputs = {"title": f"Договор {name}", "responsible_id": str(responsible)}
    return camunda_message(name, metadata={"inputParameters": inputs, "extensionProperties": {}, "activityInfo": {}})


def hire(portal: BitrixSandbox) -> None:
    """The person whom the tasks are for is known from now on."""
    portal.state.users[NEWCOMER] = User(NEWCOMER, "Новая", "Сотрудница")


def fail(broker: Broker, *names: str) -> None:
    before = broker.count(ERRORS)
    for name in names:
        broker.publish(INPUT, task(name, NEWCOMER))
    broker.wait_for_count(ERRORS, before + len(names))


def answer(done: Done) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.usefixtures("worker")
def test_a_group_is_put_back_when_its_cause_is_mended_and_each_outcome_is_told(
    broker: Broker, portal: BitrixSandbox, command: Typed
) -> None:
    fail(broker, "a", "b", "c")
    [group] = answer(command("errors", "list", "--json"))["groups"]
    assert (group["count"], group["system"]) == (3, "bitrix24")

    again = command("errors", "retry", "--group", group["group"], "--json")
    assert (again.returncode, answer(again)["failed_again"]) == (7, 3)
    assert {each["group"] for each in answer(again)["failures"]} == {group["group"]}

    hire(portal)
    mended = command("errors", "retry", "--group", group["group"], "--json")
    assert mended.returncode == 0, mended.stdout
    assert {name: count for name, count in answer(mended).items() if count and isinstance(count, int)} == {
        "chosen": 3,
        "put_back": 3,
        "done_anew": 3,
    }
    assert created_times(portal) == {1: 3}
    assert command("errors", "list").stdout.strip() == "nothing waits for a person"


def test_a_task_that_exists_already_is_told_as_such_and_not_created_twice(
    broker: Broker, portal: BitrixSandbox, worker: Daemon, command: Typed
) -> None:
    fail(broker, "a")
    hire(portal)
    broker.publish(INPUT, task("a", NEWCOMER))
    wait_until(lambda: created_times(portal) == {1: 1})
    done = command("errors", "retry", "a", "--json")
    assert (done.returncode, answer(done)["already_there"]) == (0, 1)
    assert created_times(portal) == {1: 1}


@pytest.mark.usefixtures("worker")
def test_without_a_worker_the_same_is_done_and_the_rest_is_not_claimed(
    broker: Broker, worker: Daemon, command: Typed
) -> None:
    fail(broker, "a", "b")
    worker.stop()
    done = command("errors", "retry", "--all", "--wait", "1s", "--json")
    assert (done.returncode, answer(done)["put_back"], answer(done)["waiting"]) == (7, 2, 2)
    broker.wait_for_count(INPUT, 2)


@pytest.mark.usefixtures("worker")
def test_every_command_says_what_it_did_in_both_languages(broker: Broker, command: Typed) -> None:
    fail(broker, "a", "b")
    russian = {"LANG": "ru_RU.UTF-8"}
    assert "Договор a" in command("errors", "list", "--messages").stdout
    assert "a task that will not be done" in command("errors", "show", "a").stdout
    assert "задача не будет выполнена" in command("errors", "show", "a", **russian).stdout
    assert "would be moved: 2" in command("errors", "retry", "--all", "--dry-run").stdout
    assert "было бы перенесено: 2" in command("errors", "drop", "--all", "--dry-run", **russian).stdout
    assert "moved into the archive: 1" in command("errors", "drop", "a", "-m", "a test", "--yes").stdout
    assert "in the archive" in command("errors", "show", "a").stdout
    assert "возвращено из архива: 1" in command("errors", "restore", "a", "--yes", **russian).stdout
    assert "группа" in command("errors", "list", **russian).stdout
    rows = list(csv.DictReader(io.StringIO(command("errors", "export", "--format", "csv").stdout)))
    assert sorted(row["task_id"] for row in rows) == ["a", "b"]
    lines = command("errors", "export").stdout.splitlines()
    assert sorted(json.loads(line)["original"] for line in lines) == sorted(
        task(name, NEWCOMER).decode() for name in ("a", "b")
    )


@pytest.mark.usefixtures("worker")
def test_what_is_not_meant_is_not_done(broker: Broker, command: Typed) -> None:
    fail(broker, "a", "b")
    refused = {
        ("errors", "retry"): 2,
        ("errors", "drop"): 2,
        ("errors", "drop", "--all"): 2,  # nobody to ask
        ("errors", "retry", "--all", "--edit"): 2,
        ("errors", "retry", "--rate", "0", "--all"): 2,
        ("errors", "retry", "--since", "yesterday", "--all"): 2,
        ("errors", "retry", "nobody-knows-it"): 5,
        ("errors", "show", "nobody-knows-it"): 5,
        ("errors", "restore", "--all"): 5,
    }
    for words, code in refused.items():
        done = command(*words)
        assert done.returncode == code, (words, done.stderr)
        assert done.stderr.strip(), words
    assert broker.count(ERRORS) == 2


@pytest.mark.usefixtures("worker")
def test_an_edited_message_is_checked_shown_and_done(
    broker: Broker, portal: BitrixSandbox, command: Typed, tmp_path: Path
) -> None:
    fail(broker, "a")

    def editor(change: str) -> str:
        script = tmp_path / "editor.sh"
        script.write_text(f"#!/bin/sh\n{change}\n")
        script.chmod(0o700)
        return str(script)

    same = command("errors", "retry", "a", "--edit", "--yes", EDITOR=editor("true"))
    broken = command("errors", "retry", "a", "--edit", "--yes", EDITOR=editor('echo "{" > "$1"'))
    other = command("errors", "retry", "a", "--edit", "--yes", EDITOR=editor('sed -i \'s/"a"/"z"/\' "$1"'))
    missing = command("errors", "retry", "a", "--edit", "--yes", EDITOR="/no/such/editor")
    assert [each.returncode for each in (same, broken, other, missing)] == [6, 2, 2, 2]
    assert "task_id must stay a" in other.stderr
    assert broker.count(ERRORS) == 1

    done = command("errors", "retry", "a", "--edit", "--yes", "--json", EDITOR=editor("sed -i 's/77/1/' \"$1\""))
    assert (done.returncode, answer(done)["done_anew"]) == (0, 1), done.stderr
    assert '-      "responsible_id": "77"' in done.stderr
    assert created_times(portal) == {1: 1}
    assert "in the archive" in command("errors", "show", "a").stdout
