"""What waits for queues that take nothing at the moment, each queue by itself: one that is missing and may not be
created, one that is full, one that gives no answer. All others flow.

A queue is tried again with growing pauses: made sure of, then with one message, then with twice as many, and so on
until nothing waits for it.

RabbitMQ cannot use a quorum queue any more whose node was killed within a second of its creation: it refuses each
message after a minute (65 s on 3.10.8 and 4.0.5). One that we have created, that has never taken a message of ours, and
that refuses one after the connection was lost, is made anew when nothing is in it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Generic, Protocol, TypeVar

from runtime.amqp import Backoff
from runtime.amqp_thread import ConnectionThread
from runtime.declarations import Declared

log = logging.getLogger(__name__)

PORTION = 100  # the most that is on trial for one queue
HOPE = 2.0  # seconds in which a queue that takes nothing is worth waiting for at the end


class Addressed(Protocol):
    @property
    def queue(self) -> str: ...


_Item = TypeVar("_Item", bound=Addressed)


class _Held(Generic[_Item]):
    def __init__(self, longest: float) -> None:
        self.since = time.monotonic()
        self.backoff = Backoff(0.2, longest)
        self.waiting: deque[_Item] = deque()
        self.refused: list[_Item] = []  # came back, in their order; older than what is waiting
        self.on_trial = 0  # sent, and neither stored nor refused yet
        self.portion = PORTION
        self.is_broken = False  # perhaps, and made anew if it is empty
        self.is_due = False  # a timer or a declaration leads on

    def __len__(self) -> int:
        return len(self.waiting) + len(self.refused)


class HeldQueues(Generic[_Item]):
    """I/O thread only, but for `hopeful`. `send` sends one item; `can_send` is False while none can be sent."""

    def __init__(
        self,
        thread: ConnectionThread,
        *,
        send: Callable[[_Item], None],
        can_send: Callable[[], bool],
        longest: float,
        growth: float,
    ) -> None:
        """`growth`: seconds that a quorum queue which had to be created is left alone."""
        self._growth = growth
        self._thread = thread
        self._send = send
        self._can_send = can_send
        self._longest = longest
        self.by_name: dict[str, _Held[_Item]] = {}
        self.unproven: set[str] = set()  # queues that we have created, and that have taken nothing since
        self._orphans: set[str] = set()  # those of an earlier connection
        self.aside = 0  # what is on trial: it takes nobody's place among the unconfirmed

    def hopeful(self) -> int:
        """How many wait for a queue that stopped to take them a moment ago. From any thread."""
        newest = time.monotonic() - HOPE
        held_queues = list(self.by_name.values())
        return sum(len(held) + held.on_trial for held in held_queues if held.since > newest)

    def connected(self, queues: Iterable[str]) -> None:
        """On a new connection: makes sure of those queues, and of all that something waits for."""
        self._orphans = set(self.unproven)
        for queue in dict.fromkeys([*queues, *self.by_name]):
            held = self._held(queue)
            held.is_due = True
            self._declare(queue)

    def disconnected(self) -> None:
        """The channel is gone, and with it what was on trial: the owner gives that to `came_back`."""
        self.aside = 0
        for queue, held in self.by_name.items():
            held.on_trial = 0
            held.portion = 1
            self._try_later(queue, held)

    def hold(self, item: _Item) -> None:
        """Behind what waits already; `item.queue` is one of `by_name`."""
        self.by_name[item.queue].waiting.append(item)

    def came_back(self, item: _Item) -> None:
        """Its fate is unknown; `item.queue` is one of `by_name`."""
        self.by_name[item.queue].refused.append(item)

    def refused(self, item: _Item) -> None:
        """The broker has not taken it."""
        held = self._held(item.queue)
        held.refused.append(item)
        held.portion = 1
        held.is_broken = item.queue in self._orphans
        self._one_less_on_trial(held)
        if not held.on_trial:
            self._try_later(item.queue, held)

    def stored(self, queue: str) -> None:
        """The broker has taken an item; `queue` is one of `by_name`."""
        held = self.by_name[queue]
        self._one_less_on_trial(held)
        if held.on_trial or held.is_due:
            return
        if held.refused:
            self._try_later(queue, held)
        else:
            held.backoff.reset()
            held.portion = min(PORTION, 2 * held.portion)
            self._release(queue, held)

    def proved(self, queue: str) -> None:
        """It has taken a message."""
        self.unproven.discard(queue)
        self._orphans.discard(queue)

    def silent(self, queue: str, count: int) -> None:
        """For so many items the broker says nothing: no more are sent to that queue until it does."""
        held = self._held(queue)
        self.aside += max(0, count - held.on_trial)
        held.on_trial = max(held.on_trial, count)

    def take_all(self) -> dict[str, list[_Item]]:
        """Everything that waits, for good."""
        left = {queue: [*held.refused, *held.waiting] for queue, held in self.by_name.items() if len(held)}
        self.by_name.clear()
        return left

    def _held(self, queue: str) -> _Held[_Item]:
        if queue not in self.by_name:
            self.by_name[queue] = _Held(self._longest)
        return self.by_name[queue]

    def _one_less_on_trial(self, held: _Held[_Item]) -> None:
        if held.on_trial:
            held.on_trial -= 1
            self.aside -= 1

    def _try_later(self, queue: str, held: _Held[_Item]) -> None:
        if not held.is_due:
            held.is_due = True
            self._thread.call_later(held.backoff.delay(), partial(self._declare, queue))

    def _declare(self, queue: str) -> None:
        held = self.by_name[queue]
        anew, held.is_broken = held.is_broken, False
        if anew:
            self._orphans.discard(queue)  # once
            extra = {"event": "queue.replaced", "queue": queue}
            log.warning("%s has never taken a message: it is made anew if it is empty", queue, extra=extra)
        self._thread.ensure_queue(queue, partial(self._on_declared, queue), anew=anew)

    def _on_declared(self, queue: str, declared: Declared) -> None:
        if declared is Declared.YOUNG:
            self.unproven.add(queue)
            self._thread.call_later(self._growth, partial(self._on_usable, queue))
        elif declared is Declared.REFUSED:
            held = self.by_name[queue]
            held.is_due = False
            self._try_later(queue, held)
        else:
            self._on_usable(queue)

    def _on_usable(self, queue: str) -> None:
        held = self.by_name[queue]
        held.is_due = False
        if not held.on_trial:
            self._release(queue, held)

    def _release(self, queue: str, held: _Held[_Item]) -> None:
        held.waiting.extendleft(reversed(held.refused))
        held.refused.clear()
        if not held.waiting:
            del self.by_name[queue]
        elif not self._can_send():
            self._try_later(queue, held)
        else:
            held.on_trial = min(held.portion, len(held.waiting))
            self.aside += held.on_trial
            for _ in range(held.on_trial):
                self._send(held.waiting.popleft())
