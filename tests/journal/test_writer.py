"""The journal watches and never disturbs: whatever becomes of its file, nobody waits for it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from core.events.base import Event, EventStream
from core.events.journal import JournalGap, JournalReplaced, JournalUnusable
from journal import sqlite_store, writer
from journal.entries import Batch
from journal.migrations import VERSION
from journal.sqlite_store import SqliteStore
from journal.states import NUMBERS, State
from journal.writer import Journal
from testbench.harness import wait_until
from tests.journal.support import answered, created, found, received, rows, states, task

FIRST_PAUSE = 0.05


class Told:
    """A sink that remembers what the journal says of itself."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def wants(self, kind: type[Event]) -> bool:
        return kind in {JournalGap, JournalReplaced, JournalUnusable}

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def kinds(self) -> list[type[Event]]:
        return [type(event) for event in self.events]


class Bench:
    def __init__(self, path: Path, store: type[SqliteStore] = SqliteStore) -> None:
        self.path = path
        self.told = Told()
        self.journal = Journal(store(path), mask=lambda text: text, first_pause=FIRST_PAUSE)
        self.events = EventStream([self.journal, self.told])
        self.journal.tell(self.events)

    def emit(self, *events: Event) -> None:
        for event in events:
            self.events.emit(event)

    def holds(self, *numbers: int) -> Callable[[], bool]:
        names = {task(number).task_id for number in numbers}
        return once_made(lambda: names <= set(states(self.path)))


def holds_one(path: Path, query: str) -> bool:
    return rows(path, query) == [(1,)]


def once_made(holds: Callable[[], bool]) -> Callable[[], bool]:
    """What can be asked before the journal is there."""

    def asked() -> bool:
        with suppress(sqlite3.Error):
            return holds()
        return False

    return asked


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LINGER", 0.02)
    monkeypatch.setattr(writer, "IDLE", 0.1)
    monkeypatch.setattr(sqlite_store, "_PATIENCE", 0.1)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "journal.sqlite")
    bench.journal.start()
    yield bench
    assert bench.journal.finish(30)


def test_what_happened_stands_in_the_journal_soon(bench: Bench) -> None:
    bench.emit(received(1), created(1), received(2))
    wait_until(bench.holds(1, 2), 10, "both messages")
    assert states(bench.path) == {task(1).task_id: State.TRACKING, task(2).task_id: State.PROCESSING}


def test_what_was_noted_before_the_end_is_not_lost_with_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "journal.sqlite")
    bench.journal.start()
    bench.emit(*(received(number) for number in range(5000)))
    assert bench.journal.finish(30)
    assert len(states(bench.path)) == 5000


