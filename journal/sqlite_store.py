"""Keeps the journal in a file of SQLite.

The standard library's module is used as it is: SQLAlchemy costs the worker 28 MiB of memory (2.1, measured), and the
whole journal may cost 12. Many rows go into one statement: between two statements the interpreter's lock changes hands,
and the thread would wait for it after each row.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from core.texts import Text
from journal.columns import LATEST, ONCE, WITH_STATE
from journal.entries import Batch, MessageRow
from journal.migrations import VERSION, steps
from journal.states import FINISHED_STATES
from journal.store import BrokenStoreError, NewerStoreError, StoreError

_PATIENCE = 5.0  # seconds that another writer of the same file is waited for
_PORTIONS = (512, 128, 32, 8, 2, 1)  # rows in one statement
_LOG_PAGES = 4000  # after which they are copied into the file: 16 MiB; what changes often is copied once
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_IS_NEWS = "excluded.state is not null and excluded.last >= message.last"
_NEWS = ", ".join(
    (
        *(f"{name} = coalesce(message.{name}, excluded.{name})" for name in ONCE),
        *(f"{name} = coalesce(excluded.{name}, message.{name})" for name in LATEST),
        *(f"{name} = case when {_IS_NEWS} then excluded.{name} else message.{name} end" for name in WITH_STATE),
        f"state = case when {_IS_NEWS} then excluded.state else coalesce(message.state, excluded.state) end",
        "first = min(message.first, excluded.first)",
        "last = max(message.last, excluded.last)",
    )
)
# What is not said is left out: the module looks for an adapter of each None, which costs more than to store a text.
_AT_WORK = (
    *("id", "name", "first", "last", "state", "process", "business", "topic", "title", "system", "queue"),
    *("external", "attempts"),
)
_WITH_ALL = (*_AT_WORK, "message_id", *WITH_STATE)
_MESSAGE = f"insert into message ({{columns}}) values {{{{rows}}}} on conflict (name) do update set {_NEWS}"  # noqa: S608
_MESSAGE_AT_WORK, _MESSAGE_WITH_ALL = (_MESSAGE.format(columns=", ".join(each)) for each in (_AT_WORK, _WITH_ALL))
_EVENT = "insert or ignore into event (message, at, kind) values {rows}"
_EVENT_WITH_DETAIL = "insert or ignore into event (message, at, kind, detail) values {rows}"
_OCCURRENCE = "insert into occurrence (at, code, level, system, queue, line, fields) values {rows}"


_with_state = attrgetter(*WITH_STATE)
_Value = TypeVar("_Value")


class SqliteStore:
    """A journal in one file, which several processes may write to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # device and inode of what is open
        self._pruned_to = 0  # the last id that was looked at

    @property
    def place(self) -> str:
        return str(self._path)

    def open(self) -> None:
        self.close()
        with _told():
            _make_private(self._path)
            connection = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            self._connection = connection
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.execute(f"pragma wal_autocheckpoint = {_LOG_PAGES}")
            _migrate(connection)
            self._file = _identity(self._path)

    def is_there(self) -> bool:
        return self._connection is not None and self._file == _identity(self._path)

    def size(self) -> int:
        size = 0
        for suffix in ("", "-wal"):
            with suppress(OSError):
                size += os.stat(f"{self._path}{suffix}").st_size
        return size

    def check(self) -> None:
        # A connection of its own: the open one has in memory what may be damaged on the disk, and would not notice.
        with _told(), closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as connection:
            connection.execute("select max(id), (select up_to from indexed) from message").fetchone()

    def write(self, batch: Batch) -> None:
        with _told(), self._transaction() as connection:
            _write_messages(connection, list(batch.messages.values()))
            occurrences: list[Any] = []
            for each in batch.occurrences:
                occurrences += (each.at, each.code, each.level, each.system, each.queue, each.line, each.fields)
            _insert(connection, _OCCURRENCE, occurrences, 7)

    def index(self, most: int) -> int:
        with _told(), self._transaction() as connection:
            (start,) = connection.execute("select up_to from indexed").fetchone()
            (end,) = connection.execute("select coalesce(max(id), 0) from message").fetchone()
            end = min(end, start + most)
            if end <= start:
                return 0
            connection.execute(
                "insert into message_search (rowid, name, process, business, title, message_id) "
                "select * from message_words where id between ? and ?",
                (start + 1, end),
            )
            connection.execute("update indexed set up_to = ?", (end,))
            return int(end - start)

    def prune(self, before: int, max_bytes: int | None, most: int) -> int:
        with _told(), self._transaction() as connection:
            gone = self._finished_before(connection, before, most)
            if len(gone) < most and max_bytes is not None and _size(connection) > max_bytes:
                gone += _oldest_finished(connection, most - len(gone), set(gone))
            for some in _portions(gone):
                marks = ",".join("?" * len(some))
                connection.execute(f"delete from event where message in ({marks})", some)  # noqa: S608 - marks only
                connection.execute(f"delete from message where id in ({marks})", some)  # noqa: S608 - marks only
            # The latest stays: without it SQLite would begin its ids anew, and readers go on behind an id.
            connection.execute(
                "delete from occurrence where id in (select id from occurrence where at < ? order by at limit ?) "
                "and id < (select max(id) from occurrence)",
                (before, most),
            )
            return len(gone)

    def set_aside(self) -> str:
        self.close()
        aside = self._path.with_name(f"{self._path.name}.broken-{int(time.time())}")
        with _told():
            for suffix in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(f"{self._path}{suffix}")
            with suppress(FileNotFoundError):
                os.replace(self._path, aside)
        return str(aside)

    def close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = self._file = None

    def _finished_before(self, connection: sqlite3.Connection, before: int, most: int) -> list[int]:
        """Go on where the last look has ended; begin anew when there is nothing more that is old enough."""
        found = connection.execute(
            "select id, state, first, last from message where id > ? order by id limit ?", (self._pruned_to, most)
        ).fetchall()
        old = [(id_, state, last) for id_, state, first, last in found if first < before]
        self._pruned_to = old[-1][0] if old and len(old) == most else 0
        return [id_ for id_, state, last in old if last < before and state in FINISHED_STATES]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._connection is None:
            self.open()
        connection = self._connection
        if connection is None:
            raise ValueError("open() leaves a connection")
        connection.execute("begin immediate")
        try:
            yield connection
            connection.execute("commit")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("rollback")
            raise


