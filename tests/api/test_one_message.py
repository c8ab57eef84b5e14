"""One message over HTTP: sent, found by any id, looked at now, edited and put back, taken along as a file."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from operation.desk import Desk
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, wait_until
from tests.api.support import TIMEOUT, VIEWER, Client
from tests.cli.operator.test_errors import NEWCOMER, fail
from tests.operation.support import INPUT, SENT, desk_of, put, report, unreadable

ARCHIVE = "errors.camunda_tasks.archive.queue"
TITLE = "Согласовать договор 118"


@pytest.fixture
def desk(vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path) -> Iterator[Desk]:
    with desk_of(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as desk:
        yield desk


def traced(client: Client, words: str) -> Any:
    return client.get("/api/v1/trace", params={"q": words, "elsewhere": "false"})


def wait_for_stage(client: Client, words: str, stage: str) -> Any:
    wait_until(lambda: (traced(client, words)["trace"] or {}).get("stage") == stage, TIMEOUT, f"{words} is {stage}")
    return traced(client, words)["trace"]


# -- sent, found, looked at -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("worker")
def test_a_task_is_sent_found_by_any_id_and_followed_to_camunda_s_answer(
    broker: Broker, portal: BitrixSandbox, client: Client
) -> None:
    wish = {"queue": "bitrix24", "title": TITLE, "fields": {"description": "п. 3"}}
    sent = client.ask("POST", "/api/v1/messages", json=wish, headers={"Idempotency-Key": "sent-only-once"})
    assert (sent.status_code, sent.json()["topic"]) == (202, "bitrix_create_task")
    again = client.ask("POST", "/api/v1/messages", json=wish, headers={"Idempotency-Key": "sent-only-once"})
    assert again.json() == sent.json()
    task_id = sent.json()["id"]
    assert sent.headers["Location"] == f"/api/v1/messages/{task_id}"

    trace = wait_for_stage(client, task_id, "tracking")
    assert [each["stage"] for each in trace["steps"]] == ["received", "processing", "created", "tracking"]
    assert trace["ahead"] == ["completing", "done"]
    number, process = trace["message"]["external_id"], trace["message"]["process_instance_id"]
    for words in (number, process, "согласов"):
        assert traced(client, words)["trace"]["message"]["id"] == task_id, words

    look = client.ask("POST", f"/api/v1/messages/{task_id}/poll", json={"seconds": 60})
    assert (look.status_code, look.json()["was_asked"], look.json()["message"]["state"]) == (200, True, "tracking")
    assert look.json()["in_the_system"]["title"] == TITLE
    portal.finish(int(number), answer="ДА")
    look = client.ask("POST", f"/api/v1/messages/{number}/poll", json={"seconds": 60})
    assert look.status_code in (200, 404), "a number names a task only while it is open"
    assert wait_for_stage(client, task_id, "done")["next"]
    assert broker.count(RESPONSES) == 1

    acts = [each["line"] for each in client.get("/api/v1/events", params={"code": "operator.acted"})["items"]]
    assert any(f"send {INPUT}" in line and "ops@127.0.0.1" in line for line in acts), acts
    assert any(f"track {task_id}" in line and "ops@127.0.0.1" in line for line in acts), acts


@pytest.mark.usefixtures("worker")
def test_a_whole_message_is_sent_as_it_stands(broker: Broker, client: Client) -> None:
    message = {"task_id": "by-hand", "topic": "bitrix_create_task", "variables": {"title": "Сам"}}
    sent = client.ask("POST", "/api/v1/messages", json={"queue": INPUT, "message": message})
    assert sent.status_code == 202, sent.text
    assert wait_for_stage(client, "by-hand", "tracking")["message"]["title"] == "Сам"


@pytest.mark.parametrize(
    ("wish", "status", "code"),
    [
        ({"queue": "nowhere", "title": "x"}, 404, "unknown-queue"),
        ({"queue": "default", "title": "x"}, 422, "topic-wanted"),
        ({"queue": INPUT, "message": {"topic": "x"}}, 422, "invalid-request"),
        ({"queue": INPUT}, 422, "invalid-request"),
        ({"queue": INPUT, "title": "x", "message": {}}, 422, "invalid-request"),
        ({"queue": "openproject", "title": "x"}, 409, "not-taken"),
    ],
)
def test_what_nobody_would_take_is_not_sent(
    broker: Broker, client: Client, wish: dict[str, Any], status: int, code: str
) -> None:
    broker.declare(INPUT)
    refused = client.ask("POST", "/api/v1/messages", json=wish)
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert broker.count(INPUT) == 0


def test_what_the_journal_does_not_know_is_looked_for_in_queues_and_systems(
    broker: Broker, portal: BitrixSandbox, client: Client
) -> None:
    broker.declare(ERRORS)
    broker.declare(SENT)
    put(broker, ERRORS, report("task-1"))
    assert traced(client, "task-1")["kind"] == "messages"
    told = client.get("/api/v1/trace", params={"q": "task-1"})
    assert told["kind"] == "places"
    found = {each["name"]: [one["task_id"] for one in each["found"]] for each in told["places"]}
    assert found[ERRORS] == ["task-1"]
    assert found["bitrix24"] == [], "the portal was asked"
    assert broker.count(ERRORS) == 1


# -- edited and put back ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("worker")
def test_an_edited_message_goes_back_and_the_original_into_the_archive(broker: Broker, client: Client) -> None:
    fail(broker, "a")
    [failed] = client.get("/api/v1/messages/a/failure")["items"]
    message = json.loads(failed["original"])
    inputs = message["metadata"]["inputParameters"]
    assert inputs["responsible_id"] == str(NEWCOMER)
    inputs["responsible_id"] = "1"

    dry = client.ask("POST", "/api/v1/messages/a/retry", json={"message": message, "dry_run": True})
    assert dry.status_code == 200, dry.text
    assert [line for line in dry.json()["difference"] if line[0] in "+-" and "responsible_id" in line]
    assert broker.count(ERRORS) == 1

    job = client.ask("POST", "/api/v1/messages/a/retry", json={"message": message})
    assert job.status_code == 202, job.text
    told = client.wait_for_job(job.headers["Location"])
    assert (told["moved"], told["done_anew"], told["failed_again"]) == (1, 1, 0)
    assert (broker.count(ERRORS), broker.count(ARCHIVE)) == (0, 1)


def test_an_edited_message_must_be_a_task_of_the_same_id_and_another_one(broker: Broker, client: Client) -> None:
    broker.declare(INPUT)
    broker.declare(ERRORS)
    put(broker, ERRORS, report("a"), unreadable(b"no task"))
    message = json.loads(client.get("/api/v1/messages/a/failure")["items"][0]["original"])

    def refused(name: str, message: Any) -> tuple[int, str, str]:
        answer = client.ask("POST", f"/api/v1/messages/{name}/retry", json={"message": message})
        return answer.status_code, answer.json()["code"], answer.json()["detail"]

    assert refused("a", message)[:2] == (409, "nothing-changed")
    status, code, detail = refused("a", {**message, "task_id": "b"})
    assert (status, code) == (409, "another-task")
    assert "task_id must stay a" in detail
    assert refused("a", {"topic": "x"})[:2] == (422, "invalid-request")
    assert refused("a", {**message, "variables": {"title": "\ud800"}})[:2] == (422, "refused-message")
    assert refused("nobody", message)[:2] == (404, "unknown-message")
    assert (broker.count(ERRORS), broker.count(INPUT)) == (2, 0)


# -- taken along ------------------------------------------------------------------------------------------------------


def test_failures_are_taken_along_as_files_without_secrets(
    broker: Broker, portal: BitrixSandbox, client: Client
) -> None:
    broker.declare(ERRORS)
    secret = portal.webhook_url.rstrip("/").rsplit("/", 1)[1]
    put(broker, ERRORS, *(report(f"task-{number}", description=portal.webhook_url) for number in range(3)))
    as_lines = client.ask("GET", "/api/v1/errors/export")
    assert as_lines.headers["Content-Type"].startswith("application/x-ndjson")
    told = [json.loads(line) for line in as_lines.text.splitlines()]
    assert [each["name"] for each in told] == ["task-0", "task-1", "task-2"]
    assert json.loads(told[0]["original"])["task_id"] == "task-0"
    as_table = client.ask("GET", "/api/v1/errors/export", params={"format": "csv", "system": "bitrix24"})
    assert [each["name"] for each in csv.DictReader(io.StringIO(as_table.text))] == ["task-0", "task-1", "task-2"]
    assert secret not in as_lines.text + as_table.text
    assert client.ask("GET", "/api/v1/errors/export", params={"system": "1c"}).text == ""
    assert broker.count(ERRORS) == 3


def test_a_message_is_taken_along_for_a_developer(worker: Daemon, client: Client) -> None:
    client.ask("POST", "/api/v1/messages", json={"queue": INPUT, "title": TITLE, "fields": {"description": "п. 3"}})
    name = wait_for_stage(client, "согласовать", "tracking")["message"]["id"]
    answer = client.ask("GET", f"/api/v1/messages/{name}/bundle")
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert sorted(packed.namelist()) == ["README.txt", "log.txt", "set-up.json", "trace.json"]
        assert json.loads(packed.read("trace.json"))["message"]["name"] == name
        assert name in packed.read("log.txt").decode()
        assert "trace.txt" not in packed.read("README.txt").decode()


# -- settings and systems ---------------------------------------------------------------------------------------------


def test_settings_are_told_with_their_source_and_without_secrets(portal: BitrixSandbox, client: Client) -> None:
    answer = client.ask("GET", "/api/v1/config")
    shown = {each["variable"]: each for each in answer.json()["settings"]}
    assert shown["BITRIX_WEBHOOK_URL"]["source"] == "environment"
    assert shown["BITRIX_WEBHOOK_URL"]["is_secret"]
    assert shown["HEARTBEAT_INTERVAL"]["source"] == "default"
    assert portal.webhook_url.rstrip("/").rsplit("/", 1)[1] not in answer.text


def test_a_system_says_whether_it_can_be_used(portal: BitrixSandbox, client: Client) -> None:
    def checked(system: str) -> Any:
        answer = client.ask("POST", f"/api/v1/systems/{system}/check", json={})
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert checked("bitrix24")["is_usable"] is True
    portal.go_down()
    down = checked("bitrix24")
    assert down["is_usable"] is False
    assert down["reason"]["ru"] != down["reason"]["en"]
    unused = checked("openproject")
    assert (unused["is_usable"], "OPENPROJECT" in unused["reason"]["en"]) == (None, True)
    assert client.ask("POST", "/api/v1/systems/sap/check", json={}).status_code == 404


def test_who_may_only_look_sends_edits_and_exports_nothing(broker: Broker, client: Client) -> None:
    broker.declare(INPUT)
    guest = Client(client.base, VIEWER)
    asked: tuple[tuple[str, str, Any], ...] = (
        ("POST", "/api/v1/messages", {"queue": INPUT, "title": "x"}),
        ("POST", "/api/v1/messages/a/poll", {}),
        ("POST", "/api/v1/systems/bitrix24/check", {}),
        ("GET", "/api/v1/messages/a/failure", None),
        ("GET", "/api/v1/errors/export", None),
    )
    for method, path, body in asked:
        assert guest.ask(method, path, json=body).status_code == 403, path
    assert guest.ask("GET", "/api/v1/config").status_code == 200
    assert broker.count(INPUT) == 0
