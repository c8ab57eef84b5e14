"""What projects and work packages are called.

Sources: app/models/projects/identifier.rb, app/validators/projects/identifier_validator.rb and
app/models/work_package/semantic_identifier.rb of opf/openproject, 17.6.
"""

from __future__ import annotations

import re
from typing import Any

from sandbox.openproject.errors import ApiError, not_found, violation
from sandbox.openproject.objects import Project, WorkPackage
from sandbox.openproject.state import State

_CLASSIC = re.compile(r"(?!\d+\Z)[a-z0-9_-]{1,100}")
_SEMANTIC = re.compile(r"[A-Z][A-Z0-9_]{0,9}")
_RESERVED = {"new", "menu", "queries", "filters", "identifier_update_dialog", "identifier_suggestion"}


def problem(state: State, identifier: Any) -> ApiError | None:
    """Why a new project cannot be called so."""
    form = _SEMANTIC if state.instance.semantic else _CLASSIC
    if not isinstance(identifier, str) or not form.fullmatch(identifier) or identifier.lower() in _RESERVED:
        return violation("identifier", "Идентификатор имеет неверное значение.")
    taken = {name.lower() for each in state.projects.values() for name in (each.identifier, *each.former)}
    return violation("identifier", "Идентификатор уже занят.") if identifier.lower() in taken else None


def suggested(state: State, number: int) -> str:
    return f"PROJECT{number}" if state.instance.semantic else f"project-{number}"


def project(state: State, name: str) -> Project:
    """By number, by identifier, or by one that it had before. Raises ApiError."""
    for each in state.projects.values():
        if name in (str(each.id), each.identifier, *each.former):
            return each
    raise not_found()


def work_package(state: State, name: str) -> WorkPackage:
    """By number; since 17.5 also as people call it. Before, the address took whole numbers only. Raises ApiError."""
    is_number = name == str(int(name)) if name.isascii() and name.isdecimal() else False
    if not is_number and not state.instance.knows_display_ids:
        raise ApiError(400, "BadRequest", "Неверный запрос: id имеет неверное значение.")
    each = state.work_packages.get(int(name)) if is_number else state.called(name)
    if each is None or not each.visible:
        raise not_found()
    return each
