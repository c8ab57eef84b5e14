"""The state of one portal and who may do what in it. Everything here happens under `lock`."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta, timezone, tzinfo
from typing import Any

from sandbox.bitrix24.clock import Clock
from sandbox.bitrix24.crm_fields import CrmField
from sandbox.bitrix24.people import DEFAULT_DEPARTMENTS, DEFAULT_USERS, Department, User
from sandbox.bitrix24.taskfields import DEFAULTS
from sandbox.bitrix24.tasks import Task, TaskStore
from sandbox.bitrix24.texts import Texts
from sandbox.bitrix24.userfields import DEFAULT_USER_FIELDS, UserField, UserFields

ALL_SCOPES = ("task", "user", "department", "crm")
MOSCOW = timezone(timedelta(hours=3))


@dataclass(slots=True)
class ChecklistItem:
    id: int
    task_id: int
    parent_id: int
    title: str
    sort_index: int
    is_complete: bool
    is_important: bool
    created_by: int
    members: list[dict[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Reply:
    """What a method answers: `result`, and for lists `total` and the `next` start."""

    result: Any
    total: int | None = None
    next: int | None = None


class Portal:
    """Users, user fields, tasks, checklists and CRM items of one portal, seen by one webhook.

    `admin` says whether the webhook's user is an administrator; `honours_key_filter=False` makes a portal that
    ignores filters by XML_ID and UF_*, as it ignores every filter key that it does not know.
    """

    def __init__(
        self,
        *,
        users: Iterable[User] | None = None,
        departments: Iterable[Department] = DEFAULT_DEPARTMENTS,
        user_fields: Iterable[UserField] = DEFAULT_USER_FIELDS,
        crm_fields: Mapping[int, Sequence[CrmField]] | None = None,
        webhook_user: int = 1,
        admin: bool = True,
        scopes: Sequence[str] = ALL_SCOPES,
        language: str = "ru",
        honours_key_filter: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.clock = clock or Clock()
        self.zone: tzinfo = MOSCOW
        self.texts = Texts(language)
        self.users = {user.id: user for user in (DEFAULT_USERS if users is None else users)}
        if webhook_user not in self.users:
            raise ValueError(f"the webhook's user {webhook_user} is not among the users")
        self.departments = {department.id: department for department in departments}
        self.user_fields = UserFields(user_fields)
        self.crm_fields = dict(crm_fields or {})  # user fields of CRM items, by the kind of item
        self.webhook_user = webhook_user
        self.admin = admin
        self.scopes = tuple(scopes)
        self.honours_key_filter = honours_key_filter
        self.ignored_filters: frozenset[str] = frozenset()  # further fields whose conditions it drops without a word
        self.tasks = TaskStore(self.user_fields)
        self.checklists: defaultdict[int, dict[int, ChecklistItem]] = defaultdict(dict)
        self.crm: defaultdict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
        self.tags: dict[str, int] = {}
        self._last_checklist_item = 0
        self._last_multifield = 100

    def moment(self) -> int:
        """Now, in the whole seconds that the portal stores."""
        return int(self.clock.now())

    def may_read(self, task: Task) -> bool:
        """Administrators read all tasks, others those in which they take part (page tasks-task-get)."""
        return self.admin or self.webhook_user in self.members(task)

    @staticmethod
    def members(task: Task) -> tuple[int, ...]:
        people = (*task.get("ACCOMPLICES", ()), *task.get("AUDITORS", ()))
        return (task["CREATED_BY"], task["RESPONSIBLE_ID"], *people)

    def may_edit(self, task: Task) -> bool:
        return self.admin or self.webhook_user in (task["CREATED_BY"], task["RESPONSIBLE_ID"])

    def readable_task(self, task_id: int) -> Task | None:
        task = self.tasks.get(task_id)
        return task if task is not None and self.may_read(task) else None

    def value(self, task: Task, name: str) -> Any:
        return task.get(name, DEFAULTS.get(name))

    def tag_id(self, title: str) -> int:
        return self.tags.setdefault(title, len(self.tags) + 1)

    def next_multifield(self) -> int:
        self._last_multifield += 1
        return self._last_multifield

    def add_checklist_item(self, task_id: int, **fields: Any) -> ChecklistItem:
        self._last_checklist_item += 1
        item = ChecklistItem(id=self._last_checklist_item, task_id=task_id, **fields)
        self.checklists[task_id][item.id] = item
        return item

    def delete_task(self, task: Task) -> None:
        self.tasks.delete(task)
        self.checklists.pop(task["ID"], None)
