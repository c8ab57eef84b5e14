"""Turns a Camunda task into the body of an object of 1C, by the mapping and by what `$metadata` knows.

Values are looked for in the variables, then in the extension properties, then in the input parameters. A wrong value
is Permanent and named; a wrong name in the mapping is Configuration: no message is to blame for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from consumers.onec.attributes import Json, Slot, Writer, slot_of
from consumers.onec.declared import declared_type
from consumers.onec.kinds import full_kind
from consumers.onec.mapping import OURS, FieldSpec, ODataTopic
from consumers.onec.metadata import EntityType, Metadata, ODataMetadata
from consumers.onec.references import References
from consumers.onec.slots import column_of, slot_for
from consumers.onec.tables import Body, require_distinct
from core import values
from core.errors import ConfigurationError, PermanentError
from core.inputs import Inputs, activity_name
from core.messages import CamundaTask
from core.texts import Text

_OWN_PREFIX = "attr_"  # of an attribute that a message names itself
_PLACEHOLDER = re.compile(r"\{(@?[^{}\s]+)\}")


class TaskInputs:
    """The inputs of a message by name; names with @ are what Camunda itself says of the task."""

    def __init__(self, task: CamundaTask) -> None:
        self.task = task
        self.inputs = Inputs(task)
        self._own = {
            "@task_id": task.task_id,
            "@topic": task.topic,
            "@activity": activity_name(task),
            "@process_instance_id": task.process_instance_id or "",
        }

    def first(self, *names: str) -> tuple[str, Any] | None:
        """Return the first of these names in the order of their places, as Inputs has it; names with @ come last."""
        if (found := self.inputs.first(*(name for name in names if name not in self._own))) is not None:
            return found
        return next(((name, self._own[name]) for name in names if self._own.get(name)), None)

    def value(self, attribute: str, spec: FieldSpec) -> tuple[str, Any] | None:
        """Return (what people call it, value); None when the message gives none.

        Raises PermanentError for a required one.
        """
        found: tuple[str, Any] | None = None
        if spec.template is not None:
            text = _PLACEHOLDER.sub(lambda match: self._text(match[1]), spec.template).strip()
            found = (attribute, text) if text else None
        elif spec.constant is not None:
            return attribute, spec.constant
        elif spec.sources is not None:
            found = self.first(*spec.sources)
        if found is None and spec.default is not None:
            return attribute, spec.default
        if found is None and spec.required:
            names = spec.sources or (attribute,)
            reason = Text(
                f"There is no value for {attribute}: give {' or '.join(names)}",
                f"{attribute}: нет значения, укажите {' или '.join(names)}",
            )
            raise PermanentError(reason, code="missing_value")
        return found

    def own_attributes(self) -> dict[str, Any]:
        """Return what the message names as attr_<attribute>."""
        given = self.inputs.named(lambda name: name.startswith(_OWN_PREFIX))
        return {name.removeprefix(_OWN_PREFIX): value for name, value in given.items()}

    def own_beside_variables(self) -> dict[str, Any]:
        """Return those that the diagram gives, under their whole names."""
        places = (self.inputs.parameters, self.inputs.extensions)
        return {name: place[name] for place in places for name in place if name.startswith(_OWN_PREFIX)}

    def _text(self, name: str) -> str:
        found = self.first(name)
        return values.text(found[1]) if found else ""


class ObjectFields:
    """Translates messages for one infobase. Usable from any thread."""

    def __init__(self, publication: ODataMetadata, references: References, timezone: str) -> None:
        self._publication = publication
        self._references = references
        self._zone = ZoneInfo(timezone)

    def for_creation(self, task: CamundaTask, topic: ODataTopic) -> Body:
        """Build the body of a new object, without Ref_Key.

        Raises PermanentError, ConfigurationError, or what asking 1C raises.
        """
        return self._publication.consulted(lambda metadata: self._body(task, topic, metadata, new=True))

    def for_update(self, task: CamundaTask, topic: ODataTopic) -> Body:
        """Build the body of a change: only what the message names and the mapping sets."""
        return self._publication.consulted(lambda metadata: self._body(task, topic, metadata, new=False))

    def _body(self, task: CamundaTask, topic: ODataTopic, metadata: Metadata, *, new: bool) -> Body:
        entity = metadata.entity(topic.entity)
        inputs = TaskInputs(task)
        given = [*_mapped(inputs, topic, entity, metadata), *_named(inputs, entity)]
        types = {each.slot.kind_of: each for each in given if each.slot.kind_of is not None}
        fields: Json = {}
        keys: dict[str, str] = {}
        for each in given:
            if each.slot.kind_of is None:
                fields |= self._written(each, types.pop(each.slot.name, None), metadata)
                if (column := column_of(each.slot, each.spec.by, metadata)) is not None:
                    require_distinct(each.slot.name, fields[each.slot.name], column)
                    keys[each.slot.name] = column
        for base, told in types.items():
            if told.spec.constant is None:
                wanted = Text(f"needed without a value for {base}", f"ещё и {base}, тип без значения не нужен")
                raise values.BadValueError(told.name, told.value, wanted)
        if new and topic.kind != "catalog" and "Date" in entity.properties:
            # Without a date 1C may refuse the object, or file it in the year 1.
            fields.setdefault("Date", datetime.now(self._zone).replace(tzinfo=None).isoformat(timespec="seconds"))
        return Body(fields, keys, inputs.inputs.empty_dates())

    def _written(self, given: _Given, told: _Given | None, metadata: Metadata) -> Json:
        name, value, spec, slot = given.name, given.value, given.spec, given.slot
        kind = spec.type if told is None else values.text(told.value)
        if told is not None and spec.type is not None and full_kind(kind or "") != full_kind(spec.type):
            wanted = Text(
                f"the type {spec.type}, which ONEC_MAPPING_FILE tells",
                f"тип {spec.type}, как сказано в ONEC_MAPPING_FILE",
            )
            raise values.BadValueError(told.name, told.value, wanted)
        if spec.lookup is not None and spec.entity is not None:
            value = self._references.find(name, value, spec.entity, spec.lookup, metadata)
        try:
            return Writer(metadata, self._zone).written(
                name, value, slot, kind=kind, declared=given.declared, cut=spec.cut
            )
        except ConfigurationError as error:
            if given.is_own:  # the message's own idea, not the mapping's
                raise PermanentError(error.text, code=error.code) from None
            raise


@dataclass(frozen=True, slots=True)
class _Given:
    """A value on its way into an attribute; `name` is what people call it, `declared` its type in the engine."""

    name: str
    value: Any
    spec: FieldSpec
    slot: Slot
    declared: str | None = None
    is_own: bool = False


def _mapped(inputs: TaskInputs, topic: ODataTopic, entity: EntityType, metadata: Metadata) -> Iterator[_Given]:
    for attribute, spec in topic.fields.items():
        slot = slot_for(attribute, spec, entity, metadata)
        if (found := inputs.value(attribute, spec)) is not None:
            declared = declared_type(inputs.task, found[0]) if spec.sources is not None else None
            yield _Given(*found, spec, slot, declared)


def _named(inputs: TaskInputs, entity: EntityType) -> Iterator[_Given]:
    """Yield what the message names itself; it wins over the mapping."""
    seen: dict[str, str] = {}
    for attribute, value in inputs.own_attributes().items():
        name = f"{_OWN_PREFIX}{attribute}"
        slot = slot_of(entity, attribute)
        if slot is None or OURS & {slot.name, slot.name.removesuffix("_Key")}:
            if slot is None:
                problem = Text("has no such attribute", "нет такого реквизита")
            else:
                problem = Text("does not let it be set", "этот реквизит задать нельзя")
            close = entity.near(attribute)
            reason = Text(
                f"{name}: {entity.name} {problem.en}; {close.en}", f"{name}: у {entity.name} {problem.ru}; {close.ru}"
            )
            raise PermanentError(reason, code="unknown_attribute")
        if slot.name in seen:
            wanted = Text(
                f"given once: {seen[slot.name]} is the same attribute",
                f"одно значение, а {seen[slot.name]} – тот же реквизит",
            )
            raise values.BadValueError(name, value, wanted)
        seen[slot.name] = name
        yield _Given(name, value, FieldSpec(sources=(name,)), slot, declared_type(inputs.task, name), is_own=True)


def service_data(task: CamundaTask, fields: Mapping[str, FieldSpec]) -> Json:
    """Return what an HTTP service is sent.

    The mapped fields, or all variables when none are mapped; attr_… in any case.
    """
    inputs = TaskInputs(task)
    if not fields:
        return {**inputs.own_beside_variables(), **task.variables.as_told()}
    found = ((name, inputs.value(name, spec)) for name, spec in fields.items())
    return {**{name: value[1] for name, value in found if value is not None}, **inputs.own_attributes()}
