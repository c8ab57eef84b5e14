"""Asks the tracker the questions of a sweep, each in a thread of its own while the sweep keeps its connection alive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_all
from functools import partial
from typing import Any, TypeVar

from base_tracker import BaseTracker, ChangedTask, Changes
from broker.taken_queue import PUMP, TakingInterruptedError
from core.messages import TrackedTask
from core.results import Verdict
from tracking.held import Held

_Answer = TypeVar("_Answer")
Wait = Callable[[Sequence[Future[Any]]], None]  # until all are done, with the connection kept alive


class UnansweredError(Exception):
    """The tracker raised `error`, whatever that is: not to be confused with what the broker's connection raises."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Asking:
    """The questions of a sweep. Used by one thread.

    `system_answers` is whether the last question was answered, `calls` how many have been asked.
    """

    def __init__(self, tracker: BaseTracker, system: str) -> None:
        self._tracker = tracker
        self._system = system
        self.system_answers = True
        self.calls = 0

    def verdicts(self, wait: Wait, held: Sequence[Held]) -> Sequence[Verdict]:
        """Return one verdict for each message, at most `chunk_size` of them. Raises UnansweredError."""
        tasks = [TrackedTask(each.header.task_id, each.header.external_id) for each in held]
        told = self._aside(wait, partial(self._tracker.check, tasks))
        if len(told) != len(tasks):
            tracker = type(self._tracker).__name__
            raise UnansweredError(ValueError(f"{tracker}.check gave {len(told)} verdicts for {len(tasks)} tasks"))
        return told

    def changes(self, wait: Wait, since: Any) -> Changes | None:
        """Return what the tracker says has changed. Raises UnansweredError."""
        answered_before = self.system_answers
        changes = self._aside(wait, partial(self._tracker.changes, since))
        if changes is None:  # a tracker that cannot tell has perhaps asked nothing
            self.system_answers = answered_before
        return changes

    def finished_among(
        self, external_ids: Sequence[str], is_stopping: Callable[[], bool]
    ) -> Sequence[ChangedTask] | None:
        """Return what the tracker says of these tasks; no queue is open. Raises UnansweredError."""
        answered_before = self.system_answers
        found = self._aside(partial(_wait, is_stopping), partial(self._tracker.finished_among, external_ids))
        if found is None:
            self.system_answers = answered_before
        return found

    def _aside(self, wait: Wait, question: Callable[[], _Answer]) -> _Answer:
        self.calls += 1
        told: Future[_Answer | UnansweredError] = Future()
        # A daemon thread, not an executor: a hanging request must not hold up the end of the process.
        name = f"ask-{self._system}"
        threading.Thread(target=_run_into, args=(told, question), name=name, daemon=True).start()
        wait([told])
        answer = told.result()
        self.system_answers = not isinstance(answer, UnansweredError)
        if isinstance(answer, UnansweredError):
            raise answer
        return answer


def _wait(is_stopping: Callable[[], bool], futures: Sequence[Future[Any]]) -> None:
    while wait_for_all(futures, timeout=PUMP).not_done:
        if is_stopping():
            raise TakingInterruptedError


def _run_into(told: Future[_Answer | UnansweredError], question: Callable[[], _Answer]) -> None:
    try:
        told.set_result(question())
    except Exception as error:  # noqa: BLE001 - handed to the sweeping thread, the border that reports it
        told.set_result(UnansweredError(error))
