"""From a Camunda task to the body of an OpenProject work package. Asks the directory for ids, nothing else.

Values are looked for in the variables, then in the extension properties, then in the input parameters. Wrong input is
Permanent and named, never guessed. Properties: docs/api/endpoints/work-packages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from consumers.openproject.client import link
from consumers.openproject.config import OpenProjectSettings
from consumers.openproject.directory import CustomField, Directory
from consumers.openproject.errors import RIGHT_WAIT
from core import values
from core.errors import PartialOutageError, PermanentError
from core.inputs import Inputs, activity_name
from core.messages import CamundaTask
from runtime.json_client import Json

_SUBJECT_LIMIT = 255  # characters
_CUSTOM_PREFIX = "cf_"

_START = ("start_date", "startDate")
_DUE = ("due_date", "dueDate", "deadline", "end_date", "endDate", "finish_date", "date")
_DURATION = re.compile(r"P(?!$)(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?")


@dataclass(frozen=True, slots=True)
class Draft:
    """A work package to create: where, and with what; `key_name` is the custom field that holds the key."""

    project: int
    body: Json
    key_name: str


class WorkPackageFields:
    """Translates by the settings and by what the directory knows."""

    def __init__(self, settings: OpenProjectSettings, directory: Directory) -> None:
        self._settings = settings
        self._directory = directory
        self._zone = ZoneInfo(settings.timezone)

    def for_creation(self, task: CamundaTask, *, milestone: bool = False) -> Draft:
        """Raises PermanentError; ConfigurationError when the key could not be kept."""
        inputs, settings = Inputs(task), self._settings
        project = self._project(inputs)
        default_type = settings.milestone_type if milestone else settings.default_type
        kind = self._directory.work_package_type(project, inputs.text("type", "type_id", "typeId") or default_type)
        key = self._key_field(project, kind.id, kind.title)
        subject = inputs.text("subject", "title", "name") or activity_name(task) or f"Camunda: {task.topic}"
        links: dict[str, Any] = {"project": link("projects", project), "type": link("types", kind.id)}
        body: Json = {
            "subject": values.cut(subject, _SUBJECT_LIMIT),
            **self._texts(inputs),
            **self._dates(inputs, is_milestone=kind.row.get("isMilestone") is True, new=True),
        }
        links |= self._links(inputs, project, defaults=True)
        own, own_links = self._custom_fields(inputs, project, kind.id)
        body |= {**own, key.name: task.task_id}
        body["_links"] = links | own_links
        return Draft(project, body, key.name)

    def for_update(self, task: CamundaTask, work_package: Json, project: int, kind: int) -> Json:
        """Only what the message names, without lockVersion. Raises PermanentError."""
        inputs = Inputs(task)
        links = self._links(inputs, project, defaults=False)
        own, own_links = self._custom_fields(inputs, project, kind)
        body: Json = {
            **self._texts(inputs),
            **self._dates(inputs, is_milestone="date" in work_package, new=False),
            **own,
        }
        if subject := inputs.text("subject", "title"):
            body["subject"] = values.cut(subject, _SUBJECT_LIMIT)
        if links or own_links:
            body["_links"] = links | own_links
        return body

    def _project(self, inputs: Inputs) -> int:
        found = inputs.first("project", "project_id", "projectId", "project_identifier", "projectIdentifier")
        value = found[1] if found else self._settings.default_project
        if value is None:
            raise PermanentError(
                "The message names no project: give `project` (name, identifier or id) or set "
                "OPENPROJECT_DEFAULT_PROJECT",
                code="no_project",
            )
        return self._directory.project(value)

    def _key_field(self, project: int, kind: int, title: str) -> CustomField:
        found = self._directory.custom_field(project, kind, self._settings.key_field)
        if found is None or found.type != "String":
            problem = "is not switched on" if found is None else f"is of type {found.type}, not a text,"
            # Of one type in one project: the messages of others need not wait for it.
            raise PartialOutageError(
                f"OpenProject: the custom field {self._settings.key_field!r} (OPENPROJECT_KEY_FIELD), which keeps the "
                f"Camunda task id, {problem} for type {title} in project {project}: without it a task could be created "
                "twice",
                code="key_field",
                retry_after=RIGHT_WAIT,
                part=f"project {project}",
            )
        return found

    def _texts(self, inputs: Inputs) -> Json:
        body: Json = {}
        if description := inputs.text("description_additional", "description"):
            body["description"] = {"format": "markdown", "raw": description}
        if (found := inputs.first("estimated_time", "estimatedTime", "estimated_hours", "estimatedHours")) is not None:
            body["estimatedTime"] = _duration(*found)
        return body

    def _dates(self, inputs: Inputs, *, is_milestone: bool, new: bool) -> Json:
        start = self._day(inputs, _START)
        due = self._day(inputs, _DUE)
        if is_milestone:
            day = due or start
            return {} if day is None else {"date": day}
        dates: Json = {name: day for name, day in (("startDate", start), ("dueDate", due)) if day is not None}
        if new and due is not None and start is None:
            dates["startDate"] = None  # else the server may take today's date, after which the due date must lie
        return dates

    def _day(self, inputs: Inputs, names: tuple[str, ...]) -> str | None:
        found = inputs.first(*names)
        if found is None:
            return None
        return values.day(*found, self._zone)

    def _links(self, inputs: Inputs, project: int, *, defaults: bool) -> Json:
        directory, settings = self._directory, self._settings
        wanted: tuple[tuple[str, tuple[str, ...], str, Callable[[Any], int], str | None], ...] = (
            ("status", ("status", "status_id", "statusId"), "statuses", directory.status, None),
            (
                "priority",
                ("priority", "priority_id", "task_priority"),
                "priorities",
                directory.priority,
                settings.default_priority,
            ),
            (
                "assignee",
                ("assignee", "assignee_id", "assigneeId", "responsible_id"),
                "users",
                lambda value: directory.assignee(project, value),
                settings.default_assignee,
            ),
            (
                "responsible",
                ("accountable", "responsible"),
                "users",
                lambda value: directory.assignee(project, value),
                None,
            ),
            ("version", ("version", "version_id"), "versions", lambda value: directory.version(project, value), None),
            (
                "parent",
                ("parent", "parent_id", "parentId", "parent_task_id", "parentTaskId"),
                "work_packages",
                lambda value: directory.work_package(project, value),
                None,
            ),
        )
        links: Json = {}
        for name, inputs_names, kind, resolve, default in wanted:
            found = inputs.first(*inputs_names)
            value = found[1] if found else (default if defaults else None)
            if value is not None:
                links[name] = link(kind, resolve(value))
        return links

    def _custom_fields(self, inputs: Inputs, project: int, kind: int) -> tuple[Json, Json]:
        """Values for the top level and for `_links`, of everything that is called customFieldN or cf_<title>."""
        plain: Json = {}
        links: Json = {}
        for name, value in inputs.named(_names_custom_field).items():
            title = name[len(_CUSTOM_PREFIX) :] if name.lower().startswith(_CUSTOM_PREFIX) else name
            field = self._directory.custom_field(project, kind, title)
            if field is None:
                raise PermanentError(
                    f"{name}: this type of work package has no such custom field", code="unknown_field"
                )
            if self._settings.key_field.casefold() in (field.name.casefold(), field.title.casefold()):
                continue  # the key is ours: another value would let the task be created twice
            if field.type in {"CustomOption", "User", "Version"}:
                links[field.name] = self._choice(name, value, field, project)
            else:
                plain[field.name] = self._plain(name, value, field.type)
        return plain, links

    def _choice(self, name: str, value: Any, field: CustomField, project: int) -> Any:
        def one(item: Any) -> Json:
            if field.type == "User":
                return link("users", self._directory.assignee(project, item))
            if field.type == "Version":
                return link("versions", self._directory.version(project, item))
            text = values.text(item).casefold()
            for title, href in field.options.items():
                if text in (title.casefold(), href.rpartition("/")[2]):
                    return {"href": href}
            raise values.BadValueError(name, item, f"one of {', '.join(field.options) or 'none'}")

        return [one(item) for item in values.items(value)] if field.multiple else one(value)

    def _plain(self, name: str, value: Any, kind: str) -> Any:
        match kind:
            case "Integer":
                return values.whole_number(name, value)
            case "Float":
                return values.number(name, value)
            case "Boolean":
                return bool(values.flag(name, value))
            case "Date":
                return values.day(name, value, self._zone)
            case "Formattable":
                return {"format": "markdown", "raw": values.text(value)}
            case _:
                return values.text(value)


def _names_custom_field(name: str) -> bool:
    lowered = name.lower()
    return lowered.startswith(_CUSTOM_PREFIX) or bool(re.fullmatch(r"customfield\d+", lowered))


def _duration(name: str, value: Any) -> str:
    """`8` (hours), `1.5` or ISO 8601 (`PT2H30M`, `P3D`)."""
    text = values.text(value).upper()
    if _DURATION.fullmatch(text):
        return text
    minutes = round(values.number(name, value) * 60)
    if minutes < 0:
        raise values.BadValueError(name, value, "a number of hours or a duration such as PT2H30M")
    hours, rest = divmod(minutes, 60)
    return f"PT{hours}H{rest}M" if rest else f"PT{hours}H"