@contextmanager
def _told() -> Iterator[None]:
    """Say errors of SQLite and of the file system as a StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        kind = BrokenStoreError if code in _BROKEN else StoreError
        raise kind(Text.of(f"SQLite: {error}")) from error
    except OSError as error:
        raise StoreError(Text.of(f"{error.strerror}: {error.filename}")) from error


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):  # titles and reasons are nobody else's business
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("pragma user_version").fetchone()
    if version > VERSION:
        raise NewerStoreError(version)
    if version == VERSION:
        return
    connection.execute("begin immediate")
    try:
        (version,) = connection.execute("pragma user_version").fetchone()  # another worker may have been faster
        for number, script in steps("sqlite", after=version):
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"pragma user_version = {number}")
        connection.execute("commit")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("rollback")
        raise


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script one by one: `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _write_messages(connection: sqlite3.Connection, rows: Sequence[MessageRow]) -> None:
    ids: dict[str, int] = {}
    for some in _portions([row.name for row in rows]):
        marks = ",".join("?" * len(some))
        ids.update(connection.execute(f"select name, id from message where name in ({marks})", some).fetchall())  # noqa: S608 - marks only
    # No id of a deleted message is given again: what is below the mark counts as indexed.
    (last,) = connection.execute(
        "select max(up_to, (select coalesce(max(id), 0) from message)) from indexed"
    ).fetchone()
    at_work: list[Any] = []
    with_all: list[Any] = []
    events: list[Any] = []
    with_detail: list[Any] = []
    for row in rows:
        id_ = ids.get(row.name)
        if id_ is None:
            last += 1
            id_ = last
        if row.reason is None and row.message_id is None:
            at_work += _at_work(id_, row)
        else:
            with_all += (*_at_work(id_, row), row.message_id, *_with_state(row))
        for at, kind, detail in row.events:
            if detail is None:
                events += (id_, at, kind)
            else:
                with_detail += (id_, at, kind, detail)
    _insert(connection, _MESSAGE_AT_WORK, at_work, len(_AT_WORK))
    _insert(connection, _MESSAGE_WITH_ALL, with_all, len(_WITH_ALL))
    _insert(connection, _EVENT, events, 3)
    _insert(connection, _EVENT_WITH_DETAIL, with_detail, 4)


def _at_work(id_: int, row: MessageRow) -> tuple[Any, ...]:
    """Return the columns of that name. Written out: an attrgetter takes three times as long."""
    return (
        id_,
        row.name,
        row.first,
        row.last,
        None if row.state is None else row.state.real,
        row.process,
        row.business,
        row.topic,
        row.title,
        row.system,
        row.queue,
        row.external,
        row.attempts,
    )


def _insert(connection: sqlite3.Connection, statement: str, values: list[Any], columns: int) -> None:
    """Insert rows of so many columns; their values stand one behind the other."""
    one = f"({','.join('?' * columns)})"
    for some in _portions(values, columns):
        rows = ",".join([one] * (len(some) // columns))
        connection.execute(statement.format(rows=rows), some)


def _portions(values: list[_Value], columns: int = 1) -> Iterator[list[_Value]]:
    """Yield all rows in portions of a few sizes: a statement of each other size would be compiled anew."""
    start = 0
    for rows in _PORTIONS:
        size = rows * columns
        while len(values) - start >= size:
            yield values[start : start + size]
            start += size


def _size(connection: sqlite3.Connection) -> int:
    names = ("page_count", "freelist_count", "page_size")
    pages, free, size = (connection.execute(f"pragma {name}").fetchone()[0] for name in names)
    return int((pages - free) * size)


def _oldest_finished(connection: sqlite3.Connection, most: int, taken: set[int]) -> list[int]:
    marks = ",".join(str(int(state)) for state in FINISHED_STATES)
    found = connection.execute(
        f"select id from message where state in ({marks}) order by id limit ?",  # noqa: S608 - numbers of ours
        (most + len(taken),),
    )
    return [id_ for (id_,) in found if id_ not in taken][:most]
