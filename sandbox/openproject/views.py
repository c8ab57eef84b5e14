"""The state as the server shows it: HAL+JSON (docs/api of OpenProject; shapes of its OpenAPI document)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sandbox.openproject.state import CustomField, Named, Person, Project, State, Status, WorkPackage, WorkPackageType

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


def project(each: Project) -> Json:
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
        "_links": {
            "self": href("projects", each.id, each.name),
            "categories": {"href": f"/api/v3/projects/{each.id}/categories"},
            "types": {"href": f"/api/v3/projects/{each.id}/types"},
            "versions": {"href": f"/api/v3/projects/{each.id}/versions"},
            "workPackages": {"href": f"/api/v3/projects/{each.id}/work_packages"},
            "parent": href("projects", each.parent),
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
        "status": "open",
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


def person(each: Person) -> Json:
    return {
        "_type": "User",
        "id": each.id,
        "name": each.name,
        "login": each.login,
        "email": each.email,
        "avatar": f"https://example.com/avatars/{each.id}",
        "status": "active",
        "_links": {"self": href("users", each.id, each.name)},
    }


def work_package(state: State, each: WorkPackage) -> Json:
    kind = state.types[each.type]
    dates = {"date": each.date} if kind.is_milestone else {"startDate": each.start_date, "dueDate": each.due_date}
    custom, custom_links = _custom(state, each)
    number = each.id
    return {
        "_type": "WorkPackage",
        "id": number,
        "lockVersion": each.lock_version,
        "subject": each.subject,
        "description": formattable(each.description),
        "scheduleManually": True,
        **dates,
        "estimatedTime": each.estimated_time,
        "percentageDone": 100 if state.statuses[each.status].is_closed else 0,
        "createdAt": iso(each.created_at),
        "updatedAt": iso(each.updated_at),
        **custom,
        "_links": {
            "self": href("work_packages", number, each.subject),
            "schema": {"href": f"/api/v3/work_packages/schemas/{each.project}-{each.type}"},
            "status": href("statuses", each.status, state.statuses[each.status].name),
            "type": href("types", each.type, kind.name),
            "project": href("projects", each.project, state.projects[each.project].name),
            "priority": href("priorities", each.priority, state.priorities[each.priority].name),
            "author": href("users", each.author, state.people[each.author].name),
            "assignee": _person_link(state, each.assignee),
            "responsible": _person_link(state, each.responsible),
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


def schema(state: State, project_id: int, kind: int) -> Json:
    fields = {each.key: _field_schema(each) for each in state.fields_of(project_id, kind)}
    return {
        "_type": "Schema",
        "_dependencies": [],
        "subject": {"type": "String", "name": "Тема", "required": True, "hasDefault": False, "writable": True},
        **fields,
        "_links": {"self": {"href": f"/api/v3/work_packages/schemas/{project_id}-{kind}"}},
    }


def _field_schema(each: CustomField) -> Json:
    entry: Json = {
        "type": ("[]" if each.multiple else "") + each.kind,
        "name": each.name,
        "required": False,
        "hasDefault": False,
        "writable": True,
        "_links": {},
    }
    if each.kind == "CustomOption":
        entry["location"] = "_links"
        entry["_embedded"] = {
            "allowedValues": [
                {
                    "_type": "CustomOption",
                    "id": option.id,
                    "value": option.name,
                    "_links": {"self": href("custom_options", option.id, option.name)},
                }
                for option in each.options
            ]
        }
    return entry


def _custom(state: State, each: WorkPackage) -> tuple[Json, Json]:
    plain: Json = {}
    links: Json = {}
    for one in state.fields_of(each.project, each.type):
        value = each.custom.get(one.key)
        if one.kind == "CustomOption":
            titles = {option.id: option.name for option in one.options}
            chosen = [href("custom_options", number, titles[number]) for number in value or []]
            links[one.key] = chosen if one.multiple else (chosen[0] if chosen else {"href": None})
        else:
            plain[one.key] = value
    return plain, links


def _person_link(state: State, number: int | None) -> Json:
    return href("users", number, None if number is None else state.people[number].name)


def _version_link(state: State, number: int | None) -> Json:
    return href("versions", number, None if number is None else state.versions[number].name)


def _parent_link(state: State, number: int | None) -> Json:
    return href("work_packages", number, None if number is None else state.work_packages[number].subject)
