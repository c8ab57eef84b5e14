"""User fields (`UF_*`) of tasks: their definitions and how each type stores and shows a value.

The boolean type stores true for every non-empty value, "N" included; enumerations exist only when made by hand on the
portal (REST creates string, double, datetime and boolean: page task-item-user-field-add).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from sandbox.bitrix24 import php
from sandbox.bitrix24.clock import iso, parse_moment

CREATABLE_TYPES = ("string", "double", "datetime", "boolean")

_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "string": {"SIZE": 20, "ROWS": 1, "REGEXP": "", "MIN_LENGTH": 0, "MAX_LENGTH": 0, "DEFAULT_VALUE": ""},
    "double": {"PRECISION": 4, "SIZE": 20, "MIN_VALUE": 0, "MAX_VALUE": 0, "DEFAULT_VALUE": 0},
    "datetime": {
        "DEFAULT_VALUE": {"TYPE": "NONE", "VALUE": ""},
        "USE_SECOND": "Y",
        "USE_TIMEZONE": "N",
    },
    "boolean": {"DEFAULT_VALUE": 0, "DISPLAY": "CHECKBOX", "LABEL": ["", ""], "LABEL_CHECKBOX": ""},
    "enumeration": {"DISPLAY": "LIST", "LIST_HEIGHT": 1, "CAPTION_NO_VALUE": "", "SHOW_NO_VALUE": "Y"},
    "crm": {"LEAD": "Y", "CONTACT": "Y", "COMPANY": "Y", "DEAL": "Y"},
}


class ValueRefusedError(ValueError):
    """The type of the user field does not take this value."""


@dataclass(frozen=True, slots=True)
class UserField:
    """One definition. `options` maps the ids of an enumeration to their texts."""

    name: str
    type: str = "string"
    label: str = ""
    mandatory: bool = False
    multiple: bool = False
    options: Mapping[int, str] | None = None
    settings: Mapping[str, Any] | None = None

    def stored(self, value: Any, zone: tzinfo) -> Any:
        """What the portal keeps of a value from the wire. Raises ValueError for one that the type refuses."""
        if self.type == "boolean":
            return php.truthy(value)
        if php.is_empty(value):
            return None
        if self.multiple:
            return [self._stored_one(each, zone) for each in php.values(value) if not php.is_empty(each)]
        return self._stored_one(value, zone)

    def _stored_one(self, value: Any, zone: tzinfo) -> Any:
        if isinstance(value, (dict, list)):
            raise ValueRefusedError("array given")
        match self.type:
            case "double":
                return float(value)
            case "datetime":
                moment = parse_moment(str(value), zone)
                if moment is None:
                    raise ValueRefusedError("no date")
                return moment
            case "enumeration":
                if php.integer(value) not in (self.options or {}):
                    raise ValueRefusedError("no such option")
                return php.integer(value)
            case _:
                return _text(value)

    def comparable(self, value: Any, zone: tzinfo) -> Any:
        """A filter's value as it is stored; None for one that no stored value can equal."""
        if self.type == "boolean":
            return php.truthy(value)
        try:
            return self._stored_one(value, zone)
        except ValueError:
            return None

    def shown(self, stored: Any, zone: tzinfo) -> Any:
        """The stored value as an answer shows it: `"1"`/`"0"`, `"26"`, ISO dates; null when never set."""
        if stored is None:
            return [] if self.multiple else None
        if isinstance(stored, list):
            return [self._shown_one(each, zone) for each in stored]
        return self._shown_one(stored, zone)

    def _shown_one(self, stored: Any, zone: tzinfo) -> str:
        if self.type == "boolean":
            return "1" if stored else "0"
        if self.type == "datetime":
            return iso(stored, zone)
        if self.type == "double":
            return f"{stored:g}" if abs(stored) < 1e6 else repr(stored)
        return str(stored)

    def definition(self, field_id: int) -> dict[str, Any]:
        """As `task.item.userfield.getlist` shows it (page task-item-user-field-get-list)."""
        shown: dict[str, Any] = {
            "ID": str(field_id),
            "ENTITY_ID": "TASKS_TASK",
            "FIELD_NAME": self.name,
            "USER_TYPE_ID": self.type,
            "XML_ID": self.name,
            "SORT": "100",
            "MULTIPLE": "Y" if self.multiple else "N",
            "MANDATORY": "Y" if self.mandatory else "N",
            "SHOW_FILTER": "N",
            "SHOW_IN_LIST": "Y",
            "EDIT_IN_LIST": "Y",
            "IS_SEARCHABLE": "N",
            "SETTINGS": dict(self.settings or {}) or dict(_SETTINGS.get(self.type, {})) or [],
        }
        if self.type == "enumeration":
            shown["LIST"] = [
                {"ID": str(option), "SORT": "500", "VALUE": text, "DEF": "N"}
                for option, text in (self.options or {}).items()
            ]
        return shown


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else ""
    return str(value)


SYSTEM_USER_FIELDS: Sequence[UserField] = (
    UserField("UF_CRM_TASK", "crm", "Элементы CRM", multiple=True),
    UserField("UF_TASK_WEBDAV_FILES", "disk_file", "Файлы", multiple=True),
    UserField("UF_MAIL_MESSAGE", "mail_message"),
)
SYSTEM_USER_FIELD_NAMES = frozenset(field.name for field in SYSTEM_USER_FIELDS)

DEFAULT_USER_FIELDS: Sequence[UserField] = (
    UserField("UF_CAMUNDA_ID_EXTERNAL_TASK", "string", "Camunda: внешняя задача"),
    UserField("UF_ELEMENT_ID", "string", "Camunda: элемент"),
    UserField("UF_PROCESS_INSTANCE_ID", "string", "Camunda: экземпляр процесса"),
    UserField("UF_RESULT_EXPECTED", "boolean", "Ожидается ответ"),
    UserField("UF_RESULT_QUESTION", "string", "Вопрос"),
    UserField("UF_RESULT_ANSWER", "enumeration", "Ответ", options={26: "ДА", 27: "НЕТ"}),
)
BARE_USER_FIELDS: Sequence[UserField] = ()


class UserFields:
    """The definitions of one portal by name, with ids."""

    _FIRST_ID = 1301

    def __init__(self, fields: Iterable[UserField]) -> None:
        self._by_name: dict[str, UserField] = {}
        self._ids: dict[str, int] = {}
        for field in (*SYSTEM_USER_FIELDS, *fields):
            self.add(field)

    def __iter__(self) -> Iterator[UserField]:
        return iter(self._by_name.values())

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def get(self, name: str) -> UserField | None:
        return self._by_name.get(name)

    def add(self, field: UserField) -> int:
        """Adds a definition and returns its id. The caller has checked that the name is free."""
        self._by_name[field.name] = field
        self._ids[field.name] = self._FIRST_ID + len(self._ids)
        return self._ids[field.name]

    def definitions(self) -> list[dict[str, Any]]:
        return [field.definition(self._ids[field.name]) for field in self]

    def option_id(self, name: str, text: str) -> int:
        """The id of an enumeration's option by its text. Raises LookupError."""
        field = self._by_name[name]
        for option, label in (field.options or {}).items():
            if label == text:
                return option
        raise LookupError(f"{name} has no option {text!r}")
