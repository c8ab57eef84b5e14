"""user.*, department.get and the methods that need no scope. Their parameter names may be in any case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.bitrix24 import php
from sandbox.bitrix24.clock import iso
from sandbox.bitrix24.filters import conditions, predicate
from sandbox.bitrix24.people import User
from sandbox.bitrix24.portal import Portal, Reply
from sandbox.bitrix24.taskquery import PAGE_SIZE

Params = dict[str, Any]


def profile(portal: Portal, params: Params) -> Reply:
    user = portal.users[portal.webhook_user]
    return Reply(
        {
            "ID": str(user.id),
            "ADMIN": portal.admin,
            "NAME": user.name,
            "LAST_NAME": user.last_name,
            "PERSONAL_GENDER": "",
            "TIME_ZONE": "",
        }
    )


def server_time(portal: Portal, params: Params) -> Reply:
    return Reply(iso(portal.clock.now(), portal.zone))


def scope(portal: Portal, params: Params) -> Reply:
    return Reply(list(portal.scopes))


def user_get(portal: Portal, params: Params) -> Reply:
    """Filter by fields with operators and arrays, 50 a page; bots and mail users do not exist here."""
    named = _upper(params)
    wanted = {**_upper(php.mapping(named.get("FILTER"))), **{k: named[k] for k in ("ID",) if k in named}}
    rows = [_user_view(user) for user in portal.users.values()]
    for condition in conditions(wanted):
        if rows and condition.field in rows[0]:
            convert = php.truthy if condition.field == "ACTIVE" else str
            holds = predicate(condition, convert)
            rows = [row for row in rows if holds(_comparable(row[condition.field]))]
    sort = str(named.get("SORT") or "ID").upper()
    rows.sort(key=lambda row: _sortable(row.get(sort)), reverse=str(named.get("ORDER", "")).upper() == "DESC")
    select = {str(name) for name in php.values(named.get("SELECT") or ["*"])}
    if "*" not in select:
        rows = [{name: row[name] for name in row if name in select} for row in rows]
    return _paged(rows, named)


def user_current(portal: Portal, params: Params) -> Reply:
    return Reply(_user_view(portal.users[portal.webhook_user]))


def department_get(portal: Portal, params: Params) -> Reply:
    named = _upper(params)
    rows = []
    for department in portal.departments.values():
        row: dict[str, Any] = {"ID": str(department.id), "NAME": department.name, "SORT": department.sort}
        if department.parent is not None:
            row["PARENT"] = str(department.parent)
        if department.head is not None:
            row["UF_HEAD"] = str(department.head)
        rows.append(row)
    for key in ("ID", "NAME", "PARENT", "UF_HEAD"):
        if key in named:
            wanted = set(map(str, php.values(named[key])))
            rows = [row for row in rows if str(row.get(key)) in wanted]
    sort = str(named.get("SORT") or "ID").upper()
    rows.sort(key=lambda row: _sortable(row.get(sort)), reverse=str(named.get("ORDER", "")).upper() == "DESC")
    return _paged(rows, named)


def _paged(rows: list[dict[str, Any]], named: Mapping[str, Any]) -> Reply:
    start = php.integer(named.get("START", 0))
    if start < 0:
        return Reply(rows[:PAGE_SIZE], total=0)
    following = start + PAGE_SIZE
    return Reply(rows[start:following], total=len(rows), next=following if following < len(rows) else None)


def _user_view(user: User) -> dict[str, Any]:
    return {
        "ID": str(user.id),
        "ACTIVE": user.active,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "SECOND_NAME": "",
        "EMAIL": user.email,
        "PERSONAL_GENDER": "",
        "WORK_POSITION": user.position,
        "UF_DEPARTMENT": [user.department],
        "USER_TYPE": user.user_type,
    }


def _upper(params: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key).upper(): value for key, value in params.items()}


def _comparable(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    return [str(each) for each in value] if isinstance(value, list) else str(value)


def _sortable(value: Any) -> tuple[int, str]:
    text = str(value)
    return (int(text), "") if text.isdecimal() else (0, text)


METHODS: Mapping[str, Callable[[Portal, Params], Reply]] = {
    "profile": profile,
    "server.time": server_time,
    "scope": scope,
    "user.get": user_get,
    "user.current": user_current,
    "department.get": department_get,
}
