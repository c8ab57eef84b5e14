"""tasks.task.list without the HTTP: which tasks a filter means, in which order, which page of them.

The cheapest index answers one condition, the rest is tested task by task, so that a poll costs in proportion to what
it returns and not to all tasks of the portal.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sandbox.bitrix24 import php
from sandbox.bitrix24.clock import parse_moment
from sandbox.bitrix24.errors import RestError
from sandbox.bitrix24.filters import Condition, conditions, like, predicate
from sandbox.bitrix24.portal import Portal
from sandbox.bitrix24.taskfields import COMPLETED, DECLINED, ORDER_KEYS
from sandbox.bitrix24.tasks import Task, TaskStore

PAGE_SIZE = 50

_INTEGERS = frozenset(
    {
        "ID",
        "PARENT_ID",
        "GROUP_ID",
        "STAGE_ID",
        "CREATED_BY",
        "CHANGED_BY",
        "RESPONSIBLE_ID",
        "STATUS_CHANGED_BY",
        "CLOSED_BY",
        "PRIORITY",
        "FORUM_TOPIC_ID",
        "FLOW_ID",
        "TIME_ESTIMATE",
    }
)
_DATES = frozenset(
    {
        "DATE_START",
        "DEADLINE",
        "CREATED_DATE",
        "CLOSED_DATE",
        "CHANGED_DATE",
        "ACTIVITY_DATE",
        "START_DATE_PLAN",
        "END_DATE_PLAN",
        "STATUS_CHANGED_DATE",
    }
)
_STRINGS = frozenset(
    {
        "MARK",
        "SITE_ID",
        "ADD_IN_REPORT",
        "XML_ID",
        "GUID",
        "ALLOW_TIME_TRACKING",
        "ALLOW_CHANGE_DEADLINE",
        "TASK_CONTROL",
    }
)

Test = Callable[[Task], bool]

# How many ids an index would give, and a function that gives them in ascending order.
_Indexed = tuple[int, Callable[[], Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Page:
    tasks: list[Task]
    total: int
    next: int | None


def list_page(portal: Portal, filter_: Mapping[str, Any], order: Mapping[str, Any], start: int) -> Page:
    """One page of at most 50 readable tasks. `start` -1 counts nothing: total 0, no next.

    Raises RestError "0" for an order key that the portal does not know.
    """
    _check_order(portal, order)
    known = [condition for condition in conditions(filter_) if _is_known(portal, condition)]
    candidates, rest = _cheapest_index(portal, known)
    tests = [_test(portal, condition) for condition in rest]
    if not portal.admin:
        tests.append(portal.may_read)
    descending = _id_direction(order)
    if descending is not None:
        chosen = _matching(portal, reversed(candidates) if descending else candidates, tests)
        if start < 0:
            return Page(list(islice(chosen, PAGE_SIZE)), 0, None)
        if not tests:
            ids = candidates[::-1] if descending else candidates
            page = [portal.tasks.get(task_id) for task_id in ids[start : start + PAGE_SIZE]]
            return _page([task for task in page if task is not None], len(ids), start)
        matching = list(chosen)
    else:
        matching = list(_matching(portal, candidates, tests))
        for key, direction in reversed(list(order.items())):
            matching.sort(key=_sort_key(portal, key), reverse=_is_descending(direction))
    if start < 0:
        return Page(matching[:PAGE_SIZE], 0, None)
    return _page(matching[start : start + PAGE_SIZE], len(matching), start)


def _page(tasks: list[Task], total: int, start: int) -> Page:
    following = start + PAGE_SIZE
    return Page(tasks, total, following if following < total else None)


def _matching(portal: Portal, ids: Iterable[int], tests: Sequence[Test]) -> Iterator[Task]:
    for task_id in ids:
        task = portal.tasks.get(task_id)
        if task is not None and all(test(task) for test in tests):
            yield task


def _is_known(portal: Portal, condition: Condition) -> bool:
    field = condition.field
    if field in portal.ignored_filters:
        return False
    if field == "XML_ID" or field.startswith("UF_"):
        return portal.honours_key_filter and (field == "XML_ID" or field in portal.user_fields)
    return field in _INTEGERS or field in _DATES or field in _STRINGS or field in _READERS


def _cheapest_index(portal: Portal, known: list[Condition]) -> tuple[Sequence[int], list[Condition]]:
    """Ids in ascending order that satisfy one of the conditions, and the conditions left to test."""
    best: _Indexed = (len(portal.tasks), lambda: portal.tasks.ids)
    answered: Condition | None = None
    for condition in known:
        indexed = _index(portal, condition)
        if indexed is not None and indexed[0] <= best[0]:
            best, answered = indexed, condition
    return best[1](), [condition for condition in known if condition is not answered]


def _index(portal: Portal, condition: Condition) -> _Indexed | None:
    if condition.negated:
        return None
    if condition.field == "ID":
        return _index_of_ids(portal.tasks, condition)
    if condition.field == "CHANGED_DATE":
        return _index_of_changes(portal, condition)
    return _index_of_values(portal.tasks, condition) if condition.operator == "=" else None


def _index_of_ids(store: TaskStore, condition: Condition) -> _Indexed | None:
    if condition.operator == "=":
        wanted = {php.integer(value) for value in condition.values}
        return len(wanted), lambda: sorted(task_id for task_id in wanted if task_id in store)
    if condition.operator in _RANGES:
        low, high = _RANGES[condition.operator](store.ids, php.integer(condition.values[0]))
        return high - low, lambda: store.ids[low:high]
    return None


def _index_of_changes(portal: Portal, condition: Condition) -> _Indexed | None:
    moment = parse_moment(str(condition.values[0]), portal.zone)
    if moment is None or condition.operator not in (">", ">="):
        return None
    changed = portal.tasks.by_changed
    first = bisect_left(changed, (moment + (condition.operator == ">"), 0))
    return len(changed) - first, lambda: sorted(task_id for _, task_id in changed[first:])


def _index_of_values(store: TaskStore, condition: Condition) -> _Indexed | None:
    groups: list[Collection[int]]
    if condition.field == "REAL_STATUS":
        groups = [store.by_status[status] for status in {php.integer(value) for value in condition.values}]
    elif store.is_key(condition.field):
        index = store.by_key[condition.field]
        groups = [index[key] for key in {str(value) for value in condition.values} if key in index]
    else:
        return None
    return sum(map(len, groups)), lambda: sorted(task_id for group in groups for task_id in group)


_RANGES: Mapping[str, Callable[[Sequence[int], int], tuple[int, int]]] = {
    ">": lambda ids, bound: (bisect_right(ids, bound), len(ids)),
    ">=": lambda ids, bound: (bisect_left(ids, bound), len(ids)),
    "<": lambda ids, bound: (0, bisect_left(ids, bound)),
    "<=": lambda ids, bound: (0, bisect_right(ids, bound)),
}


def _test(portal: Portal, condition: Condition) -> Test:
    field = condition.field
    if field == "TITLE" and condition.operator == "=":
        patterns = [like(str(value)) for value in condition.values]
        return lambda task: any(p.fullmatch(task["TITLE"]) for p in patterns) is not condition.negated
    if field == "ONLY_ROOT_TASKS":
        return lambda task: not task.get("PARENT_ID")
    convert, read = _typing(portal, field)
    holds = predicate(condition, convert)
    return lambda task: holds(read(task))


def _typing(portal: Portal, field: str) -> tuple[Callable[[Any], Any], Callable[[Task], Any]]:
    """How a field's wanted values are typed, and how it is read from a task."""
    if user_field := portal.user_fields.get(field):
        return lambda value: user_field.comparable(value, portal.zone), lambda task: task.get(field)
    if field in _DATES:
        return lambda text: parse_moment(str(text), portal.zone), lambda task: task.get(field)
    if field in _READERS:
        read = _READERS[field]
        return str if field == "TAG" else php.integer, lambda task: read(portal, task)
    if field in _INTEGERS:
        return php.integer, lambda task: portal.value(task, field) or 0
    return str, lambda task: portal.value(task, field)


