"""Alerts people from a thread of its own: notes events, logs each alert, sends what is due as one message.

A channel that fails is tried again later; what it could not send is kept up to a bound. Alerting never disturbs the
work: the sink only makes a note.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.alerts import Alert, AlertBook
from core.errors import OutcomeError, PermanentError, StoppingError
from core.events.alerts import AlertRaised, AlertsDropped, AlertsSent, AlertsUnsent, Way
from core.events.base import Event, EventStream, Log
from core.events.connections import ConnectionUnstable
from core.events.messages import MessageParked, MessageRerouted, PartDown
from core.events.queues import QueueUnusable
from core.events.systems import Swept
from core.texts import Language, Text

POLL = 1.0  # seconds between looks at what is due
GATHER = 5.0  # seconds that a first alert waits for others, so that one cause makes one message
KEPT = 100  # alerts that a channel may be behind; the oldest are dropped, with a line in the log
FIRST_PAUSE = 15.0  # seconds between two tries of a channel that fails; doubled up to the longest
LONGEST_PAUSE = 900.0

_OF_INTEREST = frozenset({ConnectionUnstable, MessageParked, MessageRerouted, PartDown, QueueUnusable, Swept})
_GOOD_NEWS = ("up", "fresh")
_MANY = Text("{name}: {count} alerts", "{name}: уведомлений: {count}")


class Channel(Protocol):
    """A way to one person or chat; `way` is its kind. `send` raises an OutcomeError when it did not get through."""

    @property
    def name(self) -> str: ...

    @property
    def way(self) -> Way: ...

    def send(self, subject: str, text: str) -> None: ...


@dataclass(slots=True)
class _Outbox:
    channel: Channel
    pause: float
    waiting: deque[Alert] = field(default_factory=deque)
    next_try: float = 0.0


class Alerting:
    """A sink of the event stream with a thread of its own."""

    def __init__(
        self,
        book: AlertBook,
        channels: Sequence[Channel],
        *,
        name: str,
        language: Language,
        stop: threading.Event,
        gather: float = GATHER,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._book = book
        self._outboxes = [_Outbox(channel, first_pause) for channel in channels]
        self._name = name
        self._language = language
        self._stop = stop
        self._gather = gather
        self._first_pause = first_pause
        self._lock = threading.Lock()  # of the book
        self._events = EventStream([Log()])
        self._thread: threading.Thread | None = None

    def tell(self, events: EventStream) -> None:
        """Name the stream that hears of the alerts themselves."""
        self._events = events

    def watch(self, trackers: Iterable[str]) -> None:
        """Name the systems that are tracked, so that a tracker that never gets through is missed, too."""
        with self._lock:
            self._book.watch(trackers, time.monotonic())

    def wants(self, kind: type[Event]) -> bool:
        return kind in _OF_INTEREST

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._book.note(event, time.monotonic())

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="alerting", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.wait(POLL):
            self._raise_due()
            for outbox in self._outboxes:
                if outbox.waiting and time.monotonic() >= outbox.next_try:
                    self._send(outbox)
        self._raise_due()
        for outbox in self._outboxes:  # its last words, as far as there is time for them
            if outbox.waiting:
                self._send(outbox)

    def _raise_due(self) -> None:
        with self._lock:
            due = self._book.due(time.monotonic())
        for alert in due:
            self._raise(alert)

    def _raise(self, alert: Alert) -> None:
        self._events.emit(AlertRaised(alert.system, alert.kind, alert.text, is_good=alert.kind in _GOOD_NEWS))
        for outbox in self._outboxes:
            if not outbox.waiting:
                outbox.next_try = max(outbox.next_try, time.monotonic() + self._gather)
            outbox.waiting.append(alert)
            if len(outbox.waiting) > KEPT:
                outbox.waiting.popleft()
                text = f"{outbox.channel.name} is too far behind: an alert is dropped"
                self._events.emit(AlertsDropped(text, outbox.channel.way, 1))

    def _send(self, outbox: _Outbox) -> None:
        alerts, channel = list(outbox.waiting), outbox.channel
        texts = [alert.text.say(self._language) for alert in alerts]
        subject = f"{self._name}: {texts[0]}"
        if len(texts) > 1:
            subject = _MANY.say(self._language).format(name=self._name, count=len(texts))
        try:
            channel.send(subject[:200], "\n\n".join([self._name, *texts]))
        except PermanentError as error:  # a wrong address stays wrong
            text = f"{len(alerts)} alerts cannot be sent by {channel.name}: {error}"
            self._events.emit(AlertsDropped(text, channel.way, len(alerts), error.code))
        except OutcomeError as error:
            outbox.next_try = time.monotonic() + outbox.pause
            outbox.pause = min(2 * outbox.pause, LONGEST_PAUSE)
            self._events.emit(AlertsUnsent(channel.name, str(error), error.code, channel.way, len(alerts)))
            return
        except StoppingError:
            return
        # One of the borders: a message that a channel cannot take must not end all telling.
        except Exception as error:  # noqa: BLE001
            text = f"alerts cannot be sent by {channel.name}"
            self._events.emit(AlertsDropped(text, channel.way, len(alerts), mistake=error))
        else:
            self._events.emit(AlertsSent(channel.way, len(alerts)))
        for _ in alerts:
            outbox.waiting.popleft()
        outbox.pause, outbox.next_try = self._first_pause, 0.0
