"""What may be written: bodies of POST and PATCH, checked as the server checks them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from sandbox.openproject import custom
from sandbox.openproject.errors import ApiError, forbidden, read_only, violation, wrong_format
from sandbox.openproject.links import PRINCIPALS, links_of, number_of, target_of
from sandbox.openproject.objects import Project, WorkPackage
from sandbox.openproject.state import TOKENS_USER, State

Json = dict[str, Any]

_DURATION = re.compile(r"P(?!$)(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?")
_READ_ONLY = ("displayId", "createdAt", "updatedAt")


def draft(state: State, body: Json, project: Project | None) -> WorkPackage:
    """An empty work package of the project and type that the body names, with the server's defaults."""
    links = links_of(body)
    number = project.id if project is not None else number_of(links, "project", state.projects, "projects")
    if number is None:
        raise violation("project", "Проект не может быть пустым.")
    if "add" not in state.instance.rights:
        raise forbidden()
    kinds = state.projects[number].types
    kind = number_of(links, "type", state.types, "types")
    if kind is not None and kind not in kinds:
        raise violation("type", "Тип не включён в проекте.")
    now = state.now()
    made = WorkPackage(
        id=0,
        project=number,
        type=kind if kind is not None else kinds[0],
        status=1,
        priority=8,
        author=TOKENS_USER,
        subject="",
        created_at=now,
        updated_at=now,
    )
    if "startDate" not in body:
        made.start_date = now.date().isoformat()  # the administrator's setting: today
    return made


def create(state: State, body: Json, project: Project | None) -> WorkPackage:
    """Raises ApiError."""
    made = draft(state, body, project)
    apply(state, made, body)  # a lockVersion is not looked at (app/contracts/work_packages/create_contract.rb)
    if not made.subject:
        raise violation("subject", "Тема не может быть пустой.")
    state.add(made)
    return made


def copy_of(each: WorkPackage) -> WorkPackage:
    made = WorkPackage(**{name: getattr(each, name) for name in WorkPackage.__slots__})
    made.custom = dict(each.custom)
    return made


def update(state: State, each: WorkPackage, body: Json) -> None:
    """Raises ApiError; nothing is changed then."""
    changed = copy_of(each)
    change(state, changed, body)
    for name in WorkPackage.__slots__:
        setattr(each, name, getattr(changed, name))
    state.touch(each)


def change(state: State, each: WorkPackage, body: Json) -> None:
    check_version(state, each, body)
    links = links_of(body)
    project = number_of(links, "project", state.projects, "projects")
    if project is not None:
        each.project = project
    apply(state, each, body)


def check_version(state: State, each: WorkPackage, body: Json) -> None:
    """A form wants it, too (app/contracts/work_packages/update_contract.rb)."""
    if "edit" not in state.instance.rights:
        raise forbidden()
    if body.get("lockVersion") != each.lock_version:
        raise ApiError(409, "UpdateConflict", "Вы не можете обновить ресурс: он был изменён.")


def comment(body: Json) -> str:
    raw = raw_of(body, "comment")
    if not raw:
        raise violation("comment", "Комментарий не может быть пустым.")
    return raw


def apply(state: State, each: WorkPackage, body: Json) -> None:
    for name in _READ_ONLY:
        if name in body:
            raise read_only(name)
    if body.get("id", each.id) != each.id:  # what is not changed is not refused (app/contracts/model_contract.rb)
        raise read_only("id")
    links = links_of(body)
    if "subject" in body:
        subject = body["subject"]
        if not isinstance(subject, str):
            raise wrong_format("subject", "строка")
        if not 1 <= len(subject) <= 255:
            raise violation("subject", "Тема: от 1 до 255 символов.")
        each.subject = subject
    if (raw := raw_of(body, "description")) is not None:
        each.description = raw
    if "estimatedTime" in body:
        if body["estimatedTime"] is not None and not _DURATION.fullmatch(str(body["estimatedTime"])):
            raise wrong_format("estimatedTime", "ISO 8601")
        each.estimated_time = body["estimatedTime"]
    _apply_links(state, each, links)
    _apply_dates(state, each, body)
    custom.apply(each.custom, state.fields_of(each.project, each.type), body, links, state)


def raw_of(body: Json, name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, Mapping) or not isinstance(value.get("raw"), str):
        raise wrong_format(name, "объект с raw")
    return str(value["raw"])


def _apply_dates(state: State, each: WorkPackage, body: Json) -> None:
    for name, attribute in (("startDate", "start_date"), ("dueDate", "due_date"), ("date", "date")):
        if name in body:
            value = body[name]
            if value is not None and not is_date(value):
                raise wrong_format(name, "ГГГГ-ММ-ДД")
            setattr(each, attribute, value)
    for attribute in ("start_date", "due_date", "date"):
        setattr(each, attribute, state.soonest_working_day(getattr(each, attribute)))
    if state.types[each.type].is_milestone:
        each.date = each.date or each.due_date
        each.start_date = each.due_date = None
    elif each.start_date and each.due_date and each.due_date < each.start_date:
        raise violation("dueDate", "Дата окончания должна быть не раньше даты начала.")


def _apply_links(state: State, each: WorkPackage, links: Mapping[str, Any]) -> None:
    kinds: tuple[tuple[str, tuple[str, ...], Mapping[int, Any]], ...] = (
        ("type", ("types",), state.types),
        ("status", ("statuses",), state.statuses),
        ("priority", ("priorities",), state.priorities),
        ("assignee", PRINCIPALS, state.people),
        ("responsible", PRINCIPALS, state.people),
        ("version", ("versions",), {number: one for number, one in state.versions.items() if one.is_open}),
    )
    for name, namespaces, known in kinds:
        if name in links:
            number = number_of(links, name, known, *namespaces)
            if number is None and name in {"type", "status", "priority"}:
                raise violation(name, f"{name} не может быть пустым.")
            if name == "type" and number not in state.projects[each.project].types:
                raise violation("type", "Тип не включён в проекте.")
            setattr(each, name, number)
    if "parent" in links:
        each.parent = _parent(state, links)


def _parent(state: State, links: Mapping[str, Any]) -> int | None:
    text = target_of(links, "parent", "work_packages")
    if text is not None and not text.isdecimal() and state.instance.knows_display_ids:
        # The setter looks by primary key, and that refuses PROJ-42 with an exception of its own
        # (work_package_representer.rb, parent; semantic_identifier/finder_methods.rb, UnsupportedLookup).
        raise ApiError(500, "InternalServerError", "Произошла внутренняя ошибка.")
    return number_of(links, "parent", state.work_packages, "work_packages")


def is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) == 10 and bool(date.fromisoformat(value))
    except ValueError:
        return False
