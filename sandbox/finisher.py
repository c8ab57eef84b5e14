"""A thread that finishes tasks as people would."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self


class Finisher:
    """Finishes tasks `delay` seconds after they appear, in a thread of its own, until stopped.

    `share` is the part of the tasks that anybody finishes at all; `answers` are given in turn. `open_tasks(after)`
    gives the ids of tasks above an id, `finish(task_id, answer)` ends one.
    """

    def __init__(
        self,
        *,
        open_tasks: Callable[[int], Sequence[int]],
        finish: Callable[[int, str | None], None],
        changed: threading.Condition,
        clock: Callable[[], float],
        delay: float,
        answers: Sequence[str | None],
        share: float,
        seed: int,
    ) -> None:
        self._open_tasks = open_tasks
        self._finish = finish
        self._changed = changed
        self._clock = clock
        self._delay = delay
        self._answers = answers
        self._share = share
        self._chance = random.Random(seed)
        self._due: deque[tuple[float, int]] = deque()
        self._seen = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="sandbox-people", daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _work(self) -> None:
        finished = 0
        with self._changed:
            while not self._stopping:
                self._notice_new_tasks()
                while self._due and self._due[0][0] <= self._clock():
                    _, task_id = self._due.popleft()
                    self._finish(task_id, self._answers[finished % len(self._answers)])
                    finished += 1
                self._changed.wait(self._due[0][0] - self._clock() if self._due else None)

    def _notice_new_tasks(self) -> None:
        for task_id in self._open_tasks(self._seen):
            self._seen = task_id
            if self._chance.random() < self._share:
                self._due.append((self._clock() + self._delay, task_id))
