"""What 1C makes of the values that are written into attributes: checked, cut, emptied; the empty ones of each type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sandbox.onec.errors import ODataError
from sandbox.onec.schema import EMPTY_DATE, EMPTY_GUID, STREAM, UNDEFINED, Attribute, columns

Row = dict[str, Any]

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EMPTY: Mapping[str, Any] = {
    "Edm.Guid": EMPTY_GUID,
    "Edm.DateTime": EMPTY_DATE,
    "Edm.Boolean": False,
    "Edm.Double": 0,
    "Edm.Int32": 0,
    "Edm.Int64": "0",
}


def is_guid(text: object) -> bool:
    return isinstance(text, str) and bool(_GUID.fullmatch(text.lower()))


def empty_row(attributes: Sequence[Attribute]) -> Row:
    composite = {f"{each.name}_Type" for each in attributes if each.kinds}
    row: Row = {}
    for each in attributes:
        if each.type.startswith("Collection("):
            row[each.name] = []
        elif each.name in composite:
            row[each.name] = UNDEFINED
        elif each.type != STREAM:
            row[each.name] = _EMPTY.get(each.type, "")
    return row


def written(attributes: Sequence[Attribute], body: Mapping[str, Any]) -> Row:
    """What becomes of `body`; names that nobody knows are ignored. Raises ODataError."""
    row: Row = {}
    composite = {f"{each.name}_Type" for each in attributes if each.kinds}
    for each in attributes:
        if each.name not in body or each.name in composite:
            continue
        if (table := columns(each)) is not None:
            row[each.name] = _rows(each.name, table, body[each.name])
        elif each.kinds:
            row |= _of_any_kind(each, body)
        elif each.type != STREAM:
            row[each.name] = _checked(each, body[each.name])
    return row


def _rows(name: str, table: Sequence[Attribute], value: Any) -> list[Row]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _wrong(name)
    # A row without its number ends in this (a report of 2017, errors24.ru/2023/06/27).
    if not all("LineNumber" in each for each in value):
        raise ODataError(500, -1, "Произошла внутренняя ошибка OData сервиса")
    return [empty_row(table) | written(table, each) for each in value]


def _of_any_kind(attribute: Attribute, body: Mapping[str, Any]) -> Row:
    """A value is a text whatever its type, which is told beside it (17.4.3).

    Assumed, as 1C's own language does it: a value of a type that the attribute does not have is dropped without a word.
    """
    name, value = attribute.name, body[attribute.name]
    kind = body.get(f"{name}_Type")
    if not isinstance(value, str) or not isinstance(kind, str):
        raise _wrong(name)
    if kind == UNDEFINED or kind not in attribute.kinds:
        return {name: "", f"{name}_Type": UNDEFINED}
    if not _IS_OF_KIND.get(kind, _is_anything if kind.startswith("UnavailableEnums.") else is_guid)(value):
        raise _wrong(name)
    return {name: value.lower() if is_guid(value) else value, f"{name}_Type": kind}


def _checked(attribute: Attribute, value: Any) -> Any:
    checks: Mapping[str, Callable[[], bool]] = {
        "Edm.String": lambda: isinstance(value, str),
        "Edm.Binary": lambda: isinstance(value, str),
        "Edm.Guid": lambda: is_guid(value),
        "Edm.Boolean": lambda: isinstance(value, bool),
        "Edm.Double": lambda: isinstance(value, int | float) and not isinstance(value, bool),
        "Edm.Int32": lambda: isinstance(value, int) and not isinstance(value, bool),
        "Edm.Int64": lambda: isinstance(value, str) and value.lstrip("-").isdecimal(),
        "Edm.DateTime": lambda: isinstance(value, str) and _is_local(value),
    }
    if not checks[attribute.type]() or (attribute.members and value not in {"", *attribute.members}):
        raise _wrong(attribute.name)
    if attribute.max_length is not None and len(value) > attribute.max_length:
        return value[: attribute.max_length]  # without a word, as the database does
    return value.lower() if attribute.type == "Edm.Guid" else value


def _is_anything(_value: str) -> bool:
    return True


def _is_number(value: str) -> bool:
    return bool(re.fullmatch(r"-?\d{1,32}(\.\d+)?", value))


def _is_local(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is None
    except ValueError:
        return False


_IS_OF_KIND: Mapping[str, Callable[[str], bool]] = {
    "Edm.String": _is_anything,
    "Edm.Double": _is_number,
    "Edm.Boolean": {"true", "false"}.__contains__,
    "Edm.DateTime": _is_local,
}


def _wrong(name: str) -> ODataError:
    return ODataError(400, 4, f"Неправильное значение свойства «{name}»")
