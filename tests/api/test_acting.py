"""What an operator has done over HTTP, with a real worker: pauses, and jobs whose outcome is that of each task."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from operation.desk import Desk
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from testbench.daemon import Daemon
from testbench.harness import ERRORS, wait_until
from tests.api.support import TIMEOUT, Client, serving
from tests.cli.operator.test_errors import fail, hire
from tests.daemon.test_bitrix import created_times
from tests.operation.support import INPUT, desk_of, put, report

ARCHIVE = "errors.camunda_tasks.archive.queue"
GROUPS, RETRIES, ARCHIVES = "/api/v1/errors/groups", "/api/v1/retries", "/api/v1/archives"
PAUSE = "/api/v1/systems/bitrix24/pause"


@pytest.fixture
def desk(vhost: BrokerAddress, tmp_path: Path) -> Iterator[Desk]:
    with desk_of(vhost, tmp_path) as desk:
        yield desk


@pytest.fixture
def client(desk: Desk) -> Iterator[Client]:
    with serving(desk) as client:
        yield client


def known_group(client: Client, count: int) -> str:
    def is_there() -> bool:
        return [each["count"] for each in client.get(GROUPS)["items"]] == [count]

    wait_until(is_there, TIMEOUT, "the group")
    group: str = client.get(GROUPS)["items"][0]["group"]
    return group


@pytest.mark.usefixtures("worker")
def test_a_group_is_put_back_and_each_outcome_is_told(broker: Broker, portal: BitrixSandbox, client: Client) -> None:
    fail(broker, "a", "b", "c")
    group = known_group(client, 3)
    assert client.get(f"{GROUPS}/{group}")["system"] == "bitrix24"

    dry = client.ask("POST", RETRIES, json={"group": group, "dry_run": True})
    assert (dry.status_code, dry.json()["would_be_moved"]) == (200, 3)
    changed = client.ask("POST", RETRIES, json={"group": group, "expected_count": 100})
    assert (changed.status_code, changed.json()["code"]) == (409, "group-changed")
    assert broker.count(ERRORS) == 3

    again = client.ask("POST", RETRIES, json={"group": group, "expected_count": 3})
    assert again.status_code == 202, again.text
    job = client.wait_for_job(again.headers["Location"])
    assert (job["state"], job["moved"], job["failed_again"], job["pending"]) == ("done", 3, 3, 0)
    assert {each["group"] for each in job["failures"]} == {group}
    assert job["by"] == "ops@127.0.0.1"

    hire(portal)
    broker.wait_for_count(ERRORS, 3)
    mended = client.wait_for_job(
        client.ask("POST", RETRIES, json={"filter": {"system": "bitrix24"}}).headers["Location"]
    )
    assert (mended["state"], mended["done_anew"], mended["gone"]) == ("done", 3, 0)
    assert created_times(portal) == {1: 3}
    acted = [each["fields"] for each in client.get("/api/v1/events?code=operator.acted")["items"]]
    assert {(each["who"], each["count"]) for each in acted} == {("ops@127.0.0.1", 3)}


@pytest.mark.usefixtures("worker")
def test_one_message_is_put_back_once_however_often_it_is_asked_for(
    broker: Broker, portal: BitrixSandbox, client: Client
) -> None:
    fail(broker, "a", "b")
    hire(portal)
    headers, path = {"Idempotency-Key": "the-first-time"}, "/api/v1/messages/a/retry"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.ask("POST", path, json={}, headers=headers), range(4)))
    assert {each.status_code for each in answers} <= {202, 409}
    last = client.ask("POST", path, json={}, headers=headers)
    jobs = {each.json()["id"] for each in (*answers, last) if each.status_code == 202}
    assert len(jobs) == 1
    job = client.wait_for_job(last.headers["Location"])
    assert (job["moved"], job["done_anew"]) == (1, 1)
    other = client.ask("POST", RETRIES, json={"ids": ["a"]}, headers=headers)
    assert other.status_code == 202, "a key belongs to one address"
    same = client.ask("POST", RETRIES, json={"ids": ["b"]}, headers=headers)
    assert (same.status_code, same.json()["code"]) == (422, "key-of-another-request")
    assert broker.count(ERRORS) == 1
    assert client.ask("POST", "/api/v1/messages/a/retry", json={}).status_code == 409
    assert client.ask("POST", "/api/v1/messages/nobody/retry", json={}).status_code == 404


def test_a_slow_retry_leaves_the_queue_to_others_between_its_turns(broker: Broker, client: Client) -> None:
    # Seen: one message an hour, and the list of errors was refused for all that time.
    broker.declare(INPUT)
    broker.declare(ERRORS)
    put(broker, ERRORS, *(report(f"task-{number}") for number in range(3)))
    begun = client.ask("POST", RETRIES, json={"filter": {}, "rate": 0.0001})
    place = begun.headers["Location"]
    wait_until(lambda: broker.count(INPUT) == 1, TIMEOUT, "the first message")
    for _ in range(5):
        assert client.get(GROUPS)["items"][0]["count"] == 2
    assert client.ask("POST", ARCHIVES, json={"ids": ["task-2"]}).status_code == 202
    stopped = client.ask("DELETE", place).json()
    assert (stopped["state"], stopped["moved"], stopped["chosen"]) == ("stopped", 1, 3)


@pytest.mark.usefixtures("worker")
def test_a_pause_counts_at_once_and_is_seen_everywhere(broker: Broker, client: Client) -> None:
    wait_until(lambda: client.ask("GET", "/readyz").status_code == 200, TIMEOUT, "readiness")
    told = client.ask("PUT", PAUSE, json={"seconds": 3600, "reason": "обновление"})
    assert told.status_code == 200, told.text
    assert (told.json()["hold"]["by"], told.json()["hold"]["scope"]) == ("ops@127.0.0.1", "all")
    found = client.get("/api/v1/systems/bitrix24")
    assert (found["state"], found["hold"]["reason"]) == ("paused", "обновление")
    assert client.get("/readyz")["ready"] is True
    assert client.ask("DELETE", PAUSE).status_code == 200
    gone = client.ask("DELETE", PAUSE)
    assert (gone.status_code, gone.json()["code"]) == (409, "not-held")
    assert client.get("/api/v1/systems/bitrix24")["state"] == "ok"
    assert client.ask("PUT", "/api/v1/systems/nobody/pause", json={}).status_code == 404


def test_a_system_that_is_down_is_degraded_and_a_dead_worker_is_unready(
    worker: Daemon, portal: BitrixSandbox, broker: Broker, client: Client
) -> None:
    wait_until(lambda: client.ask("GET", "/readyz").status_code == 200, TIMEOUT, "readiness")
    portal.go_down()
    broker.publish(INPUT, b'{"task_id": "x", "topic": "bitrix_create_task", "variables": {}}')
    wait_until(lambda: client.get("/api/v1/systems/bitrix24")["state"] == "down", TIMEOUT, "the outage")
    assert client.get("/readyz")["state"] == "degraded"
    assert "[~]bitrix24 degraded" in client.ask("GET", "/readyz?verbose").text
    worker.kill()
    wait_until(lambda: client.ask("GET", "/readyz").status_code == 503, TIMEOUT, "the end of readiness")
    assert "worker" in client.ask("GET", "/readyz").json()["detail"]
    assert client.get("/livez") == {"alive": True}


def test_messages_go_into_the_archive_and_back(broker: Broker, client: Client) -> None:
    broker.declare(ERRORS)
    put(broker, ERRORS, report("a"), report("b"), report("c"))
    told = client.ask("POST", ARCHIVES, json={"ids": ["a", "b"], "reason": "a test"})
    job = client.wait_for_job(told.headers["Location"])
    assert (job["kind"], job["state"], job["moved"], job["total"]) == ("archive", "done", 2, 3)
    assert (broker.count(ERRORS), broker.count(ARCHIVE)) == (1, 2)
    dry = client.ask("POST", f"{ARCHIVES}/restore", json={"filter": {}, "dry_run": True}).json()
    assert (dry["would_be_moved"], dry["would_be_left"]) == (2, 0)
    told = client.ask("POST", f"{ARCHIVES}/restore", json={"ids": ["a"]})
    assert client.wait_for_job(told.headers["Location"])["moved"] == 1
    assert (broker.count(ERRORS), broker.count(ARCHIVE)) == (2, 1)
    assert client.ask("GET", f"{RETRIES}/{job['id']}").status_code == 404


def test_a_job_that_is_stopped_leaves_the_rest_where_it_is(broker: Broker, client: Client) -> None:
    broker.declare(INPUT)
    broker.declare(ERRORS)
    put(broker, ERRORS, *(report(f"task-{number}") for number in range(30)))
    place = client.ask("POST", RETRIES, json={"filter": {}, "rate": 0.5}).headers["Location"]
    broker.wait_for_count(INPUT, 1)
    told = client.ask("DELETE", place)
    assert told.status_code == 200, told.text
    job = told.json()
    assert (job["state"], job["by"]) == ("stopped", "ops@127.0.0.1")
    assert client.ask("GET", place).status_code == 404
    assert 1 <= job["moved"] < 30
    assert broker.count(INPUT) == job["moved"]
    broker.wait_for_count(ERRORS, 30 - job["moved"])
