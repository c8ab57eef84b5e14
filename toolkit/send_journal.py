"""Records what was sent into systems that cannot recognise a repetition (mail, messengers): a SQLite file in STATE_DIR.

The file is local. Before a send its intention is written, after it the result; both are on disk before anything else
happens. To begin, one must know the present state of the part: the write fails if it is another one by now, so of
several threads and workers one begins. "sending" names its worker: while that one lives the send is running; after its
death, or after an answer that never came, it may have happened. Nobody can say more: that is the window for a second
copy. Deleting the file loses no task; tasks that come again then may be sent once more. Workers of one machine share
it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import BusyError, ConfigurationError
from core.texts import Text
from toolkit.liveness import new_locked_file, owner_lives

KEPT = 60 * 24 * 3600.0  # seconds; a task that comes again later is somebody's deliberate replay
BUSY_WAIT = 5.0  # seconds until a message is looked at again whose send is running

_PRUNE_EVERY = 24 * 3600.0  # seconds
_BETWEEN_TRIES = 0.02  # seconds
_BUSY_TIMEOUT = 10.0  # seconds that another worker of this machine may hold the file
_OWNERS = ".sending"  # suffix of the files by which is known who lives
# `detail` of a row in state sending is its worker; an empty one has none: it was left in doubt, or written by a version
# that gave no names. (A column of its own would keep a worker of such a version, still running, from writing.)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sends (
    system TEXT NOT NULL, task_id TEXT NOT NULL, part TEXT NOT NULL,
    state TEXT NOT NULL, detail TEXT NOT NULL, tries INTEGER NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (system, task_id, part)
) WITHOUT ROWID
"""
_THE_PART = "system = ? AND task_id = ? AND part = ?"
_OURS = f"{_THE_PART} AND state = 'sending' AND detail = ?"

