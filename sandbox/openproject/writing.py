"""What may be written: bodies of POST and PATCH, checked as the server checks them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from sandbox.openproject.errors import ApiError, violation, wrong_format
from sandbox.openproject.state import CustomField, Project, State, WorkPackage

Json = dict[str, Any]

_IDENTIFIER = re.compile(r"(?![0-9]+$)[a-z0-9_-]{1,100}")
_DURATION = re.compile(r"P(?!$)(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?")
_READ_ONLY = ("id", "createdAt", "updatedAt", "_type")
_AUTHOR = 1


def create(state: State, body: Json, project: Project | None) -> WorkPackage:
    """Raises ApiError."""
    links = _links(body)
    number = project.id if project is not None else _linked(state.projects, links, "project", "projects")
    if number is None:
        raise violation("project", "Проект не может быть пустым.")
    kinds = state.projects[number].types
    kind = _linked(state.types, links, "type", "types")
    if kind is not None and kind not in kinds:
        raise violation("type", "Тип не включён в проекте.")
    if "lockVersion" in body:
        raise _read_only("lockVersion")
    now = state.now()
    made = WorkPackage(
        id=0,
        project=number,
        type=kind if kind is not None else kinds[0],
        status=1,
        priority=8,
        author=_AUTHOR,
        subject="",
        created_at=now,
        updated_at=now,
    )
    if "startDate" not in body:
        made.start_date = now.date().isoformat()  # the administrator's setting: today
    _apply(state, made, body, links)
    if not made.subject:
        raise violation("subject", "Тема не может быть пустой.")
    made.id = state.next_id()
    state.work_packages[made.id] = made
    state.changed.notify_all()
    return made


def update(state: State, each: WorkPackage, body: Json) -> None:
    """Raises ApiError; nothing is changed then."""
    if body.get("lockVersion") != each.lock_version:
        raise ApiError(409, "UpdateConflict", "Вы не можете обновить ресурс: он был изменён.")
    draft = WorkPackage(**{name: getattr(each, name) for name in WorkPackage.__slots__})
    draft.custom = dict(each.custom)
    _apply(state, draft, {name: value for name, value in body.items() if name != "lockVersion"}, _links(body))
    for name in WorkPackage.__slots__:
        setattr(each, name, getattr(draft, name))
    state.touch(each)


def project(state: State, body: Json) -> Project:
    """Raises ApiError."""
    name, identifier = body.get("name"), body.get("identifier")
    if not isinstance(name, str) or not name:
        raise violation("name", "Имя не может быть пустым.")
    identifier = identifier if identifier is not None else f"project-{state.next_id()}"
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        raise violation("identifier", "Идентификатор имеет неверное значение.")
    if any(each.identifier == identifier for each in state.projects.values()):
        raise violation("identifier", "Идентификатор уже занят.")
    parent = _linked(state.projects, _links(body), "parent", "projects")
    made = Project(
        max(state.projects) + 1, identifier, name, parent=parent, description=_raw(body, "description") or ""
    )
    state.projects[made.id] = made
    state.changed.notify_all()
    return made


def comment(body: Json) -> str:
    raw = _raw(body, "comment")
    if not raw:
        raise violation("comment", "Комментарий не может быть пустым.")
    return raw


def _apply(state: State, each: WorkPackage, body: Json, links: Mapping[str, Any]) -> None:
    for name in _READ_ONLY:
        if name in body:
            raise _read_only(name)
    if "subject" in body:
        subject = body["subject"]
        if not isinstance(subject, str):
            raise wrong_format("subject", "строка")
        if not 1 <= len(subject) <= 255:
            raise violation("subject", "Тема: от 1 до 255 символов.")
        each.subject = subject
    if (raw := _raw(body, "description")) is not None:
        each.description = raw
    if "estimatedTime" in body:
        if body["estimatedTime"] is not None and not _DURATION.fullmatch(str(body["estimatedTime"])):
            raise wrong_format("estimatedTime", "ISO 8601")
        each.estimated_time = body["estimatedTime"]
    _apply_dates(state, each, body)
    _apply_links(state, each, links)
    for field in state.fields_of(each.project, each.type):  # the others are dropped without a word
        _apply_custom(each, field, body, links)


def _apply_dates(state: State, each: WorkPackage, body: Json) -> None:
    for name, attribute in (("startDate", "start_date"), ("dueDate", "due_date"), ("date", "date")):
        if name in body:
            value = body[name]
            if value is not None and not _is_date(value):
                raise wrong_format(name, "ГГГГ-ММ-ДД")
            setattr(each, attribute, value)
    if state.types[each.type].is_milestone:
        each.start_date = each.due_date = None
    elif each.start_date and each.due_date and each.due_date < each.start_date:
        raise violation("dueDate", "Дата окончания должна быть не раньше даты начала.")


def _apply_links(state: State, each: WorkPackage, links: Mapping[str, Any]) -> None:
    kinds: tuple[tuple[str, str, Mapping[int, Any]], ...] = (
        ("type", "types", state.types),
        ("status", "statuses", state.statuses),
        ("priority", "priorities", state.priorities),
        ("assignee", "users", state.people),
        ("responsible", "users", state.people),
        ("version", "versions", state.versions),
        ("parent", "work_packages", state.work_packages),
    )
    for name, kind, known in kinds:
        if name in links:
            number = _linked(known, links, name, kind)
            if number is None and name in {"type", "status", "priority"}:
                raise violation(name, f"{name} не может быть пустым.")
            setattr(each, name, number)


def _apply_custom(each: WorkPackage, field: CustomField, body: Json, links: Mapping[str, Any]) -> None:
    if field.kind == "CustomOption":
        if field.key in links:
            given = links[field.key] if isinstance(links[field.key], list) else [links[field.key]]
            known = {option.id: option for option in field.options}
            chosen = [_linked(known, {"x": one}, "x", "custom_options") for one in given]
            each.custom[field.key] = [number for number in chosen if number is not None]
        return
    if field.key not in body:
        return
    value = body[field.key]
    kinds: dict[str, tuple[type, ...]] = {
        "String": (str,),
        "Float": (int, float),
        "Integer": (int,),
        "Boolean": (bool,),
        "Date": (str,),
    }
    expected = kinds[field.kind]
    if value is not None and (not isinstance(value, expected) or (field.kind != "Boolean" and isinstance(value, bool))):
        raise wrong_format(field.key, field.kind)
    each.custom[field.key] = value


def _links(body: Json) -> Mapping[str, Any]:
    links = body.get("_links", {})
    if not isinstance(links, Mapping):
        raise ApiError(400, "InvalidRequestBody", "_links: ожидается объект.")
    return links


def _linked(known: Mapping[int, Any], links: Mapping[str, Any], name: str, kind: str) -> int | None:
    target = links.get(name)
    address = target.get("href") if isinstance(target, Mapping) else None
    if address is None:
        return None
    match = re.fullmatch(rf"/api/v3/{kind}/([0-9]+)", str(address))
    if match is None:
        raise ApiError(
            422, "PropertyConstraintViolation", f"Для {name} ожидается ссылка /api/v3/{kind}/:id.", attribute=name
        )
    number = int(match[1])
    if number not in known:
        raise violation(name, f"{name}: не найдено.")
    return number


def _raw(body: Json, name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, Mapping) or not isinstance(value.get("raw"), str):
        raise wrong_format(name, "объект с raw")
    return str(value["raw"])


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) == 10 and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _read_only(name: str) -> ApiError:
    return ApiError(422, "PropertyIsReadOnly", f"{name} только для чтения.", attribute=name)
