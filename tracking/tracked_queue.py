"""Describes how a sent queue is tracked, and what a sweep of it has done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from base_tracker import BaseTracker
from core.traces import Tracer


@dataclass(frozen=True, slots=True)
class TrackedQueue:
    """One entry of TRACKER_CONFIG, made ready to run.

    `full_sweep_interval` in seconds; `has_shards`: many open tasks are kept in shards (tracking.shards), which
    are left alone for `shard_growth` seconds when they are new; `tracer` None: no spans are recorded.
    """

    queue: str
    system: str
    tracker: BaseTracker
    responses_queue: str
    errors_queue: str
    echo_variables: bool
    full_sweep_interval: float = 900.0
    has_shards: bool = False
    shard_growth: float = 3.0
    mask: Callable[[str], str] = lambda text: text
    tracer: Tracer | None = None


@dataclass(slots=True)
class SweepResult:
    """The counts of a sweep.

    `taken` counts every message that was looked at, `checked` those that the system was asked about, `calls` the
    questions about them. `found` is how many messages the queue held; None: it could not be opened.
    """

    found: int | None = None
    calls: int = 0
    taken: int = 0
    checked: int = 0
    completed: int = 0
    moved: int = 0
    errors: int = 0

    @property
    def left(self) -> int | None:
        """How many messages the queue still holds; None where it could not be opened."""
        return None if self.found is None else max(0, self.found - self.moved)
