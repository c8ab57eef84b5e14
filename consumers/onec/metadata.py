"""Knows what an infobase offers over OData, from its `$metadata` (CSDL): objects, their attributes and types.

A configuration has thousands of objects, so only the attributes of those that the mapping names are kept.
"""

from __future__ import annotations

import difflib
import io
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from xml.etree import ElementTree

from consumers.onec.client import OneCClient
from core.errors import ConfigurationError, OutageError, PermanentError
from core.texts import Text

FRESH_ENOUGH = 60.0  # seconds: how often an unknown name may make us read $metadata again
# Codes of errors that a newer $metadata may cure: a name of the mapping, one of a message.
_UNKNOWN_NAMES = frozenset({"entity_unknown", "attribute_unknown", "unknown_attribute"})

_TYPE_PREFIX = "StandardODATA."
_NAMES_SHOWN = 5

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Property:
    """One attribute as it is sent: `type` is `Edm.String` (an enumeration, too), `Edm.Double`, `Collection(…)`, …"""

    name: str
    type: str
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class EntityType:
    """An object or a row of its tabular part."""

    name: str
    properties: Mapping[str, Property]

    def near(self, name: str) -> Text:
        """Return the attributes that may have been meant."""
        names = sorted({each.removesuffix("_Key").removesuffix("_Type") for each in self.properties})
        return near(name, names)


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of an infobase.

    `entities` are the names of all that is available, `types` the attributes of those that are wanted.
    """

    entities: frozenset[str]
    types: Mapping[str, EntityType]
    enumerations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def entity(self, name: str) -> EntityType:
        """Return the type of an entity.

        Raises ConfigurationError when it is not available: the name is the mapping's, not a message's.
        """
        found = self.types.get(name)
        if found is None or name not in self.entities:
            close, count = near(name, self.entities), len(self.entities)
            text = Text(
                f"1C does not offer {name} over OData: an administrator must add it to the objects that are available "
                f"(there are {count}), or correct the name in ONEC_MAPPING_FILE; {close.en}",
                f"1С не даёт {name} через OData: администратору нужно добавить его в состав стандартного интерфейса "
                f"OData (сейчас там объектов: {count}) или исправить имя в ONEC_MAPPING_FILE; {close.ru}",
            )
            raise ConfigurationError(text, code="entity_unknown")
        return found

    def row_type(self, of: Property) -> EntityType | None:
        """Return the type of the rows of a tabular part."""
        inner = of.type.removeprefix("Collection(").removesuffix(")")
        return self.types.get(inner.removeprefix(_TYPE_PREFIX)) if inner != of.type else None


class ODataMetadata:
    """The metadata of one infobase, at most `ttl` seconds old. Usable from any thread."""

    def __init__(
        self,
        client: OneCClient,
        wanted: Collection[str],
        ttl: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._wanted = frozenset(wanted)
        self._ttl = ttl
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[float, Metadata] | None = None

    def current(self, max_age: float | None = None) -> Metadata:
        """Return the metadata. Raises an outcome when it has to be read and cannot."""
        with self._lock:
            age = self._ttl if max_age is None else max_age
            if self._kept is None or self._clock() - self._kept[0] > age:
                asked = self._clock()
                self._kept = (asked, parse_metadata(self._client.metadata(), self._wanted))
            return self._kept[1]

    def consulted(self, make: Callable[[Metadata], _Made]) -> _Made:
        """Return what `make` makes.

        A name that it does not find may be new: then $metadata is read again, if it is old.
        """
        try:
            return make(self.current())
        except (ConfigurationError, PermanentError) as error:
            if error.code not in _UNKNOWN_NAMES:
                raise
        return make(self.current(FRESH_ENOUGH))


def parse_metadata(xml: bytes, wanted: Collection[str]) -> Metadata:
    """Read `$metadata`. Raises OutageError when it is none: something else has answered."""
    if b"<!DOCTYPE" in xml[:4096] or b"<!ENTITY" in xml[:4096]:
        raise _unusable()
    entities: set[str] = set()
    types: dict[str, EntityType] = {}
    enumerations: dict[str, tuple[str, ...]] = {}
    try:
        for _, element in ElementTree.iterparse(io.BytesIO(xml)):  # noqa: S314 - no document type, see above
            name = element.get("Name", "")
            match element.tag.rpartition("}")[2]:
                case "EntitySet":
                    entities.add(name)
                case "EntityType" | "ComplexType":
                    if _is_wanted(name, wanted):
                        types[name] = EntityType(name, {each.name: each for each in _properties(element)})
                    element.clear()
                case "EnumType":
                    enumerations[name] = tuple(member.get("Name", "") for member in element)
    except (ElementTree.ParseError, LookupError, ValueError):  # no XML, or in an encoding that nobody knows
        raise _unusable() from None
    if not entities and not types and b"Edmx" not in xml[:4096]:
        raise _unusable()
    return Metadata(frozenset(entities), types, enumerations)


def near(name: str, names: Collection[str]) -> Text:
    found = ", ".join(difflib.get_close_matches(name, names, n=_NAMES_SHOWN, cutoff=0.5))
    return Text(f"near it: {found or 'none'}", f"похожие имена: {found or 'нет'}")


def _is_wanted(name: str, wanted: Collection[str]) -> bool:
    # Document_X and, for the rows of its tabular parts, Document_X_Y_RowType.
    return name in wanted or (name.endswith("_RowType") and any(name.startswith(f"{each}_") for each in wanted))


def _properties(entity: ElementTree.Element) -> list[Property]:
    found = []
    for element in entity:
        if element.tag.rpartition("}")[2] == "Property":
            length = element.get("MaxLength", "")
            is_told = length.isascii() and length.isdecimal() and len(length) < 10
            limit = int(length) or None if is_told else None
            found.append(Property(element.get("Name", ""), element.get("Type", ""), limit))
    return found


def _unusable() -> OutageError:
    return OutageError(
        Text("1C gave no usable $metadata", "1С: ответ на запрос $metadata использовать нельзя"), code="no_metadata"
    )
