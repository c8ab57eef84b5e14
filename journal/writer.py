"""Writes the journal off the path of the messages: a sink that only makes a note, and a thread that stores the notes.

Whatever is wrong with the store – locked, full, damaged, deleted, of a later version – the messages never notice. Notes
are kept up to a bound meanwhile, and what had to be left out is counted and told.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from broker.backoff import Backoff
from core.events.base import Event, EventStream
from core.events.journal import JournalGap, JournalReplaced, JournalUnusable
from core.repeats import REPEAT_INTERVAL, Repeats
from journal.entries import MICROSECONDS, Batch, wants
from journal.store import BrokenStoreError, Store, StoreError

LINGER = 1.0  # seconds that a first note waits for others, so that one transaction serves many messages
BATCH = 4000  # notes in one transaction; as many end the wait
KEPT = 20_000  # notes that wait for a store that cannot be used: some 10 MB
FIRST_PAUSE = 1.0  # seconds between two tries of a store that cannot be used; doubled up to the longest
LONGEST_PAUSE = 30.0
INDEX_AT = 10_000  # messages that are made findable in one transaction: the more at once, the less each costs
IDLE = 5.0  # seconds without a note after which the rest is made findable; what is too old is deleted as often
PRUNED = 500  # messages that are deleted in one transaction
SOUND = 60.0  # seconds that a new journal must have lasted before it is put aside as well
TIDYING = 1.0  # seconds that deleting may take at a time
GLANCE = 0.1  # seconds between looks at how many notes there are

_Note = tuple[float, Event]  # unix seconds


class Journal:
    """A sink of the event stream with a thread of its own.

    `keep` in seconds and `max_bytes` say when finished messages are deleted; None: never.
    """

    def __init__(
        self,
        store: Store,
        *,
        mask: Callable[[str], str],
        keep: float | None = None,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._store = store
        self._mask = mask
        self._keep = keep
        self._max_bytes = max_bytes
        self._clock = clock
        self._pauses = Backoff(first_pause, LONGEST_PAUSE)
        self._events = EventStream([])
        self._notes: deque[_Note] = deque()
        self._left_out = 0
        self.errors = 0  # tries that the store has failed
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        # The thread's own:
        self._taken: list[_Note] = []  # out of the notes, and not stored yet
        self._latest = 0.0  # when the latest of these came
        self._repeats = Repeats(REPEAT_INTERVAL)
        self._is_open = False
        self._is_unusable = False
        self._unindexed = INDEX_AT  # what an earlier process has left
        self._tidied = 0.0
        self._replaced: float | None = None

    def tell(self, events: EventStream) -> None:
        """Name the stream that hears of the journal itself."""
        self._events = events

    def wants(self, kind: type[Event]) -> bool:
        return wants(kind)

    def __call__(self, event: Event) -> None:
        notes = self._notes
        notes.append((self._clock(), event))
        if len(notes) > KEPT:
            with suppress(IndexError):  # the thread was faster
                notes.popleft()
                self._left_out += 1
        if not self._wake.is_set():
            self._wake.set()

    def size(self) -> int | None:
        """Return the bytes that the journal takes on the disk; None where only its server knows."""
        return self._store.size()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def finish(self, timeout: float) -> bool:
        """Store what has been noted and end; return False when that takes longer than `timeout` seconds."""
        self._ending.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.is_alive()

    # -- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                if self._wake.wait(IDLE):
                    self._gather()
                    self._attempt(self._store_notes)
                else:
                    self._attempt(self._tidy)
            self._attempt(self._store_notes)
        finally:
            self._store.close()
            self._is_open = False

    def _gather(self) -> None:
        deadline = time.monotonic() + LINGER
        while len(self._notes) < BATCH and time.monotonic() < deadline and not self._ending.wait(GLANCE):
            pass

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            self._ensure_open()
            work()
        except BrokenStoreError as error:
            self.errors += 1
            self._replace(error)
        except StoreError as error:
            self.errors += 1
            self._put_off(error)
        else:
            self._is_unusable = False
            self._pauses.reset()
            if self._left_out:
                left_out, self._left_out = self._left_out, 0
                self._events.emit(JournalGap(left_out))

    def _ensure_open(self) -> None:
        if self._is_open and not self._store.is_there():
            self._is_open = False
            self._events.emit(JournalReplaced(self._store.place, None))
        if not self._is_open:
            self._store.open()
            self._is_open = True
            self._unindexed = INDEX_AT

    def _replace(self, error: BrokenStoreError) -> None:
        self._is_open = False
        if self._replaced is not None and time.monotonic() - self._replaced < SOUND:
            self._put_off(error)  # what breaks a new one again would fill the disk with broken ones
            return
        self._replaced = time.monotonic()
        try:
            aside = self._store.set_aside()
        except StoreError:
            self._put_off(error)
            return
        self._events.emit(JournalReplaced(self._store.place, aside))
        self._wake.set()

    def _put_off(self, error: StoreError) -> None:
        if not self._is_unusable:
            self._is_unusable = True
            self._events.emit(JournalUnusable(self._store.place, error.text))
        self._is_open = False
        self._wake.set()
        self._ending.wait(self._pauses.delay())

    def _store_notes(self) -> None:
        self._wake.clear()
        while self._notes or self._taken:
            self._take_notes()
            batch = self._batch()
            self._store.write(batch)
            self._taken.clear()
            self._unindexed += len(batch.messages)
            if self._unindexed >= INDEX_AT:
                self._index()
        if time.monotonic() - self._tidied > IDLE:
            self._prune()

    def _batch(self) -> Batch:
        batch = Batch()
        try:
            for at, event in self._taken:
                batch.add(at, event)
            batch.hide(self._mask)
        except Exception:  # a mistake in this program, which would come again with these notes
            self._left_out += len(self._taken)
            self._taken.clear()
            raise
        return batch

    def _take_notes(self) -> None:
        take, taken, latest = self._notes.popleft, self._taken, self._latest
        with suppress(IndexError):  # no more
            while len(taken) < BATCH:
                at, event = take()
                # What came later is later, also in the same microsecond and when somebody has set the clock back: else
                # the journal would take it for old news.
                latest += 2e-6
                latest = max(latest, at)
                key = event.throttle()
                if key is None or self._repeats.admit(key, latest) is not None:
                    taken.append((latest, event))
        self._latest = latest

    def _tidy(self) -> None:
        if self._unindexed:
            self._index()
        self._prune()

    def _index(self) -> None:
        while self._store.index(INDEX_AT) == INDEX_AT:
            pass
        self._unindexed = 0

    def _prune(self) -> None:
        self._tidied = time.monotonic()
        self._store.check()
        before = int((self._clock() - self._keep) * MICROSECONDS) if self._keep is not None else 0
        while self._store.prune(before, self._max_bytes, PRUNED) == PRUNED:
            if time.monotonic() - self._tidied > TIDYING:
                return
