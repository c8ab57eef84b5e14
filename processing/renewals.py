"""Gives input that has been returned a copy in its place, one only, however often it comes back meanwhile.

A connection that is lost again and again is lost between the copy and the ack, too. Then the message comes back beside
its copy, and would be copied again, and both once more: so it is remembered which messages have their copy, on its way
or stored. Each copy that we make has a mark of its own, so none is taken for what it was made of. Two with one mark are
one that was published again when its confirm was lost: one copy takes the place of both. Camunda's side has no such
marks: the same bytes may be two messages. Two that one channel has delivered are two, and get a copy each.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from broker.deliveries import Delivery
from core.messages import HEADER_COPY, OutgoingMessage
from processing.in_flight import InFlight

KEEP = 900.0  # seconds after which a message that comes back is more likely another one with the same content

_Instance = tuple[bytes, str | None]  # the body and our mark; without one, messages of the same body are alike

OnDone = Callable[[InFlight, Future[None]], None]
Publish = Callable[[OutgoingMessage, Callable[[Future[None]], None]], None]


@dataclass(slots=True, eq=False)
class _Copy:
    generation: int  # of the channel that has delivered its originals last
    originals: list[InFlight]  # as they were delivered last; none when the copy is stored and they are acked
    is_stored: bool = False


class Renewals:
    """The copies of one queue. Usable from any thread.

    `publish` puts a copy to the tail of the queue and calls back when the broker has confirmed it; `ack` does nothing
    for a delivery whose channel is gone.
    """

    def __init__(
        self, publish: Publish, ack: Callable[[Delivery], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._publish = publish
        self._ack = ack
        self._clock = clock
        self._copies: defaultdict[_Instance, list[_Copy]] = defaultdict(list)
        self._stored: deque[tuple[float, _Instance, _Copy]] = deque()  # when, the oldest first
        self._lock = threading.Lock()

    def renew(self, work: InFlight, reason: str, on_done: OnDone) -> None:
        """Replace a message by a copy.

        `on_done` is called when the copy is stored and its original acked, or when it cannot be stored.
        """
        instance, generation = _instance(work), work.delivery.generation
        is_ours = instance[1] is not None
        with self._lock:
            self._forget_old()
            copies = self._copies[instance]
            copy = next((each for each in copies if is_ours or each.generation != generation), None)
            is_new = copy is None
            if copy is None:
                copy = _Copy(generation, [])
                copies.append(copy)
            is_stored = copy.is_stored
            if copy.generation != generation:
                copy.originals.clear()  # their channel is gone
                copy.generation = generation
            if not is_stored:
                copy.originals.append(work)
        if is_new:
            self._publish(work.renewed(reason), partial(self._on_confirmed, instance, copy, on_done))
        elif is_stored:
            self._ack(work.delivery)

    def _on_confirmed(self, instance: _Instance, copy: _Copy, on_done: OnDone, confirmed: Future[None]) -> None:
        with self._lock:
            originals, copy.originals = copy.originals, []
            copy.is_stored = confirmed.exception() is None
            if copy.is_stored:
                self._stored.append((self._clock(), instance, copy))
            else:
                self._forget(instance, copy)
        if not originals:
            raise ValueError("a copy is confirmed once")
        for original in originals:
            if copy.is_stored:
                self._ack(original.delivery)
            on_done(original, confirmed)

    def _forget_old(self) -> None:
        while self._stored and self._clock() - self._stored[0][0] >= KEEP:
            _, instance, copy = self._stored.popleft()
            self._forget(instance, copy)

    def _forget(self, instance: _Instance, copy: _Copy) -> None:
        self._copies[instance].remove(copy)
        if not self._copies[instance]:
            del self._copies[instance]


def _instance(work: InFlight) -> _Instance:
    mark = (work.delivery.properties.headers or {}).get(HEADER_COPY)
    return work.fingerprint, None if mark is None else str(mark)
