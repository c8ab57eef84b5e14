"""Turns a Camunda task into the body of an OpenProject work package. Asks the server for ids, nothing else.

Values are looked for in the variables, then in the extension properties, then in the input parameters. Wrong input is
Permanent and named, never guessed; what is not written as it was given is reported. Properties:
docs/api/endpoints/work-packages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from consumers.openproject import names
from consumers.openproject.choices import Choice
from consumers.openproject.client import link
from consumers.openproject.config import OpenProjectSettings
from consumers.openproject.custom import CustomValues
from consumers.openproject.directory import Directory, UnknownNameError
from consumers.openproject.errors import RIGHT_WAIT
from consumers.openproject.reading import linked_number
from consumers.openproject.schemas import CustomField, Fields, Schemas
from consumers.openproject.workpackages import WorkPackages
from core import values
from core.errors import PartialOutageError, PermanentError, TransientError
from core.inputs import Inputs, activity_name
from core.messages import CamundaTask
from core.texts import Text
from toolkit.json_client import Json

_SUBJECT_LIMIT = 255  # characters
_MOST_HOURS = 1_000_000
_DURATION = re.compile(r"P(?!$)(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?")


@dataclass(frozen=True, slots=True)
class Draft:
    """A work package to create: where, and with what; `key_name` is the custom field that holds the key."""

    project: int
    body: Json
    key_name: str
    warnings: list[Text]


@dataclass(frozen=True, slots=True)
class Change:
    """The change of a work package, without lockVersion; nothing if `body` is empty."""

    body: Json
    warnings: list[Text]


class WorkPackageFields:
    """Translates messages by the settings and by what the server knows."""

    def __init__(
        self,
        settings: OpenProjectSettings,
        directory: Directory,
        schemas: Schemas,
        custom: CustomValues,
        work_packages: WorkPackages,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._schemas = schemas
        self._custom = custom
        self._work_packages = work_packages
        self._zone = ZoneInfo(settings.timezone)

    def for_creation(self, task: CamundaTask, *, milestone: bool = False) -> Draft:
        """Return a draft. Raises PermanentError; PartialOutageError when the key could not be kept."""
        inputs = Inputs(task)
        warnings = names.unused(inputs, task.topic)
        project = self._project(inputs).id
        kind = self._type(inputs, project, milestone=milestone)
        fields = self._schemas.of_new(project, kind.id)
        key = self._key_field(fields, project, kind.title)
        subject = inputs.text(*names.SUBJECT) or activity_name(task) or f"Camunda: {task.topic}"
        body: Json = {
            "subject": _cut(subject, warnings),
            **self._texts(inputs),
            **self._dates(inputs, warnings, is_milestone=kind.row.get("isMilestone") is True, new=True),
        }
        links: Json = {"project": link("projects", project), "type": link("types", kind.id)}
        links |= self._links(inputs, project, defaults=True)
        where = Text(f"type {kind.title} in project {project}", f"типа {kind.title} в проекте {project}")
        own, own_links, own_warnings = self._custom.of(inputs, fields, where)
        body |= {**own, key.name: task.task_id}
        body["_links"] = links | own_links
        return Draft(project, body, key.name, [*warnings, *own_warnings, *inputs.empty_dates()])

    def for_update(self, task: CamundaTask, work_package: Json, number: int) -> Change:
        """Return a change of only what the message names. Raises PermanentError."""
        inputs = Inputs(task)
        warnings = names.unused(inputs, task.topic)
        links = work_package.get("_links")
        project, kind = linked_number(links, "project"), linked_number(links, "type")
        if project is None or kind is None:
            reason = Text(
                f"OpenProject does not tell project and type of {number}",
                f"OpenProject не сообщает проект и тип рабочего пакета {number}",
            )
            raise TransientError(reason, code="bad_answer")
        if (named := inputs.first(*names.PROJECT)) and self._directory.project(named[1]).id != project:
            warnings.append(
                Text(
                    f"{named[0]}: work package {number} is in project {project} and stays there",
                    f"{named[0]}: рабочий пакет {number} находится в проекте {project} и остаётся в нём",
                )
            )
        changed = self._links(inputs, project, defaults=False)
        is_milestone = "date" in work_package
        if found := inputs.first(*names.TYPE):
            wanted = self._directory.work_package_type(project, found[1])
            if wanted.id != kind:
                kind, is_milestone = wanted.id, wanted.row.get("isMilestone") is True
                changed["type"] = link("types", kind)
        fields = self._schemas.of_existing(work_package, number, project, kind)
        where = Text(f"work package {number}", f"рабочего пакета {number}")
        own, own_links, own_warnings = self._custom.of(inputs, fields, where)
        body: Json = {
            **self._texts(inputs),
            **self._dates(inputs, warnings, is_milestone=is_milestone, new=False),
            **own,
        }
        if subject := inputs.text(*names.SUBJECT):
            body["subject"] = _cut(subject, warnings)
        if changed or own_links:
            body["_links"] = changed | own_links
        return Change(body, [*warnings, *own_warnings, *inputs.empty_dates()])

    def keyed_projects(self) -> Iterator[tuple[int, str]]:
        """Yield each project whose tasks can keep our key, and the custom field that keeps it. Raises an outcome."""
        for project in self._directory.projects():
            try:
                kind = self._directory.work_package_type(project.id, None)
            except UnknownNameError:
                continue  # it has no types
            found = self._schemas.find(self._schemas.of_new(project.id, kind.id), self._settings.key_field)
            if len(found) == 1:
                yield project.id, found[0].name

    def _project(self, inputs: Inputs) -> Choice:
        found = inputs.first(*names.PROJECT)
        value = found[1] if found else self._settings.default_project
        if value is None:
            reason = Text(
                "The message names no project: give `project` (name, identifier or id) or set "
                "OPENPROJECT_DEFAULT_PROJECT",
                "В сообщении не указан проект: задайте `project` (имя, идентификатор или id) или "
                "OPENPROJECT_DEFAULT_PROJECT",
            )
            raise PermanentError(reason, code="no_project")
        return self._directory.project(value)

    def _type(self, inputs: Inputs, project: int, *, milestone: bool) -> Choice:
        default = self._settings.milestone_type if milestone else self._settings.default_type
        found = inputs.first(*names.TYPE)
        kind = self._directory.work_package_type(project, found[1] if found else default)
        if milestone and kind.row.get("isMilestone") is False:
            name = found[0] if found else "OPENPROJECT_MILESTONE_TYPE"
            reason = Text(f"{name}: {kind.title} is no type of milestones", f"{name}: {kind.title} – не тип для вех")
            raise PermanentError(reason, code="no_milestone")
        return kind

    def _key_field(self, fields: Fields, project: int, title: str) -> CustomField:
        found = self._schemas.find(fields, self._settings.key_field)
        if len(found) == 1 and found[0].type == "String":
            return found[0]
        if not found:
            problem = Text("is not switched on", "не включено")
        elif len(found) == 1:
            kind = found[0].type
            problem = Text(f"is of type {kind}, not a text,", f"имеет тип {kind}, а нужен текст")
        else:
            called = ", ".join(one.name for one in found)
            problem = Text(
                f"exists as {called}: set OPENPROJECT_KEY_FIELD to one of them,",
                f"есть не одно: {called}; укажите одно из них в OPENPROJECT_KEY_FIELD",
            )
        name = repr(self._settings.key_field)
        reason = Text(
            f"OpenProject: the custom field {name} (OPENPROJECT_KEY_FIELD), which keeps the Camunda task id, "
            f"{problem.en} for type {title} in project {project}: without it a task could be created twice",
            f"OpenProject: настраиваемое поле {name} (OPENPROJECT_KEY_FIELD), где хранится id задачи Camunda, для типа "
            f"{title} в проекте {project} {problem.ru}; без него задача могла бы быть создана дважды",
        )
        # Of one type in one project: the messages of others need not wait for it.
        raise PartialOutageError(
            reason, code="key_field", retry_after=RIGHT_WAIT, part=Text(f"project {project}", f"проект {project}")
        )

    def _texts(self, inputs: Inputs) -> Json:
        body: Json = {}
        if description := inputs.text(*names.DESCRIPTION):
            body["description"] = {"format": "markdown", "raw": description}
        if (found := inputs.first(*names.ESTIMATED)) is not None:
            body["estimatedTime"] = _duration(*found)
        return body

    def _dates(self, inputs: Inputs, warnings: list[Text], *, is_milestone: bool, new: bool) -> Json:
        start = self._day(inputs, names.START)
        due = self._day(inputs, names.DUE)
        if is_milestone:
            day = due or start
            if start not in (None, day):
                warnings.append(
                    Text(
                        f"start_date: a milestone has one date, it is {day}", f"start_date: у вехи одна дата, это {day}"
                    )
                )
            return {} if day is None else {"date": day}
        dates: Json = {name: day for name, day in (("startDate", start), ("dueDate", due)) if day is not None}
        if new and due is not None and start is None:
            dates["startDate"] = None  # else the server may take today's date, after which the due date must lie
        return dates

    def _day(self, inputs: Inputs, called: tuple[str, ...]) -> str | None:
        found = inputs.first(*called)
        if found is None:
            return None
        return values.day(*found, self._zone)

    def _links(self, inputs: Inputs, project: int, *, defaults: bool) -> Json:
        directory, settings = self._directory, self._settings

        def assignee(value: Any) -> str:
            return directory.assignee(project, value).href

        def parent(value: Any) -> str:
            return f"/api/v3/work_packages/{self._work_packages.parent(project, value)}"

        wanted: tuple[tuple[str, tuple[str, ...], Callable[[Any], str], str | None], ...] = (
            ("status", names.STATUS, lambda value: directory.status(value).href, None),
            ("priority", names.PRIORITY, lambda value: directory.priority(value).href, settings.default_priority),
            ("assignee", names.ASSIGNEE, assignee, settings.default_assignee),
            ("responsible", names.ACCOUNTABLE, assignee, None),
            ("version", names.VERSION, lambda value: directory.version(project, value).href, None),
            ("parent", names.PARENT, parent, None),
        )
        links: Json = {}
        for name, called, resolve, default in wanted:
            found = inputs.first(*called)
            value = found[1] if found else (default if defaults else None)
            if value is not None:
                links[name] = {"href": resolve(value)}
        return links


def _cut(subject: str, warnings: list[Text]) -> str:
    shorter = values.cut_characters(subject, _SUBJECT_LIMIT)
    if shorter != subject:
        warnings.append(
            Text(
                f"subject: cut to {_SUBJECT_LIMIT} characters, more are not allowed",
                f"subject: обрезано до {_SUBJECT_LIMIT} символов, больше нельзя",
            )
        )
    return shorter


def _duration(name: str, value: Any) -> str:
    """Return a duration from `8` (hours), `1.5` or ISO 8601 (`PT2H30M`, `P3D`)."""
    text = values.text(value).upper()
    if _DURATION.fullmatch(text):
        return text
    number = Decimal(str(values.number(name, value)))
    if not 0 <= number <= _MOST_HOURS:
        wanted = Text("a number of hours or a duration such as PT2H30M", "число часов или длительность вида PT2H30M")
        raise values.BadValueError(name, value, wanted)
    minutes, rest = divmod(round(number * 3600), 60)
    hours, minutes = divmod(minutes, 60)
    return f"PT{hours}H" + (f"{minutes}M" if minutes else "") + (f"{rest}S" if rest else "")
