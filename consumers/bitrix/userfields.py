"""Reads the portal's user fields, and makes values that fit them.

Documentation: api-reference/tasks/user-field/task-item-user-field-get-list.md. Enumerations carry their choices in
`LIST` as `[{"ID", "VALUE", ...}]`. The fields of CRM items are read in consumers/bitrix/crm_schema.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Protocol, TypeVar

from consumers.bitrix.batch import Answer, Command
from consumers.bitrix.given import bare
from core import values
from core.errors import ConfigurationError, PermanentError
from core.texts import Text

# Either may only mean that the portal was changed since its fields were read.
UNKNOWN_FIELD = "unknown_user_field"
UNKNOWN_CHOICE = "unknown_choice"
FRESH_ENOUGH = 60.0  # seconds: how often an unknown name may make us read the portal's fields again

_IDENTIFIERS = ("crm_category", "crm_company", "crm_contact", "crm_lead", "iblock_element", "iblock_section")
_MONEY = re.compile(r"-?[0-9]+(\.[0-9]+)?(\|[A-Z]{3})?")  # api-reference/crm/currency/index.md: 100|USD

Person = Callable[[str, Any], int]


class MadeOfFields(Protocol):
    """The translation of a message. `missed`: it names a user field that is not known."""

    @property
    def missed(self) -> bool: ...


_Made = TypeVar("_Made", bound=MadeOfFields)


@dataclass(frozen=True, slots=True)
class UserField:
    """One field `UF_…`; `choices` maps the ids of an enumeration to their texts, `flags` are its no and its yes."""

    name: str
    type: str
    multiple: bool = False
    choices: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[Any, Any] = (0, 1)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> UserField:
        return cls(
            name=str(row["FIELD_NAME"]),
            type=str(row.get("USER_TYPE_ID", "string")),
            multiple=row.get("MULTIPLE") == "Y",
            choices=choices_of(row.get("LIST")),
        )

    def accept(self, value: Any, zone: tzinfo, person: Person = values.identifier) -> Any:
        """Return the value as the portal wants it.

        Raises PermanentError naming field and value when it does not fit.
        """
        if not self.multiple:
            return self._one(value, zone, person)
        # A comma separates ids, numbers and choices, but it belongs to a text.
        is_plain_text = self.type in {"string", "url"} and isinstance(value, str) and not value.lstrip().startswith("[")
        several = [value] if is_plain_text else values.items(value)
        return [self._one(item, zone, person) for item in several]

    def _one(self, value: Any, zone: tzinfo, person: Person) -> Any:
        converters: Mapping[str, Callable[[], Any]] = {
            "boolean": lambda: self.flags[values.flag(self.name, value)],
            "integer": lambda: values.whole_number(self.name, value),
            "double": lambda: values.number(self.name, value),
            "datetime": lambda: values.moment(self.name, value, zone),
            "date": lambda: values.day(self.name, value, zone),
            "enumeration": lambda: self._choice(value),
            "money": lambda: self._money(value),
            "file": lambda: self._file(value),
            **dict.fromkeys(("user", "employee"), lambda: person(self.name, value)),
            **dict.fromkeys(_IDENTIFIERS, lambda: values.identifier(self.name, value)),
        }
        return converters.get(self.type, lambda: values.text(value))()

    def _choice(self, value: Any) -> str:
        wanted = values.text(value)
        if wanted in self.choices:
            return wanted
        meant = [key for key, choice in self.choices.items() if choice.strip().casefold() == wanted.casefold()]
        if len(meant) == 1:
            return meant[0]
        if meant:
            ids = ", ".join(meant)
            one = Text(
                f"one choice but several: give its id ({ids})",
                f"одно значение, а подходят несколько: укажите id ({ids})",
            )
            raise values.BadValueError(self.name, value, one)
        choices = ", ".join(self.choices.values())
        text = Text(f"is none of its choices ({choices})", f"нет среди значений поля ({choices})")
        raise PermanentError(text.led_by(f"{self.name}: {values.shown(value)} "), code=UNKNOWN_CHOICE)

    def _money(self, value: Any) -> str:
        amount = values.text(value).replace(" ", "")
        if not _MONEY.fullmatch(amount):
            wanted = Text("an amount such as 300 or 300.50|RUB", "сумма, например 300 или 300.50|RUB")
            raise values.BadValueError(self.name, value, wanted)
        return amount

    def _file(self, value: Any) -> list[str]:
        try:
            parts = json.loads(value) if isinstance(value, str) else value
        except (ValueError, RecursionError):
            parts = None
        if isinstance(parts, list) and len(parts) == 2 and all(isinstance(part, str) and part for part in parts):
            return list(parts)
        wanted = Text(
            'a file as ["name.txt", "its content in base64"]', 'файл в виде ["name.txt", "его содержимое в base64"]'
        )
        raise values.BadValueError(self.name, value, wanted)


USER_FIELDS = Command("task.item.userfield.getlist", {"ORDER": {"SORT": "ASC"}})


def fields_by_name(answer: Answer) -> dict[str, UserField]:
    """Return the user fields in the answer to `USER_FIELDS`; a row that describes no field is passed over."""
    if not isinstance(answer.result, list):
        text = Text(
            "Bitrix24 does not tell its user fields of tasks", "Bitrix24 не называет пользовательские поля своих задач"
        )
        raise ConfigurationError(text, code="user_fields")
    rows = [row for row in answer.result if isinstance(row, Mapping) and row.get("FIELD_NAME")]
    return {field.name: field for field in map(UserField.from_row, rows)}


def choices_of(listed: Any) -> dict[str, str]:
    """Return the choices by id: `[{"ID": "26", "VALUE": "ДА"}]` -> `{"26": "ДА"}`."""
    choices = [choice for choice in (listed if isinstance(listed, list) else []) if isinstance(choice, Mapping)]
    return {str(choice["ID"]): str(choice.get("VALUE") or "") for choice in choices if "ID" in choice}


def with_fresh_fields(translate: Callable[[float | None], _Made]) -> _Made:
    """Translate, and read the portal's fields again if one is not known: it may have been made a moment ago.

    `translate` is given how old they may be, in seconds; None is as old as the settings allow. Raises what it raises.
    """
    try:
        made = translate(None)
    except PermanentError as error:
        if error.code not in {UNKNOWN_FIELD, UNKNOWN_CHOICE}:
            raise
    else:
        if not made.missed:
            return made
    return translate(FRESH_ENOUGH)


def find(name: str, known: Mapping[str, UserField]) -> UserField | None:
    """Return the field meant by a name in any of its spellings.

    `UF_RESULT_ANSWER`, `uf_result_answer`, `ufResultAnswer`.
    """
    exact = known.get(name) or known.get(name.upper())
    if exact is not None:
        return exact
    wanted = bare(name)
    alike = [each for each in known.values() if bare(each.name) == wanted]
    return alike[0] if len(alike) == 1 else None
