"""Who works on the portal: users and departments, and a thread that finishes tasks as people would."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class User:
    id: int
    name: str
    last_name: str
    email: str = ""
    position: str = ""
    department: int = 1
    active: bool = True
    user_type: str = "employee"

    @property
    def full_name(self) -> str:
        return f"{self.name} {self.last_name}"


@dataclass(frozen=True, slots=True)
class Department:
    id: int
    name: str
    parent: int | None = None
    head: int | None = None
    sort: int = 500


DEFAULT_USERS: Sequence[User] = (
    User(1, "Анна", "Соколова", "sokolova@example.com", "Администратор", 1),
    User(2, "Борис", "Лебедев", "lebedev@example.com", "Руководитель отдела", 2),
    User(3, "Вера", "Козлова", "kozlova@example.com", "Инженер", 2),
    User(4, "Глеб", "Новиков", "novikov@example.com", "Инженер", 2),
    User(5, "Дарья", "Морозова", "morozova@example.com", "Главный бухгалтер", 3),
    User(6, "Егор", "Волков", "volkov@example.com", "Бухгалтер", 3),
    User(7, "Жанна", "Зайцева", "zaitseva@example.com", "Юрист", 4),
    User(8, "Захар", "Павлов", "pavlov@example.com", "Менеджер", 4),
)

DEFAULT_DEPARTMENTS: Sequence[Department] = (
    Department(1, "Компания", head=1),
    Department(2, "Технический отдел", parent=1, head=2),
    Department(3, "Бухгалтерия", parent=1, head=5),
    Department(4, "Коммерческий отдел", parent=1, head=8),
)


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
        self._thread = threading.Thread(target=self._work, name="bitrix-people", daemon=True)

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
