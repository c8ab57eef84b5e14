"""A journal in a file of SQLite: how large it may become, and a clear word for whatever is wrong with it."""

from __future__ import annotations

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
from journal import sqlite_store
from journal.sqlite_store import SqliteStore
from journal.store import BrokenStoreError, StoreError
from tests.journal.support import (
    LIFE,
    NOON,
    answered,
    batch,
    created,
    found,
    received,
    rows,
    states,
    task,
)


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
    tables = ("message", "event", "occurrence")
    return {table: sorted(rows(path, f"select * from {table}"), key=repr) for table in tables}


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


def test_a_journal_that_grows_too_large_loses_its_oldest_finished_messages(store: SqliteStore, path: Path) -> None:
    store.write(batch(created(0), *(answered(number) for number in range(1, 3000))))
    (pages, size) = (rows(path, f"pragma {name}")[0][0] for name in ("page_count", "page_size"))
    while store.prune(0, pages * size // 2, 100):
        pass
    left = [int(name[-12:]) for name in states(path)]
    assert 0 in left
    assert len(left) < 2000
    assert 2999 in left


class TestWhatIsWrong:
    def test_only_its_owner_reads_it(self, store: SqliteStore, path: Path) -> None:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600

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
    assert found(path, '"0f4e7a3c5d214f1b8c0d000000000001"') == [task(1).task_id]
    store.prune(int((NOON + 1000) * 1e6), None, 10)
    store.close()
    assert states(path) == {}
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("insert into message_search (message_search) values ('integrity-check')")
