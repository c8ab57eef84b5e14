"""A journal is the same wherever it is and however it came in."""

from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest

from core.events.systems import SystemResumed
from journal.migrations import VERSION
from journal.reading import JournalReader
from journal.states import State
from journal.store import NewerStoreError, Store
from tests.journal.places import DatabasePlace, Place, states
from tests.journal.support import LIFE, NOON, answered, batch, created, parked, received, task

WRITERS, ROUNDS = 4, 300
TABLES = ("message", "event", "occurrence")


def content(place: Place) -> dict[str, list[tuple[Any, ...]]]:
    return {table: sorted(place.rows(f"select * from {table}"), key=repr) for table in TABLES}


def micro(seconds: float) -> int:
    return int(seconds * 1e6)


def found(reader: JournalReader, words: str) -> list[str]:
    return [each.name for each in reader.search(words, 100)]


def test_the_life_of_a_message_is_one_row_and_a_row_for_each_event(store: Store, place: Place) -> None:
    store.write(batch(*LIFE))
    assert states(place) == {task(1).task_id: State.DONE, task(2).task_id: State.FAILED}
    query = "select at, kind from event join message on id = message where name = '{}' order by at"
    told = place.rows(query.format(task(1).task_id))
    assert told == [(micro(NOON + at), kind) for at, kind in ((0, 1), (1, 5), (3, 1), (4, 2), (7, 4))]
    assert place.rows("select code, system, line from occurrence") == [("system.resumed", "1c", "1c is usable again")]


def test_a_file_has_a_size_and_a_database_s_server_knows_its_own(store: Store, place: Place) -> None:
    assert (store.size() is None) == isinstance(place, DatabasePlace)
    assert store.size() != 0


def test_a_batch_that_is_written_twice_is_there_once(store: Store, place: Place) -> None:
    events = [event for event in LIFE if not isinstance(event, SystemResumed)]
    store.write(batch(*events))
    before = content(place)
    store.write(batch(*events))
    assert content(place) == before


def test_a_batch_that_comes_late_changes_nothing_that_is_newer(store: Store, place: Place) -> None:
    store.write(batch(answered(1), start=NOON + 100))
    store.write(batch(received(1), created(1)))
    assert states(place) == {task(1).task_id: State.DONE}
    [(first, last, title)] = place.rows("select first, last, title from message")
    assert (first, last, title) == (micro(NOON), micro(NOON + 100), "Согласовать договор №1")


def test_thousands_of_messages_go_into_one_batch(store: Store, place: Place) -> None:
    numbers = range(1234)
    store.write(batch(*(event for number in numbers for event in (received(number), created(number)))))
    assert len(states(place)) == 1234
    assert place.rows("select count(*) from event") == [(2468,)]


class TestSearch:
    def test_portions_follow_each_other_and_all_is_found_at_any_time(self, store: Store, reader: JournalReader) -> None:
        store.write(batch(*(received(number) for number in range(25))))
        for _ in range(4):
            assert len(found(reader, "договор")) == 25
            store.index(10)
        assert store.index(10) == 0

    def test_a_title_that_becomes_known_later_is_found(self, store: Store, reader: JournalReader) -> None:
        store.write(batch(answered(1)))
        store.index(10)
        assert found(reader, "договор") == []
        store.write(batch(received(1)))
        assert found(reader, "договор") == [task(1).task_id]

    def test_what_comes_after_everything_was_deleted_is_found(self, store: Store, reader: JournalReader) -> None:
        store.write(batch(*(answered(number) for number in range(5))))
        store.index(10)
        assert store.prune(micro(NOON + 1000), None, 10) == 5
        store.write(batch(received(7)))
        assert found(reader, "договор") == [task(7).task_id]
        store.index(10)
        assert found(reader, "договор") == [task(7).task_id]

    def test_what_is_deleted_is_found_no_more(self, store: Store, reader: JournalReader) -> None:
        store.write(batch(received(1), answered(1), received(2)))
        store.index(10)
        assert store.prune(micro(NOON + 1000), None, 10) == 1
        assert found(reader, "договор") == [task(2).task_id]


class TestPruning:
    def test_only_what_is_finished_and_old_is_deleted(self, store: Store, place: Place) -> None:
        store.write(batch(received(1), created(1), received(2), answered(2), parked(3)))
        store.write(batch(received(4), answered(4), start=NOON + 5000))
        assert store.prune(micro(NOON + 1000), None, 100) == 2
        assert set(states(place)) == {task(1).task_id, task(4).task_id}
        assert place.rows("select count(*) from event") == [(4,)]

    def test_portion_after_portion_gets_past_what_stays(self, store: Store, place: Place) -> None:
        store.write(batch(*(created(number) for number in range(30)), *(answered(number) for number in range(30, 60))))
        assert sum(store.prune(micro(NOON + 1000), None, 10) for _ in range(8)) == 30
        assert set(states(place).values()) == {State.TRACKING}

    def test_what_happened_to_systems_goes_as_well(self, store: Store, place: Place) -> None:
        store.write(batch(SystemResumed("1c")))
        store.write(batch(SystemResumed("1c"), start=NOON + 5000))
        store.prune(micro(NOON + 1000), None, 100)
        assert place.rows("select at from occurrence") == [(micro(NOON + 5000),)]

    def test_no_id_of_what_happened_to_systems_is_given_again(self, store: Store, reader: JournalReader) -> None:
        store.write(batch(SystemResumed("1c"), SystemResumed("1c")))
        last = reader.last_occurrence()
        store.prune(micro(NOON + 1000), None, 100)
        store.write(batch(SystemResumed("1c")))
        assert [each.id for each in reader.occurrences_after(last)] == [last + 1]


def test_whoever_reads_on_behind_an_id_misses_nothing_of_several_writers(place: Place, reader: JournalReader) -> None:
    together = multiprocessing.get_context("spawn").Barrier(WRITERS)
    writers = [
        multiprocessing.get_context("spawn").Process(target=_write_occurrences, args=(place, together))
        for _ in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    read: list[int] = []
    is_last = False
    while not is_last:
        is_last = not any(writer.is_alive() for writer in writers)
        while page := reader.occurrences_after(read[-1] if read else 0, 50):
            read += [each.id for each in page]
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    assert read == [id_ for (id_,) in place.rows("select id from occurrence order by id")]
    assert len(read) == WRITERS * ROUNDS


def _write_occurrences(place: Place, together: Barrier) -> None:
    store = place.store()
    store.open()
    together.wait()
    for _ in range(ROUNDS):
        store.write(batch(SystemResumed("1c")))
    store.close()


def test_a_journal_of_a_later_version_is_left_alone(store: Store, place: Place) -> None:
    store.write(batch(received(1)))
    before = content(place)
    place.make_newer()
    with pytest.raises(NewerStoreError, match=f"has version {VERSION + 1}, this program knows {VERSION}"):
        store.open()
    assert content(place) == before


def _write_from_a_process(place: Place, numbers: range) -> None:
    store = place.store()
    store.open()
    for number in numbers:
        store.write(batch(received(number), created(number), received(1000)))
    store.close()


def test_several_workers_begin_one_journal_at_the_same_moment(place: Place) -> None:
    context = multiprocessing.get_context("spawn")
    parts = [range(start, start + 50) for start in (0, 50, 100)]
    workers = [context.Process(target=_write_from_a_process, args=(place, part)) for part in parts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(states(place)) == 151
