"""Input that has been returned gets a copy in its place, one only, however often it comes back meanwhile.

A connection that is lost again and again is lost between the copy and the ack, too. Then the message comes back beside
its copy, and would be copied again, and both once more: so it is remembered which messages have their copy, on its way
or stored. Each copy that we make has a mark of its own, so none is taken for what it was made of.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from core.messages import HEADER_COPY, OutgoingMessage
from rabbitmq_consumer import Delivery
from runtime.work import Work

KEEP = 900.0  # seconds after which a message that comes back is more likely another one with the same content

_Instance = tuple[bytes, str]  # the body and our mark; without one, messages of the same body are as good as each other

OnDone = Callable[[Work, Future[None]], None]
Publish = Callable[[OutgoingMessage, Callable[[Future[None]], None]], None]


@dataclass(slots=True)
class _Copy:
    original: Work | None  # as it was delivered last; None when the copy is stored and it is acked
    stored_at: float | None = None


class Renewals:
    """Of one queue. Usable from any thread.

    `publish` puts a copy to the tail of the queue and calls back when the broker has confirmed it; `ack` does nothing
    for a delivery whose channel is gone.
    """

    def __init__(
        self, publish: Publish, ack: Callable[[Delivery], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._publish = publish
        self._ack = ack
        self._clock = clock
        self._copies: OrderedDict[_Instance, _Copy] = OrderedDict()
        self._lock = threading.Lock()

    def renew(self, work: Work, reason: str, on_done: OnDone) -> None:
        """`on_done` is called when the copy is stored and its original acked, or when it cannot be stored."""
        instance = _instance(work)
        with self._lock:
            self._forget_old()
            copy = self._copies.get(instance)
            if copy is None:
                self._copies[instance] = _Copy(work)
            elif copy.stored_at is None:
                copy.original = work
        if copy is None:
            self._publish(work.renewed(reason), partial(self._on_confirmed, instance, on_done))
        elif copy.stored_at is not None:
            self._ack(work.delivery)

    def _on_confirmed(self, instance: _Instance, on_done: OnDone, confirmed: Future[None]) -> None:
        with self._lock:
            original = self._copies.pop(instance).original
            if confirmed.exception() is None:
                self._copies[instance] = _Copy(None, self._clock())  # the oldest of those that are stored comes first
        if original is None:
            raise ValueError("a copy is confirmed once")
        if confirmed.exception() is None:
            self._ack(original.delivery)
        on_done(original, confirmed)

    def _forget_old(self) -> None:
        now = self._clock()
        while self._copies:
            instance, oldest = next(iter(self._copies.items()))
            if oldest.stored_at is None or now - oldest.stored_at < KEEP:
                break
            del self._copies[instance]


def _instance(work: Work) -> _Instance:
    mark = (work.delivery.properties.headers or {}).get(HEADER_COPY)
    return work.fingerprint, str(mark)
