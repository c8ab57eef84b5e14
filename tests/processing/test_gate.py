"""A system's gate: closed once for any number of errors, probed until it is usable, opened by itself."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue

import pytest

from core.errors import ConfigurationError, OutageError, OutcomeError, TransientError
from core.events.base import Event, EventStream, Log
from core.events.systems import ProbeFailed, SystemPaused, SystemResumed
from core.lone_failures import REMEMBERED_SUSPECTS, STRIKES
from core.policy import Pause
from core.texts import Text
from processing.gate import LONGEST_WAIT, SystemGate

PATIENCE = 20.0  # seconds that a test waits for what must come at once
DOWN = OutageError("connection refused", code="unreachable")
PAUSE = Pause(alert=False, retry_after=None)


class WaitingRoom(threading.Event):
    """A stop event that shows how long somebody wants to wait for it, and lets him through at the test's word."""

    def __init__(self) -> None:
        super().__init__()
        self._wanted: SimpleQueue[float | None] = SimpleQueue()
        self._turns = threading.Semaphore(0)

    def wait(self, timeout: float | None = None) -> bool:
        self._wanted.put(timeout)
        assert self._turns.acquire(timeout=PATIENCE)
        return self.is_set()

    def visitor(self) -> float | None:
        """Returns when somebody waits: the seconds that he has asked for."""
        return self._wanted.get(timeout=PATIENCE)

    def open_door(self, times: int = 1) -> None:
        self._turns.release(times)

    def let_through(self) -> float | None:
        wanted = self.visitor()
        self.open_door()
        return wanted

    def set(self) -> None:
        super().set()
        self.open_door(100)


@dataclass
class System:
    """The outside system, the intake in front of it, and everything that was told."""

    health: OutcomeError | Exception | None = DOWN
    intake: SimpleQueue[str] = field(default_factory=SimpleQueue)
    events: SimpleQueue[Event] = field(default_factory=SimpleQueue)
    probes: int = 0
    stop: WaitingRoom = field(default_factory=WaitingRoom)
    on_event: Callable[[Event], None] = lambda _event: None

    def gate(self, probe_interval: float = 15.0) -> SystemGate:
        return SystemGate(
            "bitrix24",
            probe=self.probe,
            probe_interval=probe_interval,
            on_close=partial(self.intake.put, "closed"),
            on_open=partial(self.intake.put, "opened"),
            events=EventStream([Log(), self.hear]),
            stop=self.stop,
            mask=lambda text: text.replace("SECRET", "***"),
        )

    def hear(self, event: Event) -> None:
        self.events.put(event)
        self.on_event(event)

    def heal(self) -> None:
        """While nobody probes; returns when the next probe has found out and opened the gate."""
        [thread] = probe_threads()
        self.stop.visitor()
        self.health = None
        self.stop.open_door()
        thread.join(PATIENCE)
        assert not thread.is_alive()

    def probe(self) -> None:
        self.probes += 1
        if self.health is not None:
            raise self.health


@pytest.fixture
def system() -> Iterator[System]:
    system = System()
    yield system
    system.stop.set()  # no probe outlives its test
    for thread in probe_threads():
        thread.join(PATIENCE)


def drained(queue: SimpleQueue[str]) -> list[str]:
    found = []
    while True:
        try:
            found.append(queue.get_nowait())
        except Empty:
            return found


def probe_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "probe-bitrix24"]


def test_many_errors_at_once_close_the_gate_once(system: System) -> None:
    gate = system.gate()
    assert gate.is_open()
    start = threading.Barrier(8)

    def fail() -> None:
        start.wait()
        for _ in range(50):
            gate.close(DOWN, PAUSE)

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert not gate.is_open()
    assert drained(system.intake) == ["closed"]
    told = system.events.get(timeout=PATIENCE)
    assert isinstance(told, SystemPaused)
    assert (told.system, told.reason.en, told.is_alert) == ("bitrix24", "connection refused", False)
    assert system.events.empty()
    assert len(probe_threads()) == 1


