"""Keeps the journal of several workers in a database of PostgreSQL.

Imported only where one is asked for: SQLAlchemy and psycopg cost the worker some 38 MiB of memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, case, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from core.texts import Text
from journal.columns import LATEST, OF_A_MESSAGE, ONCE, WITH_STATE
from journal.engines import engine_of_database
from journal.entries import Batch, MessageRow, Occurrence
from journal.migrations import VERSION, steps
from journal.states import FINISHED_STATES
from journal.store import NewerStoreError, StoreError
from journal.tables import EVENT, MESSAGE, OCCURRENCE

_ROWS = 500  # in one statement
_LOCK = 7_350_142_001  # of the migrations: any number that nobody else takes
_ORDER = 7_350_142_002  # of those who write occurrences
_BYTES_OF_A_MESSAGE = 1500  # with its events and its share of the indexes: more than twice what SQLite needs; a guess
_FINISHED = tuple(int(state) for state in FINISHED_STATES)


class PostgresStore:
    """A journal in one database, which the workers of all machines may write to."""

    def __init__(self, url: str) -> None:
        self._engine = engine_of_database(url)
        self._pruned_to = 0

    @property
    def place(self) -> str:
        return self._engine.url.render_as_string(hide_password=True).replace("+psycopg", "")

    def open(self) -> None:
        with _told(), self._engine.begin() as connection:
            _refuse_a_locale_without_cases(connection)
            _migrate(connection)

    def is_there(self) -> bool:
        return True  # a database that is gone refuses the next batch

    def size(self) -> None:
        return None  # its server's metrics tell

    def check(self) -> None:
        """Do nothing: the server looks after its files."""

    def write(self, batch: Batch) -> None:
        with _told(), self._engine.begin() as connection:
            rows = list(batch.messages.values())
            # In one order: two workers that write about the same messages would wait for each other for ever.
            known = select(MESSAGE.c.name).where(MESSAGE.c.name.in_([row.name for row in rows]))
            connection.execute(known.order_by(MESSAGE.c.name).with_for_update())
            ids: dict[str, int] = {}
            for start in range(0, len(rows), _ROWS):
                ids.update(_write_messages(connection, rows[start : start + _ROWS]))
            events = [
                {"message": ids[row.name], "at": at, "kind": kind, "detail": detail}
                for row in rows
                for at, kind, detail in row.events
            ]
            for start in range(0, len(events), _ROWS):
                connection.execute(insert(EVENT).values(events[start : start + _ROWS]).on_conflict_do_nothing())
            if batch.occurrences:
                # One writer at a time until it has committed: else a lower id could appear after a higher one, and
                # whoever reads on behind an id would miss it. It is the last lock, so nobody waits in a circle.
                connection.execute(select(func.pg_advisory_xact_lock(_ORDER)))
                connection.execute(insert(OCCURRENCE).values([_as_dict(each) for each in batch.occurrences]))

    def index(self, most: int) -> int:
        return 0  # PostgreSQL does so as it writes

    def prune(self, before: int, max_bytes: int | None, most: int) -> int:
        with _told(), self._engine.begin() as connection:
            gone = self._finished_before(connection, before, most)
            if len(gone) < most and max_bytes is not None and _size(connection) > max_bytes:
                oldest = select(MESSAGE.c.id).where(MESSAGE.c.state.in_(_FINISHED), MESSAGE.c.id.not_in(gone))
                gone += connection.scalars(oldest.order_by(MESSAGE.c.id).limit(most - len(gone))).all()
            connection.execute(delete(EVENT).where(EVENT.c.message.in_(gone)))
            connection.execute(delete(MESSAGE).where(MESSAGE.c.id.in_(gone)))
            old = select(OCCURRENCE.c.id).where(OCCURRENCE.c.at < before).order_by(OCCURRENCE.c.at).limit(most)
            latest = select(func.max(OCCURRENCE.c.id)).scalar_subquery()  # stays, as in a file
            connection.execute(delete(OCCURRENCE).where(OCCURRENCE.c.id.in_(old), OCCURRENCE.c.id < latest))
            return len(gone)

    def set_aside(self) -> str:
        raise StoreError(Text.of("a database is nothing that this program puts aside"))

    def close(self) -> None:
        with contextlib.suppress(SQLAlchemyError):
            self._engine.dispose()

    def _finished_before(self, connection: Connection, before: int, most: int) -> list[int]:
        """Go on where the last look has ended; begin anew when there is nothing more that is old enough."""
        column = MESSAGE.c
        looked = select(column.id, column.state, column.first, column.last).where(column.id > self._pruned_to)
        found = connection.execute(looked.order_by(column.id).limit(most)).all()
        old = [row for row in found if row.first < before]
        self._pruned_to = old[-1].id if old and len(old) == most else 0
        return [row.id for row in old if row.last < before and row.state in _FINISHED]


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines()
        raise StoreError(Text.of(f"PostgreSQL: {said[0] if said else type(error.orig).__name__}")) from error
    except SQLAlchemyError as error:
        raise StoreError(Text.of(f"PostgreSQL: {error}")) from error


def _refuse_a_locale_without_cases(connection: Connection) -> None:
    if connection.scalar(text("select lower('Я')")) != "я":
        raise StoreError(
            Text(
                "the database knows no small Russian letters, so titles would not be found: create it with "
                "TEMPLATE template0 ENCODING UTF8 LC_CTYPE 'C.UTF-8' or 'ru_RU.UTF-8'",
                "база не знает строчных русских букв, названия не находились бы: создайте её с "
                "TEMPLATE template0 ENCODING UTF8 LC_CTYPE 'C.UTF-8' или 'ru_RU.UTF-8'",
            )
        )


def _migrate(connection: Connection) -> None:
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    connection.execute(text("create table if not exists journal_version (version integer not null)"))
    version = connection.scalar(text("select version from journal_version"))
    if version is not None and version > VERSION:
        raise NewerStoreError(version)
    for number, script in steps("postgresql", after=version or 0):
        connection.exec_driver_sql(script)
        connection.execute(text("delete from journal_version"))
        connection.execute(text("insert into journal_version values (:number)"), {"number": number})


def _write_messages(connection: Connection, rows: list[MessageRow]) -> dict[str, int]:
    statement = insert(MESSAGE).values([{name: getattr(row, name) for name in OF_A_MESSAGE} for row in rows])
    new, old = statement.excluded, MESSAGE.c
    is_news = new.state.is_not(None) & (new.last >= old.last)
    statement = statement.on_conflict_do_update(
        index_elements=[old.name],
        set_={
            **{name: func.coalesce(old[name], new[name]) for name in ONCE},
            **{name: func.coalesce(new[name], old[name]) for name in LATEST},
            **{name: case((is_news, new[name]), else_=old[name]) for name in WITH_STATE},
            "state": case((is_news, new.state), else_=func.coalesce(old.state, new.state)),
            "first": func.least(old.first, new.first),
            "last": func.greatest(old.last, new.last),
        },
    )
    found = connection.execute(statement.returning(old.name, old.id))
    return {row.name: row.id for row in found}


def _as_dict(occurrence: Occurrence) -> dict[str, Any]:
    return {each.name: getattr(occurrence, each.name) for each in fields(occurrence)}


def _size(connection: Connection) -> int:
    """Return what the journal takes, as far as statistics know: files do not shrink when rows are deleted."""
    count = connection.scalar(text("select n_live_tup from pg_stat_user_tables where relname = 'message'"))
    return int(count or 0) * _BYTES_OF_A_MESSAGE
