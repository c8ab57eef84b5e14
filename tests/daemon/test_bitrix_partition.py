"""Two workers and one portal: one of them loses RabbitMQ, or is frozen, and creates nothing beside the other."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from sandbox.proxy import TcpProxy
from testbench.daemon import Daemon
from testbench.harness import ERRORS, camunda_message, wait_until
from tests.support import system_stories
from tests.support.system_stories import System

KEY = "UF_CAMUNDA_ID_EXTERNAL_TASK"


@pytest.fixture
def system() -> Iterator[System]:
    with BitrixSandbox(latency=1.0) as portal:
        yield System(
            queue="bitrix24.queue",
            variables={
                "BITRIX_WEBHOOK_URL": portal.webhook_url,
                "BITRIX_BATCH_SIZE": "4",
                "BITRIX_AMBIGUOUS_WAIT": "1",
            },
            task=camunda_message,
            objects=lambda: portal.tasks_by_key(KEY),
            go_down=portal.go_down,
            come_back=portal.come_back,
        )


@pytest.mark.parametrize("blow", [TcpProxy.stall, system_stories.cut_off])
def test_a_worker_that_lost_its_way_to_rabbitmq_creates_nothing_beside_the_one_that_took_over(
    system: System, vhost: BrokerAddress, broker: Broker, tmp_path: Path, blow: Callable[[TcpProxy], None]
) -> None:
    quick = {"BITRIX_BATCH_SIZE": "50"}
    system_stories.a_partition_creates_nothing_twice(system, vhost, broker, tmp_path, blow=blow, quick=quick, count=60)


def test_a_worker_that_was_frozen_for_long_creates_nothing_beside_the_one_that_took_over(
    system: System, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    count = 60
    task_ids = system_stories.publish(system, broker, count)
    variables = {**system.variables, "RABBITMQ_HEARTBEAT": "2"}
    with Daemon(vhost, tmp_path / "frozen", variables) as frozen:
        wait_until(lambda: len(system.objects()) >= 3, 60, "the first tasks")
        with Daemon(vhost, tmp_path / "standby", variables) as standby:
            wait_until(lambda: "standing by" in standby.output(), 30, "a second worker")
            before = len(system.objects())
            frozen.send(signal.SIGSTOP)
            wait_until(lambda: len(system.objects()) >= before + 20, 60, "the second worker's tasks")
            frozen.send(signal.SIGCONT)
            wait_until(lambda: len(system.objects()) == count, 60, "every task in the portal")
            wait_until(lambda: broker.count(system.queue) == 0, 60, "an empty queue")
            assert (standby.stop(), frozen.stop()) == (0, 0)
    assert set(system.objects()) == set(task_ids)
    assert system.created_times() == {1: count}
    assert broker.count(ERRORS) == 0
