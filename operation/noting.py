"""Keeps what a person has done: in the journal, and in the log of the worker where one runs.

The journal is an index: where it cannot be written, the work that was done stays done, and the reason is returned.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence

from control.client import UNANSWERED
from core.events.base import Event
from core.events.control import OperatorActed
from core.texts import Text
from journal.entries import Batch
from journal.opening import open_store
from journal.settings import JournalSettings
from journal.store import StoreError
from operation.desk import Desk

TOGETHER = 2000  # events in one transaction


def this_user() -> str:
    """Return who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return "?"


def note(desk: Desk, events: Sequence[tuple[float, Event]]) -> Text | None:
    """Write events (with their unix seconds) into the journal; return why that could not be done."""
    told = desk.settings.for_system(JournalSettings)
    if not told.is_wanted or not events:
        return None
    store = open_store(told)
    try:
        for start in range(0, len(events), TOGETHER):
            batch = Batch()
            for at, event in events[start : start + TOGETHER]:
                batch.add(at, event)
            batch.hide(desk.mask)
            store.write(batch)
    except StoreError as error:
        return Text(f"the journal could not be written: {error.text.en}", f"журнал не записан: {error.text.ru}")
    finally:
        store.close()
    return None


def acted(
    desk: Desk, at: float, what: str, *, by: str, system: str | None = None, count: int | None = None
) -> Text | None:
    """Keep what was done as a whole; return why that could not be done."""
    try:
        desk.workers.ask("note", what=what, system=system, count=count, by=by)
    except (*UNANSWERED, OSError):
        return note(desk, [(at, OperatorActed(by, what, system, count))])
    return None
