"""The heartbeat: a line for people, in which what is not known is left out and never zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from assembly.figures import Role, queue_figures, state_of
from assembly.heartbeat import Pulse
from broker.queue_depths import QueueDepth
from core.events.base import Event
from core.events.messages import MessageFailed, MessageReceived
from core.events.systems import Swept, SystemHeld, SystemReleased, SystemResumed
from core.events.worker import Heartbeat
from core.holds import Hold
from core.outcomes import Outcome
from core.pauses import Pauses
from core.stats import Statistics
from core.texts import Text
from tests.support.made_events import about, paused

WALL = 1_796_000_000.0
ROLES: Mapping[str, Role] = {
    "bitrix24.queue": "input",
    "1c.queue": "input",
    "bitrix24.sent.queue": "sent",
    "1c.sent.queue": "sent",
    "camunda.responses.queue": "responses",
    "errors.camunda_tasks.queue": "errors",
}
EMPTY = QueueDepth(0, 1, WALL)
ALL_EMPTY = dict.fromkeys(ROLES, EMPTY)


class Machine:
    """What a worker counts, at a time that the test says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses = Pauses(lambda: self.now)
        self._statistics = Statistics(WALL, self.pauses)
        self._pulse = Pulse(ROLES, lambda: self.now)

    def happen(self, *events: Event) -> None:
        for event in events:
            self.pauses(event)
            self._statistics(event)

    def heartbeat(self, depths: Mapping[str, QueueDepth]) -> Heartbeat:
        stats = self._statistics.snapshot(WALL + self.now)
        stats["queues"] = queue_figures(ROLES, depths, WALL + self.now)
        stats["state"] = state_of(stats, is_connected=True, is_consuming=True)
        return self._pulse.beat(stats)

    def line(self, depths: Mapping[str, QueueDepth]) -> str:
        return self.heartbeat(depths).line()

    def beat(self, depths: Mapping[str, QueueDepth]) -> dict[str, str]:
        """The pairs of the line."""
        return dict(pair.split("=", 1) for pair in self.line(depths).split(" "))


@pytest.fixture
def machine() -> Machine:
    return Machine()


def swept(system: str, moved: int = 0, left: int | None = None, reason: str | None = None) -> Swept:
    told = None if reason is None else Text.of(reason)
    return Swept(system, moved, moved, moved, 0, at=WALL, reason=told, left=left)


RECEIVED = MessageReceived(about("bitrix24"), redelivered=False)


def test_one_line_says_it_all(machine: Machine) -> None:
    up = 3 * 86400 + 5 * 3600.0
    machine.now = up - 14 * 60
    machine.happen(paused("bitrix24", "connect timeout"))
    machine.now = up - 60
    machine.beat({})
    machine.happen(*[RECEIVED] * 22, *[MessageFailed(about("bitrix24"), Outcome.OUTAGE, is_postponed=True)] * 3)
    machine.happen(swept("1c", left=83), swept("bitrix24", left=2000))
    machine.now = up
    depths = ALL_EMPTY | {
        "bitrix24.queue": QueueDepth(300, 0, WALL, WALL + up - 900),
        "1c.queue": QueueDepth(2, 1, WALL, WALL + up - 90),
        "bitrix24.queue.retry.5000ms": QueueDepth(10, 0, WALL),
        "bitrix24.sent.queue": QueueDepth(2000, 0, WALL),
        "1c.sent.queue": QueueDepth(83, 0, WALL),
        "errors.camunda_tasks.queue": QueueDepth(7, 0, WALL),
    }
    assert machine.line(depths) == (
        "up=3d5h in=22/m out=0/m waiting=312 oldest=15m tracked=2083 errors=7 responses=0 state=degraded "
        "paused=bitrix24:14m total=22 processed=0 failed=0 postponed=3 sent=0 success_queue_rate=100%"
    )


def test_what_is_not_known_is_left_out(machine: Machine) -> None:
    assert not {"waiting", "oldest", "tracked", "errors", "responses"} & machine.beat({}).keys()
    some = {queue: EMPTY for queue in ROLES if queue != "1c.queue"}
    told = machine.beat(some)
    assert "waiting" not in told, "one of the queues may hold thousands"
    assert (told["tracked"], told["errors"], told["responses"]) == ("0", "0", "0")
    assert machine.beat(ALL_EMPTY)["waiting"] == "0"
    assert "oldest" not in machine.beat(ALL_EMPTY | {"1c.queue": QueueDepth(5, 1, WALL)})


