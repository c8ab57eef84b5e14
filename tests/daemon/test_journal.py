"""The journal is an index and never the truth: whatever becomes of it, every task goes its way, and once."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psycopg
import pytest

from core.version import VERSION
from journal import migrations
from journal.engines import engine_of_file
from journal.reading import JournalReader
from journal.records import OccurrenceRecord
from journal.settings import FILE
from journal.states import State
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from sandbox.postgresql import PostgresServer
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, wait_until
from tests.daemon.test_bitrix import SENT, created_times, finish_all, ids, publish
from tests.journal import places
from tests.journal.places import DatabasePlace, Place
from tests.journal.support import rows, states

COUNT = 60


@pytest.fixture
def portal() -> Iterator[BitrixSandbox]:
    with BitrixSandbox() as portal:
        yield portal


def in_journal(path: Path, state: State) -> int:
    with suppress(sqlite3.Error):
        return sum(each is state for each in states(path).values())
    return 0


def in_database(place: Place) -> Counter[State]:
    with suppress(psycopg.Error):  # being made, or down
        return Counter(places.states(place).values())
    return Counter()


class Harm(Protocol):
    """Does something to the journal of a running worker; what it enters is undone before the end of the test."""

    def __call__(self, path: Path, stack: ExitStack) -> None: ...


def delete(path: Path, _stack: ExitStack) -> None:
    for file in path.parent.glob(f"{FILE}*"):
        file.unlink()


def lock(path: Path, stack: ExitStack) -> None:
    holder = stack.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
    holder.execute("begin exclusive")


def damage(path: Path, _stack: ExitStack) -> None:
    for file in (path, path.with_name(f"{FILE}-wal")):  # the third one is memory that SQLite shares
        with file.open("r+b") as opened:
            opened.write(os.urandom(os.path.getsize(file)))


def make_newer(path: Path, _stack: ExitStack) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"pragma user_version = {migrations.VERSION + 1}")


def make_it_a_folder(path: Path, stack: ExitStack) -> None:
    delete(path, stack)
    path.mkdir()


@pytest.mark.parametrize("harm", [delete, lock, damage, make_newer, make_it_a_folder])
def test_no_task_is_lost_or_held_up_or_doubled_whatever_is_done_to_the_journal(
    harm: Harm, vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    journal = tmp_path / "state" / FILE
    task_ids = publish(broker, COUNT, "before")
    with Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon, ExitStack() as stack:
        wait_until(lambda: in_journal(journal, State.TRACKING) == COUNT, 30, "the first tasks in the journal")
        harm(journal, stack)
        task_ids += publish(broker, COUNT, "after")
        broker.wait_for_count(SENT, 2 * COUNT)
        finish_all(portal)
        broker.wait_for_count(RESPONSES, 2 * COUNT)
        assert daemon.stop() == 0
    assert ids(broker, RESPONSES) == Counter(task_ids)
    assert created_times(portal) == {1: 2 * COUNT}
    assert broker.count(ERRORS) == 0


def test_a_full_disk_costs_the_journal_some_events_and_nobody_else_anything(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(state)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        task_ids = publish(broker, COUNT, "before")
        with Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
            wait_until(lambda: in_journal(state / FILE, State.TRACKING) == COUNT, 30, "the first tasks in the journal")
            with suppress(OSError), (state / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
            task_ids += publish(broker, COUNT, "after")
            broker.wait_for_count(SENT, 2 * COUNT)
            wait_until(lambda: "journal.unusable" in daemon.output(), 30, "a word about the journal")
            (state / "filler").unlink()
            finish_all(portal)
            broker.wait_for_count(RESPONSES, 2 * COUNT)
            wait_until(lambda: in_journal(state / FILE, State.DONE) == 2 * COUNT, 60, "everything in the journal")
            assert daemon.stop() == 0
        assert ids(broker, RESPONSES) == Counter(task_ids)
        assert created_times(portal) == {1: 2 * COUNT}
    finally:
        subprocess.run(["umount", str(state)], check=True)


def test_a_database_that_is_down_holds_nothing_up_and_hears_of_everything_later(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path, postgres: PostgresServer
) -> None:
    place = DatabasePlace(postgres.new_database())
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "JOURNAL_URL": place.url}
    task_ids = publish(broker, COUNT, "before")
    with Daemon(vhost, tmp_path, variables) as daemon:
        broker.wait_for_count(SENT, COUNT)
        wait_until(lambda: in_database(place) == {State.TRACKING: COUNT}, 60, "the first tasks in the journal")
        postgres.stop()
        task_ids += publish(broker, COUNT, "after")
        broker.wait_for_count(SENT, 2 * COUNT)
        wait_until(lambda: "journal.unusable" in daemon.output(), 60, "a word about the journal")
        postgres.start()
        finish_all(portal)
        broker.wait_for_count(RESPONSES, 2 * COUNT)
        wait_until(lambda: in_database(place) == {State.DONE: 2 * COUNT}, 90, "everything in the journal")
        assert daemon.stop() == 0
        assert str(urlsplit(place.url).password) not in daemon.output()
    assert ids(broker, RESPONSES) == Counter(task_ids)
    assert created_times(portal) == {1: 2 * COUNT}


def test_two_workers_of_a_machine_write_one_journal(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "STATE_DIR": str(state)}
    with Daemon(vhost, tmp_path / "a", variables) as first, Daemon(vhost, tmp_path / "b", variables) as second:
        task_ids = publish(broker, COUNT)
        broker.wait_for_count(SENT, COUNT)
        finish_all(portal)
        broker.wait_for_count(RESPONSES, COUNT)
        assert first.stop() == 0
        assert second.stop() == 0
    assert set(states(state / FILE)) == set(task_ids)
    assert set(states(state / FILE).values()) == {State.DONE}


def told_in(journal: Path) -> list[OccurrenceRecord]:
    with closing(JournalReader(engine_of_file(journal))) as reader:
        return list(reversed(reader.occurrences(most=200)))


def test_what_the_worker_itself_went_through_is_in_the_journal(
    vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path
) -> None:
    log_file = tmp_path / "logs" / "worker.log"
    with Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
        wait_until(lambda: "heartbeat" in daemon.output(), what="the end of the start")
        log_file.unlink()
        log_file.mkdir()
        wait_until(lambda: "log.file_failed" in daemon.output(), what="a line that cannot be written")
        assert daemon.stop() == 0
    told = told_in(tmp_path / "state" / FILE)
    codes = [each.code for each in told]
    assert codes[0] == "worker.started"
    assert f"Task Creator {VERSION} " in told[0].line
    assert codes[-2:] == ["worker.stopping", "worker.stopped"]
    assert "BITRIX_AMBIGUOUS_WAIT" in told[codes.index("settings.notice")].line
    assert told[codes.index("log.file_failed")].fields["path"] == str(log_file)
    assert {code: count for code, count in Counter(codes).items() if code.startswith("worker.")} == {
        "worker.started": 1,
        "worker.stopping": 1,
        "worker.stopped": 1,
    }


def test_what_the_log_leaves_out_is_in_the_journal_all_the_same(
    vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path
) -> None:
    journal = tmp_path / "state" / FILE
    with Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url, "LOG_LEVEL": "ERROR"}) as daemon:
        wait_until(journal.exists, what="the journal")
        assert daemon.stop() == 0
        assert daemon.output() == ""
    codes = [each.code for each in told_in(journal)]
    assert (codes[0], codes[-1]) == ("worker.started", "worker.stopped")


def test_a_message_waits_while_its_system_is_down_and_the_journal_says_why(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    journal = tmp_path / "state" / FILE
    portal.revoke_webhook()
    [task_id] = publish(broker, 1)
    with Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
        wait_until(lambda: in_journal(journal, State.WAITING) == 1, what="the message in the journal")
        with closing(JournalReader(engine_of_file(journal))) as reader:
            waiting = reader.message(task_id)
        portal.restore_webhook()
        broker.wait_for_count(SENT, 1)
        assert daemon.stop() == 0
    assert waiting is not None
    assert (waiting.code, waiting.queue) == ("NO_AUTH_FOUND", "bitrix24.queue")
    assert "NO_AUTH_FOUND" in (waiting.reason_ru or "")
    assert states(journal) == {task_id: State.TRACKING}


def test_without_a_wish_for_a_journal_there_is_none(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "JOURNAL_URL": "off"}
    publish(broker, 3)
    with Daemon(vhost, tmp_path, variables) as daemon:
        broker.wait_for_count(SENT, 3)
        assert daemon.stop() == 0
    assert not (tmp_path / "state" / FILE).exists()


def test_a_worker_that_is_killed_leaves_a_journal_that_the_next_one_goes_on_with(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    journal = tmp_path / "state" / FILE
    variables = {"BITRIX_WEBHOOK_URL": portal.webhook_url}
    task_ids = publish(broker, COUNT, "before")
    with Daemon(vhost, tmp_path, variables) as daemon:
        wait_until(lambda: in_journal(journal, State.TRACKING) == COUNT, 30, "the first tasks in the journal")
        daemon.kill()
    task_ids += publish(broker, COUNT, "after")
    with Daemon(vhost, tmp_path, variables) as daemon:
        broker.wait_for_count(SENT, 2 * COUNT)
        finish_all(portal)
        wait_until(lambda: in_journal(journal, State.DONE) == 2 * COUNT, 60, "everything in the journal")
        assert daemon.stop() == 0
    assert set(states(journal)) == set(task_ids)
    assert rows(journal, "pragma integrity_check") == [("ok",)]
