"""The ways to a journal by SQLAlchemy: to a file, read only, and to a database of PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from core.texts import Text
from journal.store import NoJournalError, StoreError

_CONNECT_TIMEOUT = 10  # seconds
# Milliseconds. Who stops in the midst of a transaction, a machine that froze, must not hold up the others for ever.
_OPTIONS = "-c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=30000"


def engine_of_file(path: Path) -> Engine:
    """Return the way to read the journal in this file. Raises NoJournalError where there is none, or none yet."""
    address = f"file:{quote(str(path.resolve()))}?mode=ro"  # SQLAlchemy's own way to say this takes no "?" in a name
    if not path.exists() or not _is_made(address):
        raise NoJournalError(Text(f"there is no journal at {path}", f"журнала сообщений {path} нет"))
    connect = partial(sqlite3.connect, address, uri=True, check_same_thread=False)
    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
    _follow(engine, path)
    return engine


def _is_made(address: str) -> bool:
    """Return whether the file has tables; a worker that has just been started makes them now."""
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            (version,) = connection.execute("pragma user_version").fetchone()
    except sqlite3.Error:
        return True  # damaged, locked: whoever reads it is told
    return bool(version)


def _follow(engine: Engine, path: Path) -> None:
    """Have the engine notice a file that was put aside or deleted: an open one would be read on for ever."""

    @event.listens_for(engine, "connect")
    def note(_connection: Any, record: Any) -> None:
        record.info["file"] = _identity(path)

    @event.listens_for(engine, "checkout")
    def compare(_connection: Any, record: Any, _proxy: Any) -> None:
        if record.info["file"] != _identity(path):
            raise DisconnectionError("another file is there now")  # it is opened anew


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def engine_of_database(url: str) -> Engine:
    """Return the way to the database at `postgresql://…`. Raises StoreError when that is no address of one."""
    try:
        return create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            pool_size=2,
            connect_args={"connect_timeout": _CONNECT_TIMEOUT, "options": _OPTIONS},
        )
    except SQLAlchemyError as error:
        raise StoreError(Text.of(f"PostgreSQL: {error}")) from error
