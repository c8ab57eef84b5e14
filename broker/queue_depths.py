"""Knows how many messages and consumers each queue of the worker has, and how long the oldest message has waited.

A thread of its own asks RabbitMQ now and then (broker.queue_look); whoever wants to know reads what it has found last.
Nothing waits for it, and what it cannot find out is absent, never zero.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from broker.errors import BROKER_ERRORS, describe_in_both
from broker.nodes import Nodes, Parameters
from broker.queue_look import LIMIT, Counts, QueueLook
from broker.topology import Topology, wait_queue_name
from core.events.base import Event, EventStream
from core.events.messages import MessageReceived, RetryScheduled
from core.events.publishing import QueueBypassed
from core.events.queues import DepthsUnknown
from core.events.worker import Heartbeat
from core.texts import Text

POLL = 0.5  # seconds between looks at whether the worker stops, and at the start whether the queues are there
LEAD = 2.0  # seconds before the next heartbeat at which its figures are asked for

_NO_ANSWER = Text("RabbitMQ gives no answer about them", "RabbitMQ о них не отвечает")


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What RabbitMQ said of a queue `at` that time; times in unix seconds.

    `messages` are those that are ready to be delivered, in its shards as well, not those that a consumer holds.
    `oldest_since`: the first of them has come to the queue then or later; None: not known, or there is none.
    """

    messages: int
    consumers: int
    at: float
    oldest_since: float | None = None


class QueueDepths:
    """A sink of the event stream with a thread of its own. `latest` from any thread.

    Wait queues are asked for once the worker has used them, any other when it is to be watched. `interval` is that of
    the heartbeat, `limit` that of one look, in seconds.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        interval: float,
        is_ready: Callable[[], bool],
        stop: threading.Event,
        limit: float = LIMIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._nodes = Nodes.of(parameters)
        self._queues: tuple[str, ...] = ()
        self._aging: frozenset[str] = frozenset()
        self._interval = interval
        self._limit = limit
        self._is_ready = is_ready
        self._stop = stop
        self._clock = clock
        self._events = EventStream([])
        self._shards_of: Callable[[str], Iterable[str]] = lambda _queue: ()
        self._waits: dict[str, None] = {}  # wait queues that have been used
        self._taken: dict[str, float] = {}  # queue -> when the latest message that was taken from it had been sent
        self._latest: Mapping[str, QueueDepth] = {}
        self._due = 0.0  # when to look next
        self._thread: threading.Thread | None = None
        # The thread's own:
        self._empty_at: dict[str, float] = {}  # queue -> when it was seen without a ready message
        self._told: frozenset[str] | None = frozenset()  # that nothing is known of these; None: of all

    def watch(
        self,
        queues: Iterable[str],
        *,
        tracked: Iterable[str],
        shards_of: Callable[[str], Iterable[str]],
        events: EventStream,
    ) -> None:
        """Name the queues, before start(), and the stream that hears when nothing can be found out about them.

        `tracked` are those whose messages are all taken out now and then, and put back: how long one waits is unknown.
        `shards_of` names the queues that hold messages of another one, as long as there are any.
        """
        self._queues = tuple(queues)
        self._aging = frozenset(self._queues) - frozenset(tracked)
        self._shards_of = shards_of
        self._events = events

    def latest(self) -> Mapping[str, QueueDepth]:
        """Return what was found last, by queue; nothing of a queue of which nothing is known now."""
        return self._latest

    # -- any thread: the sink ---------------------------------------------------------------------------------------

    def wants(self, kind: type[Event]) -> bool:
        return kind in {MessageReceived, RetryScheduled, QueueBypassed, Heartbeat}

    def __call__(self, event: Event) -> None:
        match event:
            case MessageReceived():
                sent_at, queue = event.sent_at, event.identity.queue
                if sent_at is not None and sent_at > self._taken.get(queue, 0.0):
                    self._taken[queue] = sent_at
            case RetryScheduled():
                self._waits[wait_queue_name(event.identity.queue, event.delay)] = None
            case QueueBypassed():
                other = Topology.detour(event.queue)
                if other is not None and other not in self._queues:
                    self._waits[other] = None
            case Heartbeat():
                self._due = time.monotonic() + self._interval - min(LEAD, self._interval / 2)

    # -- the thread -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="queue-depths", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def finish(self, timeout: float) -> bool:
        """Wait for the end of the thread, after `stop` is set; return False when it takes longer than `timeout`."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.is_alive()

    def _run(self) -> None:
        # Not before the worker has created what is missing: RabbitMQ logs an error for each queue that is not there.
        patience = time.monotonic() + self._interval
        while not self._is_ready() and time.monotonic() < patience and not self._stop.wait(POLL):
            pass
        while not self._stop.is_set():
            self._due = time.monotonic() + self._interval
            self._look()
            while (left := self._due - time.monotonic()) > 0 and not self._stop.wait(min(left, POLL)):
                pass

    def _look(self) -> None:
        asked = {queue: (queue, *self._shards_of(queue)) for queue in (*self._queues, *self._waits)}
        try:
            names = (name for parts in asked.values() for name in parts)
            look = QueueLook(self._nodes, names, is_stopping=self._stop.is_set, limit=self._limit)
            look.run()
        except BROKER_ERRORS as error:
            if not self._stop.is_set():
                self._latest = {}
                self._tell_unknown(None, describe_in_both(error))
            return
        if self._stop.is_set():
            return
        now = self._clock()
        answered = {queue: parts for queue, parts in asked.items() if look.found.keys() >= set(parts)}
        found = {queue: _whole([look.found[name] for name in parts]) for queue, parts in answered.items()}
        self._latest = {queue: self._depth(queue, each, now) for queue, each in found.items() if each is not None}
        for queue, each in found.items():
            if each is None:
                self._waits.pop(queue, None)  # until it is used, and so created, again
        self._tell_unknown(frozenset(asked.keys() - answered.keys()), _NO_ANSWER)

    def _depth(self, queue: str, counts: Counts, now: float) -> QueueDepth:
        if not counts.messages:
            self._empty_at[queue] = now
            return QueueDepth(*counts, now)
        # A queue is first in, first out: what is in it was not there when it was empty, and came after what was taken.
        known = [at for at in (self._empty_at.get(queue), self._taken.get(queue)) if at is not None]
        oldest = min(now, max(known)) if known and queue in self._aging else None
        return QueueDepth(*counts, now, oldest)

    def _tell_unknown(self, queues: frozenset[str] | None, reason: Text) -> None:
        is_news = self._told is not None if queues is None else bool(queues - (self._told or frozenset()))
        self._told = queues
        if is_news:
            self._events.emit(DepthsUnknown(sorted(queues or ()), reason))


def _whole(counts: Sequence[Counts | None]) -> Counts | None:
    """Return the counts of a queue and its shards, which come after it; None where there is no such queue."""
    own, *_ = counts
    return None if own is None else Counts(sum(each.messages for each in counts if each is not None), own.consumers)
