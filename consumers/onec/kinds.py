"""Finds of what type a value is that goes into an attribute of several types.

1C takes such a value as a text with the name of its type beside it (developer guide 8.3.27, 17.4.3, composite types):
`Edm.String`, `Edm.Double` (whole numbers, too), `Edm.DateTime`, `Edm.Boolean`, `StandardODATA.Catalog_X`. Enumerations
are called `UnavailableEnums.X` in public code (DirectumCompany/rx-demo-1c, IncomingInvoiceServerFunctions.cs). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from consumers.onec.literals import as_guid, is_entity_name, object_ref
from core import values
from core.errors import PermanentError
from core.texts import Text

STRING, NUMBER, MOMENT, FLAG, GUID = "Edm.String", "Edm.Double", "Edm.DateTime", "Edm.Boolean", "Edm.Guid"
WHOLE = frozenset({"Edm.Int16", "Edm.Int32", "Edm.Int64"})
UNDEFINED = "StandardODATA.Undefined"
EXAMPLES = "Edm.String, Edm.Double, Edm.DateTime, Edm.Boolean, Catalog_X, UnavailableEnums.X"

_PLAIN = {STRING, NUMBER, MOMENT, FLAG, GUID, *WHOLE}
_NAMESPACE = "StandardODATA."
_ENUMERATIONS = "UnavailableEnums."
# Types of an engine's variables, their first letter small.
_OF_THE_ENGINE: Mapping[str, str] = {
    "string": STRING,
    "boolean": FLAG,
    "date": MOMENT,
    **dict.fromkeys(("integer", "long", "short", "double", "number"), NUMBER),
}
# What a text may mean, too, where nobody has told: extension properties of a process are always texts.
_READINGS = (
    (re.compile(r"[+-]?\d[\d\s.,]*"), NUMBER),
    (re.compile(r"(?i:true|false)"), FLAG),
    (re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ].*)?"), MOMENT),
)


class AmbiguousTypeError(PermanentError):
    """A value that may be meant as one of several types; the text says how to give the type."""

    def __init__(self, name: str, value: Any, readings: Text) -> None:
        shown = values.shown(value)
        text = Text(
            f"{name}: {shown} may be meant as {readings.en}: tell its type, as {name}_Type in the message or as type "
            "in ONEC_MAPPING_FILE",
            f"{name}: {shown} можно понять как {readings.ru}: укажите тип, как {name}_Type в сообщении или как type в "
            "ONEC_MAPPING_FILE",
        )
        super().__init__(text, code="ambiguous_type")


def full_kind(text: str) -> str | None:
    """Return `StandardODATA.Catalog_X` for `Catalog_X`; other types as they are written; None for no name of a type."""
    bare = text.removeprefix(_NAMESPACE)
    if text in _PLAIN:
        return text
    if is_entity_name(bare):
        return f"{_NAMESPACE}{bare}"
    named = bare if bare != text else text.removeprefix(_ENUMERATIONS)
    return text if named != text and named.isidentifier() else None


def entity_of(kind: str | None) -> str | None:
    """Return the object that a reference of this type leads to; `kind` may be short."""
    bare = (kind or "").removeprefix(_NAMESPACE)
    return bare if is_entity_name(bare) else None


def enumeration_of(kind: str) -> str:
    return kind.removeprefix(_NAMESPACE).removeprefix(_ENUMERATIONS)


def kind_of(name: str, value: Any, declared: str | None) -> str:
    """Return the type that the value itself shows, or that the engine has `declared`; `name` is what people call it.

    Raises AmbiguousTypeError for a text that has several readings, BadValueError for what is no single value.
    """
    if isinstance(value, bool):
        return FLAG
    if isinstance(value, int | float):
        return NUMBER
    if not isinstance(value, str):
        wanted = Text(
            "one value: a text, a number, true or false, a date, Catalog_X/guid",
            "одно значение: текст, число, true или false, дата, Catalog_X/guid",
        )
        raise values.BadValueError(name, value, wanted)
    if (ref := object_ref(value)) is not None:
        return f"{_NAMESPACE}{ref.entity}"
    if as_guid(value) is not None:
        readings = Text(
            f"{STRING}, {GUID} or a reference (write that as Catalog_X/guid)",
            f"{STRING}, {GUID} или ссылку (её пишите как Catalog_X/guid)",
        )
        raise AmbiguousTypeError(name, value, readings)
    engine = _OF_THE_ENGINE.get(declared[:1].lower() + declared[1:]) if declared else None
    if engine is not None:
        return engine
    for pattern, kind in _READINGS:
        if pattern.fullmatch(value.strip()):
            raise AmbiguousTypeError(name, value, Text(f"{STRING} or {kind}", f"{STRING} или {kind}"))
    return STRING
