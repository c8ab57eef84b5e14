"""Knows which custom fields there are, and what may be chosen in them.

`GET work_packages/schemas/1-2` gives names and types, to everybody who may see the project. What may be chosen is given
by a form only (lib/api/decorators/schema_representer.rb of opf/openproject, `form_embedded`; so in its state of 2017
and in 17.6): as a list beside the field, or as the address of one (people: principals; hierarchies:
custom_fields/7/items). Projects have a form and no other schema.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consumers.openproject.choices import Choice, choices_of
from consumers.openproject.client import OpenProjectClient, link
from consumers.openproject.reading import embedded, text_of
from consumers.openproject.remembered import Remembered
from core.errors import OutageError, PermanentError
from core.texts import Text
from toolkit.json_client import Json

_LINKED = {"CustomOption", "User", "Version", "CustomField::Hierarchy::Item"}


@dataclass(frozen=True, slots=True)
class CustomField:
    """A custom field. `name` is customFieldN. A linked one takes what may be chosen, the others a value of `type`."""

    name: str
    title: str
    type: str
    is_linked: bool
    multiple: bool
    is_writable: bool


@dataclass(frozen=True, slots=True)
class Fields:
    """The custom fields of something, and the form that says what may be chosen in them.

    `name` is what the form is remembered by, `form` asks for it and gives its schema.
    """

    name: str
    known: Callable[[float | None], Mapping[str, Sequence[CustomField]]]
    form: Callable[[], Json]
    of_projects: bool = False


class Schemas:
    """The schemas of one server. Usable from any thread."""

    def __init__(self, client: OpenProjectClient, remembered: Remembered) -> None:
        self._client = client
        self._remembered = remembered

    def of_new(self, project: int, kind: int) -> Fields:
        """Return the fields of a work package that is to be created."""
        body = {"_links": {"type": link("types", kind)}}
        path = f"projects/{project}/work_packages/form"
        return Fields(
            f"{path} {kind}", lambda age: self._of_type(project, kind, age), lambda: self._form_schema(path, body)
        )

    def of_existing(self, work_package: Json, number: int, project: int, kind: int) -> Fields:
        """Return the fields of one that is to be changed.

        That takes another right than to create some: edit instead of add.
        """
        body = {"lockVersion": work_package.get("lockVersion"), "_links": {"type": link("types", kind)}}
        return Fields(
            f"change {project}-{kind}",  # the same for all of them
            lambda age: self._of_type(project, kind, age),
            lambda: self._form_schema(f"work_packages/{number}/form", body),
        )

    def of_projects(self) -> Fields:
        name = "projects/form"

        def form() -> Json:
            return self._form_schema(name, {})

        return Fields(name, lambda age: custom_fields(self._remembered.read(name, form, age)), form, of_projects=True)

    def find(self, fields: Fields, name: str) -> Sequence[CustomField]:
        """Return the fields that are called so (customFieldN or the title, without case) and switched on here."""
        for age in self._remembered.ages():
            if found := fields.known(age).get(name.casefold(), ()):
                return found
        return ()

    def choices(self, fields: Fields, field: CustomField, max_age: float) -> Sequence[Choice]:
        """Return what may be chosen. Raises PermanentError when the token's user may not write the field here."""
        schema = self._remembered.read(fields.name, fields.form, max_age)
        entry = schema.get(field.name)
        if not isinstance(entry, Mapping) or entry.get("writable") is False:
            called = f"{field.title} ({field.name})"
            reason = Text(
                f"{called}: the token's user may not write it here",
                f"{called}: пользователю маркера нельзя его здесь записывать",
            )
            raise PermanentError(reason, code="read_only_field")
        links = entry.get("_links")
        allowed = embedded(entry, "allowedValues")
        if isinstance(allowed, list):
            return choices_of([each for each in allowed if isinstance(each, dict)], _kind_of(field))
        told = links.get("allowedValues") if isinstance(links, Mapping) else None
        if isinstance(told, list):
            return choices_of([_row(each) for each in told if isinstance(each, Mapping)], _kind_of(field))
        href = text_of(told.get("href")) if isinstance(told, Mapping) else None
        if href is None:
            return ()

        def read() -> Sequence[Choice]:
            return choices_of(self._client.linked(href), _kind_of(field))

        return self._remembered.read(href, read, max_age)

    def _of_type(self, project: int, kind: int, max_age: float | None) -> Mapping[str, Sequence[CustomField]]:
        path = f"work_packages/schemas/{project}-{kind}"
        return self._remembered.read(path, lambda: custom_fields(_checked(self._client.get(path), path)), max_age)

    def _form_schema(self, path: str, body: Json) -> Json:
        schema = embedded(self._client.form(path, body), "schema")
        return _checked(schema, path)


def custom_fields(schema: Json) -> dict[str, list[CustomField]]:
    """Return the fields by customFieldN and by title, both in small letters."""
    found: defaultdict[str, list[CustomField]] = defaultdict(list)
    for name, entry in schema.items():
        if name.startswith("customField") and isinstance(entry, Mapping):
            kind = text_of(entry.get("type")) or ""
            bare = kind.removeprefix("[]")
            one = CustomField(
                name,
                text_of(entry.get("name")) or name,
                bare,
                bare in _LINKED or entry.get("location") == "_links",
                kind != bare,
                entry.get("writable") is not False and bare != "CalculatedValue",
            )
            for each in {name.casefold(), one.title.casefold()}:
                found[each].append(one)
    return dict(found)


def _checked(schema: Any, path: str) -> Json:
    if not isinstance(schema, dict) or schema.get("_type") != "Schema":
        reason = Text(f"OpenProject's answer to {path} is no schema", f"OpenProject: в ответе на {path} нет схемы")
        raise OutageError(reason, code="bad_answer")
    return schema


def _row(told: Mapping[str, Any]) -> Json:
    """Return an address with a title, as if it was the object it leads to."""
    last = (text_of(told.get("href")) or "").rpartition("/")[2]
    return {"id": last, "name": told.get("title"), "_links": {"self": dict(told)}}


def _kind_of(field: CustomField) -> str:
    kinds = {"User": "users", "Version": "versions", "CustomField::Hierarchy::Item": "custom_field_items"}
    return kinds.get(field.type, "custom_options")
