"""The state as the server shows it: HAL+JSON (docs/api of OpenProject; shapes of its OpenAPI document)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sandbox.openproject.objects import Membership, Named, Person, Project, Status, WorkPackage, WorkPackageType
from sandbox.openproject.state import TOKENS_USER, State

Json = dict[str, Any]

_MADE = "2026-01-15T08:00:00.000Z"


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def href(kind: str, number: int | None, title: str | None = None) -> Json:
    if number is None:
        return {"href": None}
    return {"href": f"/api/v3/{kind}/{number}", **({"title": title} if title is not None else {})}


def formattable(raw: str) -> Json:
    return {"format": "markdown", "raw": raw, "html": f"<p>{raw}</p>" if raw else ""}


def collection(kind: str, path: str, elements: Sequence[Json], **more: Any) -> Json:
    """`more` are total, pageSize and offset of a paginated one."""
    return {
        "_type": kind,
        "total": more.get("total", len(elements)),
        "count": len(elements),
        **{name: value for name, value in more.items() if name != "total"},
        "_embedded": {"elements": list(elements)},
        "_links": {"self": {"href": f"/api/v3/{path}"}},
    }


def project(each: Project, plain: Json, custom_links: Json) -> Json:
    return {
        "_type": "Project",
        "id": each.id,
        "identifier": each.identifier,
        "name": each.name,
        "active": True,
        "public": False,
        "description": formattable(each.description),
        "createdAt": _MADE,
        "updatedAt": _MADE,
        **plain,
        "_links": {
            "self": href("projects", each.id, each.name),
            "categories": {"href": f"/api/v3/projects/{each.id}/categories"},
            "types": {"href": f"/api/v3/projects/{each.id}/types"},
            "versions": {"href": f"/api/v3/projects/{each.id}/versions"},
            "workPackages": {"href": f"/api/v3/projects/{each.id}/work_packages"},
            "parent": href("projects", each.parent),
            **custom_links,
        },
    }


def work_package_type(each: WorkPackageType) -> Json:
    return {
        "_type": "Type",
        "id": each.id,
        "name": each.name,
        "color": "#1A67A3",
        "position": each.id,
        "isDefault": each.id == 1,
        "isMilestone": each.is_milestone,
        "createdAt": _MADE,
        "updatedAt": _MADE,
        "_links": {"self": href("types", each.id, each.name)},
    }


def status(each: Status) -> Json:
    return {
        "_type": "Status",
        "id": each.id,
        "name": each.name,
        "isClosed": each.is_closed,
        "color": "#1A67A3",
        "isDefault": each.id == 1,
        "isReadonly": False,
        "excludedFromTotals": False,
        "defaultDoneRatio": 0,
        "position": each.id,
        "_links": {"self": href("statuses", each.id, each.name)},
    }


def priority(each: Named) -> Json:
    return {
        "_type": "Priority",
        "id": each.id,
        "name": each.name,
        "position": each.id,
        "color": "#1A67A3",
        "isDefault": each.name == "Normal",
        "isActive": True,
        "_links": {"self": href("priorities", each.id, each.name)},
    }


def version(each: Named) -> Json:
    return {
        "_type": "Version",
        "id": each.id,
        "name": each.name,
        "description": formattable(""),
        "startDate": None,
        "endDate": None,
        "status": "open" if each.is_open else "closed",
        "sharing": "system",
        "createdAt": _MADE,
        "updatedAt": _MADE,
        "_links": {
            "self": href("versions", each.id, each.name),
            "schema": {"href": "/api/v3/versions/schema"},
            "definingProject": href("projects", 1),
            "availableInProjects": {"href": f"/api/v3/versions/{each.id}/projects"},
        },
    }


def principal(state: State, each: Person) -> Json:
    """Login and address are for those who may manage users, and for oneself (users/user_representer.rb)."""
    links = {
        "self": href(each.path, each.id, each.name),
        "memberships": {"href": f"/api/v3/memberships?filters={_principal_filter(each.id)}", "title": "Участники"},
    }
    if each.kind != "User":
        return {"_type": each.kind, "id": each.id, "name": each.name, "_links": links}
    first, _, last = each.name.partition(" ")
    private = {"login": each.login, "firstName": first, "lastName": last, "email": each.email, "status": "active"}
    return {
        "_type": "User",
        "id": each.id,
        "name": each.name,
        **(private if state.instance.admin or each.id == TOKENS_USER else {}),
        "avatar": f"https://example.com/avatars/{each.id}",
        "_links": {**links, "showUser": {"href": f"/users/{each.id}", "type": "text/html"}},
    }


def _principal_filter(number: int) -> str:
    return f"%5B%7B%22principal%22%3A%7B%22operator%22%3A%22%3D%22%2C%22values%22%3A%5B%22{number}%22%5D%7D%7D%5D"


def role(each: Named) -> Json:
    return {"_type": "Role", "id": each.id, "name": each.name, "_links": {"self": href("roles", each.id, each.name)}}


def membership(state: State, each: Membership) -> Json:
    who, where = state.people[each.principal], state.projects[each.project]
    return {
        "_type": "Membership",
        "id": each.id,
        "createdAt": _MADE,
        "updatedAt": _MADE,
        "_links": {
            "self": href("memberships", each.id, who.name),
            "schema": {"href": "/api/v3/memberships/schema"},
            "update": {"href": f"/api/v3/memberships/{each.id}/form", "method": "post"},
            "updateImmediately": {"href": f"/api/v3/memberships/{each.id}", "method": "patch"},
            "project": href("projects", where.id, where.name),
            "principal": href(who.path, who.id, who.name),
            "roles": [href("roles", number, state.roles[number].name) for number in each.roles],
        },
    }


def work_package(state: State, each: WorkPackage, plain: Json, custom_links: Json) -> Json:
    kind = state.types[each.type]
    dates = {"date": each.date} if kind.is_milestone else {"startDate": each.start_date, "dueDate": each.due_date}
    number = each.id
    return {
        "_type": "WorkPackage",
        "id": number,
        **({"displayId": state.display_id(each)} if state.instance.knows_display_ids else {}),
        "lockVersion": each.lock_version,
        "subject": each.subject,
        "description": formattable(each.description),
        "scheduleManually": True,
        **dates,
        "estimatedTime": each.estimated_time,
        "percentageDone": 100 if state.statuses[each.status].is_closed else 0,
        "createdAt": iso(each.created_at),
        "updatedAt": iso(each.updated_at),
        **plain,
        # Addresses hold the number, whatever people call it (work_package_representer.rb, self_v3_path).
        "_links": {
            "self": href("work_packages", number, each.subject),
            "update": {"href": f"/api/v3/work_packages/{number}/form", "method": "post"},
            "schema": {"href": f"/api/v3/work_packages/schemas/{each.project}-{each.type}"},
            "updateImmediately": {"href": f"/api/v3/work_packages/{number}", "method": "patch"},
            "activities": {"href": f"/api/v3/work_packages/{number}/activities"},
            "addComment": {"href": f"/api/v3/work_packages/{number}/activities", "method": "post"},
            "status": href("statuses", each.status, state.statuses[each.status].name),
            "type": href("types", each.type, kind.name),
            "project": href("projects", each.project, state.projects[each.project].name),
            "priority": href("priorities", each.priority, state.priorities[each.priority].name),
            "author": href("users", each.author, state.people[each.author].name),
            "assignee": _principal_link(state, each.assignee),
            "responsible": _principal_link(state, each.responsible),
            "version": _version_link(state, each.version),
            "parent": _parent_link(state, each.parent),
            "ancestors": [],
            **custom_links,
        },
    }


def comment(number: int, raw: str, moment: datetime, author: int) -> Json:
    return {
        "_type": "Activity::Comment",
        "id": number,
        "version": number,
        "comment": formattable(raw),
        "details": [],
        "createdAt": iso(moment),
        "updatedAt": iso(moment),
        "_links": {"self": href("activities", number), "user": href("users", author)},
    }


def _principal_link(state: State, number: int | None) -> Json:
    return {"href": None} if number is None else href(state.people[number].path, number, state.people[number].name)


def _version_link(state: State, number: int | None) -> Json:
    return href("versions", number, None if number is None else state.versions[number].name)


def _parent_link(state: State, number: int | None) -> Json:
    if number is None:
        return {"href": None}
    each = state.work_packages[number]
    name = {"displayId": state.display_id(each)} if state.instance.knows_display_ids else {}
    return href("work_packages", number, each.subject) | name
