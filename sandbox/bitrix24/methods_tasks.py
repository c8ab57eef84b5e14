"""tasks.task.*: parameters are named (`taskId`, `fields`, `filter`, …), case matters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.bitrix24 import php
from sandbox.bitrix24.clock import iso
from sandbox.bitrix24.errors import RestError
from sandbox.bitrix24.portal import Portal, Reply
from sandbox.bitrix24.rules import changes_of_task, fields_of_new_task
from sandbox.bitrix24.taskfields import (
    AWAITING_CONTROL,
    COMPLETED,
    DEFERRED,
    IN_PROGRESS,
    PENDING,
    TASK_FIELDS,
)
from sandbox.bitrix24.taskquery import list_page
from sandbox.bitrix24.tasks import Task
from sandbox.bitrix24.taskview import chosen_fields, full_view, list_view

Params = dict[str, Any]

_ACTION_FAILED = "1048582"


def add(portal: Portal, params: Params) -> Reply:
    fields = fields_of_new_task(portal, _fields(params))
    task = portal.tasks.add(fields, by=portal.webhook_user, moment=portal.moment())
    return _task_reply(portal, task)


def get(portal: Portal, params: Params) -> Reply:
    task_id = _task_id(params)
    select = params.get("select", [])
    if not isinstance(select, (list, dict)):
        raise RestError(
            "100",
            "Invalid value {} to match with parameter {select}. Should be value of type array. (internal error)",
        )
    task = portal.readable_task(task_id)
    return (
        Reply([])
        if task is None
        else _task_reply(portal, task, [*php.values(select), *(["FAVORITE"] if select else [])])
    )


def list_(portal: Portal, params: Params) -> Reply:
    page = list_page(
        portal,
        php.mapping(params.get("filter")),
        php.mapping(params.get("order")),
        php.integer(params.get("start", 0)),
    )
    names = chosen_fields(portal, [str(name) for name in php.values(params.get("select") or [])])
    rows = [list_view(portal, task, names) for task in page.tasks]
    if php.mapping(params.get("params")).get("WITH_RESULT_INFO"):
        for row in rows:
            row |= {"taskRequireResult": "N", "taskHasOpenResult": "N", "taskHasResult": "N"}
    return Reply({"tasks": rows}, total=page.total, next=page.next)


def update(portal: Portal, params: Params) -> Reply:
    task_id, fields = _task_id(params), _fields(params)
    task = portal.tasks.get(task_id)
    if task is None or not portal.may_edit(task):
        raise _not_allowed(portal)
    changes = changes_of_task(portal, task, fields)
    portal.tasks.update(task, changes, by=portal.webhook_user, moment=portal.moment())
    return _task_reply(portal, task)


def delete(portal: Portal, params: Params) -> Reply:
    task = portal.tasks.get(_task_id(params))
    if task is None or not (portal.admin or portal.webhook_user == task["CREATED_BY"]):
        raise RestError(_ACTION_FAILED, portal.texts("access_denied"))
    portal.delete_task(task)
    return Reply({"task": True})


def complete(portal: Portal, params: Params) -> Reply:
    """Status 5; with TASK_CONTROL the creator's approval is awaited first (status 4) unless it is the creator."""
    task = _editable(portal, params, (PENDING, IN_PROGRESS, DEFERRED))
    controlled = portal.value(task, "TASK_CONTROL") == "Y" and portal.webhook_user != task["CREATED_BY"]
    return _set_status(portal, task, AWAITING_CONTROL if controlled else COMPLETED)


def _status_method(to: int, allowed: tuple[int, ...]) -> Callable[[Portal, Params], Reply]:
    def change_status(portal: Portal, params: Params) -> Reply:
        return _set_status(portal, _editable(portal, params, allowed), to)

    return change_status


def _control_method(to: int) -> Callable[[Portal, Params], Reply]:
    def decide(portal: Portal, params: Params) -> Reply:
        task = portal.tasks.get(_task_id(params))
        may_control = task is not None and (portal.admin or portal.webhook_user == task["CREATED_BY"])
        if task is None or not may_control or task["STATUS"] != AWAITING_CONTROL:
            raise RestError(_ACTION_FAILED, portal.texts("not_allowed"))
        return _set_status(portal, task, to)

    return decide


