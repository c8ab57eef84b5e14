"""Describes how a sent queue is tracked, and what a sweep of it has done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from base_tracker import BaseTracker


@dataclass(frozen=True, slots=True)
class TrackedQueue:
    """One entry of TRACKER_CONFIG, made ready to run. `full_sweep_interval` in seconds."""

    queue: str
    system: str
    tracker: BaseTracker
    responses_queue: str
    errors_queue: str
    echo_variables: bool
    full_sweep_interval: float = 900.0
    mask: Callable[[str], str] = lambda text: text


@dataclass(slots=True)
class SweepResult:
    """The counts of a sweep.

    `found` is how many messages the queue held at the beginning; None: that was not found out. `taken` counts every
    message that was looked at, `checked` those that the system was asked about.
    """

    found: int | None = None
    taken: int = 0
    checked: int = 0
    completed: int = 0
    moved: int = 0
    errors: int = 0