def test_rates_are_those_since_the_last_heartbeat(machine: Machine) -> None:
    machine.happen(*[RECEIVED] * 22, swept("bitrix24", moved=1))
    machine.now = 60
    assert (machine.beat({})["in"], machine.beat({})["in"]) == ("22/m", "0/m")
    machine.happen(RECEIVED, swept("bitrix24", moved=20))
    machine.now += 120
    told = machine.beat({})
    assert (told["in"], told["out"]) == ("0.5/m", "10/m")


def test_open_tasks_are_counted_also_while_a_sweep_holds_them(machine: Machine) -> None:
    machine.happen(swept("bitrix24", left=2000))
    assert "tracked" not in machine.beat({}), "of 1c nothing is known"
    machine.happen(swept("1c", left=3))
    assert machine.beat({})["tracked"] == "2003"
    assert machine.beat(ALL_EMPTY)["tracked"] == "2003"
    assert machine.beat(ALL_EMPTY | {"1c.sent.queue": QueueDepth(8, 0, WALL)})["tracked"] == "2008"
    machine.happen(swept("1c", reason="RabbitMQ is gone"))
    assert machine.beat({})["tracked"] == "2003", "the last sweep that got there"


def test_who_waits_is_named_until_it_works_again(machine: Machine) -> None:
    assert machine.beat(ALL_EMPTY)["state"] == "ok"
    machine.happen(paused("1c", "down"), paused("bitrix24", "down"), swept("1c", reason="401"))
    machine.now = 130
    told = machine.beat(ALL_EMPTY)
    assert (told["state"], told["paused"], told["not_tracking"]) == ("degraded", "1c:2m,bitrix24:2m", "1c")
    machine.happen(SystemResumed("1c"), SystemResumed("bitrix24"), swept("1c"))
    told = machine.beat(ALL_EMPTY)
    assert told["state"] == "ok"
    assert not {"paused", "not_tracking"} & told.keys()


def test_a_pause_of_a_person_is_named_before_that_of_the_worker(machine: Machine) -> None:
    machine.happen(paused("1c", "down"))
    machine.now = 7200
    machine.happen(SystemHeld(Hold("1c", "ivanov", since=WALL + 6600)))
    told = machine.beat(ALL_EMPTY)
    assert (told["state"], told["paused"]) == ("degraded", "1c:10m")
    machine.happen(SystemReleased("1c", "ivanov"))
    assert machine.beat(ALL_EMPTY)["paused"] == "1c:2h"


@pytest.mark.parametrize(
    ("is_connected", "is_consuming", "state"),
    [(True, True, "ok"), (True, False, "degraded"), (False, True, "down"), (False, False, "down")],
)
def test_without_rabbitmq_the_worker_is_down(is_connected: bool, is_consuming: bool, state: str) -> None:
    early: dict[str, Any] = {"systems": {"1c": {"api": {}}}, "trackers": {"1c": {"api": {}}}}  # nothing has come yet
    assert state_of(early, is_connected=is_connected, is_consuming=is_consuming) == state


def test_the_whole_is_told_beside_the_line(machine: Machine) -> None:
    machine.happen(RECEIVED)
    machine.now = 30
    depths = {"1c.queue": QueueDepth(2, 1, WALL + 20, WALL), "1c.queue.retry.5000ms": QueueDepth(1, 0, WALL + 20)}
    told = machine.heartbeat(depths).fields()["stats"]
    assert told["queues"] == {
        "1c.queue": {"role": "input", "messages": 2, "consumers": 1, "oldest_seconds": 30.0, "age_seconds": 10.0},
        "1c.queue.retry.5000ms": {
            "role": "wait",
            "messages": 1,
            "consumers": 0,
            "oldest_seconds": None,
            "age_seconds": 10.0,
        },
    }
    assert (told["received_per_minute"], told["answered_per_minute"], told["total_messages"]) == (2.0, 0.0, 1)
