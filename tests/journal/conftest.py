"""The places of a journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from journal.reading import JournalReader
from journal.store import Store
from sandbox.postgresql import PostgresServer
from tests.journal.places import DatabasePlace, FilePlace, Place

# One process plays all that need the server.
IN_POSTGRESQL = pytest.param("postgresql", marks=[pytest.mark.slow, pytest.mark.xdist_group("postgresql")])


@pytest.fixture(params=["sqlite", IN_POSTGRESQL])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return FilePlace(tmp_path / "state" / "journal.sqlite")
    server: PostgresServer = request.getfixturevalue("postgres")
    return DatabasePlace(server.new_database())


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    store = place.store()
    store.open()
    yield store
    store.close()


@pytest.fixture
def reader(store: Store, place: Place) -> Iterator[JournalReader]:
    reader = place.reader()
    yield reader
    reader.close()
