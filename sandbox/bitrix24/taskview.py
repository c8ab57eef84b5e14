"""A stored task as an answer shows it: camelCase names, numbers as strings, ISO dates, empty maps as `[]`.

Source: the sample answers of pages tasks-task-add, tasks-task-get and tasks-task-list.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sandbox.bitrix24.clock import iso
from sandbox.bitrix24.people import User
from sandbox.bitrix24.portal import ChecklistItem, Portal
from sandbox.bitrix24.taskfields import (
    AWAITING_CONTROL,
    COMPLETED,
    DEFERRED,
    IN_PROGRESS,
    PENDING,
    TASK_FIELDS,
    camel_case,
)
from sandbox.bitrix24.taskquery import sub_status
from sandbox.bitrix24.tasks import Task
from sandbox.bitrix24.userfields import SYSTEM_USER_FIELD_NAMES

_ALL_FIELDS = tuple(name for name in TASK_FIELDS if name not in ("TAGS", "DEPENDS_ON"))


def chosen_fields(portal: Portal, select: Sequence[str]) -> list[str]:
    """The names that `select` means: user fields only by name, or all of them by `*` together with `UF_*`."""
    if not select or "*" in select:
        wants_user_fields = any(name.startswith("UF_") for name in select)
        return [*_ALL_FIELDS, *(field.name for field in portal.user_fields if wants_user_fields)]
    names = [name for name in select if name in TASK_FIELDS or name in portal.user_fields]
    if SYSTEM_USER_FIELD_NAMES.intersection(names):
        names += SYSTEM_USER_FIELD_NAMES.difference(names)
    return ["ID", *(name for name in dict.fromkeys(names) if name != "ID")]


def task_view(portal: Portal, task: Task, names: Collection[str]) -> dict[str, Any]:
    """The part that `get` and `list` share."""
    shown = {camel_case(name): _shown(portal, task, name) for name in names}
    if "description" in shown:
        shown["descriptionInBbcode"] = portal.value(task, "DESCRIPTION_IN_BBCODE")
    shown["group"] = _group(task) if "groupId" in shown else []
    for name, id_name in (("creator", "CREATED_BY"), ("responsible", "RESPONSIBLE_ID")):
        if camel_case(id_name) in shown and (user := portal.users.get(task[id_name])):
            shown[name] = _person(user)
    for name in ("ACCOMPLICES", "AUDITORS"):
        if camel_case(name) in shown:
            people = [portal.users[user] for user in task.get(name, ()) if user in portal.users]
            shown[camel_case(name) + "Data"] = {str(user.id): _person(user) for user in people} or []
    return shown


def full_view(portal: Portal, task: Task, names: Collection[str]) -> dict[str, Any]:
    """As tasks.task.get, add, update and the status methods answer."""
    shown = task_view(portal, task, names)
    shown["action"] = _allowed_actions(portal, task)
    if "checklist" in shown:
        shown["newCommentsCount"] = 0
        shown["checkListTree"] = _checklist_root(portal)
        shown["checkListCanAdd"] = portal.may_edit(task)
    return shown


def list_view(portal: Portal, task: Task, names: Collection[str]) -> dict[str, Any]:
    """As a row of tasks.task.list; it alone has `subStatus`."""
    shown = task_view(portal, task, names)
    if "status" in shown:
        shown["subStatus"] = str(sub_status(portal, task))
    return shown


def checklist_view(item: ChecklistItem) -> dict[str, Any]:
    """As `task.checklistitem.getlist` shows it (page task-checklist-item-get-list)."""
    return {
        "ID": str(item.id),
        "TASK_ID": str(item.task_id),
        "PARENT_ID": str(item.parent_id) if item.parent_id else 0,
        "CREATED_BY": str(item.created_by),
        "TITLE": item.title,
        "SORT_INDEX": str(item.sort_index),
        "IS_COMPLETE": "Y" if item.is_complete else "N",
        "IS_IMPORTANT": "Y" if item.is_important else "N",
        "TOGGLED_BY": None,
        "TOGGLED_DATE": "",
        "MEMBERS": item.members,
        "ATTACHMENTS": [],
    }


def _shown(portal: Portal, task: Task, name: str) -> Any:
    if user_field := portal.user_fields.get(name):
        return user_field.shown(task.get(name), portal.zone)
    if name == "TAGS":
        tags = {tag: portal.tag_id(tag) for tag in task.get("TAGS", ())}
        return {str(tag_id): {"id": tag_id, "title": tag} for tag, tag_id in tags.items()} or []
    if name == "CHECKLIST":
        return {
            str(item.id): {camel_case(key): value for key, value in checklist_view(item).items()}
            for item in portal.checklists.get(task["ID"], {}).values()
        } or []
    value = portal.value(task, name)
    if value is None:
        return None
    kind = TASK_FIELDS[name].type
    if kind == "datetime":
        return iso(value, portal.zone)
    return [str(each) for each in value] if kind == "array" else str(value)


def _person(user: User) -> dict[str, str]:
    return {
        "id": str(user.id),
        "name": user.full_name,
        "link": f"/company/personal/user/{user.id}/",
        "icon": "/bitrix/images/tasks/default_avatar.png",
        "workPosition": user.position,
    }


def _group(task: Task) -> Any:
    group_id = task.get("GROUP_ID")
    if not group_id:
        return []
    return {
        "id": str(group_id),
        "name": f"Проект {group_id}",
        "opened": False,
        "membersCount": 1,
        "image": "/bitrix/images/socialnetwork/workgroup/folder.png",
        "additionalData": [],
    }


def _allowed_actions(portal: Portal, task: Task) -> dict[str, bool]:
    status, may_edit = task["STATUS"], portal.may_edit(task)
    may_control = portal.admin or portal.webhook_user == task["CREATED_BY"]
    return {
        "accept": False,
        "decline": False,
        "complete": may_edit and status in (PENDING, IN_PROGRESS),
        "approve": may_control and status == AWAITING_CONTROL,
        "disapprove": may_control and status == AWAITING_CONTROL,
        "start": may_edit and status in (PENDING, DEFERRED),
        "pause": may_edit and status == IN_PROGRESS,
        "delegate": may_edit,
        "remove": may_control,
        "edit": may_edit,
        "defer": may_edit and status in (PENDING, IN_PROGRESS),
        "renew": may_edit and status in (AWAITING_CONTROL, COMPLETED, DEFERRED),
        "create": True,
        "changeDeadline": may_edit,
        "checklistAddItems": may_edit,
        "addFavorite": True,
        "deleteFavorite": False,
        "rate": may_control,
    }


def _checklist_root(portal: Portal) -> dict[str, Any]:
    return {
        "nodeId": 0,
        "fields": {
            "id": None,
            "entityId": None,
            "userId": portal.webhook_user,
            "parentId": None,
            "title": "",
            "isComplete": False,
            "isImportant": False,
            "completedCount": 0,
            "members": [],
            "attachments": [],
        },
        "action": [],
        "descendants": [],
    }
