"""Answers questions from a journal: where is this message, what happened to it, what has failed for the same reason.

Only reads, and takes no lock that a writer would wait for. Times are unix seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from itertools import pairwise
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, case, func, select, text
from sqlalchemy.exc import DBAPIError

from core.events.base import Event
from core.texts import Text
from journal.entries import MICROSECONDS, keepable
from journal.records import ErrorGroup, EventRecord, Figures, MessageRecord, OccurrenceRecord, Wanted
from journal.search import Find, find_in_postgresql, find_in_sqlite
from journal.states import KINDS, NUMBERS, State
from journal.store import StoreError
from journal.tables import EVENT, MESSAGE, OCCURRENCE

MOST = 200  # rows of one page

_LONGEST = 300  # characters of a question
_TOGETHER = 500  # messages that are asked for at once


class JournalReader:
    """Usable from any thread. Every method raises StoreError when the journal cannot be read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._find: Find = find_in_sqlite if engine.dialect.name == "sqlite" else find_in_postgresql

    def close(self) -> None:
        self._engine.dispose()

    def message(self, name: str) -> MessageRecord | None:
        """Return the message with this task id, or with what stands for one."""
        found = self._records(select(MESSAGE).where(MESSAGE.c.name == name))
        return found[0] if found else None

    def named(self, names: Sequence[str]) -> dict[str, MessageRecord]:
        """Return the messages of these names that the journal knows."""
        found: dict[str, MessageRecord] = {}
        for start in range(0, len(names), _TOGETHER):
            wanted = select(MESSAGE).where(MESSAGE.c.name.in_(names[start : start + _TOGETHER]))
            found.update((each.name, each) for each in self._records(wanted))
        return found

    def happened_since(self, ids: Sequence[int], kinds: Sequence[type[Event]], since: float) -> dict[int, str]:
        """Return for the messages with these ids the code of the latest of such events, since a moment."""
        numbers = [NUMBERS[kind] for kind in kinds]
        found: dict[int, str] = {}
        for start in range(0, len(ids), _TOGETHER):
            chosen = select(EVENT.c.message, EVENT.c.kind).where(
                EVENT.c.message.in_(ids[start : start + _TOGETHER]),
                EVENT.c.at >= int(since * MICROSECONDS),
                EVENT.c.kind.in_(numbers),
            )
            found.update((row.message, _code(row.kind)) for row in self._rows(chosen.order_by(EVENT.c.at)))
        return found

    def search(self, words: str, most: int = 20) -> list[MessageRecord]:
        """Return the messages that somebody may mean, the exact ones first, then the latest.

        By task id, process instance, business key, the number in a system, message id, or words of the title; of a
        word the beginning is enough.
        """
        words = keepable(words.strip()[:_LONGEST])
        exact = self.message(words)
        first = [] if exact is None else [exact]
        first += self._records(_latest(select(MESSAGE).where(MESSAGE.c.external == words), most))
        others = self._records(_latest(select(MESSAGE).where(MESSAGE.c.id.in_(self._found(words, most))), most))
        return list({record.id: record for record in (*first, *others)}.values())[:most]

    def messages(self, wanted: Wanted, most: int = 50) -> list[MessageRecord]:
        """Return the latest messages that are wanted, by the time at which they came.

        Those of one microsecond come together, so that no cursor stands between them: a page may be longer by them.
        """
        chosen, most = select(MESSAGE).where(*_conditions(wanted)), min(most, MOST)
        found = self._records(chosen.order_by(MESSAGE.c.first.desc()).limit(most))
        if len(found) < most:
            return found
        beside = self._records(chosen.where(MESSAGE.c.first == found[-1].cursor))
        known = {each.id for each in found}
        return [*found, *(each for each in beside if each.id not in known)]

    def events(self, message: MessageRecord) -> list[EventRecord]:
        """Return what happened to a message, the first thing first."""
        found = self._rows(select(EVENT).where(EVENT.c.message == message.id).order_by(EVENT.c.at))
        return [
            EventRecord(row.at / MICROSECONDS, _code(row.kind), json.loads(row.detail) if row.detail else {})
            for row in found
        ]

    def error_groups(self, wanted: Wanted, most: int = 100) -> list[ErrorGroup]:
        """Return what is in the error queue, as far as it is known, by cause; the largest group first."""
        in_the_queue = MESSAGE.c.state.in_((int(State.FAILED), int(State.REJECTED)))
        chosen = and_(MESSAGE.c.error_group.is_not(None), in_the_queue, *_conditions(wanted))
        first, last = func.min(MESSAGE.c.last), func.max(MESSAGE.c.last)
        groups = (
            select(MESSAGE.c.error_group, func.count(), first, last, func.max(MESSAGE.c.id))
            .where(chosen)
            .group_by(MESSAGE.c.error_group)
            .order_by(func.count().desc(), MESSAGE.c.error_group)
            .limit(most)
        )
        found = [tuple(row) for row in self._rows(groups)]
        latest = self._records(select(MESSAGE).where(MESSAGE.c.id.in_([row[4] for row in found])))
        samples = {record.id: record for record in latest}
        return [
            ErrorGroup(group, count, first / MICROSECONDS, last / MICROSECONDS, samples[sample])
            for group, count, first, last, sample in found
            if sample in samples
        ]

    def standing(self) -> dict[str, dict[State, tuple[int, float]]]:
        """Return for each system how many messages are in each state but done, and since when the oldest of them."""
        counted = select(MESSAGE.c.system, MESSAGE.c.state, func.count(), func.min(MESSAGE.c.first))
        grouped = counted.where(MESSAGE.c.state != int(State.DONE)).group_by(MESSAGE.c.state, MESSAGE.c.system)
        standing: dict[str, dict[State, tuple[int, float]]] = {}
        for row in self._rows(grouped):
            system, state, count, first = tuple(row)
            standing.setdefault(system or "", {})[State(state)] = (count, first / MICROSECONDS)
        return standing

    def errors_waiting(self) -> dict[tuple[str, State, str | None], int]:
        """Return how many messages are in the error queue, as far as it is known, by system, state and outcome."""
        chosen = MESSAGE.c.state.in_((int(State.FAILED), int(State.REJECTED)))
        grouped = (
            select(MESSAGE.c.system, MESSAGE.c.state, MESSAGE.c.outcome, func.count())
            .where(chosen, MESSAGE.c.state != int(State.DONE))  # the words of the partial index
            .group_by(MESSAGE.c.system, MESSAGE.c.state, MESSAGE.c.outcome)
        )
        rows = (tuple(row) for row in self._rows(grouped))
        return {(system or "", State(state), outcome): count for system, state, outcome, count in rows}

    def open_by_age(self, now: float, ages: Sequence[float]) -> dict[str, list[int]]:
        """Return for each system how many tasks are open, by their age: younger than each of `ages`, and the rest.

        `ages` in seconds, rising.
        """
        moments = [int((now - age) * MICROSECONDS) for age in ages]
        younger = [func.sum(case((MESSAGE.c.first > moment, 1), else_=0)) for moment in moments]
        tracked = and_(MESSAGE.c.state == int(State.TRACKING), MESSAGE.c.state != int(State.DONE))
        grouped = select(MESSAGE.c.system, *younger, func.count()).where(tracked).group_by(MESSAGE.c.system)
        counted = ((row[0], [0, *map(int, row[1:])]) for row in map(tuple, self._rows(grouped)))
        return {system or "": [upper - lower for lower, upper in pairwise(counts)] for system, counts in counted}

    def occurrences(
        self, *, before: int | None = None, code: str | None = None, most: int = 50
    ) -> list[OccurrenceRecord]:
        """Return what happened to systems, queues and the worker, the latest first; `before` an id: the next page."""
        chosen = select(OCCURRENCE).order_by(OCCURRENCE.c.id.desc()).limit(min(most, MOST))
        if before is not None:
            chosen = chosen.where(OCCURRENCE.c.id < before)
        if code is not None:
            chosen = chosen.where(OCCURRENCE.c.code == code)
        return self._occurrences(chosen)

    def occurrences_after(self, id_: int, most: int = MOST) -> list[OccurrenceRecord]:
        """Return the next ones behind an id, the first one first.

        Both stores give ids in the order of commits, so that nothing appears later before what was read.
        """
        chosen = select(OCCURRENCE).where(OCCURRENCE.c.id > id_)
        return self._occurrences(chosen.order_by(OCCURRENCE.c.id).limit(min(most, MOST)))

    def last_occurrence(self) -> int:
        """Return the id of the latest one; 0 where there is none."""
        [(last,)] = self._rows(select(func.max(OCCURRENCE.c.id)))
        return last or 0

    def figures(self) -> Figures:
        """Return how much the journal holds. Counts every row: seconds, where there are millions."""
        (messages, first, last), (events,), (occurrences,) = (
            tuple(self._rows(query)[0])
            for query in (
                select(func.count(), func.min(MESSAGE.c.first), func.max(MESSAGE.c.last)).select_from(MESSAGE),
                select(func.count()).select_from(EVENT),
                select(func.count()).select_from(OCCURRENCE),
            )
        )
        moments = (None if each is None else each / MICROSECONDS for each in (first, last))
        return Figures(messages, events, occurrences, *moments)

    def size(self) -> int:
        """Return the bytes that the journal takes."""
        query = "select page_count * page_size from pragma_page_count, pragma_page_size"
        if self._engine.dialect.name != "sqlite":
            query = "select pg_database_size(current_database())"
        with self._connection() as connection:
            return int(connection.scalar(text(query)) or 0)

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _records(self, query: Select[Any]) -> list[MessageRecord]:
        return [_record(row) for row in self._rows(query)]

    def _rows(self, query: Any) -> Sequence[Row[Any]]:
        with self._connection() as connection:
            return connection.execute(query).all()

    def _occurrences(self, query: Select[Any]) -> list[OccurrenceRecord]:
        return [
            OccurrenceRecord(
                *(row.id, row.at / MICROSECONDS, row.code, row.level, row.system, row.queue, row.line),
                json.loads(row.fields) if row.fields else {},
            )
            for row in self._rows(query)
        ]

    def _found(self, words: str, most: int) -> list[int]:
        with self._connection() as connection:
            return self._find(connection, words, most)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise StoreError(Text.of(f"the journal: {error.orig}")) from error


