"""Knows of one service how many requests it has at once, and whether it is down at the moment.

The queue's gate would hold up the messages of all services. So a message whose service is down, or has its hands full,
waits alone and spends nothing (PartialOutageError), whatever the number of such messages and however long it takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from consumers.python_services.events import ServiceDown, ServiceUp
from consumers.python_services.outcomes import is_certain_failure, is_doubtful_failure
from core.errors import BusyError, ConfigurationError, LostError, OutcomeError, PartialOutageError
from core.events.base import write
from core.lone_failures import LoneFailures, met_alone
from core.texts import Text

IN_A_ROW = 3  # failures that may be one message's own (HTTP 500, no answer in time) until the service counts as down
_FIRST_WAIT = 1.0  # seconds
_LONGEST_TOLD_WAIT = 3600.0  # seconds; what a service asks for beyond this is taken for its mistake
_SHORT = 0.2  # seconds that a thread waits for a service that answers as fast as that
_MOST_WAITING = 100_000

_Result = TypeVar("_Result")


class ServiceHealth:
    """The health of one service. Usable from any thread.

    `longest_wait`, until a message is tried again, is in seconds; `clock` is monotonic.
    """

    def __init__(
        self, name: Text, at_once: int, longest_wait: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._at_once = at_once
        self._longest_wait = longest_wait
        self._clock = clock
        self._slots = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._suspects = LoneFailures()
        self._waiting: set[str] = set()  # task ids that were sent away because the service had its hands full
        self._seconds = 0.0  # that a request takes, on average
        self._under_way: list[float] = []  # when each of them began
        self._in_a_row = 0
        self._openings = 0  # how often in a row it was found down
        self._down_until: float | None = None
        self._wait = 0.0
        self._reason = Text("", "")
        self._trying = False

    def is_down(self) -> bool:
        return self._down_until is not None

    def run(self, task_id: str, act: Callable[[], _Result]) -> _Result:
        """Return what `act` returns. Raises its outcome, or PartialOutageError when the service cannot be asked now."""
        is_trial = self._admit(task_id)
        try:
            self._take_slot(task_id)
            began = self._clock()
            with self._lock:
                self._under_way.append(began)
            try:
                result = act()
            except OutcomeError as error:
                raise self._judged(task_id, error) from None
            finally:
                with self._lock:
                    self._under_way.remove(began)
                    self._seconds += (self._clock() - began - self._seconds) / 8
                self._slots.release()
            self._succeeded(task_id)
            return result
        finally:
            if is_trial:
                self._trying = False

    def _admit(self, task_id: str) -> bool:
        """Return True when this message is the one that finds out whether the service is back."""
        with self._lock:
            self._waiting.discard(task_id)
            if self._down_until is None:
                return False
            left = self._down_until - self._clock()
            if left > 0 or self._trying:
                reason = Text(
                    f"{self._name.en} is not usable, its messages wait: {self._reason.en}",
                    f"{self._name.ru} недоступен, его сообщения ждут: {self._reason.ru}",
                )
                wait = max(left, self._wait / 4, _FIRST_WAIT)
                raise PartialOutageError(reason, code="service_down", retry_after=wait, part=self._name)
            self._trying = True
            return True

    def _take_slot(self, task_id: str) -> None:
        if self._slots.acquire(blocking=False) or (self._pace() < _SHORT and self._slots.acquire(timeout=_SHORT)):
            return
        with self._lock:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.add(task_id)
            waiting = len(self._waiting)
        ahead = waiting * self._pace() / self._at_once
        reason = Text(
            f"{self._name.en} has its {self._at_once} requests at once",
            f"{self._name.ru} занят, запросов к нему одновременно уже {self._at_once}",
        )
        wait = max(min(ahead, self._longest_wait), _FIRST_WAIT)
        raise PartialOutageError(reason, code="service_busy", retry_after=wait)

    def _pace(self) -> float:
        """Return the seconds that a request takes, as far as it can be known while they are under way."""
        with self._lock:
            oldest = min(self._under_way, default=None)
            return self._seconds if oldest is None else max(self._seconds, self._clock() - oldest)

    def _judged(self, task_id: str, error: OutcomeError) -> OutcomeError:
        if isinstance(error, BusyError | LostError):
            return error  # it was not asked
        certain = is_certain_failure(error)
        if not certain and not is_doubtful_failure(error):
            self._succeeded(task_id)  # a refusal is an answer, too
            return error
        with self._lock:
            self._in_a_row += 1
            if not certain and self._in_a_row < IN_A_ROW and self._down_until is None:
                return error
            if self._suspects.is_suspect(task_id):
                return met_alone(error)
            told = error.retry_after and min(error.retry_after, _LONGEST_TOLD_WAIT)
            wait = told or min(_FIRST_WAIT * 2.0 ** min(self._openings, 30), self._longest_wait)
            newly = self._down_until is None
            self._wait = wait
            self._down_until = self._clock() + wait
            self._openings += 1
            self._reason = error.text
        if newly:
            text = f"{self._name.en} is not usable, its messages wait: {error}"
            write(ServiceDown(text, isinstance(error, ConfigurationError), error.outcome, error.code))
        return PartialOutageError(error.text, code=error.code, retry_after=wait, part=self._name)

    def _succeeded(self, task_id: str) -> None:
        with self._lock:
            was_down, self._down_until = self._down_until is not None, None
            self._in_a_row = self._openings = 0
            self._suspects.succeeded(task_id)
        if was_down:
            write(ServiceUp(f"{self._name.en} is usable again"))
