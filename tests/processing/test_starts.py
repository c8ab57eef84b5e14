"""A message that kills the process is found out; everything else that was in its hands is not blamed for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.deaths import START_LIMIT
from core.policy import suspect_group_size
from processing.crash_journal import CrashJournal, key_of
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.process import ROOT
from sandbox.rabbitmq import RabbitNode
from testbench.daemon import Daemon
from testbench.harness import ERRORS, camunda_message, wait_until

QUEUE = "fatal.queue"
SENT = "fatal.sent.queue"
A, B, C = (key_of(QUEUE, name) for name in "abc")

DIES_HAVING_BEGUN = """
import os, signal, sys
from pathlib import Path
from processing.crash_journal import CrashJournal, key_of
journal = CrashJournal(Path(sys.argv[1]))
idle, busy = journal.slot(1), journal.slot(600)
idle.begin([key_of("fatal.queue", "finished")])
idle.end()
busy.begin([key_of("fatal.queue", name) for name in sys.argv[2:]])
os.kill(os.getpid(), signal.SIGKILL)
"""


def die_having_begun(folder: Path, *task_ids: str) -> None:
    command = [sys.executable, "-c", DIES_HAVING_BEGUN, str(folder), *task_ids]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL


class TestJournal:
    def test_what_a_killed_worker_had_begun_is_counted_and_what_it_had_finished_is_not(self, tmp_path: Path) -> None:
        many = [f"task-{number}" for number in range(550)]
        die_having_begun(tmp_path, "a", *many)
        die_having_begun(tmp_path, "a")
        journal = CrashJournal(tmp_path)
        assert journal.starts(A) == 2
        assert {journal.starts(key_of(QUEUE, each)) for each in many} == {1}
        assert journal.starts(key_of(QUEUE, "finished")) == 0
        journal.close()

    def test_the_same_task_id_in_another_queue_is_another_message(self) -> None:
        assert key_of("x.queue", "1") != key_of("y.queue", "1")

    def test_an_orderly_end_in_the_middle_of_work_counts_for_nothing(self, tmp_path: Path) -> None:
        journal = CrashJournal(tmp_path)
        journal.slot(1).begin([A])
        journal.close()
        assert not CrashJournal(tmp_path).has_suspects()

    def test_what_a_living_worker_has_begun_is_its_own_business(self, tmp_path: Path) -> None:
        living = CrashJournal(tmp_path)
        living.slot(1).begin([A])
        second = CrashJournal(tmp_path)
        assert not second.has_suspects()
        for each in (living, second):
            each.close()

    def test_a_message_that_was_survived_is_no_suspect_any_more(self, tmp_path: Path) -> None:
        die_having_begun(tmp_path, "a", "b")
        first, beside = CrashJournal(tmp_path), CrashJournal(tmp_path)
        first.forget([A])
        assert (first.starts(A), first.starts(B)) == (0, 1)
        beside.forget([C])
        later = CrashJournal(tmp_path)
        assert (later.starts(A), later.starts(B)) == (0, 1)
        for each in (first, beside, later):
            each.close()

    def test_dead_workers_leave_no_files_for_ever(self, tmp_path: Path) -> None:
        for _ in range(3):
            die_having_begun(tmp_path, "a")
        journal = CrashJournal(tmp_path)
        assert len(list(tmp_path.glob("*.starts"))) == 1
        journal.forget([A])
        journal.close()
        assert not list(tmp_path.glob("*.starts"))
        assert json.loads((tmp_path / "counts.json").read_text()) == {}

    @pytest.mark.parametrize("content", ["", "{", "[1]", '{"xyz": 3}', '{"00": [1, "x"]}', "\x00" * 20])
    def test_a_damaged_file_of_counts_is_begun_anew(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "counts.json").write_text(content)
        die_having_begun(tmp_path, "a")
        journal = CrashJournal(tmp_path)
        assert journal.starts(A) == 1
        journal.close()

    def test_a_damaged_file_of_starts_stops_nobody(self, tmp_path: Path) -> None:
        (tmp_path / "x.starts").write_bytes(os.urandom(5000))
        (tmp_path / "y.starts").write_bytes(b"")
        (tmp_path / "z.starts").write_bytes(b"\xff" * 8)  # four billion keys: not looked for
        CrashJournal(tmp_path).close()
        assert not list(tmp_path.glob("*.starts"))

    def test_a_folder_that_cannot_be_used_is_said_and_the_work_goes_on(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_text("not a folder")
        journal = CrashJournal(tmp_path / "file")
        slot = journal.slot(10)
        slot.begin([A])
        slot.end()
        journal.forget([A])
        journal.close()
        assert [record.__dict__["event"] for record in caplog.records] == ["starts.unusable"]


@given(st.integers(1, 5000))
def test_after_two_deaths_a_suspect_stands_alone(batch_size: int) -> None:
    assert 1 <= suspect_group_size(1, batch_size) ** 2 <= batch_size
    assert suspect_group_size(2, batch_size) == 1


def fatal_daemon(
    vhost: BrokerAddress, folder: Path, handler: str, module: str = "tests.support.fatal_handler", **variables: str
) -> Daemon:
    handlers = {QUEUE: {"module": module, "handler_class": handler}, "bitrix24.queue": None}
    return Daemon(vhost, folder, {"QUEUE_HANDLERS": json.dumps(handlers), **variables})


def run_until(is_done: Callable[[], bool], daemon: Daemon) -> int:
    """Starts the daemon again whenever it dies, as systemd does; returns how often it died before it was done."""
    deaths = 0

    def look() -> bool:
        nonlocal deaths
        if not daemon.is_running:
            deaths += 1
            daemon.start()
        return is_done()

    wait_until(look, 180, "everything in its place")
    daemon.stop()
    return deaths


def is_empty(node: RabbitNode, vhost: BrokerAddress) -> bool:
    """Also of what a worker holds."""
    return node.list_queues(vhost.vhost)[QUEUE] == 0


@pytest.mark.parametrize("handler", ["FatalHandler", "FatalBatchHandler"])
def test_a_message_that_kills_the_process_is_set_aside_after_three_starts_while_the_others_flow(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, tmp_path: Path, handler: str
) -> None:
    task_ids = [f"task-{number}" for number in range(300)]
    broker.declare(QUEUE)
    bodies = [camunda_message(task_id) for task_id in task_ids]
    poison = camunda_message("fatal-1")
    broker.publish_all(QUEUE, [*bodies[:150], poison, *bodies[150:]])
    daemon = fatal_daemon(vhost, tmp_path, handler)
    with daemon:
        deaths = run_until(lambda: broker.count(ERRORS) == 1 and is_empty(node, vhost), daemon)
    assert deaths == START_LIMIT
    [(_, body)] = broker.get_all(ERRORS)
    report = json.loads(body)
    assert (report["task_id"], report["code"], report["outcome"]) == ("fatal-1", "kills_worker", "permanent")
    assert report["original_message"] == json.loads(poison)
    stored = Counter(json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(SENT))
    assert set(stored) == set(task_ids)


def test_a_worker_that_is_killed_from_outside_blames_no_message(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    task_ids = [f"task-{number}" for number in range(200)]
    broker.declare(QUEUE)
    with fatal_daemon(vhost, tmp_path, "FatalBatchHandler") as daemon:
        for round_ in range(6):
            broker.publish_all(QUEUE, [camunda_message(each) for each in task_ids[round_::6]])
            broker.wait_for_at_least(SENT, 1)
            daemon.kill()
            daemon.start()
        wait_until(lambda: node.list_queues(vhost.vhost)[QUEUE] == 0, what="an empty input queue")
        assert daemon.stop() == 0
    assert broker.count(ERRORS) == 0
    assert {json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(SENT)} == set(task_ids)


def test_what_was_in_hand_at_kill_after_kill_from_outside_is_not_blamed(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    """One thread, killed as soon as it has begun something: by counting alone the third kill accuses the first task."""
    task_ids = [f"task-{number}" for number in range(6)]
    broker.declare(QUEUE)
    broker.publish_all(QUEUE, [camunda_message(each) for each in task_ids])
    begun = tmp_path / "begun"
    begun.write_text("")
    variables = {"SLOW_SECONDS": "0.5", "SLOW_BEGUN": str(begun), "CONCURRENCY": "1"}
    with fatal_daemon(vhost, tmp_path, "SlowHandler", "tests.support.slow_handler", **variables) as daemon:
        for _ in range(7):
            before = len(begun.read_text())
            wait_until(lambda least=before: len(begun.read_text()) > least, 60, "something begun")  # type: ignore[misc]
            daemon.kill()
            daemon.start()
        wait_until(lambda: broker.count(SENT) + broker.count(ERRORS) >= len(task_ids), 90, "everything in its place")
        assert daemon.stop() == 0
    assert broker.count(ERRORS) == 0
    assert {json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(SENT)} == set(task_ids)
    assert max(Counter(begun.read_text().split()).values()) <= START_LIMIT, "begun twice, and once more when it lived"


def test_two_messages_that_kill_the_process_are_both_found_out_and_nobody_else(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    task_ids = [f"task-{number}" for number in range(60)]
    broker.declare(QUEUE)
    bodies: list[bytes | str] = [camunda_message(each) for each in task_ids]
    broker.publish_all(QUEUE, [*bodies[:20], camunda_message("fatal-1"), camunda_message("fatal-2"), *bodies[20:]])
    daemon = fatal_daemon(vhost, tmp_path, "FatalBatchHandler")
    with daemon:
        deaths = run_until(lambda: broker.count(ERRORS) == 2 and is_empty(node, vhost), daemon)
    assert deaths <= 2 * START_LIMIT
    reports = {json.loads(body)["task_id"]: json.loads(body)["code"] for _, body in broker.get_all(ERRORS)}
    assert reports == {"fatal-1": "kills_worker", "fatal-2": "kills_worker"}
    assert {json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(SENT)} == set(task_ids)
