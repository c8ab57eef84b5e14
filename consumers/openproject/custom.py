"""Reads the values of custom fields that a message gives as `customField7` or `cf_<title>`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from consumers.openproject.choices import Choice, listed, matching
from consumers.openproject.directory import Directory
from consumers.openproject.remembered import Remembered
from consumers.openproject.schemas import CustomField, Fields, Schemas
from core import values
from core.errors import PermanentError
from core.inputs import Inputs
from core.texts import Text
from toolkit.json_client import Json

_PREFIX = "cf_"
_NAME = re.compile(r"customfield[0-9]+")


@dataclass(frozen=True, slots=True)
class _Given:
    """A value on its way into a field. `name` is what the message calls it."""

    name: str
    value: Any
    field: CustomField


class CustomValues:
    """The values of custom fields. Usable from any thread.

    `key_field` is ours alone: with another value a task could be created twice.
    """

    def __init__(
        self, schemas: Schemas, directory: Directory, remembered: Remembered, zone: ZoneInfo, key_field: str
    ) -> None:
        self._schemas = schemas
        self._directory = directory
        self._remembered = remembered
        self._zone = zone
        self._key_field = key_field.casefold()

    def of(self, inputs: Inputs, fields: Fields, where: Text) -> tuple[Json, Json, list[Text]]:
        """Return values for the top level and for `_links`, and what people should know. Raises an outcome.

        A name that means no field is refused: it would be dropped silently. `where` names the place for people,
        in Russian in the genitive case.
        """
        plain: Json = {}
        links: Json = {}
        warnings: list[Text] = []
        for given in self._given(inputs, fields, where, warnings):
            field = given.field
            if self._is_key(field, fields):
                warnings.append(
                    Text(
                        f"{given.name}: not written, the field keeps the Camunda task id",
                        f"{given.name}: не записано, в этом поле хранится id задачи Camunda",
                    )
                )
            elif not field.is_writable:
                if field.type == "CalculatedValue":
                    why = Text("OpenProject calculates it", "его вычисляет OpenProject")
                else:
                    why = Text("it may not be written", "записывать его нельзя")
                raise PermanentError(why.led_by(f"{given.name}: "), code="read_only_field")
            elif field.is_linked:
                links[field.name] = self._chosen(given, fields)
            else:
                plain[field.name] = self._plain(given)
        return plain, links, warnings

    def _given(self, inputs: Inputs, fields: Fields, where: Text, warnings: list[Text]) -> Iterator[_Given]:
        """Yield one value for each field.

        What comes first wins over the next: variables, extension properties, parameters.
        """
        found: dict[str, _Given] = {}
        for source in (inputs.variables, inputs.extensions, inputs.parameters):
            here: dict[str, _Given] = {}
            for name in filter(is_custom_name, source):
                value = source[name]
                if not inputs.is_given(name, value):
                    continue
                try:
                    one = _Given(name, value, self._field(name, fields, where))
                except PermanentError as error:
                    # A process has its variables for all of its steps, and most of them make work packages.
                    if not fields.of_projects or source is not inputs.variables:
                        raise
                    warnings.append(error.text)
                    continue
                other = here.setdefault(one.field.name, one)
                if other.value != value and not self._is_key(one.field, fields):
                    reason = Text(
                        f"{other.name} and {name} are the same field with different values",
                        f"{other.name} и {name} – одно поле с разными значениями",
                    )
                    raise PermanentError(reason, code="bad_value")
            found = here | found
        yield from found.values()

    def _is_key(self, field: CustomField, fields: Fields) -> bool:
        return not fields.of_projects and self._key_field in (field.name.casefold(), field.title.casefold())

    def _field(self, name: str, fields: Fields, where: Text) -> CustomField:
        title = name[len(_PREFIX) :] if name.lower().startswith(_PREFIX) else name
        found = self._schemas.find(fields, title)
        if not found:
            reason = Text(
                f"{name}: {where.en} has no such custom field", f"{name}: у {where.ru} нет такого настраиваемого поля"
            )
            raise PermanentError(reason, code="unknown_field")
        if len(found) > 1:
            names = ", ".join(one.name for one in found)
            reason = Text(
                f"{name}: {where.en} has several such custom fields: {names}",
                f"{name}: у {where.ru} несколько таких настраиваемых полей: {names}",
            )
            raise PermanentError(reason, code="unknown_field")
        return found[0]

    def _chosen(self, given: _Given, fields: Fields) -> Any:
        first, second = self._remembered.ages()
        try:
            return self._written(given, self._schemas.choices(fields, given.field, first))
        except values.BadValueError:  # it may be new
            return self._written(given, self._schemas.choices(fields, given.field, second))

    def _written(self, given: _Given, known: Sequence[Choice]) -> Any:
        if not given.field.multiple:
            return {"href": self._choice(given, given.value, known).href}
        whole = matching(known, given.value) if isinstance(given.value, str) else []
        if len(whole) == 1:  # a title may hold a comma
            return [{"href": whole[0].href}]
        hrefs = [self._choice(given, item, known).href for item in values.items(given.value)]
        return [{"href": href} for href in dict.fromkeys(hrefs)]

    def _choice(self, given: _Given, value: Any, known: Sequence[Choice]) -> Choice:
        found = matching(known, value)
        if not found and given.field.type == "User":
            number = self._directory.user_called(value)
            found = [choice for choice in known if choice.id == number]
        if len(found) == 1:
            return found[0]
        those = listed(found or known)
        if found:
            wanted = Text(f"one choice, it may be {those.en}", f"один вариант, а это может быть {those.ru}")
        else:
            wanted = Text(f"one of {those.en}", f"один из вариантов: {those.ru}")
        raise values.BadValueError(given.name, value, wanted)

    def _plain(self, given: _Given) -> Any:
        name, value = given.name, given.value
        match given.field.type:
            case "Integer":
                return values.whole_number(name, value)
            case "Float":
                return values.number(name, value)
            case "Boolean":
                return bool(values.flag(name, value))
            case "Date":
                return values.day(name, value, self._zone)
            case "Formattable":
                return {"format": "markdown", "raw": values.text(value)}
            case "String" | "Link":
                return values.text(value)
            case other:
                reason = Text(
                    f"{name}: fields of type {other!r} are not known here", f"{name}: поля типа {other!r} неизвестны"
                )
                raise PermanentError(reason, code="unknown_field")


def is_custom_name(name: str) -> bool:
    lowered = name.lower()
    return lowered.startswith(_PREFIX) or bool(_NAME.fullmatch(lowered))
