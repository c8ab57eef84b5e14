"""The whole daemon with its services: killed, cut off, told everything twice; counted from outside by task id."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.python_services import ServicesSandbox, faults
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, camunda_message, wait_until
from tests.support import system_stories
from tests.support.system_stories import System, answered
from tests.systems.python_services.support import http, python, registry_file

QUEUE = "python-services.queue"
TOKEN = "t0ken-of-the-service"
POLL = {"min": 0.5, "max": 1, "deadline": 600}


def is_ours(headers: object) -> bool:
    return getattr(headers, "headers", {}).get("authorization") == f"Bearer {TOKEN}"


@pytest.fixture
def outside() -> Iterator[ServicesSandbox]:
    with ServicesSandbox(work=0.005, authorized=is_ours) as server:
        yield server


def variables(folder: Path, services: Mapping[str, object]) -> dict[str, str]:
    return {
        "SERVICES_FILE": str(registry_file(folder, services)),
        "SERVICES_OUTAGE_WAIT": "1",
        "SERVICES_AMBIGUOUS_WAIT": "1",
        "YANDEX_SVC_TOKEN": TOKEN,
    }


def task(task_id: str, topic: str = "echo", **inputs: object) -> bytes:
    return camunda_message(task_id, topic=topic, system="python-services", variables=inputs)


@pytest.fixture(params=["sync", "jobs"])
def system(request: pytest.FixtureRequest, outside: ServicesSandbox, tmp_path: Path) -> System:
    auth = {"type": "bearer", "token_env": "YANDEX_SVC_TOKEN"}
    entry = http(outside, f"/{request.param}/echo", poll=POLL, auth=auth)
    return System(
        queue=QUEUE,
        variables=variables(tmp_path, {"echo": entry}),
        task=task,
        objects=outside.by_key,
        go_down=outside.go_down,
        come_back=outside.come_back,
        secrets=[TOKEN],
        outage_sign="service.down",
    )


def test_the_loop_closes_and_each_task_is_answered_once(
    system: System, outside: ServicesSandbox, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    outside.people(auto_finish_after=0.5)
    system_stories.the_loop_closes(system, vhost, broker, tmp_path)


def test_a_worker_killed_again_and_again_with_everything_published_twice_begins_each_once(
    system: System, outside: ServicesSandbox, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    outside.people(auto_finish_after=0.5)
    system_stories.kills_create_nothing_twice(system, vhost, broker, tmp_path)


def test_an_outage_spends_no_attempt_and_ends_by_itself(
    system: System, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    system_stories.an_outage_spends_no_attempt(system, vhost, broker, tmp_path)


@pytest.mark.parametrize("trouble", ["down", "hanging", "forbidden"])
def test_a_service_in_trouble_does_not_hold_up_the_others(
    trouble: str, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    broker.declare(QUEUE)
    sick_ids, well_ids = [f"sick-{number}" for number in range(300)], [f"well-{number}" for number in range(30)]
    with ServicesSandbox() as sick, ServicesSandbox() as well:
        services = {
            "sick": http(sick, "/sync/sick", "sick", timeout={"connect": 1, "read": 10}),
            "well": http(well, "/sync/well", "well"),
        }
        if trouble == "down":
            sick.go_down()
        elif trouble == "hanging":
            sick.inject(faults.delay(600), "post *", count=None)
        else:
            sick.inject(faults.refusal(403), "post *", count=None)
        broker.publish_all(QUEUE, [task(each, "sick") for each in sick_ids])  # a backlog, and behind it the others
        broker.publish_all(QUEUE, [task(each, "well") for each in well_ids])
        changes = {"RETRY_ATTEMPTS": "0", "CONCURRENCY": "2"}
        with Daemon(vhost, tmp_path, {**variables(tmp_path, services), **changes}) as daemon:
            broker.wait_for_count(RESPONSES, len(well_ids), 60)
            assert set(well.by_key()) == set(well_ids)
            assert sick.by_key() == {}
            wait_until(lambda: "service.down" in daemon.output(), 30, "the outage to be noticed")
            sick.clear_faults()
            if trouble == "hanging":
                sick.go_down()
            sick.come_back()
            broker.wait_for_count(RESPONSES, len(sick_ids) + len(well_ids), 90)
            assert daemon.stop() == 0
        assert set(sick.by_key()) == set(sick_ids)
        assert Counter(map(len, sick.by_key().values())) == {1: len(sick_ids)}
    assert answered(broker) == Counter([*sick_ids, *well_ids])
    assert (broker.count(QUEUE), broker.count(ERRORS)) == (0, 0)


def test_a_bad_message_blocks_nothing_and_is_explained(vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
    broker.declare(QUEUE)
    with ServicesSandbox() as server:
        services = {"echo": http(server), "folders": http(server, "/sync/{folder}", "folders")}
        for number, topic in enumerate(("no_such_topic", "folders", "echo")):
            broker.publish(QUEUE, task(f"task-{number}", topic))
        broker.publish(QUEUE, b"{")
        with Daemon(vhost, tmp_path, variables(tmp_path, services)) as daemon:
            broker.wait_for_count(RESPONSES, 1, 60)
            broker.wait_for_count(ERRORS, 3, 60)
            assert daemon.stop() == 0
    reports = [json.loads(body) for _, body in broker.get_all(ERRORS)]
    told = {report["task_id"]: report["error"] for report in reports}
    assert "no service for the topic 'no_such_topic'" in told["task-0"]
    assert "'folder', which is empty" in told["task-1"]


def test_a_stopped_daemon_leaves_no_process_of_a_callable(vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
    broker.declare(QUEUE)
    services = {
        "echo": python("tests.support.services_callables:echo", "echo"),
        "hang": python("tests.support.services_callables:hangs", "hang", timeout=600),
    }
    pids = tmp_path / "pids"
    broker.publish(QUEUE, task("task-echo", "echo"))
    broker.publish(QUEUE, task("task-hang", "hang", pids=str(pids)))
    changes = {"SHUTDOWN_TIMEOUT": "1"}
    with Daemon(vhost, tmp_path, {**variables(tmp_path, services), **changes}) as daemon:
        broker.wait_for_count(RESPONSES, 1, 60)
        wait_until(pids.exists, 30, "the hanging call")
        [(_, body)] = broker.get_all(RESPONSES)
        idle = json.loads(body)["response_data"]["result"]["pid"]
        busy, grandchild = map(int, pids.read_text().split())
        assert daemon.stop() == 0
        wait_until(lambda: not any(map(is_running, (idle, busy, grandchild))), 20, "the end of all processes")
    # Unsettled: RabbitMQ has it back, nothing is lost.
    assert (broker.count(QUEUE), broker.count(ERRORS)) == (1, 0)


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_call_that_a_killed_worker_has_begun_is_made_again_only_if_that_does_no_harm(
    idempotent: bool, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    broker.declare(QUEUE)
    into, pids = tmp_path / "calls", tmp_path / "pids"
    name = "tests.support.services_callables:count_and"
    services = {"once": python(name, "once", timeout=600, idempotent=idempotent)}
    inputs = {"into": str(into), "pids": str(pids), "then": "hangs"}
    broker.publish(QUEUE, task("task-1", "once", **inputs))
    with Daemon(vhost, tmp_path, variables(tmp_path, services)) as daemon:
        wait_until(pids.exists, 60, "the hanging call")
        daemon.kill()
    first = [int(pid) for pid in pids.read_text().split()]
    wait_until(lambda: not any(map(is_running, first)), 20, "the end of the callable's processes")
    pids.unlink()
    with Daemon(vhost, tmp_path, variables(tmp_path, services)) as daemon:
        if idempotent:
            wait_until(pids.exists, 60, "the second call")
            daemon.kill()
            assert into.read_text().splitlines() == ["task-1", "task-1"]
            return
        broker.wait_for_count(ERRORS, 1, 60)
        assert daemon.stop() == 0
    assert into.read_text().splitlines() == ["task-1"]
    [(_, body)] = broker.get_all(ERRORS)
    assert json.loads(body)["code"] == "may_have_run"


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
