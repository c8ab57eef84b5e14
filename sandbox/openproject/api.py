"""From a method and a path to what is done: the routes of API v3 that the worker and its judges use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.openproject import custom, identifiers, people, projects, query, schemas, views, writing
from sandbox.openproject.errors import ApiError, forbidden, not_found
from sandbox.openproject.objects import CustomField
from sandbox.openproject.paging import page
from sandbox.openproject.state import TOKENS_USER, State

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request below /api/v3."""

    query: Mapping[str, str]
    body: Json


Route = Callable[..., tuple[int, Json]]


def normal(path: str) -> str:
    """Double slashes are one and the last one is none, as Grape has it (Grape::Router.normalize_path)."""
    return re.sub("/+", "/", path).strip("/")


def answer(state: State, method: str, path: str, call: Call) -> tuple[int, Json]:
    """Status and body, with the lock held; an empty body is 204. Raises ApiError."""
    for wanted, pattern, route in _ROUTES:
        if method == wanted and (match := re.fullmatch(pattern, path)):
            return route(state, call, *match.groups())
    raise not_found()


def _root(state: State, _call: Call) -> tuple[int, Json]:
    major, minor = state.instance.version
    version = {"coreVersion": f"{major}.{minor}.0"} if state.instance.admin else {}
    links = {"self": {"href": "/api/v3"}, "user": views.href("users", TOKENS_USER, state.people[TOKENS_USER].name)}
    return 200, {"_type": "Root", "instanceName": "OpenProject", **version, "_links": links}


# -- work packages ----------------------------------------------------------------------------------------------------


def _work_packages(state: State, call: Call) -> tuple[int, Json]:
    return 200, query.listing(state, call.query, None)


def _project_work_packages(state: State, call: Call, name: str) -> tuple[int, Json]:
    return 200, query.listing(state, call.query, identifiers.project(state, name).id)


def _create(state: State, call: Call) -> tuple[int, Json]:
    return 201, query.view(state, writing.create(state, call.body, None))


def _create_in_project(state: State, call: Call, name: str) -> tuple[int, Json]:
    return 201, query.view(state, writing.create(state, call.body, identifiers.project(state, name)))


def _form(state: State, call: Call) -> tuple[int, Json]:
    return schemas.creation_form(state, call.body, None)


def _project_form(state: State, call: Call, name: str) -> tuple[int, Json]:
    return schemas.creation_form(state, call.body, identifiers.project(state, name))


def _change_form(state: State, call: Call, name: str) -> tuple[int, Json]:
    return schemas.change_form(state, identifiers.work_package(state, name), call.body)


def _schema(state: State, _call: Call, project: str, kind: str) -> tuple[int, Json]:
    if int(project) not in state.projects or int(kind) not in state.types:
        raise not_found()
    return 200, schemas.of_type(state, int(project), int(kind))


def _work_package(state: State, _call: Call, name: str) -> tuple[int, Json]:
    return 200, query.view(state, identifiers.work_package(state, name))


def _update(state: State, call: Call, name: str) -> tuple[int, Json]:
    each = identifiers.work_package(state, name)
    writing.update(state, each, call.body)
    return 200, query.view(state, each)


def _delete(state: State, _call: Call, name: str) -> tuple[int, Json]:
    del state.work_packages[identifiers.work_package(state, name).id]
    return 204, {}


def _activities(state: State, _call: Call, name: str) -> tuple[int, Json]:
    each = identifiers.work_package(state, name)
    rows = [views.comment(at + 1, raw, each.updated_at, each.author) for at, raw in enumerate(each.comments)]
    return 200, views.collection("Collection", f"work_packages/{each.id}/activities", rows)


def _comment(state: State, call: Call, name: str) -> tuple[int, Json]:
    each = identifiers.work_package(state, name)
    if "edit" not in state.instance.rights:
        raise forbidden()
    each.comments.append(writing.comment(call.body))
    state.touch(each)
    return 201, views.comment(len(each.comments), each.comments[-1], each.updated_at, each.author)


# -- lists ------------------------------------------------------------------------------------------------------------


def _list_of(name: str, known: Callable[[State], Mapping[int, Any]], view: Callable[[Any], Json]) -> tuple[Any, Any]:
    """The routes of a list that comes in one piece, and of one of its rows."""

    def everything(state: State, _call: Call) -> tuple[int, Json]:
        return 200, views.collection("Collection", name, [view(each) for each in known(state).values()])

    def one(state: State, _call: Call, number: str) -> tuple[int, Json]:
        if int(number) not in known(state):
            raise not_found()
        return 200, view(known(state)[int(number)])

    return ("GET", name, everything), ("GET", f"{name}/{_NUMBER}", one)


def _project_types(state: State, _call: Call, name: str) -> tuple[int, Json]:
    rows = [views.work_package_type(state.types[number]) for number in identifiers.project(state, name).types]
    return 200, views.collection("Collection", f"projects/{name}/types", rows)


def _versions(state: State, _call: Call, name: str) -> tuple[int, Json]:
    identifiers.project(state, name)
    rows = [views.version(each) for each in state.versions.values()]
    return 200, views.collection("Collection", f"projects/{name}/versions", rows)


def _assignees(state: State, _call: Call, name: str) -> tuple[int, Json]:
    identifiers.project(state, name)
    if "add" not in state.instance.rights:
        raise forbidden()  # workspaces/available_assignees_api.rb
    rows = [views.principal(state, each) for each in state.people.values()]
    return 200, views.collection("Collection", f"projects/{name}/available_assignees", rows)


