"""Knows, between two full sweeps, which finished tasks the tracker has named and the queue has yet to show.

A task may be finished before its sent message is in the queue, and then no later question names it again. Therefore
what a sweep did not find is looked for in `LOOKS` sweeps altogether; after that it is somebody else's task, or one
that another worker has answered, and the next full sweep is what remains. Nothing here is shared between threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from base_tracker import ChangedTask
from broker.topology import shard_of
from core.envelopes import SentHeader

LOOKS = 3


@dataclass(slots=True)
class _Sought:
    task: ChangedTask
    looks: int = 0
    found: bool = False


class SoughtTasks:
    """The tasks that one sweep looks for. `note` returns whether a message belongs to one of them."""

    def __init__(self, sought: Sequence[_Sought]) -> None:
        self._sought = sought
        self._all_are_named = all(each.task.task_id is not None for each in sought)
        self._by_task_id = {each.task.task_id: each for each in sought if each.task.task_id is not None}
        self._by_external_id = {each.task.external_id: each for each in sought if each.task.external_id is not None}

    def __bool__(self) -> bool:
        return bool(self._by_task_id or self._by_external_id)

    @property
    def task_ids(self) -> Sequence[str] | None:
        """The Camunda ids; None where one of the tasks is known by its id in the system only."""
        return [*self._by_task_id] if self._all_are_named else None

    @property
    def all_found(self) -> bool:
        return all(each.found for each in self._sought)

    def in_shard(self, number: int) -> SoughtTasks:
        """Return those that are not found yet and may lie in this shard."""
        return SoughtTasks([each for each in self._sought if not each.found and _may_lie_in(number, each.task)])

    def note(self, header: SentHeader) -> bool:
        sought = self._by_task_id.get(header.task_id)
        if sought is None and header.external_id is not None:
            sought = self._by_external_id.get(header.external_id)
        if sought is None:
            return False
        sought.found = True
        return True


def _may_lie_in(shard: int, task: ChangedTask) -> bool:
    return task.external_id is None or shard_of(task.external_id) == shard


class ChangedTasks:
    """The tracker's mark, the tasks that are sought, and when everything is due again. `full_interval` in seconds."""

    def __init__(self, full_interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._full_interval = full_interval
        self._clock = clock
        self._full_at: float | None = None  # when the last complete full sweep began
        self._sought: list[_Sought] = []
        # Messages of the origin have no headers, and their tasks no key: of tasks that the system tells without our
        # key only these are ours. Known since the last full sweep, which has seen them all.
        self._keyless: frozenset[str] = frozenset()
        self.mark: Any = None

    def is_full_sweep_due(self) -> bool:
        return self.mark is None or self._full_at is None or self._clock() - self._full_at >= self._full_interval

    def look_for(self, tasks: Iterable[ChangedTask]) -> None:
        """Note tasks that somebody wants to be asked about: they are ours, whatever is known of their keys."""
        known = {each.task for each in self._sought}
        self._sought += (_Sought(task) for task in dict.fromkeys(tasks) if task not in known)

    def wanted(self, told: Iterable[ChangedTask], answered: Container[str]) -> SoughtTasks:
        """Return the tasks that are sought still, and those that were named now and have no response yet."""
        self._sought = [each for each in self._sought if each.task.task_id not in answered]
        self.look_for(self.ours_among(told, answered))
        for each in self._sought:
            each.found = False  # a sweep that failed has put back what it had found
        return SoughtTasks(self._sought)

    def ours_among(self, told: Iterable[ChangedTask], answered: Container[str]) -> list[ChangedTask]:
        """Return those whose message may be in the queue: the task is ours, and has no response yet."""
        return [each for each in told if each.task_id not in answered and self._is_ours(each)]

    def sweep_succeeded(self, mark: Any) -> None:
        """Note that a sweep that looked for all that is sought has succeeded: the next question begins at `mark`."""
        for each in self._sought:
            each.looks += 1
        self._sought = [each for each in self._sought if not each.found and each.looks < LOOKS]
        self.mark = mark

    def full_sweep_succeeded(self, began: float, keyless: Iterable[str]) -> None:
        """Note a full sweep that succeeded.

        It began at `began` and left open the tasks `keyless`, which are named by external ids.
        """
        self._full_at = began
        self._keyless = frozenset(keyless)

    def now(self) -> float:
        return self._clock()

    def _is_ours(self, task: ChangedTask) -> bool:
        return task.is_ours or task.task_id is not None or task.external_id in self._keyless