def get_fields(portal: Portal, params: Params) -> Reply:
    fields: dict[str, Any] = {}
    for name, field in TASK_FIELDS.items():
        described: dict[str, Any] = {"title": name.replace("_", " ").capitalize(), "type": field.type}
        if name == "ID":
            described["primary"] = True
        if field.values is not None:
            described["values"] = dict(field.values)
        if field.required:
            described["required"] = True
        elif name != "ID" and field.type != "array":
            described["default"] = field.default
        fields[name] = described
    for user_field in portal.user_fields:
        fields[user_field.name] = {"title": user_field.label or user_field.name, "type": user_field.type}
    return Reply({"fields": fields})


def history_list(portal: Portal, params: Params) -> Reply:
    task_id = _task_id(params)
    if portal.readable_task(task_id) is None:
        return Reply({"list": []})
    wanted = set(map(str, php.values(php.mapping(params.get("filter")).get("FIELD", []))))
    entries = []
    for change in portal.tasks.history[task_id]:
        if wanted and change.field not in wanted:
            continue
        user = portal.users[change.user]
        entries.append(
            {
                "id": change.id,
                "createdDate": iso(change.moment, portal.zone),
                "field": change.field,
                "value": {"from": _history_value(change.before), "to": _history_value(change.after)},
                "user": {"id": user.id, "name": user.name, "lastName": user.last_name, "login": user.email},
            }
        )
    return Reply({"list": entries})


def _history_value(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    return None if value is None else str(value)


def _task_reply(portal: Portal, task: Task, select: list[Any] | None = None) -> Reply:
    if not portal.may_read(task):
        return Reply([])
    return Reply({"task": full_view(portal, task, chosen_fields(portal, [str(name) for name in select or []]))})


def _task_id(params: Params) -> int:
    if "taskId" not in params:
        raise RestError("100", "CTaskItem All parameters in the constructor must have real class type (internal error)")
    task_id = php.integer(params["taskId"])
    if task_id <= 0:
        raise RestError("0", "wrong task id")
    return task_id


def _fields(params: Params) -> dict[str, Any]:
    fields = php.mapping(params.get("fields"))
    if not fields:
        raise RestError("100", "Could not find value for parameter {fields} (internal error)")
    return fields


def _editable(portal: Portal, params: Params, allowed: tuple[int, ...]) -> Task:
    task = portal.tasks.get(_task_id(params))
    if task is None or not portal.may_edit(task) or task["STATUS"] not in allowed:
        raise _not_allowed(portal)
    return task


def _set_status(portal: Portal, task: Task, status: int) -> Reply:
    portal.tasks.update(task, {"STATUS": status}, by=portal.webhook_user, moment=portal.moment())
    return _task_reply(portal, task)


def _not_allowed(portal: Portal) -> RestError:
    return RestError("0", portal.texts("not_allowed") + " (internal error)")


METHODS: Mapping[str, Callable[[Portal, Params], Reply]] = {
    "tasks.task.add": add,
    "tasks.task.get": get,
    "tasks.task.list": list_,
    "tasks.task.update": update,
    "tasks.task.delete": delete,
    "tasks.task.complete": complete,
    "tasks.task.start": _status_method(IN_PROGRESS, (PENDING, DEFERRED)),
    "tasks.task.pause": _status_method(PENDING, (IN_PROGRESS,)),
    "tasks.task.defer": _status_method(DEFERRED, (PENDING, IN_PROGRESS)),
    "tasks.task.renew": _status_method(PENDING, (AWAITING_CONTROL, COMPLETED, DEFERRED)),
    "tasks.task.approve": _control_method(COMPLETED),
    "tasks.task.disapprove": _control_method(PENDING),
    "tasks.task.getfields": get_fields,
    "tasks.task.history.list": history_list,
}
