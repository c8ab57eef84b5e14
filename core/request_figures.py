"""Counts what becomes of the requests of one client of an outside system."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

from core.distributions import Distribution

Operation = Literal["read", "write"]  # a write that is executed twice matters
# An answer by the class of its status; `dropped`: the answer did not come, or not to its end.
RequestStatus = Literal["2xx", "3xx", "4xx", "5xx", "timeout", "connect", "tls", "dropped"]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
STATUSES: tuple[RequestStatus, ...] = get_args(RequestStatus)
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds


class Requests(NamedTuple):
    """The figures so far. `throttled`: seconds."""

    counts: Mapping[tuple[Operation, RequestStatus], int]
    durations: Mapping[Operation, Distribution]
    throttled: float


class RequestFigures:
    """The figures of one client. Usable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {(operation, status): 0 for operation in OPERATIONS for status in STATUSES}
        self._durations = {operation: Distribution(BOUNDS) for operation in OPERATIONS}
        self._throttled = 0.0

    def note(self, operation: Operation, status: RequestStatus, seconds: float) -> None:
        """Count a request that has ended after so many seconds."""
        with self._lock:
            self._counts[operation, status] += 1
            self._durations[operation].add(seconds)

    def throttled(self, seconds: float) -> None:
        """Count so many seconds in which a request has waited because the system allows only so many."""
        if seconds > 0:
            with self._lock:
                self._throttled += seconds

    def so_far(self) -> Requests:
        with self._lock:
            durations = {name: each.copy() for name, each in self._durations.items()}
            return Requests(dict(self._counts), durations, self._throttled)