_Statement = tuple[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Send:
    """One part of one task: `state` is sending, sent or refused; `detail` the result or the reason.

    `is_running`: a worker that lives is at it. `at` is when the state was written, in unix seconds.
    """

    state: str
    detail: str
    tries: int
    is_running: bool = False
    owner: str = field(default="", compare=False)
    at: float = field(default=0.0, compare=False)

    @property
    def stored(self) -> str:
        return self.owner if self.state == "sending" else self.detail


class SendJournal:
    """The sends of one system.

    Usable from any thread. begin(), then one of sent(), refused(), undo(), and in any case leave().

    All methods raise ConfigurationError when the file is unusable: without it a repeated message would be sent again,
    so the system waits until a person has looked.
    """

    def __init__(self, folder: Path, system: str, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._path = folder / "sends.sqlite"
        self._system = system
        self._clock = clock
        self._pruned = 0.0
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._sign_of_life: tuple[Path, int] | None = None
        self._running: dict[tuple[str, str], str] = {}  # task and part -> our name, under which it was begun
        self._owed: list[_Statement] = []  # results that could not be written: they come before anything else

    def parts(self, task_id: str) -> dict[str, Send]:
        """Return everything that is known of a task, by part (a recipient, the number of a piece)."""
        with self._opened() as connection:
            rows = self._rows(connection, task_id)
            owners = {send.owner for send in rows.values() if send.owner}
            dead = {owner for owner in owners if not self._lives(owner)}
            if dead:  # whoever was dead before this look writes nothing more: what is sending now stays in doubt
                rows = self._rows(connection, task_id)
            return {part: self._judged(task_id, part, send, dead) for part, send in rows.items()}

    def begin(self, task_id: str, part: str, known: Send | None = None) -> None:
        """Note, before the send, that it may have happened from now on. `known` is what parts() said of the part.

        Raises BusyError when that is true no more: somebody else was quicker, and nothing may be sent now.
        """
        if known is not None and known.is_running:
            raise busy()
        with self._opened() as connection:
            if self._clock() - self._pruned > _PRUNE_EVERY:
                self._prune(connection)
            key, owner, now = (self._system, task_id, part), self._own_name(), self._clock()
            if known is None:
                written = connection.execute(
                    "INSERT INTO sends VALUES (?, ?, ?, 'sending', ?, 1, ?) ON CONFLICT DO NOTHING", (*key, owner, now)
                )
            else:
                written = connection.execute(
                    f"UPDATE sends SET state = 'sending', detail = ?, tries = tries + 1, at = ? WHERE {_THE_PART} "  # noqa: S608
                    "AND state = ? AND detail = ? AND tries = ?",
                    (owner, now, *key, known.state, known.stored, known.tries),
                )
            if written.rowcount != 1:
                raise busy()
            self._running[task_id, part] = owner

    def sent(self, task_id: str, part: str, detail: str = "") -> None:
        self._settle(task_id, part, "sent", detail)

    def refused(self, task_id: str, part: str, detail: str) -> None:
        self._settle(task_id, part, "refused", detail)

    def undo(self, task_id: str, part: str, before: Send | None) -> None:
        """Note that what was begun certainly did not happen: the part is again what it was `before`."""
        if before is None:
            self._end_own(task_id, part, "DELETE FROM sends", ())
        else:
            restored = (before.state, before.stored, before.tries)
            self._end_own(task_id, part, "UPDATE sends SET state = ?, detail = ?, tries = ?", restored)

    def leave(self, task_id: str, part: str) -> None:
        """Note that nobody is at it any more: if no end has been written, none is known."""
        self._end_own(task_id, part, "UPDATE sends SET detail = ''", ())

    def forget(self, task_id: str, part: str) -> None:
        """Remove a refusal that shall count no more."""
        with self._opened() as connection:
            connection.execute(
                f"DELETE FROM sends WHERE {_THE_PART} AND state = 'refused'",  # noqa: S608
                (self._system, task_id, part),
            )

    def last_sent(self, count: int) -> list[str]:
        """Return the parts that were sent last, the latest first."""
        with self._opened() as connection:
            rows = connection.execute(
                "SELECT part FROM sends WHERE system = ? AND state = 'sent' ORDER BY at DESC LIMIT ?",
                (self._system, count),
            )
            return [part for (part,) in rows]

    def check(self) -> None:
        """Open the file and write to it."""
        with self._opened() as connection:
            self._prune(connection)

    def close(self) -> None:
        """Close the file; what is running then counts as what a dead worker has left."""
        with self._lock:
            self._disconnect()
            if self._sign_of_life is not None:
                path, file = self._sign_of_life
                path.unlink(missing_ok=True)
                os.close(file)
                self._sign_of_life = None

    def _rows(self, connection: sqlite3.Connection, task_id: str) -> dict[str, Send]:
        rows = connection.execute(
            "SELECT part, state, detail, tries, at FROM sends WHERE system = ? AND task_id = ?",
            (self._system, task_id),
        ).fetchall()
        return {
            part: Send(state, "", tries, owner=stored, at=at)
            if state == "sending"
            else Send(state, stored, tries, at=at)
            for part, state, stored, tries, at in rows
        }

    def _judged(self, task_id: str, part: str, send: Send, dead: set[str]) -> Send:
        is_own = self._sign_of_life is not None and send.owner == self._sign_of_life[0].stem
        is_running = (task_id, part) in self._running if is_own else bool(send.owner) and send.owner not in dead
        return Send(send.state, send.detail, send.tries, is_running, send.owner, send.at)

    def _lives(self, owner: str) -> bool:
        is_own = self._sign_of_life is not None and owner == self._sign_of_life[0].stem
        return is_own or owner_lives(self._folder / f"{owner}{_OWNERS}")

    def _own_name(self) -> str:
        if self._sign_of_life is None:
            self._sign_of_life = new_locked_file(self._folder, _OWNERS)
        return self._sign_of_life[0].stem

    def _prune(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM sends WHERE at < ?", (self._clock() - KEPT,))
        for path in self._folder.glob(f"*{_OWNERS}"):
            self._lives(path.stem)  # removes the file of a dead one
        self._pruned = self._clock()

    def _settle(self, task_id: str, part: str, state: str, detail: str) -> None:
        told = (state, detail.encode("utf-8", "replace").decode(), self._clock())
        what = f"UPDATE sends SET state = ?, detail = ?, at = ? WHERE {_THE_PART}"  # noqa: S608
        self._end(task_id, part, what, (*told, self._system, task_id, part))

    def _end_own(self, task_id: str, part: str, what: str, values: tuple[object, ...]) -> None:
        """Write the end of a send. Does nothing to what was not begun, or has its end."""
        owner = self._running.get((task_id, part))
        if owner is not None:
            self._end(task_id, part, f"{what} WHERE {_OURS}", (*values, self._system, task_id, part, owner))

    def _end(self, task_id: str, part: str, what: str, values: tuple[object, ...]) -> None:
        self._running.pop((task_id, part), None)
        self._owed.append((what, values))
        with self._opened():
            pass  # what is owed is written

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open()
                with self._connection:
                    owed = list(self._owed)
                    for what, values in owed:
                        self._connection.execute(what, values)
                if owed:
                    del self._owed[: len(owed)]
                with self._connection:
                    yield self._connection
            except (sqlite3.Error, OSError) as error:
                self._disconnect()
                text = Text(
                    f"the journal of sends {self._path} cannot be used: {error}; STATE_DIR must be a folder that the "
                    "worker may write to",
                    f"журнал отправок {self._path} использовать нельзя: {error}; STATE_DIR должна указывать на папку, "
                    "в которую воркер может писать",
                )
                raise ConfigurationError(text, code="send_journal") from None

    def _open(self) -> sqlite3.Connection:
        """Open the file; two workers that are started together make it in turns.

        SQLite's own time-out does not count for the change to WAL, which fails at once while another one makes it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + _BUSY_TIMEOUT
        while True:
            try:
                return self._made()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_BETWEEN_TRIES)

    def _made(self) -> sqlite3.Connection:
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

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def busy() -> BusyError:
    """Return the error for a message whose send is running, in another thread or in another worker of this machine."""
    reason = Text("Another message of this task is being sent", "Другое сообщение этой задачи уже отправляется")
    return BusyError(reason, code="key_in_use", retry_after=BUSY_WAIT)
