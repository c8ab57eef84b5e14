"""Knows the server's projects, types, people, versions and statuses by name. Read once, then remembered.

A process names things as people do, by title or by id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from consumers.openproject.choices import Choice, choices_of, listed, matching
from consumers.openproject.client import OpenProjectClient
from consumers.openproject.errors import MissingRightError
from consumers.openproject.reading import number_of
from consumers.openproject.remembered import Remembered
from core import values
from core.errors import PermanentError
from core.texts import Text

_LOGIN = re.compile(r"[a-zA-Z0-9_@.+-]*[a-zA-Z_@][a-zA-Z0-9_@.+-]*")


class UnknownNameError(PermanentError):
    """Nothing on the server has this name or id."""


class Directory:
    """The lists of one server. Usable from any thread."""

    def __init__(self, client: OpenProjectClient, remembered: Remembered) -> None:
        self._client = client
        self._remembered = remembered

    def project(self, value: Any) -> Choice:
        return self._find("project", "projects", value)

    def projects(self) -> Sequence[Choice]:
        return self._choices("projects")

    def work_package_type(self, project: int, value: Any) -> Choice:
        """Return a type of the project; without a value the project's first one, as the server would take it."""
        path = f"projects/{project}/types"
        if value is not None:
            return self._find("type", path, value)
        types = self._choices(path)
        if not types:
            text = Text(
                f"OpenProject project {project} has no work package types",
                f"OpenProject: у проекта {project} нет типов рабочих пакетов",
            )
            raise UnknownNameError(text, code="no_types")
        return types[0]

    def status(self, value: Any) -> Choice:
        return self._find("status", "statuses", value)

    def priority(self, value: Any) -> Choice:
        return self._find("priority", "priorities", value)

    def assignee(self, project: int, value: Any) -> Choice:
        """Return somebody to whom the project's work packages may be given, by id, name, login or mail address."""
        path = f"projects/{project}/available_assignees"
        try:
            return self._find("assignee", path, value)
        except UnknownNameError:
            number = self.user_called(value)
            found = [choice for choice in self._choices(path) if choice.id == number]
            if not found:
                raise
            return found[0]

    def user_called(self, value: Any) -> int | None:
        """Return the user of a login, also where logins are not shown.

        An address takes one (lib/api/v3/users/users_api.rb).
        """
        login = values.text(value)
        if not _LOGIN.fullmatch(login) or login == "me":  # that would be ourselves
            return None
        try:
            return number_of(self._client.get(f"users/{quote(login, safe='')}"))
        except (PermanentError, MissingRightError):
            return None

    def version(self, project: int, value: Any) -> Choice:
        return self._find("version", f"projects/{project}/versions", value)

    def statuses(self, max_age: float | None = None) -> Mapping[int, Choice]:
        return {choice.id: choice for choice in self._choices("statuses", max_age)}

    def is_closed(self, status: int) -> bool | None:
        """Return whether a status is closed; None when the server lists no such status, or does not say."""
        for age in self._remembered.ages():
            if (known := self.statuses(age).get(status)) is not None:
                told = known.row.get("isClosed")
                return told if isinstance(told, bool) else None
        return None

    def _find(self, what: str, path: str, value: Any) -> Choice:
        choices: Sequence[Choice] = ()
        given = f"{what}: {values.shown(value)}"
        for age in self._remembered.ages():
            choices = self._choices(path, age)
            found = matching(choices, value)
            if len(found) == 1:
                return found[0]
            if found:
                those = listed(found)
                text = Text(f"{given} may be {those.en}: give the id", f"{given} может означать {those.ru}: укажите id")
                raise UnknownNameError(text, code=f"unknown_{what}")
        known = listed(choices)
        text = Text(
            f"{given} is unknown to OpenProject or hidden from the token's user; there are: {known.en}",
            f"{given} – в OpenProject этого нет, или пользователю маркера это не видно; варианты: {known.ru}",
        )
        raise UnknownNameError(text, code=f"unknown_{what}")

    def _choices(self, path: str, max_age: float | None = None) -> Sequence[Choice]:
        kind = _KINDS.get(path.rpartition("/")[2], path.rpartition("/")[2])
        return self._remembered.read(path, lambda: choices_of(self._client.elements(path), kind), max_age)


_KINDS = {"available_assignees": "users"}
