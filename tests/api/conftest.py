"""A desk without RabbitMQ and a client of the API that stands on it; a worker with a portal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assembly.startup import read_configuration
from operation.desk import Desk
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from testbench.daemon import Daemon
from tests.api.support import Client, serving
from tests.operation.support import INPUT

PASSWORD = "s3cret-of-the-broker"


@pytest.fixture
def portal() -> Iterator[BitrixSandbox]:
    with BitrixSandbox() as portal:
        yield portal


@pytest.fixture
def worker(broker: Broker, vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path) -> Iterator[Daemon]:
    broker.declare(INPUT)
    with Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as worker:
        yield worker


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    environ = {
        "RABBITMQ_HOST": "127.0.0.1",
        "RABBITMQ_PORT": "1",
        "RABBITMQ_PASSWORD": PASSWORD,
        "STATE_DIR": str(tmp_path / "state"),
        "LOG_DIR": str(tmp_path / "logs"),
    }
    (tmp_path / "state").mkdir()
    startup = read_configuration(environ, tmp_path / ".env")
    desk = Desk(startup.settings, startup.secrets.mask)
    yield desk
    desk.close()


@pytest.fixture
def client(desk: Desk) -> Iterator[Client]:
    with serving(desk) as client:
        yield client
