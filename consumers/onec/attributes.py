"""Turns one value of a message into what is written into one attribute, by the attribute's type in `$metadata`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from consumers.onec import kinds
from consumers.onec.literals import EMPTY_REF, as_guid, object_ref
from consumers.onec.metadata import EntityType, Metadata, Property
from core import numbers, values
from core.errors import ConfigurationError, PermanentError
from core.texts import Text

Json = dict[str, Any]

_EMPTY = (EMPTY_REF, "0001-01-01T00:00:00", "StandardODATA.Undefined")
_FIRST_YEAR, _LAST_YEAR = 1800, 3999  # 1C's own last year; earlier than the first is a slip of the pen
_MOMENTS = {"Edm.DateTime", "Edm.DateTimeOffset"}
_ROWS_OWN = {"LineNumber", "Ref_Key"}  # numbers and owner of rows are 1C's own
_ROWS = Text("a list of objects, one for each row", "список объектов, по одному на строку")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a value goes: the attribute `name`, with the name of its type beside it if it is `composite`.

    `kind_of` is the composite attribute whose type stands in this one; a `storage` holds the content of a file.
    """

    name: str
    property: Property
    reference: bool = False
    composite: bool = False
    kind_of: str | None = None
    storage: bool = False


def slot_of(entity: EntityType, name: str) -> Slot | None:
    """Return the slot of an attribute.

    References are `X_Key` where one type is allowed; what may be of several types is `X` and `X_Type`. A value storage
    is `X`, `X_Base64Data` and `X_Type` (developer guide 8.3.27, 17.4.3).
    """
    known = entity.properties
    base = name.removesuffix("_Type").removesuffix("_Base64Data")
    if f"{base}_Base64Data" in known:
        return Slot(name, known[f"{base}_Base64Data"], storage=True)
    if name in known and name != base and base in known:
        return Slot(name, known[name], kind_of=base)
    if name in known and f"{name}_Type" in known:
        return Slot(name, known[name], composite=True)
    if name in known:
        return Slot(name, known[name], reference=known[name].type == "Edm.Guid")
    if f"{name}_Key" in known:
        return Slot(f"{name}_Key", known[f"{name}_Key"], reference=True)
    return None


class Writer:
    """Writes values as 1C takes them: dates local without an offset, numbers and booleans as such. Pure."""

    def __init__(self, metadata: Metadata, zone: ZoneInfo) -> None:
        self._metadata = metadata
        self._zone = zone

    def written(
        self, name: str, value: Any, slot: Slot, *, kind: str | None, declared: str | None = None, cut: bool = False
    ) -> Json:
        """Return a value as it is written.

        `name` is what people call it, `kind` the type that mapping or message give, `declared` that of the engine.
        Raises BadValueError, AmbiguousTypeError, ConfigurationError for a type that is not written.
        """
        if slot.storage:
            raise _unwritable(
                name, Text("a value storage, the content of a file", "хранилище значения, содержимое файла")
            )
        if slot.composite:
            full = kinds.full_kind(kind) if kind is not None else kinds.kind_of(name, value, declared)
            if full is None:
                wanted = Text(f"the name of a type: {kinds.EXAMPLES}", f"имя типа: {kinds.EXAMPLES}")
                raise values.BadValueError(f"{name}_Type", kind, wanted)
            if full == kinds.UNDEFINED:
                wanted = Text("empty, as its type Undefined says", "пустое значение, раз указан тип Undefined")
                raise values.BadValueError(name, value, wanted)
            return {slot.name: self._as_text(name, value, full), f"{slot.name}_Type": full}
        if slot.reference:
            return {slot.name: _guid(name, value, kinds.entity_of(kind))}
        row = self._metadata.row_type(slot.property)
        if row is not None:
            return {slot.name: [self._row(name, at, each, row) for at, each in enumerate(_list(name, value), 1)]}
        return {slot.name: self._scalar(name, value, slot.property, cut=cut)}

    def _as_text(self, name: str, value: Any, kind: str) -> str:
        """Return a value of an attribute of several types, in the form of the one that it has."""
        if (entity := kinds.entity_of(kind)) is not None:
            if entity not in self._metadata.entities:
                wanted = Text(
                    f"a reference to what 1C offers over OData, as {entity} is not",
                    f"ссылка на объект из состава интерфейса OData, а {entity} в него не входит",
                )
                raise values.BadValueError(name, value, wanted)
            return _guid(name, value, entity)
        if isinstance(value, Mapping | list) or (values.is_blank(value) and kind != kinds.STRING):
            raise values.BadValueError(name, value, Text(f"one value of the type {kind}", f"одно значение типа {kind}"))
        if kind == kinds.MOMENT:
            return self.moment(name, value)
        convert = _TEXTS.get(kind)
        if convert is not None:
            return convert(name, value)
        return _member(name, value, self._metadata.enumerations.get(kinds.enumeration_of(kind)))

    def _scalar(self, name: str, value: Any, of: Property, *, cut: bool) -> Any:
        if of.type == "Edm.String":
            return _string(name, value, of.max_length, cut=cut)
        if of.type == "Edm.Guid":
            return _guid(name, value, None)
        if of.type in _MOMENTS:
            return self.moment(name, value)
        convert = _PLAIN.get(of.type)
        if convert is None:
            raise _unwritable(name, Text.of(of.type))
        return convert(name, value)

    def moment(self, name: str, value: Any) -> str:
        """Return a date as 1C takes it. Raises BadValueError also for what 1C's calendar does not hold."""
        written = datetime.fromisoformat(values.moment(name, value, self._zone, earliest=_FIRST_YEAR))
        if written.year > _LAST_YEAR:
            raise values.BadValueError(
                name, value, Text(f"a date until {_LAST_YEAR}", f"дата не позже {_LAST_YEAR} года")
            )
        return written.astimezone(self._zone).replace(tzinfo=None).isoformat(timespec="seconds")

    def _row(self, name: str, number: int, row: Any, of: EntityType) -> Json:
        if not isinstance(row, Mapping):
            raise values.BadValueError(name, row, _ROWS)
        slots = {str(column): slot_of(of, str(column)) for column in row}
        told = {slot.kind_of: row[column] for column, slot in slots.items() if slot is not None and slot.kind_of}
        result: Json = {"LineNumber": str(number)} if "LineNumber" in of.properties else {}
        for column, slot in slots.items():
            title = f"{name}[{number}].{column}"
            if slot is None:
                close = of.near(column)
                reason = Text(
                    f"{name}: the rows have no {column}; {close.en}",
                    f"{name}: в строках нет колонки {column}; {close.ru}",
                )
                raise PermanentError(reason, code="unknown_attribute")
            kind = values.text(told.pop(slot.name, None) or "") or None
            if slot.name in _ROWS_OWN or slot.kind_of or (values.is_blank(row[column]) and _is_nothing(kind)):
                continue
            if slot.name in result:
                wanted = Text(
                    "given once: the same column has a second name here",
                    "одно значение, а эта колонка названа здесь двумя именами",
                )
                raise values.BadValueError(title, row[column], wanted)
            try:
                result |= self.written(title, row[column], slot, kind=kind)
            except ConfigurationError as error:  # the message has named the column, not the mapping
                raise PermanentError(error.text, code=error.code) from None
        for base, kind in told.items():
            if not _is_nothing(values.text(kind or "")):
                wanted = Text(f"needed without {base}", f"ещё и {base}, тип без значения не нужен")
                raise values.BadValueError(f"{name}[{number}].{base}_Type", kind, wanted)
        return result


