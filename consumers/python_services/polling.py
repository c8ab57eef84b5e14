"""Decides when a job is asked again: never before the moment that the service or the registry gave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from consumers.python_services.jobs import Job
from consumers.python_services.registry import Poll

GROWTH = 1.5
_PRUNE_FROM = 1000
_KEPT = 24 * 3600.0  # seconds after its end that a job is remembered that nobody asks about any more


@dataclass(slots=True)
class Progress:
    """What is known of a job.

    `due` in unix seconds, `interval` in seconds; `lost` is how often in a row it was not known.
    """

    due: float
    interval: float
    expires: float
    lost: int = 0


class Schedule:
    """When each job is due. Not locked: its owner has a lock.

    After a restart only what stands in the messages is known.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, Progress] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def due(self, jobs: Mapping[str, Job], polls: Mapping[str, Poll], now: float, limit: int) -> dict[str, list[str]]:
        """Return service -> task ids to be asked now, `limit` in all.

        Services take turns, each with its longest overdue.
        """
        queues: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
        for task_id, job in jobs.items():
            progress = self._jobs.get(task_id)
            if progress is None:
                poll = polls[job.service]
                progress = Progress(min(job.begins, job.expires), poll.min, job.expires)
                self._jobs[task_id] = progress
            if progress.due <= now:
                queues[job.service].append((progress.due, task_id))
        chosen: defaultdict[str, list[str]] = defaultdict(list)
        for _, service, task_id in _by_turns(queues)[:limit]:
            chosen[service].append(task_id)
        self._prune(now)
        return dict(chosen)

    def answered(self, task_id: str, poll: Poll, now: float, retry_after: float | None) -> None:
        """Note that a job is still running."""
        progress = self._jobs[task_id]
        progress.lost = 0
        self._postpone(progress, poll, now, retry_after)

    def silent(self, task_id: str, poll: Poll, now: float, retry_after: float | None) -> None:
        """Note that nothing was heard of a job: it is asked ever later, so that it does not stand before the others."""
        self._postpone(self._jobs[task_id], poll, now, retry_after)

    def unknown(self, task_id: str, poll: Poll, now: float) -> int:
        """Note that the service does not know a job; return how often in a row that is now."""
        progress = self._jobs[task_id]
        progress.lost += 1
        self._postpone(progress, poll, now, None)
        return progress.lost

    def unasked(self, task_ids: Sequence[str], poll: Poll, now: float, retry_after: float | None) -> None:
        """Note that the service could not be asked.

        That says nothing about the jobs, and their interval does not grow.
        """
        for task_id in task_ids:
            progress = self._jobs[task_id]
            progress.due = now + max(retry_after or 0.0, poll.min)

    def ended(self, task_id: str) -> None:
        self._jobs.pop(task_id, None)

    def _postpone(self, progress: Progress, poll: Poll, now: float, retry_after: float | None) -> None:
        wait = max(progress.interval, retry_after or 0.0)
        progress.interval = min(progress.interval * GROWTH, poll.max)
        # The end of its time is a moment to ask, too: a job that is finished by then is not given up.
        progress.due = min(now + wait, progress.expires) if progress.expires > now else now + wait

    def _prune(self, now: float) -> None:
        if len(self._jobs) > _PRUNE_FROM:
            self._jobs = {key: each for key, each in self._jobs.items() if each.expires + _KEPT > now}


def _by_turns(queues: Mapping[str, Sequence[tuple[float, str]]]) -> list[tuple[float, str, str]]:
    """Return (due, service, task id).

    Within a turn the longest overdue comes first, so that a small limit starves nobody.
    """
    waiting = [[(due, service, task_id) for due, task_id in sorted(queue)] for service, queue in queues.items()]
    turns = zip_longest(*waiting)
    return [each for turn in turns for each in sorted(filter(None, turn))]
