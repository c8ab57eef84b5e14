"""Builds the journal of the worker from the settings."""

from __future__ import annotations

from collections.abc import Callable

from config import Settings
from journal.settings import JournalSettings
from journal.sqlite_store import SqliteStore
from journal.writer import Journal


def make_journal(settings: Settings, mask: Callable[[str], str]) -> Journal | None:
    """Build the journal; None where none is wanted."""
    told = settings.for_system(JournalSettings)
    if told.file is None:
        return None
    return Journal(SqliteStore(told.file), mask=mask, keep=told.keep, max_bytes=told.max_bytes or None)
