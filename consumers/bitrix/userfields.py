"""The portal's user fields of tasks, and values that fit them.

Documentation: api-reference/tasks/user-field/task-item-user-field-get-list.md. Enumerations carry their choices in
`LIST` as `[{"ID", "VALUE", ...}]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from consumers.bitrix.batch import Answer, Command
from core import values
from core.errors import ConfigurationError, PermanentError

# Either may only mean that the portal was changed since its fields were read.
UNKNOWN_FIELD = "unknown_user_field"
UNKNOWN_CHOICE = "unknown_choice"


@dataclass(frozen=True, slots=True)
class UserField:
    """One field `UF_…`; `choices` maps the ids of an enumeration to their texts."""

    name: str
    type: str
    multiple: bool = False
    choices: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> UserField:
        listed = row.get("LIST")
        choices = listed if isinstance(listed, list) else []
        return cls(
            name=str(row["FIELD_NAME"]),
            type=str(row.get("USER_TYPE_ID", "string")),
            multiple=row.get("MULTIPLE") == "Y",
            choices={str(choice["ID"]): str(choice.get("VALUE", "")) for choice in choices},
        )

    def accept(self, value: Any, zone: tzinfo) -> Any:
        """The value as the portal wants it. Raises PermanentError naming field and value when it does not fit."""
        if not self.multiple:
            return self._one(value, zone)
        # A comma separates ids, numbers and choices, but it belongs to a text.
        is_plain_text = self.type == "string" and isinstance(value, str) and not value.lstrip().startswith("[")
        several = [value] if is_plain_text else values.items(value)
        return [self._one(item, zone) for item in several]

    def _one(self, value: Any, zone: tzinfo) -> Any:
        converters: Mapping[str, Callable[[], Any]] = {
            "boolean": lambda: values.flag(self.name, value),
            "integer": lambda: values.whole_number(self.name, value),
            "double": lambda: values.number(self.name, value),
            "datetime": lambda: values.moment(self.name, value, zone),
            "date": lambda: values.day(self.name, value, zone),
            "enumeration": lambda: self._choice(value),
        }
        return converters.get(self.type, lambda: values.text(value))()

    def _choice(self, value: Any) -> str:
        wanted = values.text(value)
        if wanted in self.choices:
            return wanted
        for choice_id, choice in self.choices.items():
            if choice.strip().casefold() == wanted.casefold():
                return choice_id
        choices = ", ".join(self.choices.values())
        raise PermanentError(
            f"{self.name}: {values.shown(value)} is none of its choices ({choices})", code=UNKNOWN_CHOICE
        )


USER_FIELDS = Command("task.item.userfield.getlist", {"ORDER": {"SORT": "ASC"}})


def fields_by_name(answer: Answer) -> dict[str, UserField]:
    """The answer to `USER_FIELDS`."""
    if not isinstance(answer.result, list):
        raise ConfigurationError("Bitrix24 does not tell its user fields of tasks", code="user_fields")
    return {field.name: field for field in map(UserField.from_row, answer.result)}


def accept_all(given: Mapping[str, Any], known: Mapping[str, UserField], zone: tzinfo) -> dict[str, Any]:
    """The `UF_…` values of one task, checked against the portal's fields.

    A field that the portal does not have is Permanent, not Configuration: a misspelt name in one process must not
    stop all the others.
    """
    accepted = {}
    for name, value in given.items():
        if name not in known:
            raise PermanentError(
                f"The portal has no user field {name} for tasks; correct the name in the process or create the "
                "field (python main.py bitrix init-fields creates the usual ones)",
                code=UNKNOWN_FIELD,
            )
        if not values.is_blank(value):
            accepted[name] = known[name].accept(value, zone)
    return accepted
