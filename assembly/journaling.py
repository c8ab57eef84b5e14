"""Builds the journal of the worker from the settings."""

from __future__ import annotations

from collections.abc import Callable

from config import Settings
from journal.opening import open_store
from journal.settings import JournalSettings
from journal.writer import Journal


def make_journal(settings: Settings, mask: Callable[[str], str]) -> Journal | None:
    """Build the journal; None where none is wanted."""
    told = settings.for_system(JournalSettings)
    if not told.is_wanted:
        return None
    return Journal(open_store(told), mask=mask, keep=told.keep, max_bytes=told.max_bytes or None)
