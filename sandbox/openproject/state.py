"""The server's memory. One lock guards everything; `changed` is notified after every call and every person's act."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from sandbox.openproject import objects
from sandbox.openproject.objects import (
    CUSTOM_FIELDS,
    PROJECTS,
    CustomField,
    Instance,
    Project,
    WorkPackage,
)

TOKENS_USER = 1


class State:
    """Usable from any thread under `lock`."""

    def __init__(
        self,
        projects: Iterable[Project] = PROJECTS,
        custom_fields: Iterable[CustomField] = CUSTOM_FIELDS,
        instance: Instance | None = None,
    ) -> None:
        self.instance = instance or Instance()
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.projects = {project.id: self._named(project) for project in projects}
        self.types = {each.id: each for each in objects.TYPES}
        self.statuses = {each.id: each for each in objects.STATUSES}
        self.priorities = {each.id: each for each in objects.PRIORITIES}
        self.versions = {each.id: each for each in objects.VERSIONS}
        self.roles = {each.id: each for each in objects.ROLES}
        self.people = {each.id: each for each in objects.PEOPLE}
        self.memberships = {each.id: each for each in objects.MEMBERSHIPS}
        self.custom_fields = {each.key: each for each in custom_fields}
        self.project_fields = {each.key: each for each in objects.PROJECT_FIELDS}
        self.work_packages: dict[int, WorkPackage] = {}
        self.clock_offset = timedelta()
        self.on_event: Callable[[str, int], None] = lambda _action, _number: None  # of webhooks
        self._last_id = 0
        self._sequences: defaultdict[int, int] = defaultdict(int)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock_offset

    def next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def add(self, made: WorkPackage) -> None:
        made.id = self.next_id()
        if self.instance.semantic:
            self._sequences[made.project] += 1
            made.sequence = self._sequences[made.project]
        self.work_packages[made.id] = made
        self.on_event("work_package:created", made.id)
        self.changed.notify_all()

    def fields_of(self, project: int, kind: int) -> Iterator[CustomField]:
        return (each for each in self.custom_fields.values() if each.is_on(project, kind))

    def all_fields(self) -> Iterator[CustomField]:
        yield from self.custom_fields.values()
        yield from self.project_fields.values()

    def touch(self, work_package: WorkPackage) -> None:
        work_package.updated_at = self.now()
        work_package.lock_version += 1
        self.on_event("work_package:updated", work_package.id)
        self.changed.notify_all()

    def display_id(self, each: WorkPackage) -> str:
        """What people call it (semantic_identifier.rb, display_id_for)."""
        if each.sequence is None or not self.instance.semantic:
            return str(each.id)
        return f"{self.projects[each.project].identifier}-{each.sequence}"

    def called(self, name: str) -> WorkPackage | None:
        """By any identifier that its project ever had (semantic_identifier.rb, alias rows)."""
        prefix, _, number = name.rpartition("-")
        for each in self.work_packages.values():
            project = self.projects[each.project]
            if str(each.sequence) == number and prefix in (project.identifier, *project.former):
                return each
        return None

    def soonest_working_day(self, text: str | None) -> str | None:
        """Monday for a day of the weekend (set_attributes_service.rb, shift_dates_to_soonest_working_days)."""
        if text is None or not self.instance.working_days:
            return text
        day = date.fromisoformat(text)
        return (day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)).isoformat()

    def _named(self, project: Project) -> Project:
        """With semantic identifiers the server has renamed what it had (convert_project_to_semantic_service.rb)."""
        if not self.instance.semantic or project.identifier.isupper():
            return project
        former = (*project.former, project.identifier)
        return replace(project, identifier=project.identifier.upper().replace("-", "_")[:10], former=former)
