"""Reads process variables, as engines send them, into plain values.

    "title": "П-17"                                          plain, as Camunda's live side sends it
    "title": {"type": "String", "value": "П-17"}             typed, as an engine's REST API returns it

Typed is only what has the name of an engine's own type and no key but value, type, valueInfo and local: anything
else is a business object that happens to look alike. Names of types: docs.camunda.org, user guide, process variables,
supported variable values; their first letter may be small (org.camunda.bpm.engine.rest.dto.VariableValueDto).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from core import values
from core.errors import InvalidMessageError, PermanentError
from core.strict_json import decode_value
from core.texts import Text

_KEYS = frozenset({"value", "type", "valueInfo", "local"})
_WITHOUT_VALUE = frozenset({"file", "null"})
_DEPTH_LIMIT = 100
_JSON = "application/json"


class UnreadableError(PermanentError):
    """A variable whose declared type does not let us read it; the text names variable, type and remedy."""

    def __init__(self, name: str, problem: Text) -> None:
        super().__init__(problem.led_by(f"{name}: "), code="unreadable_variable")


class Variables(Mapping[str, Any]):
    """Plain values by name. Reading one that cannot be read raises UnreadableError; the others are not affected.

    `declared` is what the message says beside `given` about the same variables (`process_variables`): Camunda's live
    side sends plain values, and only there stands that a text is a serialized Java object.
    """

    def __init__(self, given: Mapping[str, Any], declared: Mapping[str, Any] | None = None) -> None:
        self._given = given
        self._declared = declared or {}
        self._read: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._read:
            self._read[name] = self._plain(name, self._given[name])
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._given  # without reading it

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def unreadable(self) -> dict[str, UnreadableError]:
        """Return the errors that reading would raise, by name."""
        found = {}
        for name in self:
            try:
                self[name]
            except UnreadableError as error:
                found[name] = error
        return found

    def as_told(self) -> dict[str, Any]:
        """Return plain values for a receiver that reads them itself, and what we cannot read as the message has it."""
        unreadable = self.unreadable()
        return {name: self._given[name] if name in unreadable else self[name] for name in self}

    def _plain(self, name: str, value: Any) -> Any:
        if not isinstance(value, str):
            return _read(name, value) if is_typed(value) else value
        told = self._declared.get(name)
        if isinstance(told, Mapping) and told.get("value") == value and _is_foreign(told):
            return _read(name, told)
        return value

    def __repr__(self) -> str:
        return f"Variables({', '.join(self)})"


def is_typed(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value.keys() <= _KEYS:
        return False
    kind = value.get("type")
    if kind is None:
        return "value" in value and "valueInfo" in value
    return isinstance(kind, str) and _name(kind) in _READERS and ("value" in value or _name(kind) in _WITHOUT_VALUE)


def _read(name: str, typed: Mapping[str, Any]) -> Any:
    kind, value = typed.get("type"), typed.get("value")
    if kind is None:
        return value
    if value is None and _name(kind) != "file":
        return None
    info = typed.get("valueInfo")
    return _READERS[_name(kind)](name, value, info if isinstance(info, Mapping) else {})


def _is_foreign(typed: Mapping[str, Any]) -> bool:
    """Return whether the value is no text, although it travels as one."""
    kind, info = _name(str(typed.get("type"))), typed.get("valueInfo")
    is_java = kind == "object" and isinstance(info, Mapping) and _format(info) != _JSON
    return is_typed(typed) and (is_java or kind == "bytes")


def _name(kind: str) -> str:
    return kind[:1].lower() + kind[1:]


def _format(info: Mapping[str, Any]) -> str:
    return str(info.get("serializationDataFormat") or "").partition(";")[0].strip().lower()


def _scalar(name: str, value: Any, _info: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping | list):
        shown = values.shown(value)
        raise UnreadableError(
            name, Text(f"declared as a text, it holds {shown}", f"объявлена как текст, а в ней {shown}")
        )
    return value


def _date(name: str, value: Any, _info: Mapping[str, Any]) -> Any:
    if isinstance(value, str) and values.is_moment(value):
        return value
    shown, sample = values.shown(value), values.SAMPLE_DATE
    raise UnreadableError(
        name,
        Text(
            f"declared as Date, {shown} is no date such as {sample}",
            f"объявлена как Date, но {shown} – не дата вида {sample}",
        ),
    )


def _boolean(name: str, value: Any, _info: Mapping[str, Any]) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    shown = values.shown(value)
    raise UnreadableError(
        name,
        Text(
            f"declared as Boolean, {shown} is neither true nor false",
            f"объявлена как Boolean, но {shown} – не true и не false",
        ),
    )


def _number(name: str, value: Any, _info: Mapping[str, Any]) -> Any:
    try:
        return values.number(name, value)
    except values.BadValueError as error:
        told = error.problem
        raise UnreadableError(
            name, Text(f"declared as a number, {told.en}", f"объявлена как число, но {told.ru}")
        ) from None


def _whole(name: str, value: Any, _info: Mapping[str, Any]) -> Any:
    try:
        return values.whole_number(name, value)
    except values.BadValueError as error:
        told = error.problem
        raise UnreadableError(
            name, Text(f"declared as a whole number, {told.en}", f"объявлена как целое число, но {told.ru}")
        ) from None


def _json(name: str, value: Any, _info: Mapping[str, Any]) -> Any:
    if not isinstance(value, str):
        return value  # an engine that was asked to deserialize
    try:
        return decode_value(value.encode("utf-8", "surrogatepass"), _DEPTH_LIMIT)
    except InvalidMessageError as error:
        # The value is read by the rules of a message.
        text = error.text
        told = Text(text.en.replace("the message", "its text"), text.ru.replace("сообщение", "её текст"))
        raise UnreadableError(
            name, Text(f"declared as JSON, but {told.en}", f"объявлена как JSON, но {told.ru}")
        ) from None


def _object(name: str, value: Any, info: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or _format(info) == _JSON:
        return _json(name, value, info)
    kind, written = info.get("objectTypeName") or "object", _format(info)
    raise UnreadableError(
        name,
        Text(
            f"a Java {kind} in {written or 'an unknown format'} cannot be read; let the process keep it as Json or as "
            "a String",
            f"объект Java ({kind}, {written or 'неизвестный формат'}) прочитать нельзя; пусть процесс хранит его как "
            "Json или String",
        ),
    )


def _bytes(name: str, value: Any, _info: Mapping[str, Any]) -> Any:
    raise UnreadableError(
        name,
        Text(
            f"Bytes ({len(str(value))} characters of base64) are no text; let the process keep a text or a Json",
            f"Bytes (длина в base64: {len(str(value))}) – не текст; пусть процесс хранит текст или Json",
        ),
    )


def _file(name: str, _value: Any, info: Mapping[str, Any]) -> Any:
    kept = info.get("filename")
    raise UnreadableError(
        name,
        Text(
            f"the content of the File {values.shown(kept or 'without a name')} stays with the engine and is not in the "
            "message; send a link to it",
            f"содержимое файла (File {values.shown(kept or 'без имени')}) остаётся в движке, в сообщении его нет; "
            "передайте ссылку на него",
        ),
    )


def _null(name: str, value: Any, _info: Mapping[str, Any]) -> Any:
    shown = values.shown(value)
    raise UnreadableError(name, Text(f"declared as Null, it holds {shown}", f"объявлена как Null, а в ней {shown}"))


_READERS: Mapping[str, Callable[[str, Any, Mapping[str, Any]], Any]] = {
    "string": _scalar,
    "xml": _scalar,
    "date": _date,
    "boolean": _boolean,
    **dict.fromkeys(("integer", "short", "long"), _whole),
    **dict.fromkeys(("double", "number"), _number),
    "json": _json,
    "object": _object,
    "bytes": _bytes,
    "file": _file,
    "null": _null,
}
