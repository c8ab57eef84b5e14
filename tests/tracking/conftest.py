"""A sent queue, and a publisher on its virtual host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from testbench.harness import Bench
from tests.tracking.test_tracking import SENT


@pytest.fixture
def sent(broker: Broker) -> Broker:
    broker.declare(SENT)
    return broker


@pytest.fixture
def bench(vhost: BrokerAddress) -> Iterator[Bench]:
    with Bench(vhost).running() as bench:
        yield bench
