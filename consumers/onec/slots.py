"""Where a field of the mapping goes: its attribute, and whether the field's settings fit it."""

from __future__ import annotations

from consumers.onec.attributes import Slot, slot_of
from consumers.onec.kinds import AmbiguousTypeError, kind_of
from consumers.onec.mapping import FieldSpec
from consumers.onec.metadata import EntityType, Metadata
from consumers.onec.tables import USUAL_KEYS
from core.errors import ConfigurationError


def slot_for(attribute: str, spec: FieldSpec, entity: EntityType, metadata: Metadata) -> Slot:
    """Raises ConfigurationError: no message is to blame for a name or a setting of the mapping."""
    slot = slot_of(entity, attribute)
    if slot is None:
        raise ConfigurationError(
            f"1C: {entity.name} has no attribute {attribute!r} (ONEC_MAPPING_FILE); near it: {entity.near(attribute)}",
            code="attribute_unknown",
        )
    if spec.type is not None and not (slot.composite or (slot.reference and spec.entity is not None)):
        what = "a reference to objects of one type" if slot.reference else "no reference and of one type"
        raise _unfit(attribute, entity, f"is {what}: it does not take the type {spec.type}")
    if spec.entity is not None and (slot.composite or spec.lookup is not None):
        metadata.entity(spec.entity)
    if slot.storage:
        raise _unfit(attribute, entity, "holds the content of a file and cannot be written")
    if slot.composite and spec.type is None:
        _require_clear(attribute, spec, entity)
    if spec.by is not None and metadata.row_type(slot.property) is None:
        raise _unfit(attribute, entity, "is no tabular part: it takes no by")
    column_of(slot, spec.by, metadata)
    return slot


def column_of(slot: Slot, by: str | None, metadata: Metadata) -> str | None:
    """The column by which rows of a tabular part are told apart, as it is sent. Raises ConfigurationError."""
    rows = metadata.row_type(slot.property)
    wanted = by or USUAL_KEYS.get(slot.name)
    if rows is None or wanted is None:
        return None
    column = slot_of(rows, wanted)
    if column is not None and not column.composite:
        return column.name
    if by is None:
        return None  # not the library's table, although it has its name
    raise ConfigurationError(
        f"1C: rows of {slot.name} have no column {by!r} of one type (by in ONEC_MAPPING_FILE); near it: "
        f"{rows.near(wanted)}",
        code="attribute_unknown",
    )


def _require_clear(attribute: str, spec: FieldSpec, entity: EntityType) -> None:
    """What the mapping itself sets has a type of its own; otherwise every message would be refused for it."""
    for value in (spec.constant, spec.default):
        try:
            if value is not None:
                kind_of(attribute, value, None)
        except AmbiguousTypeError:
            raise _unfit(attribute, entity, f"may be of several types: {value!r} needs a type beside it") from None


def _unfit(attribute: str, entity: EntityType, problem: str) -> ConfigurationError:
    return ConfigurationError(f"1C: {attribute} of {entity.name} {problem} (ONEC_MAPPING_FILE)", code="attribute_type")
