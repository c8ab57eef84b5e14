"""The limiter on a clock of its own: nothing here waits."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.bitrix.limiter import Limiter, shared_limiter
from core.errors import OutageError, StoppingError
from sandbox.bitrix24 import BitrixSandbox
from tests.systems.bitrix.support import client_for, settings_for


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def limiter(clock: Clock, rate: float = 2, burst: int = 50) -> Limiter:
    return Limiter(rate, burst, operating_limit=480, clock=clock)


def test_a_burst_passes_at_once_and_the_rest_at_the_rate() -> None:
    bucket = limiter(Clock())
    assert [bucket.reserve() for _ in range(45)] == [0.0] * 45, "a tenth is spare"
    assert [bucket.reserve() for _ in range(4)] == [0.5, 1.0, 1.5, 2.0]


def test_an_idle_bucket_drains() -> None:
    clock = Clock()
    bucket = limiter(clock)
    for _ in range(45):
        bucket.reserve()
    clock.now += 22.5
    assert [bucket.reserve() for _ in range(46)] == [0.0] * 45 + [0.5]


@given(st.lists(st.floats(min_value=0, max_value=5), min_size=1, max_size=200))
def test_the_portals_bucket_never_overflows(pauses: list[float]) -> None:
    clock, sent = Clock(), []
    bucket = limiter(clock, burst=10)
    for pause in pauses:
        clock.now += pause
        sent.append(clock.now + bucket.reserve())
    level, seen = 0.0, sent[0]
    for moment in sorted(sent):
        level = max(0.0, level - (moment - seen) * 2) + 1
        seen = moment
        assert level <= 10 + 1e-6


def test_a_refusal_halves_the_rate_and_accepted_requests_win_it_back_slowly() -> None:
    bucket = limiter(Clock())
    bucket.refused()
    assert bucket.rate == 1
    assert bucket.reserve() == 1.0, "the portal's bucket is full, whatever we thought of it"
    for _ in range(10):
        bucket.accepted()
    assert 1 < bucket.rate < 2
    for _ in range(100):
        bucket.accepted()
    assert bucket.rate == 2


def test_the_rate_never_falls_to_nothing() -> None:
    bucket = limiter(Clock())
    for _ in range(100):
        bucket.refused()
    assert bucket.rate == pytest.approx(0.1)


def test_a_method_near_its_limit_is_closed_until_the_portal_drops_a_bucket() -> None:
    clock = Clock()
    bucket = limiter(clock)
    # The portal's clock is hours off ours: only the distance between its own stamps counts.
    bucket.note("tasks.task.add", {"operating": 400.0, "operating_reset_at": 5_000_120, "finish": 5_000_000.0})
    assert bucket.closed_for("tasks.task.add") == 121, "the stamp has no fraction"
    assert bucket.closed_for("tasks.task.list") == 0
    with pytest.raises(OutageError) as caught:
        bucket.acquire({"tasks.task.add", "tasks.task.list"}, threading.Event())
    assert caught.value.retry_after == 121
    clock.now += 121
    bucket.acquire({"tasks.task.add"}, threading.Event())


def test_running_time_below_the_share_closes_nothing() -> None:
    bucket = limiter(Clock())
    bucket.note("tasks.task.add", {"operating": 383.0, "operating_reset_at": 700, "finish": 100.0})
    bucket.note("tasks.task.add", {"duration": 1})
    bucket.note("tasks.task.add", [])
    assert bucket.closed_for("tasks.task.add") == 0


def test_a_refused_method_waits_for_the_last_reset_it_was_told() -> None:
    bucket = limiter(Clock())
    assert bucket.close("crm.item.add") == 60, "no time was told: one bucket of a minute"
    bucket.note("tasks.task.add", {"operating": 1, "operating_reset_at": 333, "finish": 100.0})
    assert bucket.close("tasks.task.add") == 234
    assert bucket.close("tasks.task.add", 5) == 5, "this refusal says itself for how long"


def test_a_stop_interrupts_the_wait() -> None:
    bucket = limiter(Clock(), rate=0.001, burst=1)
    stop = threading.Event()
    bucket.acquire(set(), stop)
    stop.set()
    with pytest.raises(StoppingError):
        bucket.acquire(set(), stop)


def test_handler_and_tracker_of_one_portal_share_one_bucket() -> None:
    with BitrixSandbox() as portal, BitrixSandbox() as other:
        first, second = client_for(portal), client_for(portal)
        assert first.limiter is second.limiter
        assert first.limiter is not client_for(other).limiter
        assert shared_limiter(portal.address, settings_for(portal)) is first.limiter
