"""The events of the journal as they come: one thread reads them for all who listen.

A listener first reads by itself what it has missed, as fast as it takes it, and joins the others when it has all that
they have. What waits for it then is bounded: a slow one is sent away and comes back with the last id that it has seen.
Everything here but the thread belongs to the loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from api.problems import MISTAKE, Problem
from core.events.base import write
from core.events.control import QuestionFailed
from core.texts import Text
from journal.reading import MOST, JournalReader
from journal.records import OccurrenceRecord
from journal.store import StoreError

READERS = 4  # at a time: two hundred may come at once, after a restart
ENDING = Text("the API is being stopped: resume a little later", "API останавливается: продолжите чуть позже")
SLOW = Text(
    "too many events wait for this client: resume after the last one that you have",
    "клиент не успевает за событиями: продолжите после последнего полученного",
)
_FULL = Text("too many streams are open", "открыто слишком много потоков")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the journal is read, how much a listener may leave waiting, and for how long; in seconds.

    `buffered` and `streams` are numbers. `last_word` is what a slow client has to take what was sent to it, `patience`
    what any has to take an event.
    """

    poll: float = 1.0
    keep_alive: float = 15.0
    buffered: int = 1000
    streams: int = 200
    last_word: float = 2.0
    patience: float = 60.0


@dataclass(frozen=True, slots=True)
class Told:
    """One event, encoded once for all who hear it."""

    id: int
    code: str
    frame: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """What comes behind an id. `after` is the id that is reached with it, a lower one where the journal is new."""

    told: Sequence[Told]
    after: int
    has_more: bool


class Listener:
    """One client. `after` is the id up to which it has heard everything; `code` chooses events, None: all."""

    def __init__(self, after: int, code: str | None, most: int) -> None:
        self.after = after
        self.code = code
        self.end: Text | None = None  # why it is sent away
        self.ended = asyncio.Event()
        self._most = most
        self._frames: deque[bytes] = deque()
        self._news = asyncio.Event()

    def wants(self, told: Told) -> bool:
        return self.code is None or self.code == told.code

    def hear(self, told: Told) -> None:
        if told.id > self.after:
            self.after = told.id
            if self.wants(told):
                self.put(told.frame)

    def put(self, frame: bytes) -> None:
        if self.end is not None:
            return
        if len(self._frames) >= self._most:
            self.send_away(SLOW)
            return
        self._frames.append(frame)
        self._news.set()

    def send_away(self, why: Text) -> None:
        """Forget what waits: it comes again, after the last id that the client has seen."""
        if self.end is None:
            self.end = why
            self._frames.clear()
            self._news.set()
            self.ended.set()

    async def next(self, patience: float) -> bytes | None:
        """Return the next frame; None when the listener is sent away. Raises TimeoutError."""
        async with asyncio.timeout(patience):
            while not self._frames and self.end is None:
                self._news.clear()
                await self._news.wait()
        return None if self.end is not None else self._frames.popleft()


class Streams:
    """All listeners of this process. `journal` gives the reader, or raises StoreError; `tell` encodes an event."""

    def __init__(
        self,
        journal: Callable[[], JournalReader],
        tell: Callable[[OccurrenceRecord], Told],
        tell_trouble: Callable[[Text], bytes],
        pace: Pace,
    ) -> None:
        self.pace = pace
        self._journal = journal
        self._tell = tell
        self._tell_trouble = tell_trouble
        self._all: set[Listener] = set()
        self._joined: set[Listener] = set()
        self._up_to = 0  # what the joined ones have heard
        self._reading: _Reading | None = None
        self._is_ending = False
        self.turns = asyncio.Semaphore(READERS)  # of listeners that read by themselves

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, after: int, code: str | None) -> Listener:
        listener = Listener(after, code, self.pace.buffered)
        self._all.add(listener)
        if self._is_ending:
            listener.send_away(ENDING)
        return listener

    def refuse_too_many(self) -> None:
        """Raises Problem when nobody more may come."""
        if len(self._all) >= self.pace.streams:
            raise Problem(503, "too-many-streams", _FULL, retry_after=int(self.pace.keep_alive) + 1)

    def leave(self, listener: Listener) -> None:
        """The last one stops the thread."""
        self._all.discard(listener)
        self._joined.discard(listener)
        if not self._joined and self._reading is not None:
            self._reading.stop.set()
            self._reading = None

    def end(self) -> None:
        """Send all away, and whoever still comes."""
        self._is_ending = True
        for listener in list(self._all):
            listener.send_away(ENDING)

    def start_of(self, after: int | None) -> int:
        """Return the id after which a client begins: the latest where it names none. Raises StoreError.

        A journal that ends before that id is another one, which was begun anew: all of it is news.
        """
        last = self._journal().last_occurrence()
        if after is None:
            return last
        return after if after <= last else 0

    def page(self, after: int) -> Page:
        """Return the next events behind an id. Raises StoreError."""
        told = [self._tell(each) for each in self._journal().occurrences_after(after)]
        if told:
            return Page(told, told[-1].id, len(told) >= MOST)
        start = self.start_of(after)
        return Page((), start, start != after)

    def trouble(self, error: StoreError) -> bytes:
        return self._tell_trouble(error.text)

    def join(self, listener: Listener) -> bool:
        """Let it hear what comes; return False where the others have heard more than it."""
        if listener.end is not None:
            return True
        if self._reading is None:
            self._up_to = listener.after
            self._reading = _Reading(self, asyncio.get_running_loop(), listener.after)
            self._reading.start()
        if listener.after < self._up_to:
            return False
        self._joined.add(listener)
        return True

    # -- called by the thread, in the loop

    def on_events(self, reading: _Reading, told: Sequence[Told]) -> None:
        if reading is self._reading:
            self._up_to = told[-1].id
            for listener in self._joined:
                for each in told:
                    listener.hear(each)

    def on_new_journal(self, reading: _Reading) -> None:
        if reading is self._reading:
            self._up_to = 0
            for listener in self._joined:
                listener.after = 0

    def on_trouble(self, reading: _Reading, error: StoreError) -> None:
        if reading is self._reading:
            frame = self.trouble(error)
            for listener in self._joined:
                listener.put(frame)

    def on_mistake(self, reading: _Reading) -> None:
        if reading is self._reading:
            self._reading = None
            for listener in self._joined:
                listener.send_away(MISTAKE)


class _Reading(threading.Thread):
    """Reads on behind an id until it is stopped. Trouble is told once, until the journal can be read again."""

    def __init__(self, streams: Streams, loop: asyncio.AbstractEventLoop, after: int) -> None:
        super().__init__(name="event-streams", daemon=True)
        self.stop = threading.Event()
        self._streams = streams
        self._loop = loop
        self._after = after
        self._is_troubled = False

    def run(self) -> None:
        while not self.stop.wait(self._streams.pace.poll):
            try:
                self._read()
                self._is_troubled = False
            except StoreError as error:
                if not self._is_troubled:
                    self._is_troubled = True
                    self._call(self._streams.on_trouble, error)
            # The border of the thread: listeners that nobody speaks to any more would wait for ever.
            except Exception as error:  # noqa: BLE001
                write(QuestionFailed(error))
                self._call(self._streams.on_mistake)
                return

    def _read(self) -> None:
        has_more = True
        while has_more and not self.stop.is_set():
            page = self._streams.page(self._after)
            if page.told:
                self._call(self._streams.on_events, page.told)
            elif page.after != self._after:
                self._call(self._streams.on_new_journal)
            self._after, has_more = page.after, page.has_more

    def _call(self, function: Callable[..., None], *told: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function, self, *told)
