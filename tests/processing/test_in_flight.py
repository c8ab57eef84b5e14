"""What is known of a delivery: how long it has waited, as far as somebody tells."""

from __future__ import annotations

import time
from typing import Any

import pytest

from broker.deliveries import Delivery
from broker.properties import ReceivedProperties
from core.messages import HEADER_FIRST_SEEN, HEADER_RETURNED
from processing.in_flight import InFlight

NOW = time.time()


def waited(timestamp: int | None, *, redelivered: bool = False, headers: dict[str, Any] | None = None) -> float | None:
    properties = ReceivedProperties(timestamp=timestamp, headers=headers)
    return InFlight.begin(Delivery("q", 1, 1, redelivered, properties, b"{}"), "system").waited


def test_the_wait_is_the_time_since_publishing() -> None:
    published = int(time.time()) - 500
    found = waited(published)
    assert found is not None
    assert 500 <= found <= time.time() - published


@pytest.mark.parametrize("ahead", [1, 30])
def test_a_clock_that_is_ahead_makes_no_negative_wait(ahead: int) -> None:
    assert waited(int(time.time()) + ahead) == 0


def test_what_is_no_time_of_publishing_tells_no_wait() -> None:
    for timestamp in (None, int(NOW) + 3600, int(NOW * 1000), 2**64 - 1):
        assert waited(timestamp) is None


def test_only_the_first_look_of_a_worker_counts() -> None:
    earlier = int(NOW) - 500
    assert waited(earlier, redelivered=True) is None
    assert waited(earlier, headers={HEADER_RETURNED: True}) is None
    assert waited(earlier, headers={HEADER_FIRST_SEEN: NOW - 400}) is None
