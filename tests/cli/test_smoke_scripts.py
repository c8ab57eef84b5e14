"""The smoke scripts tell the truth: on a machine where all is well, and on those where something is not."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BARE_USER_FIELDS, BitrixSandbox
from sandbox.broker_view import Broker
from sandbox.camunda import ERRORS_QUEUE, CamundaSide
from sandbox.ports import free_port
from sandbox.rabbitmq import RabbitNode
from testbench.daemon import Daemon
from testbench.harness import wait_until
from tests.support.commands import run

INPUT = "bitrix24.queue"


@pytest.fixture
def portal() -> Iterator[BitrixSandbox]:
    with BitrixSandbox() as portal:
        yield portal


@pytest.fixture
def contract(broker: Broker) -> Broker:
    """A virtual host as Camunda's side leaves it."""
    with CamundaSide([broker.address.amqp_parameters()]) as camunda:
        camunda.declare_topology()
    return broker


def variables(address: BrokerAddress, portal: BitrixSandbox) -> dict[str, str]:
    return {**address.environment(), "BITRIX_WEBHOOK_URL": portal.webhook_url}


def smoke_test(folder: Path, variables: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("test_bitrix_worker.py", arguments, {"BITRIX_RATE_LIMIT_PER_SECOND": "100", **variables}, folder)


# -- simple_test.py ---------------------------------------------------------------------------------------------------


def test_simple_test_leaves_no_trace_in_the_broker(contract: Broker, node: RabbitNode, tmp_path: Path) -> None:
    before = node.list_queues(contract.vhost)
    done = run("simple_test.py", [], contract.address.environment(), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "format correct" in done.stdout
    assert len(done.stdout.splitlines()) == 4
    assert node.list_queues(contract.vhost) == before


def test_simple_test_needs_no_queue_of_the_contract(broker: Broker, node: RabbitNode, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in broker.address.environment().items()))
    done = run("simple_test.py", [], {"LANG": "ru_RU.UTF-8"}, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "формат верный" in done.stdout
    assert node.list_queues(broker.vhost) == {}


@pytest.mark.parametrize("script", ["simple_test.py", "test_bitrix_worker.py"])
def test_a_wrong_password_is_told_and_not_shown(
    vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path, script: str
) -> None:
    done = run(script, [], {**variables(vhost, portal), "RABBITMQ_PASSWORD": "not-the-password"}, tmp_path)
    assert done.returncode == (1 if script == "simple_test.py" else 3)
    assert f"RabbitMQ at {vhost.host}:{vhost.port}" in done.stderr
    assert "RABBITMQ_USERNAME and RABBITMQ_PASSWORD" in done.stderr
    assert "not-the-password" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [(["--help"], 0, "показать эту справку"), (["--nonsense"], 2, "ошибка: лишнее: --nonsense")],
)
@pytest.mark.parametrize("script", ["simple_test.py", "test_bitrix_worker.py"])
def test_help_tries_nothing_and_an_unknown_option_is_refused(
    tmp_path: Path, script: str, arguments: list[str], code: int, words: str
) -> None:
    done = run(script, arguments, {"LANG": "ru_RU.UTF-8", "RABBITMQ_PORT": "1"}, tmp_path)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
    assert "options" not in done.stdout


@pytest.mark.parametrize("script", ["simple_test.py", "test_bitrix_worker.py"])
def test_a_broker_that_is_down_is_told(portal: BitrixSandbox, tmp_path: Path, script: str) -> None:
    nobody_listens = BrokerAddress("127.0.0.1", free_port(), "sandbox", "some password")
    done = run(script, [], variables(nobody_listens, portal), tmp_path)
    assert done.returncode == (1 if script == "simple_test.py" else 3)
    assert "connection refused" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", ["simple_test.py", "test_bitrix_worker.py"])
def test_wrong_settings_are_listed(tmp_path: Path, script: str) -> None:
    done = run(script, [], {"RABBITMQ_PORT": "rabbit", "BITRIX_WEBHOOK_URL": "portal"}, tmp_path)
    assert done.returncode == 78
    assert "RABBITMQ_PORT=rabbit" in done.stderr
    assert "BITRIX_WEBHOOK_URL" in done.stderr


# -- test_bitrix_worker.py --------------------------------------------------------------------------------------------


def test_with_a_running_worker_the_created_task_is_found(
    contract: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    contract.publish(ERRORS_QUEUE, "an old report")
    with Daemon(contract.address, tmp_path / "worker", {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
        done = smoke_test(tmp_path, variables(contract.address, portal))
        assert done.returncode == 0, (done, daemon.output())
        assert daemon.stop() == 0
    (task,) = portal.tasks
    assert f"Bitrix24 task {task['ID']}" in done.stdout
    assert task["UF_CAMUNDA_ID_EXTERNAL_TASK"] in done.stdout
    assert [body for _, body in contract.peek(ERRORS_QUEUE)] == [b"an old report"]


def test_a_refused_task_is_found_in_the_error_queue_and_stays_there(
    contract: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    contract.publish(ERRORS_QUEUE, "an old report")
    nobody = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "BITRIX_DEFAULT_RESPONSIBLE_ID": "9999"}
    with Daemon(contract.address, tmp_path / "worker", nobody) as daemon:
        done = smoke_test(tmp_path, variables(contract.address, portal))
        assert daemon.stop() == 0
    assert done.returncode == 1, done
    assert "in errors.camunda_tasks.queue: Bitrix24 refused tasks.task.add" in done.stdout
    assert portal.task_count == 0
    old, new = (body for _, body in contract.peek(ERRORS_QUEUE))
    assert old == b"an old report"
    assert json.loads(new)["task_id"] in done.stdout


def test_without_a_worker_the_message_is_said_to_wait(contract: Broker, portal: BitrixSandbox, tmp_path: Path) -> None:
    done = smoke_test(tmp_path, {**variables(contract.address, portal), "LANG": "ru_RU.UTF-8"}, "--timeout", "0.5")
    assert done.returncode == 4, done
    assert "потребителей 0" in done.stdout
    assert "сообщения никто не берёт" in done.stdout
    ((_, body),) = contract.peek(INPUT)
    with Daemon(contract.address, tmp_path / "worker", {"BITRIX_WEBHOOK_URL": portal.webhook_url}):
        wait_until(lambda: json.loads(body)["task_id"] in portal.tasks_by_key(), what="the promised task")


def test_a_consumer_that_creates_nothing_is_not_called_a_missing_worker(
    contract: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    with contract.channel() as channel:
        channel.basic_consume(INPUT, lambda *_: None)
        done = smoke_test(tmp_path, variables(contract.address, portal), "--timeout", "0.5")
    assert done.returncode == 4
    assert "although 1 consumer(s) take messages" in done.stdout


def test_a_missing_queue_is_told_and_not_created(broker: Broker, portal: BitrixSandbox, tmp_path: Path) -> None:
    done = smoke_test(tmp_path, variables(broker.address, portal))
    assert done.returncode == 3
    assert "there is no queue bitrix24.queue" in done.stderr
    assert broker.count(INPUT) == 0


def test_an_unusable_portal_gets_no_test_message(contract: Broker, portal: BitrixSandbox, tmp_path: Path) -> None:
    given = variables(contract.address, portal)
    portal.revoke_webhook()
    refused = smoke_test(tmp_path, given)
    portal.go_down()
    unreachable = smoke_test(tmp_path, given)
    with BitrixSandbox(user_fields=BARE_USER_FIELDS) as bare:
        without_key_field = smoke_test(tmp_path, variables(contract.address, bare))
    for done, words in (
        (refused, "BITRIX_WEBHOOK_URL"),
        (unreachable, "Bitrix24"),
        (without_key_field, "init-fields"),
    ):
        assert done.returncode == 3
        assert words in done.stderr
        assert portal.webhook_token not in done.stdout + done.stderr
    assert contract.count(INPUT) == 0


def test_without_a_webhook_there_is_nothing_to_test(vhost: BrokerAddress, tmp_path: Path) -> None:
    done = smoke_test(tmp_path, vhost.environment())
    assert done.returncode == 78
    assert re.search("BITRIX_WEBHOOK_URL is not set", done.stderr)
