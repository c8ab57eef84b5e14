"""All tasks of the portal, with the indexes that keep list queries fast at 100,000 tasks.

A task is a dict of its stored fields (UPPER_SNAKE names, dates as epoch seconds); fields at their default are absent.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left, insort
from collections import ChainMap, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.bitrix24.taskfields import AWAITING_CONTROL, COMPLETED, DEFAULTS, IN_PROGRESS
from sandbox.bitrix24.userfields import UserFields

Task = dict[str, Any]

_CLOSING = (AWAITING_CONTROL, COMPLETED)
_UNRECORDED = frozenset({"CHANGED_DATE", "CHANGED_BY", "ACTIVITY_DATE", "STATUS_CHANGED_DATE", "STATUS_CHANGED_BY"})


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a task's history."""

    id: int
    moment: int
    field: str
    before: Any
    after: Any
    user: int


class TaskStore:
    """Stores checked tasks; it decides nothing. Callers hold the portal's lock."""

    def __init__(self, user_fields: UserFields) -> None:
        self._user_fields = user_fields
        self._tasks: dict[int, Task] = {}
        self._last_id = 0
        self._last_change = 0
        self.ids: list[int] = []
        self.by_status: defaultdict[int, set[int]] = defaultdict(set)
        self.by_key: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.by_changed: list[tuple[int, int]] = []
        self.history: defaultdict[int, list[Change]] = defaultdict(list)
        self.on_event: Callable[[str, int], None] = lambda _event, _task_id: None  # ONTASKADD and so on

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._tasks

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks.values())

    def get(self, task_id: int) -> Task | None:
        return self._tasks.get(task_id)

    def add(self, fields: Mapping[str, Any], *, by: int, moment: int) -> Task:
        """Creates a task from checked fields; ids rise by one and are never used again."""
        self._last_id += 1
        task_id = self._last_id
        task: Task = {
            "ID": task_id,
            "STATUS": DEFAULTS["STATUS"],
            "CREATED_BY": by,
            **fields,
            "CREATED_DATE": moment,
            "CHANGED_DATE": moment,
            "CHANGED_BY": by,
            "ACTIVITY_DATE": moment,
            "STATUS_CHANGED_DATE": moment,
            "GUID": "{" + str(uuid.uuid4()) + "}",
        }
        self._tasks[task_id] = task
        self.ids.append(task_id)
        self._index(task, task)
        self._record(task_id, "NEW", moment=moment, by=by)
        self.on_event("ONTASKADD", task_id)
        return task

    def update(self, task: Task, changes: Mapping[str, Any], *, by: int, moment: int) -> None:
        """Applies checked changes, with the dates and people that follow from a new status."""
        changes = {name: value for name, value in changes.items() if task.get(name, DEFAULTS.get(name)) != value}
        if "STATUS" in changes:
            changes |= _status_consequences(task, changes["STATUS"], by, moment)
        self._unindex(task, changes)
        for name, value in changes.items():
            if name not in _UNRECORDED:
                self._record(task["ID"], name, task.get(name), value, moment=moment, by=by)
        task.update(changes, CHANGED_DATE=moment, CHANGED_BY=by, ACTIVITY_DATE=moment)
        self._index(task, changes)
        self.on_event("ONTASKUPDATE", task["ID"])

    def delete(self, task: Task) -> None:
        self._unindex(task, task)
        del self._tasks[task["ID"]]
        del self.ids[bisect_left(self.ids, task["ID"])]
        self.history.pop(task["ID"], None)
        self.on_event("ONTASKDELETE", task["ID"])

    def ids_after(self, task_id: int) -> Sequence[int]:
        return self.ids[bisect_left(self.ids, task_id + 1) :]

    def is_key(self, field: str) -> bool:
        """Whether `by_key` has this field: XML_ID and the single string user fields."""
        if field == "XML_ID":
            return True
        definition = self._user_fields.get(field)
        return definition is not None and definition.type == "string" and not definition.multiple

    @staticmethod
    def snapshot(task: Task) -> Mapping[str, Any]:
        """A copy that later changes do not touch; the defaults are shared, which keeps 100,000 copies small."""
        return ChainMap(dict(task), _SHARED_DEFAULTS)

    def _index(self, task: Task, names: Iterable[str]) -> None:
        task_id = task["ID"]
        self.by_status[task["STATUS"]].add(task_id)
        insort(self.by_changed, (task["CHANGED_DATE"], task_id))
        for field, value in self._keys(task, names):
            insort(self.by_key[field][value], task_id)

    def _unindex(self, task: Task, names: Iterable[str]) -> None:
        task_id = task["ID"]
        self.by_status[task["STATUS"]].discard(task_id)
        del self.by_changed[bisect_left(self.by_changed, (task["CHANGED_DATE"], task_id))]
        for field, value in self._keys(task, names):
            same = self.by_key[field][value]
            del same[bisect_left(same, task_id)]
            if not same:
                del self.by_key[field][value]

    def _keys(self, task: Task, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        for name in names:
            if task.get(name) and (name == "XML_ID" or name.startswith("UF_")) and self.is_key(name):
                yield name, task[name]

    def _record(self, task_id: int, field: str, before: Any = None, after: Any = None, *, moment: int, by: int) -> None:
        self._last_change += 1
        self.history[task_id].append(Change(self._last_change, moment, field, before, after, by))


_SHARED_DEFAULTS: dict[str, Any] = dict(DEFAULTS)


def _status_consequences(task: Task, status: int, by: int, moment: int) -> dict[str, Any]:
    changes: dict[str, Any] = {"STATUS_CHANGED_DATE": moment, "STATUS_CHANGED_BY": by}
    if status in _CLOSING:
        changes |= {"CLOSED_BY": by, "CLOSED_DATE": moment}
    elif task["STATUS"] in _CLOSING:
        changes |= {"CLOSED_BY": 0, "CLOSED_DATE": None}
    if status == IN_PROGRESS:
        changes["DATE_START"] = moment
    return changes
