"""Sends messages to one queue without waiting for any other.

A queue that takes nothing at the moment holds up its own messages only: one that is missing and may not be created, one
that is full, one that gives no answer. It is tried again with growing pauses: ensured, then with one message, then
with twice as many, and so on until nothing waits for it.

Each has a channel of its own, because RabbitMQ's channel stands still while the leader of a quorum queue does not
answer to the first message for it, and with it what is meant for all other queues (measured with pika alone on 3.10.8
and 4.3.6).

What a wait queue has not taken for a minute goes into the next longer one instead: it does not matter which of them,
and what it comes from would fill the prefetch of its input queue. For any other queue people are alerted.

RabbitMQ cannot use a quorum queue any more whose node was killed within a second of its creation: it refuses each
message after a minute (65 s on 3.10.8 and 4.0.5). One that we have created, that we have not seen after it had grown
old, and that refuses a message after the connection was lost, is made anew when nothing is in it. No other may be:
RabbitMQ says of any quorum queue without a leader that nothing is in it, and deletes it with what there is (findings/).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from broker.backoff import Backoff
from broker.connection_thread import ConnectionThread
from broker.declarations import Declared
from broker.publishing_channel import Publication, PublishingChannel
from core.events.base import EventStream
from core.events.publishing import NotStoredYet, PublishFailed, PublishFault, QueueBypassed, QueueReplaced
from core.texts import Text

# Unconfirmed publishes to one queue; bounds what is sent twice after a lost connection. RabbitMQ reads up to 400
# publishes ahead of a channel that stands still, and may have promised only the second half of them anew (credit_flow
# {400, 200}, measured on 3.10.8 and 4.3.6): what is sent beyond stops its reading of the connection, for all channels.
WINDOW = 200
PORTION = 100  # the most that is on trial for a queue
USELESS = 60.0  # seconds without taking a message after which a queue counts as broken
HOPE = 2.0  # seconds in which a queue that takes nothing is worth waiting for at the end

_REFUSED = Text("RabbitMQ refuses what is for it (is it full?)", "RabbitMQ не принимает сообщения в неё (переполнена?)")
_MISSING = Text("the queue does not exist", "очереди нет")
_NO_ANSWER = Text("RabbitMQ gives no answer about it", "RabbitMQ не отвечает, принял ли сообщения в неё")
_NO_CHANNEL = Text("RabbitMQ has opened no channel for it yet", "RabbitMQ ещё не открыл для неё канал")


class _Hold:
    """The state of a queue that takes nothing at the moment."""

    def __init__(self, longest: float) -> None:
        self.since = time.monotonic()
        self.backoff = Backoff(0.2, longest)
        self.portion = PORTION
        self.is_broken = False  # perhaps, and made anew if it is empty
        self.is_due = False  # a timer or a declaration leads on


class OutgoingQueue:
    """The messages on their way to one queue. I/O thread only, except for `expected`."""

    def __init__(
        self,
        name: str,
        thread: ConnectionThread,
        events: EventStream,
        *,
        is_blocked: Callable[[], bool],
        on_stored: Callable[[list[Publication]], None],
        detour: Callable[[list[Publication]], None] | None,
        longest: float,
        growth: float,
    ) -> None:
        """`is_blocked`: the connection takes no publishes. `longest`: seconds of the longest pause.

        `detour` takes what is for this queue to another one. `growth`: seconds that a quorum queue which had to be
        created is left alone.
        """
        self.name = name
        self._thread = thread
        self._events = events
        self._is_blocked = is_blocked
        self._tell_stored = on_stored
        self._detour = detour
        self._longest = longest
        self._growth = growth
        self._channel = PublishingChannel(name, thread, self, longest=longest)
        self._waiting: deque[Publication] = deque()
        self._refused: list[Publication] = []  # came back, in their order; older than what is waiting
        self._hold: _Hold | None = None
        self._is_young = False  # we have created it, and not seen it since
        self._is_orphan = False  # the same, and the connection on which it was created is gone
        self._failing_since: float | None = None  # it has taken nothing since, and something was tried
        self._oldest: Publication | None = None  # without an answer at the last look

    # -- any thread -----------------------------------------------------------------------------------------------

    def expected(self) -> int:
        """Return how many are not stored yet; none for a queue that has taken nothing for a while."""
        hold = self._hold
        if hold is not None and hold.since < time.monotonic() - HOPE:
            return 0
        return len(self._waiting) + len(self._refused) + len(self._channel)

    # -- I/O thread -----------------------------------------------------------------------------------------------

    @property
    def is_held(self) -> bool:
        """Whether the queue takes nothing at the moment."""
        return self._hold is not None

    @property
    def is_idle(self) -> bool:
        """Whether this object can be dropped: nothing would be lost, nor forgotten that has to be known."""
        is_in_order = self._failing_since is None and not self._is_young
        return is_in_order and not (self._waiting or len(self._channel) or self._hold)

    def connected(self, *, make_sure: bool) -> None:
        """Start on a new connection. `make_sure`: the queue is asked for before anything is sent to it."""
        self._is_orphan = self._is_young
        self._failing_since = None
        if make_sure:
            self._held().is_due = True
            self._declare()
            self._channel.open()
        else:
            self.flow()

    def disconnected(self) -> None:
        """Note that the connection is gone, its timers and declarations with it."""
        self._channel.forget()
        if self._hold is not None:
            self._hold.is_due = False

    def put(self, publication: Publication) -> None:
        """Add a publication, which `flow` sends."""
        self._waiting.append(publication)

    def flow(self) -> None:
        """Send what may be sent at the moment."""
        hold = self._hold
        if hold is None:
            room = WINDOW - len(self._channel)
        elif hold.is_due or len(self._channel):
            return
        else:
            room = hold.portion
            self._waiting.extendleft(reversed(self._refused))
            self._refused.clear()
            if not self._waiting:
                self._hold = None
                return
        if not self._channel.is_open:
            if self._waiting:
                self._channel.open()
            return
        if not self._is_blocked():
            for _ in range(min(room, len(self._waiting))):
                self._channel.send(self._waiting[0])
                self._waiting.popleft()  # not before: `expected` may be counting

    def look(self) -> None:
        """Find, now and then, that the queue has lost its majority: it neither takes nor refuses, and gets no more."""
        oldest = self._channel.oldest()
        reason = _NO_ANSWER
        if self._channel.is_opening and self._waiting:
            oldest, reason = self._waiting[0], _NO_CHANNEL
        stuck = oldest if oldest is self._oldest else None
        self._oldest = oldest
        if stuck is not None:
            self._held()
            self._failed(reason)
        if self._detour is None or not self._is_useless():
            return
        if not len(self._channel):  # its declaration or its channel is not answered
            if self._refused or self._waiting:
                self._try_elsewhere_or_later()
        elif stuck is not None and not stuck.is_doubted:
            self._channel.give_up()

    def close_channel(self) -> None:
        """Close the channel unless an answer of the broker is still to come on it.

        It is opened again when something can be sent.
        """
        if not len(self._channel):
            self._channel.close()

    def take_all(self) -> list[Publication]:
        """Return everything that is not stored, for good. After the end of the connection."""
        left = [*self._channel.take_all(), *self._refused, *self._waiting]
        self._refused.clear()
        self._waiting.clear()
        return left

    # -- what the channel tells

    def on_change(self) -> None:
        self.flow()

    def on_stored(self, publications: list[Publication]) -> None:
        self._is_young = self._is_orphan = False
        self._failing_since = None
        self._tell_stored(publications)
        hold = self._hold
        if hold is None or len(self._channel) or hold.is_due:
            return
        if self._refused:
            self._try_later()
        else:
            hold.backoff.reset()
            hold.portion = min(PORTION, 2 * hold.portion)

    def on_refused(self, publication: Publication) -> None:
        self._failed(_REFUSED)
        self._put_back(publication, "nacked")

    def on_returned(self, publication: Publication) -> None:
        # Nothing to worry about: it is created when it is needed. If that is not possible, it is told.
        self._failed(_MISSING)
        self._put_back(publication, "returned")

    def _put_back(self, publication: Publication, result: PublishFault) -> None:
        self._events.emit(PublishFailed(self.name, result))
        hold = self._held()
        self._refused.append(publication)
        hold.portion = 1
        hold.is_broken = self._is_orphan
        if not len(self._channel):
            self._try_elsewhere_or_later()

    def on_closed(self, unconfirmed: list[Publication]) -> None:
        self._oldest = None
        for _ in unconfirmed:
            self._events.emit(PublishFailed(self.name, "unconfirmed"))
        # They go out again, before everything newer.
        if self._hold is None:
            self._waiting.extendleft(reversed(unconfirmed))
        else:
            self._refused += unconfirmed
            self._hold.portion = 1
            self._try_elsewhere_or_later()

    # -- the queue

    def _held(self) -> _Hold:
        if self._hold is None:
            self._hold = _Hold(self._longest)
        return self._hold

    def _failed(self, reason: Text) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
        self._events.emit(NotStoredYet(self.name, reason, is_missing=reason is _MISSING))
        if self._is_useless():
            self._thread.tell_unusable(self.name, reason)

    def _is_useless(self) -> bool:
        return self._failing_since is not None and time.monotonic() - self._failing_since >= USELESS

    def _try_elsewhere_or_later(self) -> None:
        if self._detour is None or not self._is_useless() or not self._thread.is_open():
            self._try_later()
            return
        moved = [*self._refused, *self._waiting]
        self._refused.clear()
        self._waiting.clear()
        self._hold = None
        self._events.emit(QueueBypassed(self.name, len(moved)))
        self._detour(moved)

    def _try_later(self) -> None:
        hold = self._held()
        if not hold.is_due:
            hold.is_due = True
            self._thread.call_later(hold.backoff.delay(), self._declare)

    def _declare(self) -> None:
        hold = self._held()
        anew, hold.is_broken = hold.is_broken, False
        if anew:
            self._is_orphan = False  # once
            self._events.emit(QueueReplaced(self.name))
        self._thread.ensure_queue(self.name, self._on_declared, anew=anew)

    def _on_declared(self, declared: Declared) -> None:
        if declared is Declared.YOUNG:
            self._is_young = True
            self._thread.call_later(self._growth, self._declare)  # its answer tells that the node has lived so long
        elif declared is Declared.REFUSED:
            self._held().is_due = False
            self._failing_since = None  # told already, and a right or room that is missing is missing for others, too
            self._try_later()
        else:
            self._is_young = self._is_orphan
            self._held().is_due = False
            self.flow()
