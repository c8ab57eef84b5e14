"""task.*item*: the old methods, which take their parameters by position and not by name.

`{"TASKID": 13, "FIELDS": {...}}` works because TASKID comes first; the other way round it is refused
(page data-encoding, "Order of Parameters").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.bitrix24 import php
from sandbox.bitrix24.errors import RestError, core_error
from sandbox.bitrix24.portal import Portal, Reply
from sandbox.bitrix24.taskview import checklist_view
from sandbox.bitrix24.userfields import CREATABLE_TYPES, UserField

Params = dict[str, Any]


def checklist_add(portal: Portal, params: Params) -> Reply:
    method = "ctaskchecklistitem::add()"
    task_id, fields = _task_id(params, method), php.mapping(_argument(params, 1, []))
    if not fields:
        raise _wrong_arguments(f"Param #1 (arFields) expected by method {method}, but not given.")
    task = portal.readable_task(task_id)
    if task is None or not portal.may_edit(task):
        raise _action_failed("Adding item: action not allowed")
    title = fields.get("TITLE")
    if php.is_empty(title):
        raise _action_failed("Item name not specified")
    parent_id = _parent_of_new_item(portal, task_id, fields)
    siblings = [item for item in portal.checklists[task_id].values() if item.parent_id == parent_id]
    item = portal.add_checklist_item(
        task_id,
        parent_id=parent_id,
        title=str(title),
        sort_index=php.integer(fields["SORT_INDEX"]) if "SORT_INDEX" in fields else len(siblings),
        is_complete=fields.get("IS_COMPLETE") in ("Y", True),
        is_important=fields.get("IS_IMPORTANT") in ("Y", True),
        created_by=portal.webhook_user,
        members=_members(portal, fields),
    )
    return Reply(item.id)


def checklist_list(portal: Portal, params: Params) -> Reply:
    task_id = _task_id(params, "ctaskchecklistitem::getlist()")
    if portal.readable_task(task_id) is None:
        raise _action_failed("Action failed: not found or not accessible")
    items = [checklist_view(item) for item in portal.checklists.get(task_id, {}).values()]
    items.sort(key=lambda item: int(item["ID"]), reverse=True)
    order = php.mapping(_argument(params, 1, {}))
    for key, direction in reversed(list(order.items())):
        items.sort(key=lambda item: _sortable(item.get(key)), reverse=str(direction).lower() == "desc")
    return Reply(items)


def userfield_list(portal: Portal, params: Params) -> Reply:
    order, filter_ = php.mapping(_argument(params, 0, {})), php.mapping(_argument(params, 1, {}))
    rows = portal.user_fields.definitions()
    for key, value in filter_.items():
        wanted = {str(each) for each in php.values(value)}
        rows = [row for row in rows if key not in row or str(row[key]) in wanted]
    for key, direction in reversed(list(order.items())):
        rows.sort(key=lambda row: _sortable(row.get(key)), reverse=str(direction).lower() == "desc")
    return Reply(rows, total=0)  # the page shows 0 whatever the number of rows


def userfield_get(portal: Portal, params: Params) -> Reply:
    if not params:
        raise RestError("ERROR_CORE", "No parameters found.")
    field_id = php.integer(_argument(params, 0, 0))
    if field_id <= 0:
        raise RestError("ERROR_CORE", "ID is not defined or invalid.")
    for row in portal.user_fields.definitions():
        if row["ID"] == str(field_id):
            field = portal.user_fields.get(row["FIELD_NAME"])
            label = {"ru": field.label if field else ""}
            return Reply(row | {"EDIT_FORM_LABEL": label, "LIST_COLUMN_LABEL": label}, total=0)
    raise RestError("ERROR_NOT_FOUND", f"The entity with ID '{field_id}' is not found.")


def userfield_add(portal: Portal, params: Params) -> Reply:
    if not portal.admin:
        raise RestError("ERROR_CORE", portal.texts("access_denied"))
    wanted = php.mapping(_argument(params, 0, {}))
    kind, name = str(wanted.get("USER_TYPE_ID") or ""), str(wanted.get("FIELD_NAME") or "")
    if not kind:
        raise RestError("ERROR_CORE", "The 'USER_TYPE_ID' field is not found.")
    if kind not in CREATABLE_TYPES:
        raise RestError("ERROR_CORE", "Invalid user type specified.")
    if not name:
        raise RestError("ERROR_CORE", "The 'FIELD_NAME' field is not found.")
    name = name if name.startswith("UF_") else f"UF_{name}"
    if name in portal.user_fields:
        raise core_error(f"The field {name} for the object TASKS_TASK already exists.")
    field = UserField(
        name=name,
        type=kind,
        label=str(wanted.get("LABEL") or ""),
        mandatory=wanted.get("MANDATORY") == "Y",
        multiple=wanted.get("MULTIPLE") == "Y" and kind != "boolean",
        settings=php.mapping(wanted.get("SETTINGS")) or None,
    )
    return Reply(portal.user_fields.add(field))


def _parent_of_new_item(portal: Portal, task_id: int, fields: Mapping[str, Any]) -> int:
    """0 makes a new checklist, and so does an unknown parent; without PARENT_ID the first checklist is meant."""
    items = portal.checklists[task_id]
    if "PARENT_ID" in fields:
        parent_id = php.integer(fields["PARENT_ID"])
        return parent_id if parent_id in items else 0
    for item in items.values():
        if item.parent_id == 0:
            return item.id
    root = portal.add_checklist_item(
        task_id,
        parent_id=0,
        title="BX_CHECKLIST_1",
        sort_index=0,
        is_complete=False,
        is_important=False,
        created_by=portal.webhook_user,
    )
    return root.id


def _members(portal: Portal, fields: Mapping[str, Any]) -> list[dict[str, str]]:
    members = []
    for user_id, member in php.items(fields.get("MEMBERS")):
        user = portal.users.get(php.integer(user_id))
        if user is not None:
            kind = str(php.mapping(member).get("TYPE", "A"))
            members.append({"ID": str(user.id), "TYPE": kind, "NAME": user.full_name})
    return members


def _argument(params: Params, position: int, default: Any) -> Any:
    arguments = list(params.values())
    return arguments[position] if len(arguments) > position else default


def _task_id(params: Params, method: str) -> int:
    value = _argument(params, 0, None)
    is_number = isinstance(value, int) or (isinstance(value, str) and value.strip().isdecimal())
    if not is_number:
        raise _wrong_arguments(
            f'Param #0 (taskId) for method {method} expected to be of type "integer", but given something else.'
        )
    return php.integer(value)


def _wrong_arguments(text: str) -> RestError:
    return core_error(f"TASKS_ERROR_EXCEPTION_#256; {text}; 256/TE/WRONG_ARGUMENTS")


def _action_failed(text: str) -> RestError:
    return core_error(f"TASKS_ERROR_EXCEPTION_#8; {text}; 8/TE/ACTION_FAILED_TO_BE_PROCESSED")


def _sortable(value: Any) -> tuple[int, str]:
    text = str(value or "")
    return (int(text), "") if text.isdecimal() else (0, text)


METHODS: Mapping[str, Callable[[Portal, Params], Reply]] = {
    "task.checklistitem.add": checklist_add,
    "task.checklistitem.getlist": checklist_list,
    "task.item.userfield.getlist": userfield_list,
    "task.item.userfield.get": userfield_get,
    "task.item.userfield.add": userfield_add,
}
