"""Does `op_create_project`: the identifier is the key, the server refuses a second project with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from consumers.openproject import kept, names
from consumers.openproject.client import OpenProjectClient
from consumers.openproject.custom import CustomValues
from consumers.openproject.directory import Directory
from consumers.openproject.errors import NotFoundError
from consumers.openproject.reading import embedded, number_of, text_of
from consumers.openproject.remembered import Remembered
from consumers.openproject.schemas import Schemas
from core import values
from core.errors import AmbiguousError, PermanentError, TransientError
from core.inputs import Inputs, activity_name
from core.messages import IncomingMessage
from core.results import Done, with_warnings
from core.texts import Text
from toolkit.json_client import Json

# app/models/projects/identifier.rb of opf/openproject: which of the two holds is a setting of the server since 17.5.
_IDENTIFIER = re.compile(r"(?![0-9]+$)[a-z0-9_-]{1,100}|[A-Z][A-Z0-9_]{0,9}")
_WANTED = Text(
    "1 to 100 of a-z, 0-9, - and _ and no number, or, where work packages are called PROJ-42, "
    "1 to 10 of A-Z, 0-9 and _ that begin with a letter",
    "от 1 до 100 знаков из a-z, 0-9, - и _, но не число, или, где рабочие пакеты называются PROJ-42, "
    "от 1 до 10 знаков из A-Z, 0-9 и _, первый – буква",
)
_NAME_LIMIT = 255  # characters
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Projects:
    def __init__(
        self,
        client: OpenProjectClient,
        directory: Directory,
        schemas: Schemas,
        custom: CustomValues,
        remembered: Remembered,
    ) -> None:
        self._client = client
        self._directory = directory
        self._schemas = schemas
        self._custom = custom
        self._remembered = remembered

    def create(self, message: IncomingMessage) -> Done:
        """Create the project or find it. Raises an outcome."""
        task = message.task
        inputs = Inputs(task)
        warnings = names.unused(inputs, task.topic)
        wanted = inputs.text(*names.PROJECT_NAME) or activity_name(task) or f"Camunda {task.task_id}"
        name = values.cut_characters(wanted, _NAME_LIMIT)
        if name != wanted:
            warnings.append(
                Text(
                    f"name: cut to {_NAME_LIMIT} characters, more are not allowed",
                    f"name: обрезано до {_NAME_LIMIT} символов, больше нельзя",
                )
            )
        given = inputs.text(*names.IDENTIFIER)
        if given is not None and not _IDENTIFIER.fullmatch(given):
            raise values.BadValueError("identifier", given, _WANTED)
        candidates = [given] if given is not None else _derived_identifiers(task.task_id)
        existing = self._first(candidates)
        if existing is None:
            identifier = given or candidates[1 if self._is_semantic(candidates[0]) else 0]
            body = {"name": name, "identifier": identifier, **self._rest(inputs, warnings)}
            try:
                made = self._client.write("POST", "projects", body, message.ensure_ours)
                return _result(made, warnings + kept.differences(body, made), duplicate=False)
            except (AmbiguousError, PermanentError):
                # Executed after all, or another message of the same task was quicker.
                existing = self._first([identifier])
                if existing is None:
                    raise
        if given and str(existing.get("name")) != name:
            owner = repr(existing.get("name"))
            reason = Text(
                f"identifier: {given!r} is taken by the project {owner}",
                f"identifier: {given!r} уже занят, это проект {owner}",
            )
            raise PermanentError(reason, code="identifier_taken")
        return _result(existing, warnings, duplicate=True)

    def _rest(self, inputs: Inputs, warnings: list[Text]) -> Json:
        body: Json = {}
        if description := inputs.text(*names.DESCRIPTION):
            body["description"] = {"format": "markdown", "raw": description}
        own, links, own_warnings = self._custom.of(inputs, self._schemas.of_projects(), Text("a project", "проекта"))
        warnings += own_warnings
        if (parent := inputs.first(*names.PROJECT_PARENT)) is not None:
            links["parent"] = {"href": self._directory.project(parent[1]).href}
        warnings += inputs.empty_dates()
        return {**body, **own, **({"_links": links} if links else {})}

    def _is_semantic(self, classic: str) -> bool:
        """Return whether the server wants identifiers such as PROJ: its form refuses the other kind.

        The form creates nothing.
        """

        def ask() -> bool:
            form = self._client.form("projects/form", {"name": classic, "identifier": classic})
            errors = embedded(form, "validationErrors")
            if not isinstance(errors, Mapping):
                reason = Text(
                    "OpenProject's form for a project says nothing of errors",
                    "OpenProject: форма проекта ничего не говорит об ошибках",
                )
                raise TransientError(reason, code="bad_answer")
            return "identifier" in errors

        return self._remembered.read("semantic identifiers", ask)

    def _first(self, identifiers: list[str]) -> Json | None:
        for identifier in identifiers:
            try:
                found = self._client.get(f"projects/{identifier}")
            except NotFoundError:
                continue
            # `schema` and `form` are addresses of something else.
            if number_of(found) is not None and text_of(found.get("identifier")) is not None:
                return found
        return None


def _result(project: Json, warnings: list[Text], *, duplicate: bool) -> Done:
    number = number_of(project)
    if number is None:
        # It exists, and is found by its identifier when the message comes again.
        reason = Text(
            "OpenProject's answer to the creation of a project has no id",
            "OpenProject: в ответе на создание проекта нет id",
        )
        raise AmbiguousError(reason, code="bad_answer")
    view = {"id": str(number), "title": project.get("name"), "identifier": project.get("identifier")}
    return Done(
        with_warnings({"result": {"task": view}, "success": True}, warnings),
        external_id=str(number),
        duplicate=duplicate,
    )


def _derived_identifiers(task_id: str) -> list[str]:
    """Return identifiers of both kinds, the same ones for the same task."""
    digest = hashlib.sha256(task_id.encode())
    number, letters = int.from_bytes(digest.digest()), ""
    while len(letters) < 9:
        number, rest = divmod(number, 36)
        letters += _DIGITS[rest]
    return [f"camunda-{digest.hexdigest()[:24]}", f"C{letters}"]
