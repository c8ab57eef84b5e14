"""Builds the journal of the worker from the settings."""

from __future__ import annotations

from collections.abc import Callable

from config import Settings
from journal.settings import JournalSettings
from journal.sqlite_store import SqliteStore
from journal.store import Store
from journal.writer import Journal


def make_journal(settings: Settings, mask: Callable[[str], str]) -> Journal | None:
    """Build the journal; None where none is wanted."""
    told = settings.for_system(JournalSettings)
    if not told.is_wanted:
        return None
    return Journal(_store(told), mask=mask, keep=told.keep, max_bytes=told.max_bytes or None)


def _store(told: JournalSettings) -> Store:
    if told.database is None:
        return SqliteStore(told.file)
    from journal.postgres_store import PostgresStore  # loaded where it is asked for: it costs 38 MiB

    return PostgresStore(told.database)