def test_it_is_probed_until_it_is_usable_and_opens_by_itself(system: System, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    gate = system.gate()
    gate.close(DOWN, PAUSE)
    for _ in range(5):
        system.stop.let_through()
        assert not gate.is_open()
    system.heal()

    assert gate.is_open()
    assert drained(system.intake) == ["closed", "opened"]
    heard = [type(system.events.get(timeout=PATIENCE)) for _ in range(7)]
    expected: list[type[Event]] = [SystemPaused, *[ProbeFailed] * 5, SystemResumed]
    assert heard == expected
    assert system.probes == 6
    told = [vars(record)["event"] for record in caplog.records]
    assert told == ["system.paused", *["system.probe"] * 5, "system.resumed"]


@pytest.mark.parametrize("error", [OutageError("no route for SECRET"), ValueError("SECRET")])
def test_a_probe_s_error_is_told_without_the_secret_that_it_repeats(system: System, error: Exception) -> None:
    gate = system.gate()
    gate.close(DOWN, PAUSE)
    system.health = error
    system.stop.let_through()
    assert isinstance(system.events.get(timeout=PATIENCE), SystemPaused)
    told = system.events.get(timeout=PATIENCE)
    assert isinstance(told, ProbeFailed)
    assert "***" in told.reason.en
    assert "SECRET" not in told.reason.en


def test_it_can_close_and_open_any_number_of_times(system: System) -> None:
    gate = system.gate()
    for _ in range(3):
        system.health = DOWN
        gate.close(DOWN, PAUSE)
        assert not gate.is_open()
        system.heal()
        assert gate.is_open()
        assert drained(system.intake) == ["closed", "opened"]


@pytest.mark.parametrize(
    ("retry_after", "waits"),
    [
        (None, 15.0),
        (0.0, 15.0),
        (3.0, 15.0),
        (90.0, 90.0),
        (-1.0, 15.0),
        (math.nan, 15.0),
        (math.inf, LONGEST_WAIT),
        (1e300, LONGEST_WAIT),  # threading would raise OverflowError, and nobody would ever probe again
    ],
)
def test_nobody_asks_earlier_than_he_was_told_nor_waits_for_ever(
    system: System, retry_after: float | None, waits: float
) -> None:
    system.health = OutageError("maintenance", retry_after=retry_after)
    system.gate(probe_interval=15.0).close(DOWN, Pause(alert=False, retry_after=retry_after))
    assert system.stop.let_through() == waits, "before the first probe"
    assert system.stop.let_through() == waits, "after a probe that was told the same"


def test_the_longest_wait_is_one_that_threads_can_wait() -> None:
    assert LONGEST_WAIT < threading.TIMEOUT_MAX


@pytest.mark.parametrize("mistake", [ZeroDivisionError("a bug"), KeyError("result"), TransientError("429")])
def test_a_probe_with_a_mistake_in_it_does_not_end_the_probing(
    system: System, mistake: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    gate = system.gate()
    gate.close(DOWN, PAUSE)
    system.health = mistake
    for _ in range(3):
        assert system.stop.let_through() == 15.0
    assert not gate.is_open()
    system.heal()
    assert sum(record.levelno == logging.ERROR for record in caplog.records) == 3
    assert drained(system.intake) == ["closed", "opened"]


def test_a_configuration_error_is_an_alert_and_heals_the_same_way(
    system: System, caplog: pytest.LogCaptureFixture
) -> None:
    gate = system.gate()
    error = ConfigurationError("the webhook was revoked", code="INVALID_CREDENTIALS")
    system.health = error
    gate.close(error, Pause(alert=True, retry_after=None))
    assert system.events.get(timeout=PATIENCE) == SystemPaused(
        "bitrix24",
        Text.of("the webhook was revoked"),
        "configuration",
        "INVALID_CREDENTIALS",
        is_alert=True,
        probe_in=15.0,
    )
    assert caplog.records[0].levelno == logging.ERROR
    assert vars(caplog.records[0])["code"] == "INVALID_CREDENTIALS"
    system.stop.let_through()
    system.heal()
    assert drained(system.intake) == ["closed", "opened"]


def test_the_end_of_the_daemon_ends_the_probing_and_opens_nothing(system: System) -> None:
    gate = system.gate()
    gate.close(DOWN, PAUSE)
    [thread] = probe_threads()
    system.health = None
    system.stop.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert system.probes == 0
    assert not gate.is_open()
    assert drained(system.intake) == ["closed"]


def test_a_system_that_fails_while_it_is_reopened_stays_paused(system: System) -> None:
    # A request that was on its way all the time fails at the very moment of the resumption.
    gate = system.gate()
    closed_again = threading.Event()

    def fail_again(event: Event) -> None:
        if isinstance(event, SystemResumed) and not closed_again.is_set():
            gate.close(DOWN, PAUSE)
            closed_again.set()

    system.on_event = fail_again
    gate.close(DOWN, PAUSE)
    system.heal()
    assert closed_again.is_set()
    assert not gate.is_open()
    assert drained(system.intake) == ["closed", "opened", "closed"], "the intake is as the gate is"


class TestSuspects:
    def test_in_a_real_outage_nobody_is_suspected_however_often_he_fails(self, system: System) -> None:
        gate = system.gate()
        gate.succeeded("earlier")
        assert not any(gate.is_suspect(task_id) for _ in range(100) for task_id in ("a", "b", "c"))

    def test_who_fails_again_and_again_while_others_succeed_is_suspected(self, system: System) -> None:
        gate = system.gate()
        verdicts = []
        for number in range(STRIKES + 1):
            verdicts.append(gate.is_suspect("poison"))
            assert not gate.is_suspect(f"innocent-{number}")
            gate.succeeded(f"healthy-{number}")
        assert verdicts == [False] * STRIKES + [True]

    def test_several_failures_between_two_successes_count_once(self, system: System) -> None:
        gate = system.gate()
        for number in range(STRIKES):
            assert not any(gate.is_suspect("unlucky") for _ in range(20))
            gate.succeeded(f"healthy-{number}")

    def test_a_success_of_its_own_clears_the_suspicion(self, system: System) -> None:
        gate = system.gate()
        for number in range(STRIKES):
            gate.is_suspect("redeemed")
            gate.succeeded(f"healthy-{number}")
        gate.succeeded("redeemed")
        assert not gate.is_suspect("redeemed")

    def test_the_memory_of_suspects_is_bounded_and_forgets_the_oldest(self, system: System) -> None:
        gate = system.gate()
        for number in range(STRIKES):
            gate.is_suspect("old")
            gate.is_suspect("kept")
            gate.succeeded(f"healthy-{number}")
        for number in range(REMEMBERED_SUSPECTS - 1):
            gate.is_suspect(f"other-{number}")
        assert gate.is_suspect("kept"), "the memory holds so many"
        assert not gate.is_suspect("old"), "and no more"
        assert len(gate._suspects) <= REMEMBERED_SUSPECTS
