"""Defines what every store of a journal can do and what may be wrong with it."""

from __future__ import annotations

from typing import Protocol

from core.texts import Text
from journal.entries import Batch
from journal.migrations import VERSION


class StoreError(Exception):
    """The journal cannot be used now; it may be later. `text` says why."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


class NoJournalError(StoreError):
    """There is no journal yet."""


class BrokenStoreError(StoreError):
    """What is there is no journal, or is one no more."""


class NewerStoreError(StoreError):
    """A later version of the program has written the journal; this one must not touch it."""

    def __init__(self, version: int) -> None:
        super().__init__(
            Text(
                f"the journal has version {version}, this program knows {VERSION}",
                f"версия журнала {version}, а программа знает {VERSION}",
            )
        )


class Store(Protocol):
    """A journal as a place to write to. Used by one thread. Every method may raise StoreError."""

    @property
    def place(self) -> str:
        """Where it is, without a secret."""

    def open(self) -> None:
        """Connect, and bring the tables to the version of this program. Raises NewerStoreError, BrokenStoreError."""

    def is_there(self) -> bool:
        """Whether what was opened can still be found by others: a file that somebody has deleted cannot."""

    def size(self) -> int | None:
        """Return the bytes that it takes on the disk; None where others know that. From any thread, raises nothing."""

    def check(self) -> None:
        """Look whether others can read what is there. Raises BrokenStoreError."""

    def write(self, batch: Batch) -> None:
        """Store a batch whole or not at all."""

    def index(self, most: int) -> int:
        """Make up to `most` further messages findable by their words; return how many it were."""

    def prune(self, before: int, max_bytes: int | None, most: int) -> int:
        """Delete up to `most` messages that are finished and have changed last before that moment (microseconds).

        Then, where the journal is larger than `max_bytes`, the oldest finished ones. Return how many it were.
        """

    def set_aside(self) -> str:
        """Put what is broken where nobody minds it, and return its place; `open` makes a new journal."""

    def close(self) -> None:
        """End the connection; raises nothing."""
