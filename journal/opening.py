"""Opens the journal that the settings name. What costs memory is loaded where it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from journal.settings import JournalSettings
from journal.sqlite_store import SqliteStore
from journal.store import NoJournalError, Store

if TYPE_CHECKING:
    from journal.reading import JournalReader


def open_reader(told: JournalSettings) -> JournalReader | None:
    """Return the journal; None where none is wanted, or none has been begun. Raises StoreError."""
    if not told.is_wanted:
        return None
    from journal.engines import engine_of_database, engine_of_file
    from journal.reading import JournalReader

    if told.database is not None:
        return JournalReader(engine_of_database(told.database))
    try:
        return JournalReader(engine_of_file(told.file))
    except NoJournalError:
        return None


def open_store(told: JournalSettings) -> Store:
    """Return the journal as a place to write to; it opens itself at the first use."""
    if told.database is None:
        return SqliteStore(told.file)
    from journal.postgres_store import PostgresStore  # it costs 38 MiB

    return PostgresStore(told.database)
