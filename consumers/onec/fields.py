"""From a Camunda task to the body of an object of 1C, by the mapping and by what `$metadata` knows.

Values are looked for in the variables, then in the extension properties, then in the input parameters. A wrong value
is Permanent and named; a wrong name in the mapping is Configuration: no message is to blame for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from consumers.onec.attributes import Json, Slot, Writer, slot_of
from consumers.onec.mapping import OURS, FieldSpec, ODataTopic
from consumers.onec.metadata import EntityType, Metadata, Publication
from consumers.onec.references import References
from core import values
from core.errors import ConfigurationError, PermanentError
from core.inputs import Inputs, activity_name
from core.messages import CamundaTask

_OWN_PREFIX = "attr_"  # of an attribute that a message names itself
_PLACEHOLDER = re.compile(r"\{(@?[^{}\s]+)\}")


class TaskInputs:
    """The inputs of a message by name; names with @ are what Camunda itself says of the task."""

    def __init__(self, task: CamundaTask) -> None:
        self.inputs = Inputs(task)
        self._own = {
            "@task_id": task.task_id,
            "@topic": task.topic,
            "@activity": activity_name(task),
            "@process_instance_id": task.process_instance_id or "",
        }

    def first(self, *names: str) -> tuple[str, Any] | None:
        """In the order of the names' places, as Inputs has it; names with @ come last."""
        if (found := self.inputs.first(*(name for name in names if name not in self._own))) is not None:
            return found
        return next(((name, self._own[name]) for name in names if self._own.get(name)), None)

    def value(self, attribute: str, spec: FieldSpec) -> tuple[str, Any] | None:
        """(what people call it, value); None when the message gives none. Raises PermanentError for a required one."""
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
            names = " or ".join(spec.sources or (attribute,))
            raise PermanentError(f"There is no value for {attribute}: give {names}", code="missing_value")
        return found

    def own_attributes(self) -> dict[str, Any]:
        """What the message names as attr_<attribute>."""
        given = self.inputs.named(lambda name: name.startswith(_OWN_PREFIX))
        return {name.removeprefix(_OWN_PREFIX): value for name, value in given.items()}

    def _text(self, name: str) -> str:
        found = self.first(name)
        return values.text(found[1]) if found else ""


class ObjectFields:
    """Translates for one infobase. Usable from any thread."""

    def __init__(self, publication: Publication, references: References, timezone: str) -> None:
        self._publication = publication
        self._references = references
        self._zone = ZoneInfo(timezone)

    def for_creation(self, task: CamundaTask, topic: ODataTopic) -> Json:
        """Without Ref_Key. Raises PermanentError, ConfigurationError, or what asking 1C raises."""
        return self._publication.consulted(lambda metadata: self._body(task, topic, metadata, new=True))

    def for_update(self, task: CamundaTask, topic: ODataTopic) -> Json:
        """Only what the message names and the mapping sets."""
        return self._publication.consulted(lambda metadata: self._body(task, topic, metadata, new=False))

    def _body(self, task: CamundaTask, topic: ODataTopic, metadata: Metadata, *, new: bool) -> Json:
        entity = metadata.entity(topic.entity)
        writer = Writer(metadata, self._zone)
        inputs = TaskInputs(task)
        body: Json = {}
        for name, value, spec, slot in self._values(inputs, topic, entity):
            if spec.lookup is not None and spec.type is not None and slot.reference:
                value = self._references.find(name, value, spec.type, spec.lookup, metadata)  # noqa: PLW2901
            body |= self._written(writer, name, value, spec, slot)
        if new and topic.kind != "catalog" and "Date" in entity.properties:
            # Without a date 1C may refuse the object, or file it in the year 1.
            body.setdefault("Date", datetime.now(self._zone).replace(tzinfo=None).isoformat(timespec="seconds"))
        return body

    def _written(self, writer: Writer, name: str, value: Any, spec: FieldSpec, slot: Slot) -> Json:
        try:
            if slot.reference:
                return writer.reference(name, value, slot, spec.type)
            return writer.plain(name, value, slot, cut=spec.cut)
        except ConfigurationError as error:
            if name.startswith(_OWN_PREFIX):  # the message's own idea, not the mapping's
                raise PermanentError(error.reason, code=error.code) from None
            raise

    def _values(
        self, inputs: TaskInputs, topic: ODataTopic, entity: EntityType
    ) -> Iterator[tuple[str, Any, FieldSpec, Slot]]:
        for attribute, spec in topic.fields.items():
            slot = slot_of(entity, attribute)
            if slot is None:
                raise ConfigurationError(
                    f"1C: {entity.name} has no attribute {attribute!r} (ONEC_MAPPING_FILE); near it: "
                    f"{entity.near(attribute)}",
                    code="attribute_unknown",
                )
            if spec.type is not None and not slot.reference:
                raise ConfigurationError(
                    f"1C: {attribute} of {entity.name} is no reference: it takes no type (ONEC_MAPPING_FILE)",
                    code="attribute_type",
                )
            if (found := inputs.value(attribute, spec)) is not None:
                yield (*found, spec, slot)
        for attribute, value in inputs.own_attributes().items():
            slot = slot_of(entity, attribute)
            if slot is None or OURS & {slot.name, slot.name.removesuffix("_Key")}:
                problem = "has no such attribute" if slot is None else "does not let it be set"
                raise PermanentError(
                    f"{_OWN_PREFIX}{attribute}: {entity.name} {problem}; near it: {entity.near(attribute)}",
                    code="unknown_attribute",
                )
            yield f"{_OWN_PREFIX}{attribute}", value, FieldSpec(constant=""), slot


def service_data(task: CamundaTask, fields: Mapping[str, FieldSpec]) -> Json:
    """What an HTTP service is sent: the mapped fields, or all variables when none are mapped."""
    inputs = TaskInputs(task)
    if not fields:
        return task.variables.as_told()
    found = ((name, inputs.value(name, spec)) for name, spec in fields.items())
    return {name: value[1] for name, value in found if value is not None}
