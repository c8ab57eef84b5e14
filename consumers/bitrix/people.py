"""Finds who is meant in a message: user ids, and roles of BITRIX_ROLES_FILE. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumers.bitrix.given import Given
from core import values
from core.texts import Text

PERSON_NAMES = ("responsible_id", "responsibleId")
ROLE_NAMES = ("assigneeId",)


def responsible(given: Given, roles: Mapping[str, int], own_names: tuple[str, ...] = ()) -> int | None:
    """Return who shall do it; None when the message names nobody.

    `own_names` are the field's in this kind of object.
    """
    found, by_role = given.first(*own_names, *PERSON_NAMES), given.first(*ROLE_NAMES)
    if found is not None:
        return person(*found, roles)
    if by_role is not None:
        return person(*by_role, roles, role_first=True)
    return None


def person(name: str, value: Any, roles: Mapping[str, int], *, role_first: bool = False) -> int:
    """Return a user by id or by role. `assigneeId` is a role even when it looks like a number; other fields are ids."""
    role, user_id = roles.get(values.text(value)), values.as_identifier(value)
    found = (role or user_id) if role_first else (user_id or role)
    if found is not None:
        return found
    wanted = Text("a user id or a role of BITRIX_ROLES_FILE", "id пользователя или роль из BITRIX_ROLES_FILE")
    raise values.BadValueError(name, value, wanted)
