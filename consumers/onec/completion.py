"""Recognises one kind of object as finished: the question to 1C, and what a row of its answer says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from consumers.onec.attributes import is_empty, slot_of
from consumers.onec.literals import any_of, as_guid, guid, string
from consumers.onec.mapping import FINISHED_BY, Finish, usual_attributes
from consumers.onec.metadata import EntityType, Metadata
from core import values
from core.errors import ConfigurationError
from core.texts import Text

State = Literal["open", "done", "failed", "deleted"]


@dataclass(frozen=True, slots=True)
class Completion:
    """How an object is finished.

    `condition` is the $filter of all that is done or failed, `attribute` what it asks about.
    """

    entity: str
    finish: Finish
    attribute: str | None
    condition: str

    @property
    def select(self) -> str:
        return ",".join(filter(None, ("Ref_Key", "DeletionMark", self.attribute)))

    def state(self, row: Mapping[str, Any]) -> State:
        if row.get("DeletionMark") is True:
            return "deleted"
        if self.attribute is None:
            return "done"  # it is there, and that is all that is asked for
        value = row.get(self.attribute)
        if self.finish.when != "status":
            return "done" if value is True else "open"
        text = values.text("" if value is None else value).casefold()
        if text in {each.casefold() for each in self.finish.done}:
            return "done"
        return "failed" if text in {each.casefold() for each in self.finish.failed} else "open"

    def moment(self, row: Mapping[str, Any]) -> datetime | None:
        """Return when it was finished, by the infobase's clock; None when it does not say."""
        value = row.get(self.finish.moment or "")
        if not isinstance(value, str) or is_empty(value):
            return None
        try:
            return datetime.fromisoformat(value).replace(tzinfo=None)
        except ValueError:
            return None


def completion_of(entity: str, finish: Finish, metadata: Metadata, *, mapped: bool) -> Completion:
    """Return how an entity is finished. Raises ConfigurationError when the mapping names what the object does not have.

    An object that the mapping does not name (any more) is judged by what all objects of its kind have.
    """
    if not mapped:
        attribute = FINISHED_BY.get(finish.when)
        return Completion(entity, finish, attribute, _is_true(attribute) if attribute else "")
    known = metadata.entity(entity)
    moment, result = usual_attributes(entity)
    finish = finish.model_copy(
        update={
            "moment": _named(known, finish.moment) or (moment if moment in known.properties else None),
            "result": _named(known, finish.result) or (result if result in known.properties else None),
        }
    )
    if finish.when != "status":
        attribute = _named(known, FINISHED_BY[finish.when])
        return Completion(entity, finish, attribute, _is_true(attribute))
    attribute = _named(known, finish.attribute)
    wanted = [*finish.done, *finish.failed]
    if known.properties[attribute or ""].type == "Edm.Guid":
        literals = [guid(as_guid(each) or each) for each in wanted]
    else:
        literals = [string(each) for each in wanted]
    return Completion(entity, finish, attribute, any_of(f"{attribute} eq {each}" for each in literals))


def _is_true(attribute: str | None) -> str:
    return f"{attribute} eq true"


def _named(known: EntityType, name: str | None) -> str | None:
    if name is None:
        return None
    slot = slot_of(known, name)
    if slot is None or slot.composite:
        if slot is None:
            problem = Text("has no attribute", "нет реквизита")
        else:
            problem = Text(
                "cannot be asked for an attribute of several types,", "нельзя отбирать по реквизиту разных типов"
            )
        close = known.near(name)
        text = Text(
            f"1C: {known.name} {problem.en} {name!r} (finish in ONEC_MAPPING_FILE); {close.en}",
            f"1С: у {known.name} {problem.ru} {name!r} (finish в ONEC_MAPPING_FILE); {close.ru}",
        )
        raise ConfigurationError(text, code="attribute_unknown")
    return slot.name
