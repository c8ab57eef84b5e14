"""The whole daemon with OpenProject: killed, cut off, told everything twice; counted from outside by task id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.openproject import OpenProjectSandbox
from sandbox.proxy import TcpProxy
from testbench.harness import camunda_message
from tests.support import system_stories
from tests.support.system_stories import System


@pytest.fixture
def op() -> Iterator[OpenProjectSandbox]:
    with OpenProjectSandbox(latency=0.005) as op:
        yield op


@pytest.fixture
def system(op: OpenProjectSandbox) -> System:
    variables = {
        "OPENPROJECT_URL": op.url,
        "OPENPROJECT_TOKEN": op.token,
        "OPENPROJECT_DEFAULT_PROJECT": "contracts",
        "OPENPROJECT_AMBIGUOUS_WAIT": "1",
    }
    return System(
        queue="openproject.queue",
        variables=variables,
        task=lambda task_id: camunda_message(task_id, topic="op_create_task", system="openproject", variables={}),
        objects=op.by_key,
        go_down=op.go_down,
        come_back=op.come_back,
        secrets=[op.token],
    )


def test_the_loop_closes_and_each_task_is_answered_once(
    system: System, op: OpenProjectSandbox, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    op.people(auto_finish_after=0.5)
    system_stories.the_loop_closes(system, vhost, broker, tmp_path)


def test_a_worker_killed_again_and_again_with_everything_published_twice_creates_each_once(
    system: System, op: OpenProjectSandbox, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    op.people(auto_finish_after=0.5)
    system_stories.kills_create_nothing_twice(system, vhost, broker, tmp_path)


def test_an_outage_spends_no_attempt_and_ends_by_itself(
    system: System, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    system_stories.an_outage_spends_no_attempt(system, vhost, broker, tmp_path)


@pytest.mark.parametrize("blow", [TcpProxy.stall, system_stories.cut_off])
def test_a_worker_that_lost_its_way_to_rabbitmq_creates_nothing_beside_the_one_that_took_over(
    system: System,
    op: OpenProjectSandbox,
    vhost: BrokerAddress,
    broker: Broker,
    tmp_path: Path,
    blow: Callable[[TcpProxy], None],
) -> None:
    op.latency = 0.4
    system_stories.a_partition_creates_nothing_twice(system, vhost, broker, tmp_path, blow=blow)
