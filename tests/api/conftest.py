"""A desk without RabbitMQ and a client of the API that stands on it; a worker with a portal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from operation.desk import Desk
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from testbench.daemon import Daemon
from tests.api.support import Client, desk_in, serving
from tests.operation.support import INPUT


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
    with desk_in(tmp_path) as desk:
        yield desk


@pytest.fixture
def client(desk: Desk) -> Iterator[Client]:
    with serving(desk) as client:
        yield client
