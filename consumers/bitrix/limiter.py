"""Keeps the daemon inside the portal's limits, so that they are met as a wait and not as an error.

Two limits (limits.md): a leaky bucket of requests per portal and source address, and the accumulated running time
of each method over ten minutes, which every answer reports as `operating` in its `time`.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from consumers.bitrix.batch import number_of
from consumers.bitrix.config import BitrixSettings
from consumers.bitrix.errors import OPERATION_TIME_LIMIT
from core.errors import OutageError, StoppingError
from core.texts import Text

_GATE_SHARE = 0.8  # of the limit: the call that exceeds it is still executed, the next one is blocked
_SHORT_WAIT = 5.0  # seconds that are waited here; longer ones are an outage of the method
_BLIND_WAIT = 60.0  # seconds until the next bucket of a minute is dropped, when the portal told no time
_WHOLE_SECONDS = 1.0  # the portal tells the time of a reset without its fraction; too early costs a blind wait
_SPARE = 0.1  # of the bucket: the portal counts a request when it arrives, which is later or sooner than we think
_SLOWEST = 0.05  # share of the configured rate that is never undercut
_RECOVERY = 0.02  # share of the configured rate won back by each accepted request


class Limiter:
    """The limits of one portal, shared by all threads. Times are in seconds of `clock` (monotonic)."""

    def __init__(
        self,
        rate: float,
        burst: int,
        operating_limit: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate_limit = self._rate = rate
        self._places = burst - round(burst * _SPARE)
        self._operating_limit = operating_limit
        self._clock = clock
        self._level = 0.0
        self._drained_at = clock()
        self._gates: dict[str, float] = {}
        self._resets: dict[str, float] = {}
        self._lock = threading.Lock()
        self.waited = 0.0

    def wait_for_place(self, stop: threading.Event) -> float:
        """Take a place in the bucket and wait until it may be used; return the seconds. Raises StoppingError on stop.

        For a request that is better the later it is composed; it is then acquired with `has_place`.
        """
        return self._wait(self.reserve(), stop)

    def acquire(self, methods: set[str], stop: threading.Event, *, has_place: bool = False) -> float:
        """Wait for this request's turn; return the seconds.

        Raises OutageError when a method is closed for long, StoppingError on stop.
        """
        closed = max((self.closed_for(method), method) for method in methods) if methods else (0.0, "")
        if closed[0] > _SHORT_WAIT:
            text = Text(
                f"Bitrix24 allows no more running time for {closed[1]} during {closed[0]:.0f} s",
                f"Bitrix24 ещё {closed[0]:.0f} с не даёт времени на {closed[1]}",
            )
            raise OutageError(text, code=OPERATION_TIME_LIMIT, retry_after=closed[0])
        return self._wait(closed[0] if has_place else max(closed[0], self.reserve()), stop)

    def _wait(self, delay: float, stop: threading.Event) -> float:
        if delay > 0:
            with self._lock:
                self.waited += delay
            if stop.wait(delay):
                raise StoppingError
        elif stop.is_set():
            raise StoppingError
        return delay

    def reserve(self) -> float:
        """Take the next place in the bucket and return the seconds until it may be used."""
        with self._lock:
            self._drain()
            self._level += 1
            return max(0.0, (self._level - self._places) / self._rate)

    def closed_for(self, method: str) -> float:
        """Return the seconds until the method may be called again."""
        with self._lock:
            return max(0.0, self._gates.get(method, 0.0) - self._clock())

    def accepted(self) -> None:
        """Note that a request passed the portal's bucket: the rate recovers a little."""
        with self._lock:
            self._drain()
            self._rate = min(self._rate_limit, self._rate + self._rate_limit * _RECOVERY)

    def refused(self) -> None:
        """Note that the portal's bucket is full: half the rate, no burst.

        Other programs of this address fill it, too.
        """
        with self._lock:
            self._drain()
            self._rate = max(self._rate_limit * _SLOWEST, self._rate / 2)
            self._level = max(self._level, float(self._places))

    def note(self, method: str, times: Any) -> None:
        """Read one `time` object: close the method's gate when its running time nears the limit."""
        if not isinstance(times, Mapping):
            return
        operating, reset_at, finish = (
            number_of(times.get(key)) for key in ("operating", "operating_reset_at", "finish")
        )
        if operating is None or reset_at is None or finish is None:
            return
        # Both stamps are the portal's own, so that a clock that is wrong here or there does not matter.
        opens_in = max(0.0, reset_at - finish) + _WHOLE_SECONDS
        with self._lock:
            self._resets[method] = self._clock() + opens_in
            if operating > self._operating_limit * _GATE_SHARE:
                self._gates[method] = self._resets[method]

    def close(self, method: str, told: float | None = None) -> float:
        """Close a method that the portal refused for its running time, for `told` seconds if it says so.

        Return the seconds until the next try.
        """
        with self._lock:
            now = self._clock()
            opens_at = self._resets.get(method, 0.0) if told is None else now + told
            self._gates[method] = opens_at if opens_at > now else now + _BLIND_WAIT
            return self._gates[method] - now

    @property
    def rate(self) -> float:
        return self._rate

    def _drain(self) -> None:
        now = self._clock()
        self._level = max(0.0, self._level - (now - self._drained_at) * self._rate)
        self._drained_at = now


# Handler and tracker are built apart but share the portal's bucket, because the portal counts per source address;
# so the bucket belongs to the process. It lives as long as somebody holds it.
_shared: weakref.WeakValueDictionary[tuple[Any, ...], Limiter] = weakref.WeakValueDictionary()
_shared_lock = threading.Lock()


def shared_limiter(host: str, settings: BitrixSettings) -> Limiter:
    """Return the limiter of one portal for all its users in this process."""
    limits = (settings.rate_limit_per_second, settings.rate_limit_burst, settings.operating_limit_seconds)
    with _shared_lock:
        limiter = _shared.get((host, *limits))
        if limiter is None:
            limiter = _shared[(host, *limits)] = Limiter(*limits)
        return limiter
