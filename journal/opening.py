"""Opens the journal that the settings name, for whoever only reads it."""

from __future__ import annotations

from journal.engines import engine_of_database, engine_of_file
from journal.reading import JournalReader
from journal.settings import JournalSettings
from journal.store import NoJournalError


def open_reader(told: JournalSettings) -> JournalReader | None:
    """Return the journal; None where none is wanted, or none has been begun. Raises StoreError."""
    if not told.is_wanted:
        return None
    if told.database is not None:
        return JournalReader(engine_of_database(told.database))
    try:
        return JournalReader(engine_of_file(told.file))
    except NoJournalError:
        return None
