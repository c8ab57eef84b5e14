"""The whole daemon with OpenProject: killed, cut off, told everything twice; counted from outside by task id."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.address import BrokerAddress
from sandbox.openproject import OpenProjectSandbox
from tests.broker import Broker
from tests.daemon import Daemon
from tests.harness import ERRORS, RESPONSES, camunda_message, wait_until

QUEUE, SENT = "openproject.queue", "openproject.sent.queue"


@pytest.fixture
def op() -> Iterator[OpenProjectSandbox]:
    with OpenProjectSandbox(latency=0.005) as op:
        yield op


def variables(op: OpenProjectSandbox) -> dict[str, str]:
    return {
        "OPENPROJECT_URL": op.url,
        "OPENPROJECT_TOKEN": op.token,
        "OPENPROJECT_DEFAULT_PROJECT": "contracts",
        "OPENPROJECT_AMBIGUOUS_WAIT": "1",
    }


def task(task_id: str) -> bytes:
    return camunda_message(task_id, topic="op_create_task", system="openproject", variables={})


def publish(broker: Broker, count: int, *, times: int = 1) -> list[str]:
    broker.declare(QUEUE)
    task_ids = [f"task-{number}" for number in range(count)]
    for _ in range(times):
        broker.publish_all(QUEUE, [task(task_id) for task_id in task_ids])
    return task_ids


def answered(broker: Broker) -> Counter[str]:
    return Counter(json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(RESPONSES))


def created_times(op: OpenProjectSandbox) -> Counter[int]:
    return Counter(len(ids) for ids in op.by_key().values())


def test_the_loop_closes_and_each_task_is_answered_once(
    vhost: BrokerAddress, broker: Broker, op: OpenProjectSandbox, tmp_path: Path
) -> None:
    task_ids = publish(broker, 60)
    op.people(auto_finish_after=0.5)
    with Daemon(vhost, tmp_path, variables(op)) as daemon:
        broker.wait_for_count(RESPONSES, 60, 60)
        assert daemon.stop() == 0
    assert answered(broker) == Counter(task_ids)
    assert created_times(op) == {1: 60}
    assert (broker.count(QUEUE), broker.count(SENT), broker.count(ERRORS)) == (0, 0, 0)
    assert op.token not in daemon.output()


def test_a_worker_killed_again_and_again_with_everything_published_twice_creates_each_once(
    vhost: BrokerAddress, broker: Broker, op: OpenProjectSandbox, tmp_path: Path
) -> None:
    task_ids = publish(broker, 100, times=2)
    op.people(auto_finish_after=0.5)
    for number in range(4):
        before = len(op.work_packages)
        # A journal of starts for each: a message that is in hand at three deaths would be taken for their cause.
        changes = {"STATE_DIR": str(tmp_path / f"state-{number}")}
        with Daemon(vhost, tmp_path, {**variables(op), **changes}) as daemon:
            op.wait_until(lambda each, least=before + 5: len(each.work_packages) >= least, 60)  # type: ignore[misc]
            daemon.kill()
    with Daemon(vhost, tmp_path, variables(op)) as daemon:
        wait_until(lambda: len(op.by_key()) == 100, 90, "every task at the server")
        broker.wait_for_at_least(RESPONSES, 100, 90)
        wait_until(lambda: broker.count(QUEUE) == 0 and broker.count(SENT) == 0, 60, "empty queues")
        assert daemon.stop() == 0
    assert set(answered(broker)) == set(task_ids)
    assert created_times(op) == {1: 100}
    assert broker.count(ERRORS) == 0


def test_an_outage_spends_no_attempt_and_ends_by_itself(
    vhost: BrokerAddress, broker: Broker, op: OpenProjectSandbox, tmp_path: Path
) -> None:
    with Daemon(vhost, tmp_path, {**variables(op), "RETRY_ATTEMPTS": "0"}) as daemon:
        wait_until(lambda: "queue.consumed" in daemon.output(), 30, "the start")
        op.go_down()
        task_ids = publish(broker, 40)
        wait_until(lambda: "system.paused" in daemon.output(), 30, "the pause")
        time.sleep(1)  # several probes
        op.come_back()
        broker.wait_for_count(SENT, 40, 60)
        assert daemon.stop() == 0
    assert created_times(op) == {1: 40}
    assert set(op.by_key()) == set(task_ids)
    assert broker.count(ERRORS) == 0
