"""What was sent into systems that cannot recognise a repetition (mail, messengers): a local SQLite file in STATE_DIR.

Before a send its intention is written, after it the result; both are on disk before anything else happens. After a
crash "sending" is what is left: it may have arrived. The file narrows the window for a second copy to that one case.
Deleting it loses no task; tasks that come again then may be sent once more. Workers of one machine share it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConfigurationError

KEPT = 60 * 24 * 3600.0  # seconds; a task that comes again later is somebody's deliberate replay
_PRUNE_EVERY = 24 * 3600.0  # seconds
_BUSY_TIMEOUT = 10.0  # seconds that another worker of this machine may hold the file
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sends (
    system TEXT NOT NULL, task_id TEXT NOT NULL, part TEXT NOT NULL,
    state TEXT NOT NULL, detail TEXT NOT NULL, tries INTEGER NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (system, task_id, part)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Send:
    """One part of one task: `state` is sending, sent or refused; `detail` the result or the reason."""

    state: str
    detail: str
    tries: int


class SendJournal:
    """The sends of one system. Usable from any thread. All methods raise ConfigurationError when the file is unusable:
    without it a repeated message would be sent again, so the system waits until a person has looked."""

    def __init__(self, folder: Path, system: str, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / "sends.sqlite"
        self._system = system
        self._clock = clock
        self._pruned = 0.0
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def parts(self, task_id: str) -> dict[str, Send]:
        """Everything that is known of a task, by part (a recipient, the number of a piece)."""
        with self._opened() as connection:
            rows = connection.execute(
                "SELECT part, state, detail, tries FROM sends WHERE system = ? AND task_id = ?",
                (self._system, task_id),
            ).fetchall()
        return {part: Send(state, detail, tries) for part, state, detail, tries in rows}

    def begin(self, task_id: str, part: str) -> None:
        """To be called before the send: from now on it may have happened."""
        with self._opened() as connection:
            if self._clock() - self._pruned > _PRUNE_EVERY:
                self._prune(connection)
            connection.execute(
                "INSERT INTO sends VALUES (?, ?, ?, 'sending', '', 1, ?) ON CONFLICT (system, task_id, part) "
                "DO UPDATE SET state = 'sending', tries = tries + 1, at = excluded.at",
                (self._system, task_id, part, self._clock()),
            )

    def sent(self, task_id: str, part: str, detail: str = "") -> None:
        self._settle(task_id, part, "sent", detail)

    def refused(self, task_id: str, part: str, detail: str) -> None:
        self._settle(task_id, part, "refused", detail)

    def forget(self, task_id: str, part: str) -> None:
        """The send certainly did not happen."""
        with self._opened() as connection:
            connection.execute(
                "DELETE FROM sends WHERE system = ? AND task_id = ? AND part = ?", (self._system, task_id, part)
            )

    def undo(self, task_id: str, part: str, before: Send | None) -> None:
        """The send that was begun certainly did not happen: the part is again what it was `before`."""
        if before is None:
            self.forget(task_id, part)
            return
        with self._opened() as connection:
            connection.execute(
                "UPDATE sends SET state = ?, detail = ?, tries = ? WHERE system = ? AND task_id = ? AND part = ?",
                (before.state, before.detail, before.tries, self._system, task_id, part),
            )

    def check(self) -> None:
        """Opens the file and writes to it."""
        with self._opened() as connection:
            self._prune(connection)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _prune(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM sends WHERE at < ?", (self._clock() - KEPT,))
        self._pruned = self._clock()

    def _settle(self, task_id: str, part: str, state: str, detail: str) -> None:
        with self._opened() as connection:
            connection.execute(
                "UPDATE sends SET state = ?, detail = ?, at = ? WHERE system = ? AND task_id = ? AND part = ?",
                (state, detail.encode("utf-8", "replace").decode(), self._clock(), self._system, task_id, part),
            )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open()
                with self._connection:
                    yield self._connection
            except (sqlite3.Error, OSError) as error:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                raise ConfigurationError(
                    f"the journal of sends {self._path} cannot be used: {error}; STATE_DIR must be a folder that the "
                    "worker may write to",
                    code="send_journal",
                ) from None

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(_SCHEMA)
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection
