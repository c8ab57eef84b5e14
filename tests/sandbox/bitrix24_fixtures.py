"""A portal and a bare client of it, for every test of the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.bitrix24 import BitrixSandbox
from tests.sandbox.bitrix24_client import Rest


@pytest.fixture
def portal() -> Iterator[BitrixSandbox]:
    with BitrixSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def rest(portal: BitrixSandbox) -> Iterator[Rest]:
    with Rest(portal) as client:
        yield client