def sub_status(portal: Portal, task: Task) -> int:
    """The status with the portal's meta states: -1 for an open task whose deadline has passed."""
    deadline = task.get("DEADLINE")
    overdue = deadline is not None and deadline < portal.moment()
    return -1 if overdue and task["STATUS"] not in (COMPLETED, DECLINED) else int(task["STATUS"])


_READERS: Mapping[str, Callable[[Portal, Task], Any]] = {
    "REAL_STATUS": lambda portal, task: task["STATUS"],
    "STATUS": sub_status,
    "TITLE": lambda portal, task: task["TITLE"],
    "TAG": lambda portal, task: task.get("TAGS", ()),
    "ACCOMPLICE": lambda portal, task: task.get("ACCOMPLICES", ()),
    "AUDITOR": lambda portal, task: task.get("AUDITORS", ()),
    "DEPENDS_ON": lambda portal, task: task.get("DEPENDS_ON", ()),
    "MEMBER": lambda portal, task: portal.members(task),
    "ONLY_ROOT_TASKS": lambda portal, task: not task.get("PARENT_ID"),
}


def _check_order(portal: Portal, order: Mapping[str, Any]) -> None:
    for key in order:
        if key not in ORDER_KEYS and key not in portal.user_fields:
            raise RestError("0", portal.texts("order_key") + " (internal error)")


def _is_descending(direction: Any) -> bool:
    return str(direction).lower().startswith("desc")


def _id_direction(order: Mapping[str, Any]) -> bool | None:
    """True or False for an order by ID alone (the portal's default is descending), None for any other."""
    if not order:
        return True
    if list(order) == ["ID"]:
        return _is_descending(order["ID"])
    return None


def _sort_key(portal: Portal, key: str) -> Callable[[Task], tuple[bool, Any]]:
    name = {"REAL_STATUS": "STATUS", "STATUS_COMPLETE": "STATUS"}.get(key, key)
    if name in ("CREATED_BY_LAST_NAME", "RESPONSIBLE_LAST_NAME"):
        person = "CREATED_BY" if name.startswith("CREATED") else "RESPONSIBLE_ID"
        return lambda task: (True, portal.users[task[person]].last_name)

    def sort_key(task: Task) -> tuple[bool, Any]:
        value = portal.value(task, name)
        return value is not None, value if value is not None else 0

    return sort_key
