"""Where a journal can be, so that one story is told of each: a file, and a database of a real PostgreSQL server."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import psycopg

from journal.engines import engine_of_database, engine_of_file
from journal.migrations import VERSION
from journal.postgres_store import PostgresStore
from journal.reading import JournalReader
from journal.sqlite_store import SqliteStore
from journal.states import State
from journal.store import Store


class Place(Protocol):
    """An empty journal, and a look into it by other means than ours."""

    def store(self) -> Store: ...

    def reader(self) -> JournalReader: ...

    def rows(self, query: str) -> list[tuple[Any, ...]]: ...

    def make_newer(self) -> None: ...


class FilePlace:
    def __init__(self, path: Path) -> None:
        self.path = path

    def store(self) -> SqliteStore:
        return SqliteStore(self.path)

    def reader(self) -> JournalReader:
        return JournalReader(engine_of_file(self.path))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()

    def make_newer(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(f"pragma user_version = {VERSION + 1}")


class DatabasePlace:
    def __init__(self, url: str) -> None:
        self.url = url

    def store(self) -> PostgresStore:
        return PostgresStore(self.url)

    def reader(self) -> JournalReader:
        return JournalReader(engine_of_database(self.url))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def make_newer(self) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute("update journal_version set version = version + 1")


def states(place: Place) -> dict[str, State]:
    return {name: State(state) for name, state in place.rows("select name, state from message")}
