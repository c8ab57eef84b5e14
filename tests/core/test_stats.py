"""The figures that the specification promises, counted from the event stream by several threads at once."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.events.base import Event, EventStream
from core.events.messages import (
    MessageFailed,
    MessageReceived,
    ResultNotStored,
    ResultStored,
    TaskAccepted,
    TaskFound,
)
from core.events.publishing import Published, PublishFailed
from core.events.systems import Swept, SystemResumed
from core.outcomes import Outcome
from core.pauses import Pauses
from core.stats import Statistics
from core.texts import Text
from tests.support.made_events import about, parked, paused, put_off

STARTED = 1795416000.0


def stats_after(events: Sequence[Event], now: float = STARTED + 90.06) -> dict[str, Any]:
    pauses = Pauses(lambda: now)
    statistics = Statistics(STARTED, pauses)
    for event in events:
        pauses(event)
        statistics(event)
    return statistics.snapshot(now)


def test_a_worker_that_has_done_nothing_shows_zeros_and_full_marks() -> None:
    assert stats_after([]) == {
        "total_messages": 0,
        "processed_messages": 0,
        "failed_messages": 0,
        "postponed_messages": 0,
        "sent_to_success_queue": 0,
        "success_queue_failures": 0,
        "success_queue_rate": 100.0,
        "uptime_seconds": 90.1,
        "systems": {},
        "publisher": {"published": 0, "failed": 0},
        "trackers": {},
    }


def test_every_figure_of_the_specification_is_there() -> None:
    stats = stats_after(
        [
            *[MessageReceived(about("bitrix24"), redelivered=False)] * 7,
            MessageReceived(about("1c"), redelivered=True),
            *[TaskAccepted(about("bitrix24"), created=True, stored=True)] * 3,
            TaskFound(about("bitrix24"), created=True, stored=True),
            *[MessageFailed(about("bitrix24"), Outcome.TRANSIENT)] * 2,
            MessageFailed(about("1c"), Outcome.PERMANENT),
            *[MessageFailed(about("1c"), Outcome.OUTAGE, is_postponed=True)] * 3,
            *[ResultStored(about("bitrix24"))] * 4,
            *[ResultNotStored(about("bitrix24"))] * 2,
            put_off("bitrix24"),
            parked("1c", "unknown_user"),
            Published(2),
            Published(3),
            PublishFailed("bitrix24.sent.queue"),
            Swept("bitrix24", checked=100, completed=8, moved=7, errors=1, at=STARTED + 30),
            Swept("bitrix24", checked=93, completed=2, moved=2, errors=0, at=STARTED + 60, left=91),
            Swept("1c", checked=0, completed=0, moved=0, errors=0, at=STARTED, reason=Text("refused", "отказано")),
        ]
    )
    assert stats == {
        "total_messages": 8,
        "processed_messages": 4,
        "failed_messages": 3,
        "postponed_messages": 3,
        "sent_to_success_queue": 4,
        "success_queue_failures": 2,
        "success_queue_rate": 66.67,
        "uptime_seconds": 90.1,
        "systems": {
            "1c": {
                "total": 1,
                "processed": 0,
                "failed": 1,
                "postponed": 3,
                "sent_to_success_queue": 0,
                "success_queue_failures": 0,
                "duplicates": 0,
                "retries": 0,
                "parked": 1,
                "rerouted": 0,
                "paused": None,
            },
            "bitrix24": {
                "total": 7,
                "processed": 4,
                "failed": 2,
                "postponed": 0,
                "sent_to_success_queue": 4,
                "success_queue_failures": 2,
                "duplicates": 1,
                "retries": 1,
                "parked": 0,
                "rerouted": 0,
                "paused": None,
            },
        },
        "publisher": {"published": 5, "failed": 1},
        "trackers": {
            "1c": {
                "checked": 0,
                "completed": 0,
                "moved": 0,
                "errors": 0,
                "open": None,
                "last_check": "2026-11-23T06:40:00+00:00",
                "trouble": "refused",
            },
            "bitrix24": {
                "checked": 193,
                "completed": 10,
                "moved": 9,
                "errors": 1,
                "open": 91,
                "last_check": "2026-11-23T06:41:00+00:00",
                "trouble": None,
            },
        },
    }
    assert json.loads(json.dumps(stats)) == stats, "they are told as JSON"


def test_a_paused_system_says_why_until_it_is_resumed() -> None:
    events: list[Event] = [
        MessageReceived(about("1c"), redelivered=False),
        paused("1c", "connection refused"),
    ]
    assert stats_after(events)["systems"]["1c"]["paused"] == "connection refused"
    assert stats_after([*events, SystemResumed("1c")])["systems"]["1c"]["paused"] is None
    assert stats_after([*events, SystemResumed("1c"), SystemResumed("1c")])["systems"]["1c"]["paused"] is None


@pytest.mark.parametrize(("stored", "lost", "rate"), [(0, 0, 100.0), (0, 3, 0.0), (3, 0, 100.0), (2, 1, 66.67)])
def test_the_rate_is_a_share_of_all_tries_to_store_a_result(stored: int, lost: int, rate: float) -> None:
    stats = stats_after([*[ResultStored(about("1c"))] * stored, *[ResultNotStored(about("1c"))] * lost])
    assert stats["success_queue_rate"] == rate


@given(st.integers(0, 300), st.integers(0, 300))
@settings(deadline=None)
def test_the_rate_is_a_percentage_whatever_happened(stored: int, lost: int) -> None:
    stats = stats_after([*[ResultStored(about("1c"))] * stored, *[ResultNotStored(about("1c"))] * lost])
    assert 0.0 <= stats["success_queue_rate"] <= 100.0


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns as often as Python can, so that what is not protected shows."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty_threads")
def test_eight_threads_lose_no_count_while_somebody_reads() -> None:
    statistics = Statistics(STARTED, Pauses(time.monotonic))
    rounds, threads = 2000, 8
    start = threading.Barrier(threads + 1)
    errors: list[BaseException] = []

    def count(number: int) -> None:
        start.wait()
        try:
            for _ in range(rounds):
                statistics(MessageReceived(about(f"system-{number % 4}"), redelivered=False))
                statistics(Published(1))
                statistics(Swept("bitrix24", 1, 1, 1, 1, at=STARTED))
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            errors.append(error)

    workers = [threading.Thread(target=count, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    totals = []
    while any(worker.is_alive() for worker in workers):
        totals.append(statistics.snapshot(STARTED)["total_messages"])
    for worker in workers:
        worker.join()

    stats = statistics.snapshot(STARTED)
    assert errors == []
    assert stats["total_messages"] == stats["publisher"]["published"] == rounds * threads
    assert {name: system["total"] for name, system in stats["systems"].items()} == {
        f"system-{number}": 2 * rounds for number in range(4)
    }
    tracker = stats["trackers"]["bitrix24"]
    assert [tracker[name] for name in ("checked", "completed", "moved", "errors")] == [rounds * threads] * 4
    assert totals == sorted(totals), "a figure never falls"


def test_a_sink_that_fails_takes_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_event: Event) -> None:
        raise ZeroDivisionError

    statistics = Statistics(STARTED, Pauses(time.monotonic))
    stream = EventStream([broken, statistics, broken])
    for _ in range(3):
        stream.emit(Published(1))
    assert statistics.snapshot(STARTED)["publisher"]["published"] == 3
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 6
    assert all(record.exc_info for record in caplog.records)
