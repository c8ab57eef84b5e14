"""Decides when a task that a system no longer shows may be called deleted.

Systems answer alike for an object that is gone and for one that the worker's user may not see at the moment. So a task
is given up only when several checks in a row did not see it, and never when none of many is seen at once.
"""

from __future__ import annotations

from core.errors import ConfigurationError
from core.results import Pending, Rejected
from core.texts import Text

CHECKS_UNTIL_DELETED = 3
TOO_MANY_TO_BE_DELETED = 10


class UnseenTasks:
    """The tasks that a system does not show. Used by one tracker's thread.

    `len()` is how many are missing at the moment. `advice` is what a person can do when all are gone at once.
    """

    def __init__(self, system: str | Text, advice: Text) -> None:
        self._system = Text.of(system)
        self._advice = advice
        self._checks: dict[str, int] = {}  # Camunda task id -> checks in a row that did not see it
        self._now: set[str] = set()  # those that this check has counted

    def __len__(self) -> int:
        return len(self._checks)

    def begin(self) -> None:
        """Begin a new check: copies of one sent message in it count once."""
        self._now.clear()

    def require_some_seen(self, asked: int, seen: int) -> None:
        """Raise ConfigurationError when none of many is seen: then a right was lost, not the tasks."""
        if asked >= TOO_MANY_TO_BE_DELETED and not seen:
            raise ConfigurationError(
                Text(
                    f"{self._system.en} shows none of {asked} tasks: the worker's user has most likely lost the right "
                    f"to see them; {self._advice.en}",
                    f"{self._system.ru}: не видно ни одной из задач (их {asked}): скорее всего, пользователь воркера "
                    f"потерял право их видеть; {self._advice.ru}",
                ),
                code="tasks_unreadable",
            )

    def seen(self, task_id: str) -> None:
        self._checks.pop(task_id, None)

    def verdict(self, task_id: str, name: str | Text) -> Pending | Rejected:
        """Return the verdict on a task that was not seen this time; `name` is what the system calls it."""
        checks = self._checks.get(task_id, 0) + (task_id not in self._now)
        self._now.add(task_id)
        if checks < CHECKS_UNTIL_DELETED:
            self._checks[task_id] = checks
            return Pending()
        self._checks.pop(task_id, None)
        named = Text.of(name)
        return Rejected(
            Text(
                f"{self._system.en} no longer shows {named.en}: it was deleted, or the worker's user may not see it",
                f"{self._system.ru}: {named.ru} – больше не видно: удалено, или пользователю воркера это не видно",
            ),
            code="task_deleted",
        )
