"""Users, groups and memberships: who there is, and where. Filters that are not known here are refused, not ignored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.openproject import views
from sandbox.openproject.errors import ApiError, invalid_query, not_found, violation
from sandbox.openproject.links import PRINCIPALS, links_of, number_of
from sandbox.openproject.objects import Membership, Person
from sandbox.openproject.paging import page
from sandbox.openproject.state import TOKENS_USER, State

Json = dict[str, Any]


def user(state: State, name: str) -> Json:
    """`me`, a number or a login, also one that is not shown (users_api.rb, find_by_unique)."""
    if name == "me":
        return views.principal(state, state.people[TOKENS_USER])
    for each in state.people.values():
        if each.kind == "User" and name in (str(each.id), each.login):
            return views.principal(state, each)
    raise not_found()


def principals(state: State, query: Mapping[str, str]) -> Json:
    conditions = _conditions(query, {"status", "type", "member", "name", "any_name_attribute", "id"})
    found = [each for each in state.people.values() if all(_fits(state, each, *one) for one in conditions)]
    return page("Collection", "principals", [views.principal(state, each) for each in found], query)


def _fits(state: State, each: Person, name: str, operator: str, values: Sequence[str]) -> bool:
    if name == "status":
        return ("1" in values) is (operator == "=")
    if name == "type":
        return (each.kind in values) is (operator == "=")
    if name == "id":
        return ("me" in values and each.id == TOKENS_USER) or str(each.id) in values
    if name == "member":
        projects = {str(one.project) for one in state.memberships.values() if one.principal == each.id}
        return bool(projects) if operator == "*" else bool(projects & set(values))
    texts = [each.name, each.login] + ([each.email] if state.instance.admin else [])
    return any(values[0].lower() in text.lower() for text in (texts[:1] if name == "name" else texts))


def memberships(state: State, query: Mapping[str, str]) -> Json:
    found = list(state.memberships.values())
    for name, operator, values in _conditions(query, {"principal", "project"}):
        if operator != "=":
            raise invalid_query(f"Фильтр {name} не знает оператора {operator}.")
        wanted = {str(TOKENS_USER) if value == "me" else value for value in values}
        found = [each for each in found if str(getattr(each, name)) in wanted]
    return page("Collection", "memberships", [views.membership(state, each) for each in found], query)


def membership(state: State, number: str) -> Membership:
    if int(number) not in state.memberships:
        raise not_found()
    return state.memberships[int(number)]


def create_membership(state: State, body: Json) -> Membership:
    links = links_of(body)
    project = number_of(links, "project", state.projects, "projects", "workspaces")
    principal = number_of(links, "principal", state.people, *PRINCIPALS)
    given = links.get("roles")
    roles = (
        [number_of({"roles": one}, "roles", state.roles, "roles") for one in given] if isinstance(given, list) else []
    )
    if principal is None or project is None or not roles or None in roles:
        raise violation("roles" if principal and project else "principal", "не может быть пустым.")
    if any((each.project, each.principal) == (project, principal) for each in state.memberships.values()):
        raise violation("principal", "уже участвует.")
    made = Membership(
        max(state.memberships) + 1, project, principal, [number for number in roles if number is not None]
    )
    state.memberships[made.id] = made
    return made


def _conditions(query: Mapping[str, str], known: set[str]) -> list[tuple[str, str, Sequence[str]]]:
    try:
        entries = json.loads(query.get("filters", "[]"))
        found = [(name, entry["operator"], entry["values"]) for one in entries for name, entry in one.items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ApiError(400, "InvalidQuery", "Filters не удалось разобрать.") from None
    for name, _, _ in found:
        if name not in known:
            raise invalid_query(f"Фильтр {name} не существует.")
    return found
