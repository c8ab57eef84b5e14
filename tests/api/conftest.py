"""A desk without RabbitMQ, and a client of the API that stands on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assembly.startup import read_configuration
from operation.desk import Desk
from tests.api.support import Client, serving

PASSWORD = "s3cret-of-the-broker"


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
