"""Questions that people ask, and what a journal answers, whatever id they have at hand."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.events.base import Identity
from core.events.messages import MessageReceived
from core.events.systems import SystemPaused, SystemResumed
from core.texts import Text
from journal import search
from journal.columns import OF_A_MESSAGE
from journal.engines import engine_of_file
from journal.reading import JournalReader
from journal.records import Wanted
from journal.sqlite_store import SqliteStore
from journal.states import State
from journal.store import NoJournalError, Store, StoreError
from journal.tables import METADATA
from tests.journal.places import FilePlace, Place
from tests.journal.support import NOON, answered, batch, created, parked, received, retried, task


def names(found: list[object]) -> list[str]:
    return [getattr(each, "name", "")[-2:] for each in found]


class TestSearch:
    @pytest.mark.parametrize("indexed", [False, True], ids=["just now", "indexed"])
    @pytest.mark.parametrize(
        "words",
        [
            "8f6c1a52-0b3f-4c8e-9a51-000000000002",  # the task
            "8F6C1A52-0B3F-4C8E-9A51-000000000002",
            "8f6c1a520b3f4c8e9a51000000000002",
            "0f4e7a3c-5d21-4f1b-8c0d-000000000002",  # the process instance
            "ORD-2",
            "ord-2",
            "48002",  # the number in Bitrix24
            "msg-from-amqp-2",
            "уникальное",
            "Уник",
            "уникальное название",
            "назв уник",
            "8f6c1a52-0b3f-4c8e-9a51-000000000002 уник ORD-2",
            "  48002  ",
        ],
    )
    def test_any_id_or_word_that_people_have_finds_the_message(
        self, store: Store, reader: JournalReader, words: str, indexed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        about = task(2)._replace(message_id="msg-from-amqp-2")
        store.write(
            batch(
                *(received(1), created(1)),
                *(MessageReceived(about, False, "Уникальное название", "ORD-2"), created(2)),
                *(received(3), created(3)),
            )
        )
        if indexed:
            store.index(100)
            monkeypatch.setattr(search, "_LOOKED_THROUGH", 0)
        assert [each.name for each in reader.search(words)] == [task(2).task_id]

    @pytest.mark.parametrize("indexed", [False, True], ids=["just now", "indexed"])
    @pytest.mark.parametrize(
        "words",
        ["b512fa46", "b512fa46-", "b512fa46-cece-1", "B512FA46-CECE", "b512fa46cece11f", "договор b512", "b512 ORD-2"],
    )
    def test_of_a_task_id_the_beginning_is_enough(
        self, store: Store, reader: JournalReader, words: str, indexed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        about = task(2)._replace(task_id="b512fa46-cece-11f0-9207-00b436387543", message_id=None)
        store.write(batch(received(1), MessageReceived(about, False, "Согласовать договор", "ORD-2"), received(3)))
        if indexed:
            store.index(100)
            monkeypatch.setattr(search, "_LOOKED_THROUGH", 0)
        assert [each.name for each in reader.search(words)] == [about.task_id]

    @pytest.mark.parametrize("words", ["order-118", "ORDER-1", "order-118-of-tuesday"])
    def test_of_any_other_name_as_well(self, store: Store, reader: JournalReader, words: str) -> None:
        about = Identity("1c.queue", "1c", "order-118-of-tuesday", topic="onec_create", attempt=1)
        store.write(batch(received(1), MessageReceived(about, redelivered=False), received(2)))
        store.index(100)
        assert [each.name for each in reader.search(words)] == [about.task_id]

    def test_the_latest_come_first_and_not_too_many(self, store: Store, reader: JournalReader) -> None:
        store.write(batch(*(received(number) for number in range(30))))
        store.index(20)
        assert names(list(reader.search("договор", 5))) == ["29", "28", "27", "26", "25"]

    def test_the_exact_one_comes_before_those_that_only_begin_alike(self, store: Store, reader: JournalReader) -> None:
        store.write(batch(created(1)))
        store.write(batch(*(MessageReceived(task(number), False, "48001 и ещё", None) for number in range(5, 9))))
        store.index(100)
        assert reader.search("48001")[0].name == task(1).task_id

    @pytest.mark.parametrize(
        "words", ["", "   ", "-", "\"'*()", "NOT", "AND", "нет такого", "x" * 5000, "\0", "\ud800"]
    )
    def test_nothing_is_found_by_what_says_nothing(self, store: Store, reader: JournalReader, words: str) -> None:
        store.write(batch(received(1)))
        store.index(10)
        assert reader.search(words) == []

    @given(words=st.text(max_size=40))
    @settings(max_examples=200)
    def test_anything_may_be_asked(self, words: str, tmp_path_factory: pytest.TempPathFactory) -> None:
        path = tmp_path_factory.getbasetemp() / "asked.sqlite"
        if not path.exists():
            store = SqliteStore(path)
            store.write(batch(received(1)))
            store.index(10)
            store.write(batch(received(2)))
            store.close()
        reader = JournalReader(engine_of_file(path))
        try:
            assert len(reader.search(words)) <= 2
        finally:
            reader.close()


def test_a_message_is_told_with_all_that_is_known(store: Store, reader: JournalReader) -> None:
    store.write(batch(received(1), retried(1)))
    message = reader.message(task(1).task_id or "")
    assert message is not None
    assert (message.state, message.first, message.last, message.due) == (State.RETRY_WAIT, NOON, NOON + 1, NOON + 6)
    assert (message.code, message.reason, message.reason_ru) == ("http_503", "busy", "занят")
    assert reader.message("nobody") is None


def test_what_happened_to_a_message_is_told_in_its_order(store: Store, reader: JournalReader) -> None:
    store.write(batch(received(1), retried(1), received(1, attempt=2), created(1), answered(1)))
    [message] = reader.search(task(1).task_id or "")
    assert [(event.at - NOON, event.code) for event in reader.events(message)] == [
        (0, "MessageReceived"),
        (1, "task.retry"),
        (2, "MessageReceived"),
        (3, "task.accepted"),
        (4, "task.completed"),
    ]
    assert reader.events(message)[1].detail["retry_in"] == 5.0


class TestLists:
    @pytest.fixture(autouse=True)
    def messages(self, store: Store) -> None:
        store.write(batch(created(0), answered(1), parked(2), retried(3), received(4)))
        other = Identity("1c.queue", "1c", "task-of-1c", topic="onec_create", attempt=1)
        store.write(batch(MessageReceived(other, redelivered=False), start=NOON + 100))

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (Wanted(), ["1c", "04", "03", "02", "01", "00"]),
            (Wanted(system="1c"), ["1c"]),
            (Wanted(topic="bitrix_create_task"), ["04", "03", "02", "01", "00"]),
            (Wanted(states=[State.FAILED]), ["02"]),
            (Wanted(states=[State.TRACKING, State.RETRY_WAIT]), ["03", "00"]),
            (Wanted(states=[State.DONE]), ["01"]),
            (Wanted(code="no_user"), ["02"]),
            (Wanted(since=NOON + 3), ["1c", "04", "03"]),
            (Wanted(until=NOON + 2), ["01", "00"]),
            (Wanted(older_than=NOON + 1), ["00"]),
            (Wanted(system="nobody"), []),
        ],
    )
    def test_hold_what_is_wanted_the_latest_first(
        self, reader: JournalReader, wanted: Wanted, expected: list[str]
    ) -> None:
        assert names(list(reader.messages(wanted))) == expected

    def test_page_follows_page(self, reader: JournalReader) -> None:
        first = reader.messages(Wanted(), 4)
        second = reader.messages(Wanted(before=first[-1].cursor), 4)
        assert names([*first, *second]) == ["1c", "04", "03", "02", "01", "00"]

    def test_what_stands_where_since_when(self, reader: JournalReader) -> None:
        standing = reader.standing()
        assert standing["1c"] == {State.PROCESSING: (1, NOON + 100)}
        assert standing["bitrix24"][State.TRACKING] == (1, NOON)
        assert State.DONE not in standing["bitrix24"]


def test_failures_of_one_cause_are_one_group_the_largest_first(store: Store, reader: JournalReader) -> None:
    store.write(batch(*(parked(number, f"user {number} is not there") for number in range(5)), parked(9, "no project")))
    first, second = reader.error_groups(Wanted())
    assert (first.count, first.first, first.last, first.sample.name) == (5, NOON, NOON + 4, task(4).task_id)
    assert (second.count, second.sample.reason) == (1, "no project")
    assert [group.group for group in reader.error_groups(Wanted(group=second.group))] == [second.group]
    assert reader.error_groups(Wanted(system="1c")) == []


def test_what_waits_in_the_error_queue_is_counted_by_system_and_outcome(store: Store, reader: JournalReader) -> None:
    assert reader.errors_waiting() == {}
    store.write(batch(parked(1), parked(2), received(3), parked(4), received(4), created(5), answered(5)))
    assert reader.errors_waiting() == {("bitrix24", State.FAILED, "permanent"): 2}


def test_a_failure_that_was_repeated_is_in_no_group(store: Store, reader: JournalReader) -> None:
    store.write(batch(parked(1), received(1), created(1)))
    assert reader.error_groups(Wanted()) == []


def test_what_happened_to_systems_is_told_the_latest_first(store: Store, reader: JournalReader) -> None:
    pause = SystemPaused("1c", Text.of("down"), "outage", "timeout", is_alert=False, probe_in=15.0)
    store.write(batch(pause, SystemResumed("1c")))
    latest, first = reader.occurrences()
    assert (latest.code, first.code, first.system, first.at) == ("system.resumed", "system.paused", "1c", NOON)
    assert [each.code for each in reader.occurrences(before=latest.id)] == ["system.paused"]
    assert [each.code for each in reader.occurrences(code="system.resumed")] == ["system.resumed"]


def test_what_happened_is_read_on_behind_an_id_in_the_order_in_which_it_came(
    store: Store, reader: JournalReader
) -> None:
    assert (reader.last_occurrence(), reader.occurrences_after(0)) == (0, [])
    store.write(batch(*(SystemResumed(str(number)) for number in range(5))))
    first = reader.occurrences_after(0, 2)
    rest = reader.occurrences_after(first[-1].id)
    assert [each.system for each in (*first, *rest)] == ["0", "1", "2", "3", "4"]
    assert reader.last_occurrence() == rest[-1].id
    assert reader.occurrences_after(2**63 - 1) == []


def test_a_file_that_was_put_aside_or_deleted_is_read_no_more(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "journal.sqlite")
    store.open()
    store.write(batch(SystemResumed("old"), SystemResumed("old")))
    reader = FilePlace(tmp_path / "journal.sqlite").reader()
    assert reader.last_occurrence() == 2
    store.set_aside()
    with pytest.raises(StoreError, match="unable to open"):
        reader.last_occurrence()
    store.open()
    store.write(batch(SystemResumed("new")))
    assert [each.system for each in reader.occurrences()] == ["new"]
    reader.close()
    store.close()


def test_where_there_is_no_journal_that_is_said_and_none_is_made(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with pytest.raises(NoJournalError, match="there is no journal at"):
        engine_of_file(path)
    assert not path.exists()


def test_a_journal_that_is_being_made_is_none_yet(tmp_path: Path) -> None:
    # Seen: in the first moment of the first worker who asked was told that there is no such table.
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = wal")
        with pytest.raises(NoJournalError):
            engine_of_file(path)


def test_a_journal_that_cannot_be_read_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"no journal at all" * 1000)
    reader = JournalReader(engine_of_file(path))
    with pytest.raises(StoreError, match="the journal: file is not a database"):
        reader.search("x")
    reader.close()


def test_reading_goes_on_while_somebody_writes(tmp_path: Path) -> None:
    place = FilePlace(tmp_path / "a folder with 100% of signs?&#" / "journal.sqlite")
    store, reader = place.store(), None
    store.write(batch(received(1)))
    with closing(sqlite3.connect(place.path, isolation_level=None)) as writer:
        writer.execute("begin immediate")
        reader = place.reader()
        assert len(reader.search("ORD-1")) == 1
        writer.execute("rollback")
    reader.close()
    store.close()


@pytest.mark.usefixtures("store")
def test_readers_know_the_tables_that_the_migrations_make(place: Place) -> None:
    for table in METADATA.tables.values():
        place.rows(f"select {', '.join(column.name for column in table.columns)} from {table.name}")
    assert set(OF_A_MESSAGE) | {"id"} == {column.name for column in METADATA.tables["message"].columns}
