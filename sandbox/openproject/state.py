"""What the server stores. One lock guards everything; `changed` is notified after every call and every person's act."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Project:
    """`types` are the ids of the work package types that are switched on."""

    id: int
    identifier: str
    name: str
    types: Sequence[int] = (1, 2, 3)
    parent: int | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class WorkPackageType:
    id: int
    name: str
    is_milestone: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    id: int
    name: str
    is_closed: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """A priority or a version."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Person:
    id: int
    name: str
    login: str
    email: str


@dataclass(frozen=True, slots=True)
class CustomField:
    """`types` and `projects` (None: all) are where it is switched on; `options` for a list. Elsewhere it is dropped."""

    id: int
    name: str
    kind: str = "String"
    options: Sequence[Named] = ()
    types: Sequence[int] | None = None
    projects: Sequence[int] | None = None
    is_filter: bool = True
    multiple: bool = False

    @property
    def key(self) -> str:
        return f"customField{self.id}"

    def is_on(self, project: int, kind: int) -> bool:
        return (self.types is None or kind in self.types) and (self.projects is None or project in self.projects)


@dataclass(slots=True)
class WorkPackage:
    id: int
    project: int
    type: int
    status: int
    priority: int
    author: int
    subject: str
    created_at: datetime
    updated_at: datetime
    lock_version: int = 0
    description: str = ""
    start_date: str | None = None
    due_date: str | None = None
    date: str | None = None
    estimated_time: str | None = None
    assignee: int | None = None
    responsible: int | None = None
    version: int | None = None
    parent: int | None = None
    custom: dict[str, Any] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    visible: bool = True  # False: the token's user may not see it any more


PROJECTS: Sequence[Project] = (
    Project(1, "contracts", "Договоры"),
    Project(2, "office", "Офис"),
    Project(3, "bare", "Без ключа", types=(1, 3)),
)
TYPES = (WorkPackageType(1, "Task"), WorkPackageType(2, "Milestone", is_milestone=True), WorkPackageType(3, "Bug"))
STATUSES = (
    Status(1, "New"),
    Status(7, "In progress"),
    Status(12, "Closed", is_closed=True),
    Status(14, "Rejected", is_closed=True),
)
PRIORITIES = (Named(7, "Low"), Named(8, "Normal"), Named(9, "High"))
VERSIONS = (Named(1, "1.0"), Named(2, "Релиз осени"))
PEOPLE = (
    Person(1, "OpenProject Admin", "admin", "admin@example.com"),
    Person(4, "Анна Соколова", "sokolova", "sokolova@example.com"),
    Person(5, "Борис Лебедев", "lebedev", "lebedev@example.com"),
)
CUSTOM_FIELDS = (
    CustomField(7, "Camunda ID", projects=(1, 2)),
    CustomField(9, "Решение", "CustomOption", (Named(31, "Да"), Named(32, "Нет"))),
    CustomField(10, "Сумма", "Float"),
    CustomField(11, "Метки", "CustomOption", (Named(41, "срочно"), Named(42, "юристы")), multiple=True),
)


class State:
    """Usable from any thread under `lock`."""

    def __init__(
        self,
        projects: Iterable[Project] = PROJECTS,
        custom_fields: Iterable[CustomField] = CUSTOM_FIELDS,
    ) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.projects = {project.id: project for project in projects}
        self.types = {each.id: each for each in TYPES}
        self.statuses = {each.id: each for each in STATUSES}
        self.priorities = {each.id: each for each in PRIORITIES}
        self.versions = {each.id: each for each in VERSIONS}
        self.people = {each.id: each for each in PEOPLE}
        self.custom_fields = {each.key: each for each in custom_fields}
        self.work_packages: dict[int, WorkPackage] = {}
        self.clock_offset = timedelta()
        self._last_id = 0

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock_offset

    def next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def fields_of(self, project: int, kind: int) -> Iterator[CustomField]:
        return (each for each in self.custom_fields.values() if each.is_on(project, kind))

    def touch(self, work_package: WorkPackage) -> None:
        work_package.updated_at = self.now()
        work_package.lock_version += 1
        self.changed.notify_all()
