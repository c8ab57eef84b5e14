"""What a portal accepts in `fields` of tasks.task.add and update. Source: pages tasks-task-add, tasks-task-update.

Unknown and read-only names are dropped without a word; every refusal is a 400 with a localised text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.bitrix24 import php
from sandbox.bitrix24.clock import parse_moment
from sandbox.bitrix24.errors import RestError, core_error
from sandbox.bitrix24.portal import Portal
from sandbox.bitrix24.taskfields import SETTABLE_STATUSES, TASK_FIELDS, TaskField
from sandbox.bitrix24.tasks import Task

# The page says only "too far in the future"; ten years are this sandbox's choice.
_LONGEST_PLAN_SECONDS = 10 * 365 * 24 * 3600


def fields_of_new_task(portal: Portal, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Checked fields to store. Raises RestError with the first thing that is wrong."""
    stored = _stored(portal, fields)
    if not stored.get("TITLE"):
        raise core_error(portal.texts("title_missing"))
    if not stored.get("RESPONSIBLE_ID"):
        raise core_error(portal.texts("responsible_missing"))
    _check_people(portal, stored)
    _check_parent(portal, stored.get("PARENT_ID"), None)
    _check_plan(portal, stored)
    for field in portal.user_fields:
        if field.mandatory and php.is_empty(stored.get(field.name)):
            raise core_error(portal.texts("field_required", field=field.label or field.name))
    return {name: value for name, value in stored.items() if not php.is_empty(value)}


def changes_of_task(portal: Portal, task: Task, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Checked changes to store. Raises RestError."""
    changes = _stored(portal, fields)
    if "TITLE" in changes and not changes["TITLE"]:
        raise core_error(portal.texts("title_missing"))
    _check_people(portal, changes)
    if changes.get("PARENT_ID"):
        _check_parent(portal, changes["PARENT_ID"], task["ID"])
    _check_plan(portal, {**task, **changes})
    for field in portal.user_fields:
        if field.mandatory and field.name in changes and php.is_empty(changes[field.name]):
            raise core_error(portal.texts("field_required", field=field.label or field.name))
    return changes


def _stored(portal: Portal, fields: Mapping[str, Any]) -> dict[str, Any]:
    stored: dict[str, Any] = {}
    for name, value in fields.items():
        if user_field := portal.user_fields.get(name):
            try:
                stored[name] = user_field.stored(value, portal.zone)
            except ValueError as error:
                text = portal.texts("field_wrong", field=user_field.label or name)
                raise core_error(text) from error
        elif (task_field := TASK_FIELDS.get(name)) and task_field.writable:
            stored[name] = _stored_value(portal, name, task_field, value)
    return stored


def _stored_value(portal: Portal, name: str, field: TaskField, value: Any) -> Any:
    if field.type == "array":
        return _array(name, value)
    if isinstance(value, (dict, list)):
        # What PHP says when a $result[...] in a batch has put an array where a text belongs.
        raise RestError("0", f"{name}: must be of type string, array given (internal error)")
    if name == "STATUS":
        if php.integer(value) not in SETTABLE_STATUSES:
            raise core_error(portal.texts("status_wrong"))
        return php.integer(value)
    if field.type == "datetime":
        return _moment(portal, value)
    if field.type == "integer" or name == "PRIORITY":
        return php.integer(value)
    return None if value is None else str(value)


def _moment(portal: Portal, value: Any) -> int | None:
    if php.is_empty(value):
        return None
    moment = parse_moment(str(value), portal.zone)
    if moment is None:
        raise RestError("0", f"Incorrect date/time: {value} (internal error)")
    return moment


def _array(name: str, value: Any) -> tuple[Any, ...]:
    if name == "TAGS":
        names = value.split(",") if isinstance(value, str) else map(str, php.values(value))
        return tuple(dict.fromkeys(tag.strip() for tag in names if tag.strip()))
    return tuple(dict.fromkeys(php.integer(each) for each in php.values(value) if php.integer(each) > 0))


def _check_people(portal: Portal, stored: Mapping[str, Any]) -> None:
    for name, refusal in (("RESPONSIBLE_ID", "responsible_unknown"), ("CREATED_BY", "creator_unknown")):
        if stored.get(name) and stored[name] not in portal.users:
            raise core_error(portal.texts(refusal))
        if name in stored and not stored[name] and name == "RESPONSIBLE_ID":
            raise core_error(portal.texts("responsible_missing"))


def _check_parent(portal: Portal, parent_id: int | None, task_id: int | None) -> None:
    if not parent_id:
        return
    if parent_id == task_id:
        raise core_error(portal.texts("parent_is_self"))
    ancestor = portal.tasks.get(parent_id)
    if ancestor is None:
        raise core_error(portal.texts("parent_unknown"))
    while ancestor is not None:
        if ancestor["ID"] == task_id:
            raise core_error(portal.texts("parent_is_child"))
        ancestor = portal.tasks.get(ancestor.get("PARENT_ID") or 0)


def _check_plan(portal: Portal, task: Mapping[str, Any]) -> None:
    start, end = task.get("START_DATE_PLAN"), task.get("END_DATE_PLAN")
    if end is None:
        return
    if start is not None and end < start:
        raise core_error(portal.texts("plan_reversed"))
    if end - portal.moment() > _LONGEST_PLAN_SECONDS:
        raise core_error(portal.texts("plan_too_long"))
