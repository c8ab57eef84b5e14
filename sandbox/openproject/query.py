"""`filters`, `sortBy`, `offset`, `pageSize`, `select` of the list of work packages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sandbox.openproject import custom, views
from sandbox.openproject.errors import ApiError, invalid_query
from sandbox.openproject.objects import WorkPackage
from sandbox.openproject.paging import page
from sandbox.openproject.state import TOKENS_USER, State

_SELECTABLE = {"_type", "id", "subject", "startDate", "dueDate", "date", "self", "project", "author", "assignee"}

_LINKED = {"project", "type", "priority", "author", "assignee", "responsible", "version", "parent"}

Condition = Callable[[WorkPackage], bool]
MakeCondition = Callable[[], Condition]


def view(state: State, each: WorkPackage) -> dict[str, Any]:
    fields = state.fields_of(each.project, each.type)
    return views.work_package(state, each, *custom.shown(each.custom, fields, state))


def listing(state: State, query: Mapping[str, str], project: int | None) -> dict[str, Any]:
    """The page that was asked for. Raises ApiError."""
    path = "work_packages" if project is None else f"projects/{project}/work_packages"
    conditions = _conditions(state, query.get("filters"), project)
    found = [
        each
        for each in state.work_packages.values()
        if each.visible and (project is None or each.project == project) and all(holds(each) for holds in conditions)
    ]
    for name, direction in reversed(_order(query.get("sortBy"))):
        found.sort(key=_SORTING[name], reverse=direction == "desc")
    body = page("WorkPackageCollection", path, found, query, lambda each: view(state, each))
    if "select" in query:
        return _selected(query["select"], body["_embedded"]["elements"], len(found))
    return body


def _conditions(state: State, text: str | None, project: int | None) -> list[Condition]:
    if text is None:
        return [lambda each: not state.statuses[each.status].is_closed]  # the default: open ones
    try:
        entries = json.loads(text)
        pairs = [(name, entry["operator"], entry["values"]) for one in entries for name, entry in one.items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise invalid_query("Filters не удалось разобрать.") from None
    return [_condition(state, name, operator, wanted, project) for name, operator, wanted in pairs]


def _condition(state: State, name: str, operator: str, wanted: Sequence[str], project: int | None) -> Condition:
    known: Mapping[tuple[str, str], MakeCondition] = {
        ("status", "o"): lambda: lambda each: not state.statuses[each.status].is_closed,
        ("status", "c"): lambda: lambda each: state.statuses[each.status].is_closed,
        ("status", "*"): lambda: lambda each: True,
        ("status", "="): lambda: lambda each: str(each.status) in wanted,
        ("subject", "~"): lambda: lambda each: all(part.casefold() in each.subject.casefold() for part in wanted),
        ("id", "="): lambda: _by_id(state, wanted),
        ("updatedAt", "<>d"): lambda: _updated_between(wanted),
    }
    plain = name.removesuffix("_id")
    if (make := known.get((plain, operator))) is not None:
        return make()
    if plain in _LINKED and operator in {"=", "!"}:
        ids = {str(TOKENS_USER) if value == "me" else value for value in wanted}
        return lambda each: (str(getattr(each, plain)) in ids) is (operator == "=")
    if (field := state.custom_fields.get(name)) is not None and field.is_filter and operator == "=":
        if project is None and field.projects is not None:
            raise invalid_query(f"Фильтр {name} не существует.")  # only fields for all projects, outside of one
        return lambda each: field.is_on(each.project, each.type) and str(each.custom.get(name)) in wanted
    raise invalid_query(f"Фильтр {name} не существует или не знает оператора {operator}.")


def _by_id(state: State, wanted: Sequence[str]) -> Condition:
    # By number only, also where people call them otherwise (filter_for_wp_mixin.rb, allowed_values_subset).
    visible = {str(each.id) for each in state.work_packages.values() if each.visible}
    if not wanted or not set(wanted) <= visible:
        raise invalid_query("Фильтр Id содержит неверные значения.")
    return lambda each: str(each.id) in wanted


def _updated_between(wanted: Sequence[str]) -> Condition:
    earliest, latest = (_moment(text) for text in wanted)
    return lambda each: (
        (earliest is None or each.updated_at >= earliest) and (latest is None or each.updated_at <= latest)
    )


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid_query("Фильтр Updated on содержит неверные значения.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_SORTING: Mapping[str, Callable[[WorkPackage], Any]] = {
    "id": lambda each: each.id,
    "updatedAt": lambda each: each.updated_at,
    "subject": lambda each: each.subject,
}


def _order(text: str | None) -> list[tuple[str, str]]:
    if text is None:
        return [("id", "asc")]
    try:
        order = [(str(name), str(direction)) for name, direction in json.loads(text)]
    except (ValueError, TypeError):
        raise invalid_query("sortBy не удалось разобрать.") from None
    if any(name not in _SORTING or direction not in {"asc", "desc"} for name, direction in order):
        raise invalid_query("sortBy содержит неверные значения.")
    return order


def _selected(text: str, rows: Sequence[dict[str, Any]], total: int) -> dict[str, Any]:
    wanted = text.split(",")
    fields = [name.removeprefix("elements/") for name in wanted if name.startswith("elements/")]
    if set(fields) - _SELECTABLE or set(wanted) - {f"elements/{name}" for name in fields} - {"total", "count"}:
        raise ApiError(400, "InvalidSignal", "Не поддерживаемое значение select.")
    answer: dict[str, Any] = {"total": total} if "total" in wanted else {}
    if "count" in wanted:
        answer["count"] = len(rows)
    elements = [{name: row[name] for name in fields if name in row} for row in rows]
    return {**answer, "_embedded": {"elements": elements}}
