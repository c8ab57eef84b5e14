"""The task's own fields: names, types and defaults, in the order of an answer.

Source: pages tasks-task-get-fields and tasks-task-add. `status` of an answer is the real status (2 pending, 3 in
progress, 4 awaiting control, 5 completed, 6 deferred, 7 declined of old portals).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

PENDING, IN_PROGRESS, AWAITING_CONTROL, COMPLETED, DEFERRED, DECLINED = 2, 3, 4, 5, 6, 7

# Status 1 (new) and 7 (declined) exist on old portals only; nobody can set them through REST.
SETTABLE_STATUSES = frozenset({PENDING, IN_PROGRESS, AWAITING_CONTROL, COMPLETED, DEFERRED})

_YES_NO = {"Y": "Да", "N": "Нет"}


@dataclass(frozen=True, slots=True)
class TaskField:
    type: str  # integer, string, enum, datetime, array
    default: Any = None
    writable: bool = True
    values: Mapping[str, str] | None = None
    required: bool = False


def _flag(default: str = "N", *, writable: bool = True) -> TaskField:
    return TaskField("enum", default, writable, _YES_NO)


def _read_only(kind: str, default: Any = None) -> TaskField:
    return TaskField(kind, default, writable=False)


TASK_FIELDS: Mapping[str, TaskField] = {
    "ID": _read_only("integer"),
    "PARENT_ID": TaskField("integer"),
    "TITLE": TaskField("string", "", required=True),
    "DESCRIPTION": TaskField("string", ""),
    "MARK": TaskField("enum", None, values={"P": "Положительная", "N": "Отрицательная"}),
    "PRIORITY": TaskField("enum", 1, values={"2": "Высокий", "1": "Средний", "0": "Низкий"}),
    "MULTITASK": _flag(),
    "NOT_VIEWED": _flag(writable=False),
    "REPLICATE": _flag(),
    "STAGE_ID": TaskField("integer", 0),
    "CREATED_BY": TaskField("integer", required=True),
    "CREATED_DATE": _read_only("datetime"),
    "RESPONSIBLE_ID": TaskField("integer", required=True),
    "CHANGED_BY": _read_only("integer"),
    "CHANGED_DATE": _read_only("datetime"),
    "STATUS_CHANGED_BY": _read_only("integer"),
    "CLOSED_BY": _read_only("integer"),
    "CLOSED_DATE": _read_only("datetime"),
    "ACTIVITY_DATE": _read_only("datetime"),
    "DATE_START": _read_only("datetime"),
    "DEADLINE": TaskField("datetime"),
    "START_DATE_PLAN": TaskField("datetime"),
    "END_DATE_PLAN": TaskField("datetime"),
    "GUID": _read_only("string"),
    "XML_ID": TaskField("string"),
    "COMMENTS_COUNT": _read_only("integer"),
    "SERVICE_COMMENTS_COUNT": _read_only("integer"),
    "ALLOW_CHANGE_DEADLINE": _flag(),
    "ALLOW_TIME_TRACKING": _flag(),
    "TASK_CONTROL": _flag(),
    "ADD_IN_REPORT": _flag(),
    "FORKED_BY_TEMPLATE_ID": _read_only("integer"),
    "TIME_ESTIMATE": TaskField("integer", 0),
    "TIME_SPENT_IN_LOGS": _read_only("integer"),
    "MATCH_WORK_TIME": _flag(),
    "FORUM_TOPIC_ID": _read_only("integer"),
    "FORUM_ID": _read_only("integer"),
    "SITE_ID": TaskField("string", "s1"),
    "SUBORDINATE": _flag("Y", writable=False),
    "EXCHANGE_MODIFIED": _read_only("datetime"),
    "EXCHANGE_ID": _read_only("integer"),
    "OUTLOOK_VERSION": _read_only("integer", 1),
    "VIEWED_DATE": _read_only("datetime"),
    "SORTING": _read_only("integer"),
    "DURATION_FACT": _read_only("integer"),
    "IS_MUTED": _flag(writable=False),
    "IS_PINNED": _flag(writable=False),
    "IS_PINNED_IN_GROUP": _flag(writable=False),
    "FLOW_ID": TaskField("integer"),
    "DESCRIPTION_IN_BBCODE": _flag("Y"),
    "STATUS": TaskField("enum", PENDING, values={str(s): "" for s in sorted(SETTABLE_STATUSES)}),
    "STATUS_CHANGED_DATE": _read_only("datetime"),
    "DURATION_PLAN": TaskField("integer"),
    "DURATION_TYPE": TaskField("enum", "days", values={"secs": "", "mins": "", "hours": "", "days": ""}),
    "FAVORITE": _flag(writable=False),
    "GROUP_ID": TaskField("integer", 0),
    "AUDITORS": TaskField("array", ()),
    "ACCOMPLICES": TaskField("array", ()),
    "TAGS": TaskField("array", ()),
    "DEPENDS_ON": TaskField("array", ()),
    "CHECKLIST": _read_only("array", ()),
}

DEFAULTS: Mapping[str, Any] = {name: field.default for name, field in TASK_FIELDS.items()}

ORDER_KEYS = frozenset(
    {
        "ID",
        "TITLE",
        "TIME_SPENT_IN_LOGS",
        "DATE_START",
        "CREATED_DATE",
        "CHANGED_DATE",
        "CLOSED_DATE",
        "ACTIVITY_DATE",
        "START_DATE_PLAN",
        "END_DATE_PLAN",
        "DEADLINE",
        "REAL_STATUS",
        "STATUS",
        "STATUS_COMPLETE",
        "PRIORITY",
        "MARK",
        "CREATED_BY",
        "CREATED_BY_LAST_NAME",
        "RESPONSIBLE_ID",
        "RESPONSIBLE_LAST_NAME",
        "GROUP_ID",
        "TIME_ESTIMATE",
        "ALLOW_CHANGE_DEADLINE",
        "ALLOW_TIME_TRACKING",
        "MATCH_WORK_TIME",
        "FAVORITE",
        "SORTING",
        "IS_PINNED",
        "IS_PINNED_IN_GROUP",
    }
)


@cache
def camel_case(name: str) -> str:
    """`UF_RESULT_ANSWER` -> `ufResultAnswer`."""
    first, *rest = name.lower().split("_")
    return first + "".join(part.capitalize() for part in rest)
