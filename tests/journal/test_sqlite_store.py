"""A journal in a file of SQLite: the same however it came in, and a clear word for whatever is wrong with it."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.events.base import Event
from core.events.messages import MessageReceived
from core.events.systems import SystemResumed
from journal import sqlite_store
from journal.migrations import VERSION
from journal.sqlite_store import SqliteStore
from journal.states import State
from journal.store import BrokenStoreError, NewerStoreError, StoreError
from tests.journal.support import (
    NOON,
    answered,
    batch,
    created,
    found,
    parked,
    received,
    retried,
    rows,
    states,
    task,
)

TABLES = ("message", "event", "occurrence")
LIFE = [
    received(1),
    retried(1),
    received(2),
    received(1, attempt=2),
    created(1),
    parked(2),
    SystemResumed("1c"),
    answered(1),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    store.open()
    yield store
    store.close()


def content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {table: sorted(rows(path, f"select * from {table}"), key=repr) for table in TABLES}


def micro(seconds: float) -> int:
    return int(seconds * 1e6)


def test_the_life_of_a_message_is_one_row_and_a_row_for_each_event(store: SqliteStore, path: Path) -> None:
    store.write(batch(*LIFE))
    assert states(path) == {task(1).task_id: State.DONE, task(2).task_id: State.FAILED}
    told = rows(
        path, "select at, kind from event join message on id = message where name = ? order by at", task(1).task_id
    )
    assert told == [(micro(NOON + at), kind) for at, kind in ((0, 1), (1, 5), (3, 1), (4, 2), (7, 4))]
    assert rows(path, "select code, system, line from occurrence") == [("system.resumed", "1c", "1c is usable again")]


@given(cuts=st.sets(st.integers(1, len(LIFE) - 1)))
@settings(max_examples=30)
def test_it_is_the_same_journal_in_however_many_batches_it_was_written(
    cuts: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole, cut = (tmp_path_factory.mktemp("journal") / name for name in ("whole", "cut"))
    for path, ends in ((whole, [len(LIFE)]), (cut, [*sorted(cuts), len(LIFE)])):
        store, start = SqliteStore(path), 0
        for end in ends:
            store.write(batch(*LIFE[start:end], start=NOON + start))
            start = end
        store.close()
    assert content(cut) == content(whole)


def test_a_batch_that_is_written_twice_is_there_once(store: SqliteStore, path: Path) -> None:
    events = [event for event in LIFE if not isinstance(event, SystemResumed)]
    store.write(batch(*events))
    before = content(path)
    store.write(batch(*events))
    assert content(path) == before


def test_a_batch_that_comes_late_changes_nothing_that_is_newer(store: SqliteStore, path: Path) -> None:
    store.write(batch(answered(1), start=NOON + 100))
    store.write(batch(received(1), created(1)))
    assert states(path) == {task(1).task_id: State.DONE}
    [(first, last, title)] = rows(path, "select first, last, title from message")
    assert (first, last, title) == (micro(NOON), micro(NOON + 100), "Согласовать договор №1")


def test_thousands_of_messages_go_into_one_batch(store: SqliteStore, path: Path) -> None:
    numbers = range(1234)
    store.write(batch(*(event for number in numbers for event in (received(number), created(number)))))
    assert len(states(path)) == 1234
    assert rows(path, "select count(*) from event") == [(2468,)]


class TestSearch:
    @pytest.mark.parametrize(
        "words",
        [
            '"8f6c1a520b3f4c8e9a51000000000002"',  # the task, without dashes
            '"0f4e7a3c5d214f1b8c0d000000000002"',  # the process instance
            '"0f4e7a3c5d214f1b8c0d0000000000"* AND "ord" AND "2"',
            '"ord" AND "2"',
            '"согласоват"* AND "2"',
            '"ДОГОВОР" AND "2"',
        ],
    )
    def test_a_message_is_found_by_any_word_that_people_have(self, store: SqliteStore, path: Path, words: str) -> None:
        store.write(batch(received(1), received(2), received(3)))
        assert store.index(100) == 3
        assert found(path, words) == [task(2).task_id]

    def test_portions_follow_each_other(self, store: SqliteStore, path: Path) -> None:
        store.write(batch(*(received(number) for number in range(25))))
        assert [store.index(10) for _ in range(4)] == [10, 10, 5, 0]
        assert len(found(path, "договор")) == 25

    def test_a_title_that_becomes_known_later_is_found(self, store: SqliteStore, path: Path) -> None:
        store.write(batch(answered(1)))
        store.index(10)
        assert found(path, "договор") == []
        store.write(batch(received(1)))
        assert found(path, "договор") == [task(1).task_id]

    def test_what_is_deleted_is_found_no_more(self, store: SqliteStore, path: Path) -> None:
        store.write(batch(received(1), answered(1), received(2)))
        store.index(10)
        assert store.prune(micro(NOON + 1000), None, 10) == 1
        assert found(path, "договор") == [task(2).task_id]
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("insert into message_search (message_search) values ('integrity-check')")


class TestPruning:
    def test_only_what_is_finished_and_old_is_deleted(self, store: SqliteStore, path: Path) -> None:
        store.write(batch(received(1), created(1), received(2), answered(2), parked(3)))
        store.write(batch(received(4), answered(4), start=NOON + 5000))
        assert store.prune(micro(NOON + 1000), None, 100) == 2
        assert set(states(path)) == {task(1).task_id, task(4).task_id}
        assert rows(path, "select count(*) from event") == [(4,)]

    def test_portion_after_portion_gets_past_what_stays(self, store: SqliteStore, path: Path) -> None:
        store.write(batch(*(created(number) for number in range(30)), *(answered(number) for number in range(30, 60))))
        assert sum(store.prune(micro(NOON + 1000), None, 10) for _ in range(8)) == 30
        assert set(states(path).values()) == {State.TRACKING}

    def test_a_journal_that_grows_too_large_loses_its_oldest_finished_messages(
        self, store: SqliteStore, path: Path
    ) -> None:
        store.write(batch(created(0), *(answered(number) for number in range(1, 3000))))
        (pages, size) = (rows(path, f"pragma {name}")[0][0] for name in ("page_count", "page_size"))
        while store.prune(0, pages * size // 2, 100):
            pass
        left = [int(name[-12:]) for name in states(path)]
        assert 0 in left
        assert len(left) < 2000
        assert 2999 in left

    def test_what_happened_to_systems_goes_as_well(self, store: SqliteStore, path: Path) -> None:
        store.write(batch(SystemResumed("1c")))
        store.write(batch(SystemResumed("1c"), start=NOON + 5000))
        store.prune(micro(NOON + 1000), None, 100)
        assert rows(path, "select at from occurrence") == [(micro(NOON + 5000),)]


class TestWhatIsWrong:
    def test_only_its_owner_reads_it(self, store: SqliteStore, path: Path) -> None:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600

    def test_a_journal_of_a_later_version_is_left_alone(self, store: SqliteStore, path: Path) -> None:
        store.write(batch(received(1)))
        store.close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"pragma user_version = {VERSION + 1}")
        before = path.read_bytes()
        with pytest.raises(NewerStoreError, match=f"has version {VERSION + 1}, this program knows {VERSION}"):
            store.open()
        store.close()
        assert path.read_bytes() == before

    def test_a_file_that_is_no_journal_is_put_aside_as_it_is(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b"this is no database, but somebody may need it" * 100)
        store = SqliteStore(path)
        with pytest.raises(BrokenStoreError):
            store.open()
        aside = store.set_aside()
        assert Path(aside).read_bytes().startswith(b"this is no database")
        store.write(batch(received(1)))
        store.close()
        assert len(states(path)) == 1

    def test_a_journal_that_is_damaged_in_its_middle_is_told_as_such(self, store: SqliteStore, path: Path) -> None:
        store.write(batch(*(received(number) for number in range(500))))
        store.close()
        with path.open("r+b") as file:
            file.seek(8192)
            file.write(random.Random(1).randbytes(os.path.getsize(path) - 8192))
        everything = batch(*(created(number) for number in range(500)))
        with pytest.raises(BrokenStoreError):
            store.write(everything)

    def test_another_program_that_holds_it_is_waited_for_and_then_told(
        self, store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_store, "_PATIENCE", 0.1)
        store.open()
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("begin immediate")
            with pytest.raises(StoreError, match="locked"):
                store.write(batch(received(1)))
            holder.execute("rollback")
        store.write(batch(received(1)))
        assert len(states(path)) == 1

    def test_a_place_that_cannot_be_written_to_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match=r"exists|Not a directory"):
            SqliteStore(tmp_path / "file" / "journal.sqlite").open()

    def test_a_file_that_was_deleted_or_replaced_is_noticed(self, store: SqliteStore, path: Path) -> None:
        assert store.is_there()
        path.unlink()
        assert not store.is_there()
        path.touch()
        assert not store.is_there()


def _write_from_a_process(path: Path, numbers: range) -> None:
    store = SqliteStore(path)
    for number in numbers:
        store.write(batch(received(number), created(number)))
    store.close()


def test_several_workers_begin_one_journal_at_the_same_moment(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    parts = [range(start, start + 50) for start in (0, 50, 100)]
    workers = [context.Process(target=_write_from_a_process, args=(path, part)) for part in parts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(states(path)) == 150


@given(title=st.text(max_size=50), key=st.text(max_size=20))
@settings(max_examples=50)
def test_any_title_is_kept_and_does_not_spoil_the_search(
    title: str, key: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.sqlite"
    store = SqliteStore(path)
    events: list[Event] = [MessageReceived(task(1), False, title, key), answered(1)]
    store.write(batch(*events))
    store.index(10)
    assert found(path, '"8f6c1a520b3f4c8e9a51000000000001"') == [task(1).task_id]
    store.prune(micro(NOON + 1000), None, 10)
    store.close()
    assert states(path) == {}
