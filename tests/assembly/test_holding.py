"""A person's pause: it counts at once, ends when it was said to, and outlives every restart."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assembly import holding
from assembly.holding import FILE, Holding
from control.protocol import RefusedError
from core.errors import OutageError
from core.events.base import Event, EventStream
from core.events.files import HoldsUnreadable
from core.events.systems import SystemHeld, SystemReleased, SystemResumed
from core.holds import Hold, Scope
from core.policy import Pause
from processing.gate import SystemGate
from testbench.harness import wait_until

NOON = 1_796_000_000.0  # unix seconds
HOLD = Hold("bitrix24", "ivanov", NOON, reason="обновление портала")

DAMAGED = [
    b"",
    b"{",
    b"null",
    b'"text"',
    b"[1]",
    b'[{"system": "bitrix24"}]',
    b'[{"system": 7, "by": "x", "reason": "", "scope": "all", "since": 1, "until": null}]',
    b'[{"system": "bitrix24", "by": "x", "reason": "", "scope": "some", "since": 1, "until": null}]',
    b'[{"system": "bitrix24", "by": "x", "reason": "", "scope": "all", "since": "now", "until": null}]',
    b'[{"system": "bitrix24", "by": "x", "reason": "", "scope": "all", "since": 1, "until": "never"}]',
    b"\xff\xfe\x00",
]


class Part:
    """A part of the work: whether it rests."""

    def __init__(self) -> None:
        self.rests = False

    def hold(self) -> None:
        self.rests = True

    def release(self) -> None:
        self.rests = False


class Worker:
    """What a worker holds of one folder. `now` is its clock."""

    def __init__(self, folder: Path, *systems: str) -> None:
        self.now = NOON
        self.told: list[Event] = []
        self.stop = threading.Event()
        self.parts: dict[str, dict[Scope, Part]] = {
            system: {"create": Part(), "track": Part()} for system in systems or ("bitrix24", "1c")
        }
        parts: dict[str, dict[Scope, list[Part]]] = {
            system: {work: [part] for work, part in parts.items()} for system, parts in self.parts.items()
        }
        events = EventStream([self.told.append])
        self.holding = Holding(folder / FILE, parts, events, self.stop, lambda: self.now)

    def rests(self, system: str = "bitrix24") -> list[Scope]:
        return [work for work, part in self.parts[system].items() if part.rests]


@contextmanager
def started(worker: Worker) -> Iterator[Worker]:
    worker.holding.restore()
    worker.holding.start()
    try:
        yield worker
    finally:
        worker.stop.set()
        wait_until(lambda: not worker.holding.is_alive(), what="the end of the thread")


def kept(folder: Path) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads((folder / FILE).read_text())
    return told


@pytest.mark.parametrize(
    ("scope", "rests"), [("all", ["create", "track"]), ("create", ["create"]), ("track", ["track"])]
)
def test_a_scope_holds_its_part_of_the_work_and_nothing_of_another_system(
    tmp_path: Path, scope: Scope, rests: list[Scope]
) -> None:
    worker = Worker(tmp_path)
    assert worker.holding.hold(replace(HOLD, scope=scope)) is None
    assert worker.rests() == rests
    assert worker.rests("1c") == []


def test_another_scope_takes_the_place_of_the_first_and_keeps_its_beginning(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.holding.hold(replace(HOLD, scope="all"))
    worker.holding.hold(replace(HOLD, scope="track", since=NOON + 60, by="petrov"))
    assert worker.rests() == ["track"]
    [hold] = worker.holding.holds()
    assert (hold.by, hold.since) == ("petrov", NOON)
    [only] = kept(tmp_path)
    assert only["scope"] == "track"


def test_a_pause_outlives_the_worker_and_the_next_one_begins_with_it(tmp_path: Path) -> None:
    Worker(tmp_path).holding.hold(HOLD)  # killed: nothing is done at an end
    after = Worker(tmp_path)
    after.holding.restore()
    assert after.rests() == ["create", "track"]
    assert after.told == [SystemHeld(HOLD)]
    after.holding.release("bitrix24", "petrov")
    assert Worker(tmp_path).holding.holds() == []
    assert kept(tmp_path) == []


def test_a_pause_ends_by_itself_when_its_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "LOOK", 0.01)
    with started(Worker(tmp_path)) as worker:
        worker.holding.hold(replace(HOLD, until=NOON + 3600))
        worker.now = NOON + 3599
        threading.Event().wait(0.1)
        assert worker.rests() == ["create", "track"], "not yet"
        worker.now = NOON + 3601
        wait_until(lambda: worker.rests() == [], what="the end of the pause")
        wait_until(lambda: SystemReleased("bitrix24", None) in worker.told, what="a word about it")
        assert kept(tmp_path) == []


def test_a_pause_that_ended_while_no_worker_ran_is_over(tmp_path: Path) -> None:
    Worker(tmp_path).holding.hold(replace(HOLD, until=NOON + 60))
    late = Worker(tmp_path)
    late.now = NOON + 61
    late.holding.restore()
    assert late.rests() == []
    assert late.told == []


def test_a_pause_of_a_system_without_settings_waits_for_them(tmp_path: Path) -> None:
    Worker(tmp_path).holding.hold(HOLD)
    bare = Worker(tmp_path, "1c")
    bare.holding.restore()
    assert [each.system for each in bare.holding.holds()] == ["bitrix24"]
    bare.holding.hold(replace(HOLD, system="1c"))
    assert {each["system"] for each in kept(tmp_path)} == {"bitrix24", "1c"}, "nobody has lifted the other one"
    bare.holding.release("bitrix24", "ivanov")
    assert [each["system"] for each in kept(tmp_path)] == ["1c"]


def test_an_unknown_system_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    with pytest.raises(RefusedError) as refused:
        worker.holding.hold(replace(HOLD, system="bitrx24"))
    assert refused.value.code == "unknown_system"
    assert "1c, bitrix24" in refused.value.text.ru
    with pytest.raises(RefusedError, match="no such system"):
        worker.holding.release("bitrx24", "ivanov")
    assert worker.holding.holds() == []


def test_what_nobody_has_paused_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as refused:
        Worker(tmp_path).holding.release("bitrix24", "ivanov")
    assert refused.value.code == "not_held"


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_told_and_the_worker_works(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    worker = Worker(tmp_path)
    worker.holding.restore()
    [told] = worker.told
    assert isinstance(told, HoldsUnreadable)
    assert str(tmp_path / FILE) in told.line()
    assert worker.rests() == []
    assert worker.holding.hold(HOLD) is None, "the next pause writes it anew"
    assert [each["system"] for each in kept(tmp_path)] == ["bitrix24"]


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    worker = Worker(tmp_path)
    worker.holding.restore()
    assert [type(each) for each in worker.told] == [HoldsUnreadable]


def test_where_nothing_can_be_written_the_pause_counts_and_says_that_it_is_not_kept(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.write_text("a file where the folder should be")
    worker = Worker(folder)
    warning = worker.holding.hold(HOLD)
    assert worker.rests() == ["create", "track"]
    assert warning is not None
    assert "will not survive a restart" in warning.en
    assert "перезапуска это не переживёт" in warning.ru
    assert worker.holding.release("bitrix24", "ivanov") is not None
    assert worker.rests() == []


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.holding.hold(HOLD)
    before = os.stat(tmp_path / FILE).st_ino
    worker.holding.hold(replace(HOLD, system="1c"))
    assert os.stat(tmp_path / FILE).st_ino != before
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


# -- a person and an outage, in either order ---------------------------------------------------------------------------


class Intake:
    """The gate of a system, what it does to the intake, and whether the system answers."""

    def __init__(self, folder: Path) -> None:
        self.is_open = True
        self.is_down = threading.Event()
        self.stop = threading.Event()
        self.told: list[Event] = []
        events = EventStream([self.told.append])
        self.gate = SystemGate(
            "bitrix24",
            probe=self._probe,
            probe_interval=0.01,
            on_close=self._close,
            on_open=self._open,
            events=events,
            stop=self.stop,
            mask=lambda text: text,
        )
        self.holding = Holding(folder / FILE, {"bitrix24": {"create": [self.gate]}}, events, self.stop, lambda: NOON)

    def goes_down(self) -> None:
        self.is_down.set()
        self.gate.close(OutageError("connection refused"), Pause(alert=False, retry_after=None))

    def comes_back(self) -> None:
        self.is_down.clear()
        wait_until(lambda: SystemResumed("bitrix24") in self.told, what="the end of the outage")

    def _probe(self) -> None:
        if self.is_down.is_set():
            raise OutageError("connection refused")

    def _close(self) -> None:
        assert self.is_open, "closed twice"
        self.is_open = False

    def _open(self) -> None:
        assert not self.is_open, "opened twice"
        self.is_open = True


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[Intake]:
    intake = Intake(tmp_path)
    yield intake
    intake.stop.set()


def test_a_system_that_is_back_stays_paused_until_the_person_resumes_it(intake: Intake) -> None:
    intake.goes_down()
    intake.holding.hold(HOLD)
    intake.comes_back()
    assert not intake.is_open
    intake.holding.release("bitrix24", "ivanov")
    assert intake.is_open


def test_a_system_that_is_resumed_while_it_is_down_is_probed_on(intake: Intake) -> None:
    intake.goes_down()
    intake.holding.hold(HOLD)
    intake.holding.release("bitrix24", "ivanov")
    assert not intake.is_open
    intake.comes_back()
    wait_until(lambda: intake.is_open, what="the intake")


def test_an_outage_during_a_pause_ends_without_opening_the_intake(intake: Intake) -> None:
    intake.holding.hold(HOLD)
    assert not intake.is_open
    intake.goes_down()
    intake.comes_back()
    assert not intake.is_open
    intake.holding.release("bitrix24", "ivanov")
    assert intake.is_open


def test_an_outage_that_outlasts_the_pause_keeps_the_intake_closed(intake: Intake) -> None:
    intake.holding.hold(HOLD)
    intake.goes_down()
    intake.holding.release("bitrix24", "ivanov")
    assert not intake.is_open
    intake.comes_back()
    wait_until(lambda: intake.is_open, what="the intake")


def test_a_pause_that_is_put_on_twice_is_lifted_once(intake: Intake) -> None:
    intake.holding.hold(HOLD)
    intake.holding.hold(replace(HOLD, reason="ещё раз"))
    intake.holding.release("bitrix24", "ivanov")
    assert intake.is_open