def _change_assignees(state: State, _call: Call, name: str) -> tuple[int, Json]:
    each = identifiers.work_package(state, name)
    if "edit" not in state.instance.rights:
        raise forbidden()
    rows = [views.principal(state, person) for person in state.people.values()]
    return 200, views.collection("Collection", f"work_packages/{each.id}/available_assignees", rows)


def _user(state: State, _call: Call, name: str) -> tuple[int, Json]:
    return 200, people.user(state, name)


def _principals(state: State, call: Call) -> tuple[int, Json]:
    return 200, people.principals(state, call.query)


def _memberships(state: State, call: Call) -> tuple[int, Json]:
    return 200, people.memberships(state, call.query)


def _membership(state: State, _call: Call, number: str) -> tuple[int, Json]:
    return 200, views.membership(state, people.membership(state, number))


def _create_membership(state: State, call: Call) -> tuple[int, Json]:
    return 201, views.membership(state, people.create_membership(state, call.body))


# -- custom fields ----------------------------------------------------------------------------------------------------


def _items(state: State, _call: Call, number: str) -> tuple[int, Json]:
    for each in state.all_fields():
        if each.id == int(number):
            if not each.items:
                raise ApiError(422, "UnprocessableContent", f"Нет элементов у поля типа {each.kind}.")
            return 200, views.collection("Collection", f"custom_fields/{number}/items", custom.items_view(each))
    raise not_found()


def _item(state: State, _call: Call, number: str) -> tuple[int, Json]:
    each = _field_with(state, lambda field: any(item.id == int(number) for item in field.items))
    return 200, custom.item_view(each, int(number))


def _option(state: State, _call: Call, number: str) -> tuple[int, Json]:
    each = _field_with(state, lambda field: any(option.id == int(number) for option in field.options))
    return 200, custom.option_view(int(number), next(one.name for one in each.options if one.id == int(number)))


def _field_with(state: State, holds: Callable[[CustomField], bool]) -> CustomField:
    for each in state.all_fields():
        if holds(each):
            return each
    raise not_found()


# -- projects ---------------------------------------------------------------------------------------------------------


def _projects(state: State, call: Call) -> tuple[int, Json]:
    rows = [projects.view(state, each) for each in state.projects.values()]
    return 200, page("Collection", "projects", rows, call.query)


def _one_project(state: State, _call: Call, name: str) -> tuple[int, Json]:
    return 200, projects.view(state, identifiers.project(state, name))


def _create_project(state: State, call: Call) -> tuple[int, Json]:
    return 201, projects.view(state, projects.create(state, call.body))


def _new_project_form(state: State, call: Call) -> tuple[int, Json]:
    return schemas.project_form(state, call.body)


def _workspace_schema(_state: State, _call: Call) -> tuple[int, Json]:
    return 200, {"_type": "Schema", "_dependencies": [], "_links": {"self": {"href": "/api/v3/workspaces/schema"}}}


_NAME = "([A-Za-z0-9_-]+)"
_NUMBER = "([0-9]+)"
# An address of a work package may hold anything: what it means is looked up (work_packages_api.rb, route_param).
_CALLED = "([^/]+)"
_ROUTES: tuple[tuple[str, str, Route], ...] = (
    ("GET", "", _root),
    ("GET", "work_packages", _work_packages),
    ("POST", "work_packages", _create),
    ("POST", "work_packages/form", _form),
    ("GET", f"work_packages/schemas/{_NUMBER}-{_NUMBER}", _schema),
    ("GET", f"work_packages/{_CALLED}", _work_package),
    ("PATCH", f"work_packages/{_CALLED}", _update),
    ("DELETE", f"work_packages/{_CALLED}", _delete),
    ("POST", f"work_packages/{_CALLED}/form", _change_form),
    ("GET", f"work_packages/{_CALLED}/activities", _activities),
    ("POST", f"work_packages/{_CALLED}/activities", _comment),
    ("GET", f"work_packages/{_CALLED}/available_assignees", _change_assignees),
    ("GET", f"projects/{_NAME}/work_packages", _project_work_packages),
    ("POST", f"projects/{_NAME}/work_packages", _create_in_project),
    ("POST", f"projects/{_NAME}/work_packages/form", _project_form),
    ("GET", f"projects/{_NAME}/types", _project_types),
    ("GET", f"projects/{_NAME}/versions", _versions),
    ("GET", f"projects/{_NAME}/available_assignees", _assignees),
    ("GET", "projects", _projects),
    ("POST", "projects", _create_project),
    ("POST", "projects/form", _new_project_form),
    ("GET", "projects/schema", _workspace_schema),
    ("GET", f"projects/{_NAME}", _one_project),
    *_list_of("statuses", lambda state: state.statuses, views.status),
    *_list_of("types", lambda state: state.types, views.work_package_type),
    *_list_of("priorities", lambda state: state.priorities, views.priority),
    *_list_of("versions", lambda state: state.versions, views.version),
    *_list_of("roles", lambda state: state.roles, views.role),
    ("GET", "users/([^/]+)", _user),
    ("GET", "principals", _principals),
    ("GET", "memberships", _memberships),
    ("POST", "memberships", _create_membership),
    ("GET", f"memberships/{_NUMBER}", _membership),
    ("GET", f"custom_fields/{_NUMBER}/items", _items),
    ("GET", f"custom_field_items/{_NUMBER}", _item),
    ("GET", f"custom_options/{_NUMBER}", _option),
)