def test_many_threads_tell_at_the_same_time_and_nothing_is_missing(bench: Bench) -> None:
    def tell(numbers: range) -> None:
        bench.emit(*(event for number in numbers for event in (received(number), created(number), answered(number))))

    threads = [threading.Thread(target=tell, args=(range(start, start + 500),)) for start in range(0, 2000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(once_made(lambda: rows(bench.path, "select count(*) from event") == [(6000,)]), 30, "all events")
    assert set(states(bench.path).values()) == {State.DONE}


def test_messages_become_findable_while_nothing_happens(bench: Bench) -> None:
    bench.emit(received(1))
    wait_until(once_made(lambda: found(bench.path, "договор") != []), 10, "the message by its title")


def test_what_comes_later_is_news_also_when_the_clock_was_set_back(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    now = 1_796_000_000.0
    journal = Journal(SqliteStore(path), mask=str, clock=lambda: now)
    journal.start()
    events = EventStream([journal])
    for event in (received(1), created(1), answered(1)):
        events.emit(event)
        written = f"select count(*) from event where kind = {NUMBERS[type(event)]}"
        wait_until(once_made(partial(holds_one, path, written)), 10, "the event")
        now -= 3600
    assert states(path) == {task(1).task_id: State.DONE}
    assert journal.finish(30)


def test_what_is_finished_and_old_goes_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    now = 1_796_000_000.0
    journal = Journal(SqliteStore(path), mask=str, keep=86400.0, clock=lambda: now)
    journal.start()
    events = EventStream([journal])
    events.emit(answered(1))
    events.emit(created(2))
    wait_until(once_made(lambda: len(states(path)) == 2), 10, "both messages")
    now += 90000
    wait_until(lambda: set(states(path)) == {task(2).task_id}, 10, "the open one alone")
    assert journal.finish(30)


class TestWhateverBecomesOfItsFile:
    def test_deleted_a_new_one_is_written(self, bench: Bench) -> None:
        bench.emit(received(1))
        wait_until(bench.holds(1), 10, "the first message")
        for path in bench.path.parent.glob("journal.sqlite*"):
            path.unlink()
        bench.emit(received(2))
        wait_until(bench.holds(2), 10, "the second message")
        assert set(states(bench.path)) == {task(2).task_id}
        assert bench.told.events == [JournalReplaced(str(bench.path), None)]

    def test_damaged_it_is_put_aside_and_a_new_one_is_written(self, bench: Bench) -> None:
        bench.emit(*(received(number) for number in range(300)))
        wait_until(bench.holds(299), 10, "the first messages")
        for name in ("journal.sqlite", "journal.sqlite-wal"):  # the third file is memory that SQLite shares
            path = bench.path.with_name(name)
            with path.open("r+b") as file:
                file.write(b"x" * os.path.getsize(path))
        bench.emit(received(300))  # may still go into what is damaged
        wait_until(lambda: JournalReplaced in bench.told.kinds(), 10, "a word about it")
        bench.emit(*(received(number) for number in range(301, 600)))
        wait_until(bench.holds(301, 599), 10, "the messages after it")
        assert list(bench.path.parent.glob("journal.sqlite.broken-*"))

    def test_a_disk_that_damages_each_new_one_is_not_filled_with_them(self, tmp_path: Path) -> None:
        class OnABadDisk(SqliteStore):
            def open(self) -> None:
                self._path.write_bytes(b"x" * 4096)
                super().open()

        bench = Bench(tmp_path / "journal.sqlite", OnABadDisk)
        bench.journal.start()
        bench.emit(received(1))
        wait_until(lambda: JournalUnusable in bench.told.kinds(), 10, "a word about it")
        time.sleep(0.5)
        assert bench.journal.finish(30)
        assert len(list(tmp_path.glob("*.broken-*"))) == 1

    def test_locked_it_is_written_when_it_is_free_again(self, bench: Bench) -> None:
        bench.emit(received(1))
        wait_until(bench.holds(1), 10, "the first message")
        with closing(sqlite3.connect(bench.path, isolation_level=None)) as holder:
            holder.execute("begin exclusive")
            bench.emit(received(2))
            wait_until(lambda: JournalUnusable in bench.told.kinds(), 10, "a word about it")
            bench.emit(received(3))
            holder.execute("rollback")
        wait_until(bench.holds(1, 2, 3), 10, "all messages")
        assert bench.told.kinds() == [JournalUnusable], "told once, however often it is tried"

    def test_of_a_later_version_it_is_not_touched(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.sqlite"
        store = SqliteStore(path)
        store.open()
        store.close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"pragma user_version = {VERSION + 1}")
        before = path.read_bytes()
        bench = Bench(path)
        bench.journal.start()
        bench.emit(received(1))
        wait_until(lambda: JournalUnusable in bench.told.kinds(), 10, "a word about it")
        assert bench.journal.finish(30)
        assert path.read_bytes() == before

    def test_where_no_file_can_be_the_work_goes_on(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        bench = Bench(tmp_path / "file" / "journal.sqlite")
        bench.journal.start()
        bench.emit(received(1))
        wait_until(lambda: JournalUnusable in bench.told.kinds(), 10, "a word about it")
        wait_until(lambda: bench.journal.errors > 2, 10, "each try to be counted")
        assert bench.journal.size() == 0
        assert bench.journal.finish(30)

    def test_too_much_that_cannot_be_stored_is_left_out_and_counted(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(writer, "KEPT", 100)
        bench.emit(received(0))
        wait_until(bench.holds(0), 10, "the first message")
        with closing(sqlite3.connect(bench.path, isolation_level=None)) as holder:
            holder.execute("begin exclusive")
            bench.emit(received(1))
            wait_until(lambda: JournalUnusable in bench.told.kinds(), 10, "a word about it")
            bench.emit(*(received(number) for number in range(1000, 1500)))
            holder.execute("rollback")
        wait_until(lambda: JournalGap in bench.told.kinds(), 10, "the number of what is missing")
        wait_until(bench.holds(1499), 10, "the latest")
        [gap] = [event for event in bench.told.events if isinstance(event, JournalGap)]
        kept = len(states(bench.path))
        assert kept + gap.events == 502 + 1, "with the word about it"
        assert kept < 250

    def test_a_sink_never_waits_for_it(self, bench: Bench) -> None:
        bench.emit(received(1))
        wait_until(bench.holds(1), 10, "the first message")
        with closing(sqlite3.connect(bench.path, isolation_level=None)) as holder:
            holder.execute("begin exclusive")
            began = time.process_time()
            bench.emit(*(received(number) for number in range(2, 3000)))
            assert time.process_time() - began < 5, "processor time of 3,000 notes"
            holder.execute("rollback")
        wait_until(bench.holds(2999), 30, "everything")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_in_this_program_costs_its_notes_and_not_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path / "journal.sqlite")
    with monkeypatch.context() as patched:
        patched.setattr(Batch, "hide", lambda batch, mask: 1 / 0)
        bench.journal.start()
        bench.emit(received(1))
        wait_until(lambda: not bench.journal.is_alive(), 10, "the end of its thread")
    bench.journal.start()  # as the lifecycle does with a thread that has died
    bench.emit(received(2))
    wait_until(bench.holds(2), 10, "what came after it")
    assert bench.journal.finish(30)
    assert bench.told.events == [JournalGap(1)]


def test_an_end_that_takes_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_store, "_PATIENCE", 2.0)
    bench = Bench(tmp_path / "journal.sqlite")
    SqliteStore(bench.path).open()
    with closing(sqlite3.connect(bench.path, isolation_level=None)) as holder:
        holder.execute("begin exclusive")
        bench.emit(received(1))
        bench.journal.start()
        assert not bench.journal.finish(0.2)
        holder.execute("rollback")
    assert bench.journal.finish(30)
    assert bench.holds(1)()
