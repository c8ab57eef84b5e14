"""One value of a message -> what is written into one attribute, decided by the attribute's type in `$metadata`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from consumers.onec.literals import EMPTY_REF, as_guid, object_ref
from consumers.onec.metadata import EntityType, Metadata, Property
from core import values
from core.errors import ConfigurationError, PermanentError

Json = dict[str, Any]

_EMPTY = (EMPTY_REF, "0001-01-01T00:00:00", "StandardODATA.Undefined")
_FIRST_YEAR, _LAST_YEAR = 1800, 3999  # 1C's own last year; earlier than the first is a slip of the pen
_MOMENTS = {"Edm.DateTime", "Edm.DateTimeOffset"}


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a value goes: the attribute `name`, with the name of its type beside it if references are `composite`."""

    name: str
    property: Property
    reference: bool = False
    composite: bool = False


def slot_of(entity: EntityType, name: str) -> Slot | None:
    """References are `X_Key` where one type is allowed, `X` and `X_Type` where several are."""
    known = entity.properties
    if name in known and f"{name}_Type" in known:
        return Slot(name, known[name], reference=True, composite=True)
    if name in known:
        return Slot(name, known[name], reference=known[name].type == "Edm.Guid")
    if f"{name}_Key" in known:
        return Slot(f"{name}_Key", known[f"{name}_Key"], reference=True)
    return None


class Writer:
    """Values as 1C takes them: dates local without an offset, numbers and booleans as such. Pure."""

    def __init__(self, metadata: Metadata, zone: ZoneInfo) -> None:
        self._metadata = metadata
        self._zone = zone

    def plain(self, name: str, value: Any, slot: Slot, *, cut: bool) -> Json:
        """`name` is what people call it. Raises BadValueError, ConfigurationError for a type that is not written."""
        members = self._metadata.members(slot.property)
        if members is not None:
            return {slot.name: _member(name, value, members)}
        row = self._metadata.row_type(slot.property)
        if row is not None:
            return {slot.name: [self._row(name, at, each, row) for at, each in enumerate(_list(name, value), 1)]}
        return {slot.name: self._scalar(name, value, slot.property, cut=cut)}

    def reference(self, name: str, value: Any, slot: Slot, kind: str | None) -> Json:
        """A guid or `Catalog_X/guid`; `kind` is the object's name if the mapping tells it."""
        ref = object_ref(values.text(value))
        guid = ref.key if ref else as_guid(values.text(value))
        if guid is None:
            raise values.BadValueError(name, value, "a reference: a guid or Catalog_X/guid")
        if ref is not None and kind is not None and ref.entity != kind:
            raise values.BadValueError(name, value, f"a reference to {kind}")
        if not slot.composite:
            return {slot.name: guid}
        of = kind or (ref.entity if ref else None)
        if of is None:
            raise values.BadValueError(name, value, "a reference that tells its type: Catalog_X/guid")
        if kind is None and of not in self._metadata.entities:
            raise values.BadValueError(name, value, "a reference to an object that 1C offers over OData")
        return {slot.name: guid, f"{slot.name}_Type": f"StandardODATA.{of}"}

    def _scalar(self, name: str, value: Any, of: Property, *, cut: bool) -> Any:
        if of.type == "Edm.String":
            return _string(name, value, of.max_length, cut=cut)
        if of.type == "Edm.Guid":
            return self.reference(name, value, Slot(of.name, of), None)[of.name]
        if of.type in _MOMENTS:
            return self.moment(name, value)
        convert = _PLAIN.get(of.type)
        if convert is None:
            raise ConfigurationError(
                f"1C: the attribute {name} of type {of.type} cannot be written", code="attribute_type"
            )
        return convert(name, value)

    def moment(self, name: str, value: Any) -> str:
        """Raises BadValueError also for what 1C's calendar does not hold."""
        written = datetime.fromisoformat(values.moment(name, value, self._zone, earliest=_FIRST_YEAR))
        if written.year > _LAST_YEAR:
            raise values.BadValueError(name, value, f"a date until {_LAST_YEAR}")
        return written.astimezone(self._zone).replace(tzinfo=None).isoformat(timespec="seconds")

    def _row(self, name: str, number: int, row: Any, of: EntityType) -> Json:
        if not isinstance(row, Mapping):
            raise values.BadValueError(name, row, "a list of objects, one for each row")
        written: Json = {"LineNumber": str(number)} if "LineNumber" in of.properties else {}
        for column, value in row.items():
            slot = slot_of(of, str(column))
            if slot is None:
                raise PermanentError(
                    f"{name}: the rows have no {column}; near it: {of.near(str(column))}", code="unknown_attribute"
                )
            if values.is_blank(value) or slot.name == "LineNumber":
                continue
            title = f"{name}[{number}].{column}"
            try:
                if slot.reference:
                    written |= self.reference(title, value, slot, None)
                else:
                    written |= self.plain(title, value, slot, cut=False)
            except ConfigurationError as error:  # the message has named the column, not the mapping
                raise PermanentError(error.reason, code=error.code) from None
        return written


def is_empty(value: Any) -> bool:
    """What 1C sends for an attribute without a value."""
    return values.is_blank(value) or value in _EMPTY or isinstance(value, Mapping)


def _member(name: str, value: Any, members: tuple[str, ...]) -> str:
    wanted = values.text(value).casefold()
    for member in members:
        if member.casefold() == wanted:
            return member
    raise values.BadValueError(name, value, f"one of {', '.join(members) or 'none'}")


def _list(name: str, value: Any) -> list[Any]:
    if isinstance(value, str):
        value = values.items(value)  # JSON in a text, as Camunda keeps lists
    if not isinstance(value, list):
        raise values.BadValueError(name, value, "a list of objects, one for each row")
    return value


def _string(name: str, value: Any, limit: int | None, *, cut: bool) -> str:
    text = values.text(value)
    if limit is None or len(text) <= limit:
        return text
    if cut:
        return values.cut(text, limit)
    raise values.BadValueError(name, text, f"a text of at most {limit} characters")


def _bool(name: str, value: Any) -> bool:
    return bool(values.flag(name, value))


def _long(name: str, value: Any) -> str:
    """OData 3 writes them as texts."""
    return str(values.whole_number(name, value))


_PLAIN: Mapping[str, Callable[[str, Any], Any]] = {
    "Edm.Boolean": _bool,
    "Edm.Int64": _long,
    **dict.fromkeys(("Edm.Int16", "Edm.Int32", "Edm.Byte", "Edm.SByte"), values.whole_number),
    **dict.fromkeys(("Edm.Double", "Edm.Single", "Edm.Decimal"), values.number),
}
