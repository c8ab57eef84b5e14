"""Tells which Camunda task a work package belongs to: what it keeps in the key's custom field.

A row names the field by its number (customField7), the settings by its title; the schema of its project and type says
which is which (consumers/openproject/schemas.py), and is remembered.
"""

from __future__ import annotations

from consumers.openproject.reading import linked_number
from consumers.openproject.schemas import Schemas
from core.errors import PermanentError
from toolkit.json_client import Json


class TaskKeys:
    """`key_field` is a title, or customFieldN. Usable from any thread."""

    def __init__(self, schemas: Schemas, key_field: str) -> None:
        self._schemas = schemas
        self._key_field = key_field.casefold()

    def of(self, row: Json) -> str | None:
        """Return the Camunda task id in a row; None: it has none, or the server does not show its fields.

        Raises an outcome when the schema cannot be asked for.
        """
        texts = {name: value for name, value in row.items() if name.startswith("customField") and _is_text(value)}
        links = row.get("_links")
        project, kind = linked_number(links, "project"), linked_number(links, "type")
        if not texts or project is None or kind is None:
            return None
        try:
            known = self._schemas.of_new(project, kind).known(None)
        except PermanentError:
            return None
        names = (each.name for each in known.get(self._key_field, ()))
        return next((texts[name] for name in names if name in texts), None)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
