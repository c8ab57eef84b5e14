"""Finds where a field of the mapping goes: its attribute, and whether the field's settings fit it."""

from __future__ import annotations

from consumers.onec.attributes import Slot, slot_of
from consumers.onec.kinds import AmbiguousTypeError, kind_of
from consumers.onec.mapping import FieldSpec
from consumers.onec.metadata import EntityType, Metadata
from consumers.onec.tables import USUAL_KEYS
from core.errors import ConfigurationError
from core.texts import Text


def slot_for(attribute: str, spec: FieldSpec, entity: EntityType, metadata: Metadata) -> Slot:
    """Return the slot of a field.

    Raises ConfigurationError: no message is to blame for a name or a setting of the mapping.
    """
    slot = slot_of(entity, attribute)
    if slot is None:
        close = entity.near(attribute)
        text = Text(
            f"1C: {entity.name} has no attribute {attribute!r} (ONEC_MAPPING_FILE); {close.en}",
            f"1С: у {entity.name} нет реквизита {attribute!r} (ONEC_MAPPING_FILE); {close.ru}",
        )
        raise ConfigurationError(text, code="attribute_unknown")
    if spec.type is not None and not (slot.composite or (slot.reference and spec.entity is not None)):
        if slot.reference:
            what = Text("is a reference to objects of one type", "это ссылка на объекты одного типа")
        else:
            what = Text("is no reference and of one type", "это не ссылка, и тип у него один")
        problem = Text(f"{what.en}: it does not take the type {spec.type}", f"{what.ru}: тип {spec.type} задать нельзя")
        raise _unfit(attribute, entity, problem)
    if spec.entity is not None and (slot.composite or spec.lookup is not None):
        metadata.entity(spec.entity)
    if slot.storage:
        problem = Text(
            "holds the content of a file and cannot be written", "хранит содержимое файла, записать его нельзя"
        )
        raise _unfit(attribute, entity, problem)
    if slot.composite and spec.type is None:
        _require_clear(attribute, spec, entity)
    if spec.by is not None and metadata.row_type(slot.property) is None:
        problem = Text("is no tabular part: it takes no by", "это не табличная часть: by здесь не нужен")
        raise _unfit(attribute, entity, problem)
    column_of(slot, spec.by, metadata)
    return slot


def column_of(slot: Slot, by: str | None, metadata: Metadata) -> str | None:
    """Return the column by which rows of a tabular part are told apart, as it is sent. Raises ConfigurationError."""
    rows = metadata.row_type(slot.property)
    wanted = by or USUAL_KEYS.get(slot.name)
    if rows is None or wanted is None:
        return None
    column = slot_of(rows, wanted)
    if column is not None and not column.composite:
        return column.name
    if by is None:
        return None  # not the library's table, although it has its name
    close = rows.near(wanted)
    text = Text(
        f"1C: rows of {slot.name} have no column {by!r} of one type (by in ONEC_MAPPING_FILE); {close.en}",
        f"1С: в строках {slot.name} нет колонки {by!r} одного типа (by в ONEC_MAPPING_FILE); {close.ru}",
    )
    raise ConfigurationError(text, code="attribute_unknown")


def _require_clear(attribute: str, spec: FieldSpec, entity: EntityType) -> None:
    """Require that what the mapping itself sets has a type of its own.

    Otherwise every message would be refused for it.
    """
    for value in (spec.constant, spec.default):
        try:
            if value is not None:
                kind_of(attribute, value, None)
        except AmbiguousTypeError:
            problem = Text(
                f"may be of several types: {value!r} needs a type beside it",
                f"может быть разных типов: рядом с {value!r} укажите type",
            )
            raise _unfit(attribute, entity, problem) from None


def _unfit(attribute: str, entity: EntityType, problem: Text) -> ConfigurationError:
    text = Text(
        f"1C: {attribute} of {entity.name} {problem.en} (ONEC_MAPPING_FILE)",
        f"1С: {attribute} у {entity.name}: {problem.ru} (ONEC_MAPPING_FILE)",
    )
    return ConfigurationError(text, code="attribute_type")
