"""Finds a work package by what people call it: 42, #42, since 17.5 also PROJ-42 (`displayId`), or its subject.

The server takes PROJ-42 in the address of a work package (lib/api/v3/work_packages/work_packages_api.rb, route_param)
and nowhere else: as a parent it ends in an error of the server (work_package_representer.rb, `find_by(id:)`), in a
filter of ids in a refusal. So it is asked once for the number, by which everything else is done. Servers before 17.5
refuse such an address with 400, later ones with 404 when nothing is called so. A former identifier of the project is an
alias there for ever (app/models/work_package/semantic_identifier.rb).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from consumers.openproject.choices import NONE
from consumers.openproject.client import OpenProjectClient, filters
from consumers.openproject.directory import UnknownNameError
from consumers.openproject.reading import number_of, text_of
from core import values
from core.errors import PermanentError, TransientError
from core.texts import Text
from toolkit.json_client import Json

# It begins with a letter: an old server would read the work package 2026 in `2026-11`.
_DISPLAY_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*-[0-9]+")
_SHOWN = 20


class WorkPackages:
    """Finds work packages. Usable from any thread."""

    def __init__(self, client: OpenProjectClient) -> None:
        self._client = client

    def read(self, number: int | str) -> Json:
        """Return a work package. Raises an outcome; TransientError when what comes is no work package."""
        found = self._client.get(f"work_packages/{quote(str(number), safe='')}")
        if number_of(found) is None:
            reason = Text(
                f"OpenProject's answer for work package {number} has no id",
                f"OpenProject: в ответе о рабочем пакете {number} нет id",
            )
            raise TransientError(reason, code="bad_answer")
        return found

    def named(self, field: str, value: Any) -> Json:
        """Return a work package by number or display id. Raises an outcome."""
        if (number := number_in(value)) is not None:
            return self.read(number)
        found = self._called(value)
        if found is None:
            given = f"{field}: {values.shown(value)}"
            reason = Text(
                f"{given} is no work package that the token's user can see; give its id or what people call it "
                "(42, #42; PROJ-42 since OpenProject 17.5)",
                f"{given} – не рабочий пакет, который виден пользователю маркера; укажите id или то, как его называют "
                "люди (42, #42; с OpenProject 17.5 PROJ-42)",
            )
            raise UnknownNameError(reason, code="task_not_found")
        return found

    def parent(self, project: int, value: Any) -> int:
        """Return the number of one meant by number, display id, or as the only one in the project by its subject."""
        if (number := number_in(value)) is not None:
            return number
        if (found := self._called(value)) is not None and (number := number_of(found)) is not None:
            return number
        return self._by_subject(project, value)

    def _called(self, value: Any) -> Json | None:
        name = values.text(value).lstrip("#")
        if not _DISPLAY_ID.fullmatch(name):
            return None
        # Project identifiers are capital letters there; people write them as they like.
        for spelling in dict.fromkeys((name, name.upper())):
            try:
                return self.read(spelling)
            except PermanentError:
                continue
        return None

    def _by_subject(self, project: int, value: Any) -> int:
        subject = values.text(value)
        path = f"projects/{project}/work_packages"
        rows = self._client.elements(path, filters=filters(subject=("~", [subject])))
        alike = [row for row in rows if (text_of(row.get("subject")) or "").casefold() == subject.casefold()]
        found = [number for row in alike if (number := number_of(row)) is not None]
        if len(found) != 1:
            given = values.shown(value)
            ids = Text.of(", ".join(map(str, found[:_SHOWN]))) if found else NONE
            reason = Text(
                f"parent: {given} must be the id, what people call it (PROJ-42), or the subject of one work package of "
                f"the project, found: {ids.en}",
                f"parent: вместо {given} нужен id, имя, каким его называют люди (PROJ-42), или тема одного рабочего "
                f"пакета проекта, найдено: {ids.ru}",
            )
            raise UnknownNameError(reason, code="unknown_parent")
        return found[0]


def number_in(value: Any) -> int | None:
    """Return the number in `42` and `#42`, as the server shows them without identifiers of projects."""
    return values.as_identifier(values.text(value).lstrip("#"))