def _latest(query: Select[Any], most: int) -> Select[Any]:
    return query.order_by(MESSAGE.c.id.desc()).limit(most)


def _conditions(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    column = MESSAGE.c
    equal = (
        (column.system, wanted.system),
        (column.topic, wanted.topic),
        (column.code, wanted.code),
        (column.error_group, wanted.group),
    )
    yield from (each == value for each, value in equal if value is not None)
    if wanted.states:
        yield column.state.in_([int(state) for state in wanted.states])
        if State.DONE not in wanted.states:
            yield column.state != int(State.DONE)  # the words of the partial index
    if wanted.since is not None:
        yield column.first >= int(wanted.since * MICROSECONDS)
    if wanted.until is not None:
        yield column.first < int(wanted.until * MICROSECONDS)
    if wanted.older_than is not None:
        moment = int(wanted.older_than * MICROSECONDS)
        yield and_(column.last < moment, column.first < moment)  # what has an index
    if wanted.before is not None:
        yield column.first < wanted.before


def _code(kind: int) -> str:
    event = KINDS[kind]
    return event.code or event.__name__


def _record(row: Row[Any]) -> MessageRecord:
    values = {each.name: getattr(row, each.name) for each in fields(MessageRecord) if each.name != "cursor"}
    values["cursor"] = row.first
    for name in ("first", "last", "due"):
        if values[name] is not None:
            values[name] /= MICROSECONDS
    values["state"] = None if values["state"] is None else State(values["state"])
    return MessageRecord(**values)
