"""A desk without RabbitMQ, and a client of the API that stands on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from operation.desk import Desk
from tests.api.support import Client, desk_in, serving


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_in(tmp_path) as desk:
        yield desk


@pytest.fixture
def client(desk: Desk) -> Iterator[Client]:
    with serving(desk) as client:
        yield client
