"""From a method and a path to what is done: the routes of API v3 that the worker and its judges use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.openproject import query, views, writing
from sandbox.openproject.errors import not_found
from sandbox.openproject.state import Project, State, WorkPackage

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request below /api/v3."""

    query: Mapping[str, str]
    body: Json


Route = Callable[..., tuple[int, Json]]


def answer(state: State, method: str, path: str, call: Call) -> tuple[int, Json]:
    """Status and body, with the lock held. Raises ApiError."""
    for wanted, pattern, route in _ROUTES:
        if method == wanted and (match := re.fullmatch(pattern, path)):
            return route(state, call, *match.groups())
    raise not_found()


def _root(_state: State, _call: Call) -> tuple[int, Json]:
    return 200, {
        "_type": "Root",
        "instanceName": "OpenProject",
        "coreVersion": "17.0.0",
        "_links": {"self": {"href": "/api/v3"}},
    }


def _work_packages(state: State, call: Call) -> tuple[int, Json]:
    return 200, query.listing(state, call.query, None)


def _project_work_packages(state: State, call: Call, name: str) -> tuple[int, Json]:
    return 200, query.listing(state, call.query, _project(state, name).id)


def _create(state: State, call: Call) -> tuple[int, Json]:
    return 201, views.work_package(state, writing.create(state, call.body, None))


def _create_in_project(state: State, call: Call, name: str) -> tuple[int, Json]:
    return 201, views.work_package(state, writing.create(state, call.body, _project(state, name)))


def _work_package(state: State, _call: Call, number: str) -> tuple[int, Json]:
    return 200, views.work_package(state, _visible(state, number))


def _update(state: State, call: Call, number: str) -> tuple[int, Json]:
    each = _visible(state, number)
    writing.update(state, each, call.body)
    return 200, views.work_package(state, each)


def _activities(state: State, _call: Call, number: str) -> tuple[int, Json]:
    each = _visible(state, number)
    rows = [views.comment(at + 1, raw, each.updated_at, each.author) for at, raw in enumerate(each.comments)]
    return 200, views.collection("Collection", f"work_packages/{number}/activities", rows)


def _comment(state: State, call: Call, number: str) -> tuple[int, Json]:
    each = _visible(state, number)
    each.comments.append(writing.comment(call.body))
    state.touch(each)
    return 201, views.comment(len(each.comments), each.comments[-1], each.updated_at, each.author)


def _statuses(state: State, _call: Call) -> tuple[int, Json]:
    return 200, views.collection("Collection", "statuses", [views.status(each) for each in state.statuses.values()])


def _types(state: State, _call: Call) -> tuple[int, Json]:
    rows = [views.work_package_type(each) for each in state.types.values()]
    return 200, views.collection("Collection", "types", rows)


def _project_types(state: State, _call: Call, name: str) -> tuple[int, Json]:
    project = _project(state, name)
    rows = [views.work_package_type(state.types[number]) for number in project.types]
    return 200, views.collection("Collection", f"projects/{name}/types", rows)


def _priorities(state: State, _call: Call) -> tuple[int, Json]:
    rows = [views.priority(each) for each in state.priorities.values()]
    return 200, views.collection("Collection", "priorities", rows)


def _versions(state: State, _call: Call, name: str) -> tuple[int, Json]:
    _project(state, name)
    rows = [views.version(each) for each in state.versions.values()]
    return 200, views.collection("Collection", f"projects/{name}/versions", rows)


def _assignees(state: State, _call: Call, name: str) -> tuple[int, Json]:
    _project(state, name)
    rows = [views.person(each) for each in state.people.values()]
    return 200, views.collection("Collection", f"projects/{name}/available_assignees", rows)


def _schema(state: State, _call: Call, project: str, kind: str) -> tuple[int, Json]:
    if int(project) not in state.projects or int(kind) not in state.types:
        raise not_found()
    return 200, views.schema(state, int(project), int(kind))


def _projects(state: State, call: Call) -> tuple[int, Json]:
    size, page = int(call.query.get("pageSize", query.USUAL_PAGE)), int(call.query.get("offset", 1))
    size = min(size if size > 0 else query.LARGEST_PAGE, query.LARGEST_PAGE)
    found = list(state.projects.values())
    rows = [views.project(each) for each in found[(page - 1) * size : page * size]]
    body = views.collection("Collection", "projects", rows, total=len(found), pageSize=size, offset=page)
    body["_links"] |= {
        "changeSize": {"href": "/api/v3/projects?pageSize=%7Bsize%7D", "templated": True},
        "jumpTo": {"href": "/api/v3/projects?offset=%7Boffset%7D", "templated": True},
    }
    return 200, body


def _one_project(state: State, _call: Call, name: str) -> tuple[int, Json]:
    return 200, views.project(_project(state, name))


def _create_project(state: State, call: Call) -> tuple[int, Json]:
    return 201, views.project(writing.project(state, call.body))


def _project(state: State, name: str) -> Project:
    for each in state.projects.values():
        if name in (str(each.id), each.identifier):
            return each
    raise not_found()


def _visible(state: State, number: str) -> WorkPackage:
    each = state.work_packages.get(int(number))
    if each is None or not each.visible:
        raise not_found()
    return each


_NAME = "([a-z0-9_-]+)"
_NUMBER = "([0-9]+)"
_ROUTES: tuple[tuple[str, str, Route], ...] = (
    ("GET", "", _root),
    ("GET", "work_packages", _work_packages),
    ("POST", "work_packages", _create),
    ("GET", f"work_packages/{_NUMBER}", _work_package),
    ("PATCH", f"work_packages/{_NUMBER}", _update),
    ("GET", f"work_packages/{_NUMBER}/activities", _activities),
    ("POST", f"work_packages/{_NUMBER}/activities", _comment),
    ("GET", f"work_packages/schemas/{_NUMBER}-{_NUMBER}", _schema),
    ("GET", f"projects/{_NAME}/work_packages", _project_work_packages),
    ("POST", f"projects/{_NAME}/work_packages", _create_in_project),
    ("GET", f"projects/{_NAME}/types", _project_types),
    ("GET", f"projects/{_NAME}/versions", _versions),
    ("GET", f"projects/{_NAME}/available_assignees", _assignees),
    ("GET", "projects", _projects),
    ("POST", "projects", _create_project),
    ("GET", f"projects/{_NAME}", _one_project),
    ("GET", "statuses", _statuses),
    ("GET", "types", _types),
    ("GET", "priorities", _priorities),
)
