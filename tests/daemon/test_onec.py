"""The whole daemon with 1C: killed, cut off, told everything twice; counted from outside by task id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.onec import OneCSandbox
from testbench.daemon import Daemon
from testbench.harness import camunda_message, wait_until
from tests.support import system_stories
from tests.support.commands import run
from tests.support.system_stories import System
from tests.systems.onec.support import ANNA, mapping_file


@pytest.fixture
def base() -> Iterator[OneCSandbox]:
    with OneCSandbox(latency=0.005) as base:
        yield base


def system_of(base: OneCSandbox, topic: str) -> System:
    variables = {"ONEC_URL": base.url, "ONEC_USERNAME": base.username, "ONEC_PASSWORD": base.password}
    return System(
        queue="1c.queue",
        variables=variables,
        task=lambda task_id: camunda_message(
            task_id, topic=topic, system="1c", variables={"assignee": ANNA, "name": "Ромашка"}
        ),
        objects=base.by_key,
        go_down=base.go_down,
        come_back=base.come_back,
        secrets=[base.password],
    )


@pytest.mark.parametrize("topic", ["1c_create_task", "1c_create_document", "1c_create_counterparty", "1c_sync_data"])
def test_the_loop_closes_and_each_task_is_answered_once(
    base: OneCSandbox, topic: str, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    base.people(auto_finish_after=0.5)
    system_stories.the_loop_closes(system_of(base, topic), vhost, broker, tmp_path)


def test_a_worker_killed_again_and_again_with_everything_published_twice_creates_each_once(
    base: OneCSandbox, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    base.people(auto_finish_after=0.5)
    system_stories.kills_create_nothing_twice(system_of(base, "1c_create_task"), vhost, broker, tmp_path)
    assert len(base.rows("Task_ЗадачаИсполнителя")) == 100, "no process was started twice"


def test_an_outage_spends_no_attempt_and_ends_by_itself(
    base: OneCSandbox, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    system_stories.an_outage_spends_no_attempt(system_of(base, "1c_create_document"), vhost, broker, tmp_path)


def test_a_mistake_in_the_mapping_is_told_at_start_before_any_message(
    base: OneCSandbox, vhost: BrokerAddress, tmp_path: Path
) -> None:
    text = """
[topics.x]
kind = "document"
entity = "Document_Нет"
"""
    variables = {**system_of(base, "x").variables, "ONEC_MAPPING_FILE": str(mapping_file(tmp_path, text))}
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: "system.remark" in daemon.output(), 30, "the remark")
        assert daemon.stop() == 0
    assert "topic x: 1C does not offer Document_Нет over OData" in daemon.output()
    done = run("main.py", ["config", "check", "--probe"], variables, tmp_path)
    assert done.returncode == 3
    assert "TO BE MENDED: topic x" in done.stdout
