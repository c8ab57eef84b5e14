"""Projects: shown and created."""

from __future__ import annotations

from typing import Any

from sandbox.openproject import custom, identifiers, views
from sandbox.openproject.errors import forbidden, violation
from sandbox.openproject.links import links_of, number_of
from sandbox.openproject.objects import Project
from sandbox.openproject.state import State
from sandbox.openproject.writing import raw_of

Json = dict[str, Any]


def view(state: State, each: Project) -> Json:
    return views.project(each, *custom.shown(each.custom, state.project_fields.values(), state))


def create(state: State, body: Json) -> Project:
    """Raises ApiError."""
    if "add_project" not in state.instance.rights:
        raise forbidden()
    name, links = body.get("name"), links_of(body)
    if not isinstance(name, str) or not name:
        raise violation("name", "Имя не может быть пустым.")
    number = max(state.projects) + 1
    identifier = body.get("identifier") or identifiers.suggested(state, number)
    if (problem := identifiers.problem(state, identifier)) is not None:
        raise problem
    own: Json = {}
    custom.apply(own, state.project_fields.values(), body, links, state)
    parent = number_of(links, "parent", state.projects, "projects", "workspaces")
    made = Project(number, identifier, name, parent=parent, description=raw_of(body, "description") or "", custom=own)
    state.projects[made.id] = made
    state.changed.notify_all()
    return made
