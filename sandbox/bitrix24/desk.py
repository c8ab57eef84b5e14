"""What people see and do at the portal without REST: the hands and eyes of tests and demo."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Self

from sandbox.bitrix24.portal import Portal
from sandbox.bitrix24.taskfields import COMPLETED, DECLINED
from sandbox.bitrix24.tasks import Task
from sandbox.bitrix24.taskview import checklist_view


class Desk:
    """Task ids may be given as the strings that REST answers. Unknown ones raise LookupError."""

    def __init__(self, state: Portal) -> None:
        self.state = state

    @property
    def tasks(self) -> list[Mapping[str, Any]]:
        """All tasks by id: UPPER_SNAKE fields, ids as int, dates as epoch seconds, absent fields at their default."""
        with self.state.lock:
            return [self.state.tasks.snapshot(task) for task in self.state.tasks]

    @property
    def task_count(self) -> int:
        with self.state.lock:
            return len(self.state.tasks)

    def task(self, task_id: int | str) -> Mapping[str, Any]:
        """Raises LookupError."""
        with self.state.lock:
            return self.state.tasks.snapshot(self._task(task_id))

    def tasks_by_key(self, field: str = "UF_CAMUNDA_ID_EXTERNAL_TASK") -> dict[str, list[int]]:
        """Ids of the tasks under each value of the key field; two ids under one key are a duplicate."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        with self.state.lock:
            for task in self.state.tasks:
                if task.get(field):
                    found[task[field]].append(task["ID"])
        return dict(found)

    def checklists(self, task_id: int | str) -> list[dict[str, Any]]:
        """The items of a task in the order in which they were added, as task.checklistitem.getlist shows them."""
        with self.state.lock:
            self._task(task_id)
            return [checklist_view(item) for item in self.state.checklists.get(int(task_id), {}).values()]

    def crm_items(self, entity_type_id: int) -> list[dict[str, Any]]:
        with self.state.lock:
            return [dict(item) for item in self.state.crm[entity_type_id].values()]

    def finish(self, task_id: int | str, status: int = COMPLETED, answer: str | None = None) -> None:
        """The responsible person finishes the task; `answer` is a text of the enumeration UF_RESULT_ANSWER."""
        with self.state.lock:
            changes: dict[str, Any] = {"STATUS": status}
            if answer is not None:
                changes["UF_RESULT_ANSWER"] = self.state.user_fields.option_id("UF_RESULT_ANSWER", answer)
            self._change(task_id, changes)

    def decline(self, task_id: int | str) -> None:
        self._change(task_id, {"STATUS": DECLINED})

    def set_status(self, task_id: int | str, status: int) -> None:
        self._change(task_id, {"STATUS": status})

    def change(self, task_id: int | str, **stored: Any) -> None:
        """The responsible person edits stored fields: `change(7, TITLE="…", UF_RESULT_ANSWER=26)`."""
        self._change(task_id, stored)

    def delete(self, task_id: int | str) -> None:
        with self.state.lock:
            self.state.delete_task(self._task(task_id))
            self.state.changed.notify_all()

    def create_task(self, title: str, responsible: int = 1, **stored: Any) -> int:
        """A person creates a task by hand, without REST; returns its id."""
        with self.state.lock:
            fields = {"TITLE": title, "RESPONSIBLE_ID": responsible, **stored}
            task = self.state.tasks.add(fields, by=responsible, moment=self.state.moment())
            self.state.changed.notify_all()
            return int(task["ID"])

    def wait_until(self, holds: Callable[[Self], bool], timeout: float = 10.0) -> None:
        """Waits until something on the portal has come true; looks after every call and every person's action.

        Raises TimeoutError.
        """
        with self.state.changed:
            if not self.state.changed.wait_for(lambda: holds(self), timeout):
                raise TimeoutError(f"not true after {timeout} s")

    def _change(self, task_id: int | str, changes: Mapping[str, Any]) -> None:
        with self.state.lock:
            task = self._task(task_id)
            self.state.tasks.update(task, changes, by=task["RESPONSIBLE_ID"], moment=self.state.moment())
            self.state.changed.notify_all()

    def _task(self, task_id: int | str) -> Task:
        task = self.state.tasks.get(int(task_id))
        if task is None:
            raise LookupError(f"no task {task_id} on the portal")
        return task