def _is_nothing(kind: str | None) -> bool:
    return not kind or kind == kinds.UNDEFINED


def is_empty(value: Any) -> bool:
    """Return whether it is what 1C sends for an attribute without a value."""
    return values.is_blank(value) or value in _EMPTY or isinstance(value, Mapping)


def _guid(name: str, value: Any, entity: str | None) -> str:
    """Return the guid of a guid or `Catalog_X/guid`; `entity` is what it must lead to, if that is given."""
    ref = object_ref(values.text(value))
    guid = ref.key if ref else as_guid(values.text(value))
    if guid is None:
        raise values.BadValueError(
            name, value, Text("a reference: a guid or Catalog_X/guid", "ссылка: guid или Catalog_X/guid")
        )
    if ref is not None and entity is not None and ref.entity != entity:
        raise values.BadValueError(name, value, Text(f"a reference to {entity}", f"ссылка на {entity}"))
    return guid


def _member(name: str, value: Any, members: tuple[str, ...] | None) -> str:
    """Return a value of an enumeration; 1C itself judges one whose members $metadata does not give."""
    wanted = values.text(value)
    if members is None:
        return wanted
    for member in members:
        if member.casefold() == wanted.casefold():
            return member
    known = ", ".join(members)
    raise values.BadValueError(
        name, value, Text(f"one of {known or 'none'}", f"одно из значений: {known or 'ни одного'}")
    )


def _unwritable(name: str, what: Text) -> ConfigurationError:
    reason = Text(
        f"1C: the attribute {name} ({what.en}) cannot be written", f"1С: реквизит {name} ({what.ru}) записать нельзя"
    )
    return ConfigurationError(reason, code="attribute_type")


def _list(name: str, value: Any) -> list[Any]:
    if isinstance(value, str):
        value = values.items(value)  # JSON in a text, as Camunda keeps lists
    if not isinstance(value, list):
        raise values.BadValueError(name, value, _ROWS)
    return value


def _string(name: str, value: Any, limit: int | None, *, cut: bool) -> str:
    text = values.text(value)
    if limit is None or len(text) <= limit:
        return text
    if cut:
        return values.cut_characters(text, limit)
    wanted = Text(f"a text of at most {limit} characters", f"текст не длиннее {limit} знаков")
    raise values.BadValueError(name, text, wanted)


def _bool(name: str, value: Any) -> bool:
    return bool(values.flag(name, value))


def _long(name: str, value: Any) -> str:
    """Return a whole number as OData 3 writes it: as a text."""
    return str(values.whole_number(name, value))


_PLAIN: Mapping[str, Callable[[str, Any], Any]] = {
    "Edm.Boolean": _bool,
    "Edm.Int64": _long,
    **dict.fromkeys(("Edm.Int16", "Edm.Int32", "Edm.Byte", "Edm.SByte"), values.whole_number),
    **dict.fromkeys(("Edm.Double", "Edm.Single", "Edm.Decimal"), values.number),
}

# How a value of an attribute of several types is written, by the type that it has; dates need the infobase's zone.
_TEXTS: Mapping[str, Callable[[str, Any], str]] = {
    kinds.STRING: lambda _name, value: "" if value is None else values.text(value),
    kinds.NUMBER: lambda name, value: numbers.shown(values.number(name, value)),
    kinds.FLAG: lambda name, value: "true" if values.flag(name, value) else "false",
    kinds.GUID: lambda name, value: _guid(name, value, None),
    **dict.fromkeys(kinds.WHOLE, _long),
}
