"""Defines what each topic does in 1C, as the mapping file says it.

    [topics.1c_create_counterparty]
    kind = "catalog"
    entity = "Catalog_Контрагенты"
    [topics.1c_create_counterparty.fields]
    Description = "name"                                  # from the input `name`
    "ИНН" = { from = ["inn", "tax_id"], required = true }

consumers/onec/README.md explains every key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from consumers.onec.kinds import EXAMPLES, entity_of, full_kind
from consumers.onec.literals import is_entity_name
from core.texts import Text
from settings.errors import ValueProblem

Kind = Literal["document", "catalog", "task", "business_process"]
When = Literal["created", "executed", "completed", "posted", "status"]
Constant = str | int | float | bool

PREFIXES: Mapping[str, str] = {
    "document": "Document_",
    "catalog": "Catalog_",
    "task": "Task_",
    "business_process": "BusinessProcess_",
}
ACTIONS: Mapping[str, str] = {"Post": "document", "Start": "business_process"}
# The attribute that is read before an action is repeated.
STATES: Mapping[str, str] = {"Post": "Posted", "Start": "Started"}
FINISHED_BY: Mapping[str, str] = {"executed": "Executed", "completed": "Completed", "posted": "Posted"}
_USUALLY: Mapping[str, When] = {
    "document": "posted",
    "catalog": "created",
    "task": "executed",
    "business_process": "completed",
}
# Attributes that configurations on 1C's standard library have; used only where $metadata shows them.
_USUAL_MOMENT: Mapping[str, str] = {"task": "ДатаИсполнения", "business_process": "ДатаЗавершения"}
_USUAL_RESULT = "РезультатВыполнения"
OURS = frozenset({"Ref_Key", "DataVersion", "Posted", "Executed", "Completed", "Started"})


def _names(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_names), Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _entity(value: str) -> str:
    if not is_entity_name(value):
        raise ValueProblem(
            Text(f"{value!r} is not the name of an object", f"{value!r} не имя объекта"),
            Text("like Document_X, Catalog_X", "вида Document_X, Catalog_X"),
        )
    return value


def _type_name(value: str) -> str:
    if full_kind(value) is None:
        raise ValueProblem(
            Text(f"{value!r} is not the name of a type", f"{value!r} не имя типа"),
            Text(f"like {EXAMPLES}", f"например {EXAMPLES}"),
        )
    return value


class FieldSpec(_Part):
    """Where the value of one attribute comes from: an input, a constant or a template."""

    sources: Annotated[Names | None, Field(alias="from")] = None
    constant: Constant | None = None
    template: str | None = None
    default: Constant | None = None
    required: bool = False
    type: Annotated[str, AfterValidator(_type_name)] | None = None  # of a reference, or of one of several types
    lookup: str | None = None  # the reference is the object of `type` whose attribute of this name has the value
    cut: bool = False  # a text that is too long is cut instead of refused
    by: str | None = None  # the column of a tabular part by which an update finds the rows that it changes

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if sum(each is not None for each in (self.sources, self.constant, self.template)) != 1:
            raise ValueProblem(
                Text("needs one of from, constant, template", "нужно одно из from, constant, template"),
                Text("give exactly one", "укажите ровно одно"),
            )
        if self.lookup is not None and self.entity is None:
            raise ValueProblem(
                Text("lookup needs type, an object", "для lookup нужен type, объект"),
                Text("the object to look in, like Catalog_X", "где искать, например Catalog_X"),
            )
        return self

    @property
    def entity(self) -> str | None:
        """The object that a reference leads to."""
        return entity_of(self.type)


def _field(value: object) -> object:
    return {"from": value} if isinstance(value, str | list) else value


Fields = Mapping[str, Annotated[FieldSpec, BeforeValidator(_field)]]


class Finish(_Part):
    """How to recognise that people have finished; attributes by their names in OData."""

    when: When
    attribute: str | None = None
    done: Sequence[str] = ()
    failed: Sequence[str] = ()
    moment: str | None = None
    result: str | None = None
    answers: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _status_is_told(self) -> Self:
        is_status = self.when == "status"
        if is_status != (self.attribute is not None) or is_status != bool(self.done) or (self.failed and not is_status):
            raise ValueProblem(
                Text(
                    'when = "status" needs attribute and done, and nothing else takes them',
                    'для when = "status" нужны attribute и done, в остальных случаях они лишние',
                ),
                Text("see README", "см. README"),
            )
        return self


class ODataTopic(_Part):
    """A topic that creates or updates one object."""

    mode: Literal["odata"] = "odata"
    kind: Kind
    entity: Annotated[str, AfterValidator(_entity)]
    operation: Literal["create", "update"] = "create"
    fields: Fields = Field(default_factory=dict)
    action: Literal["Post", "Start"] | None = None
    target: Names = ("onec_ref", "ref")
    finish: Finish | None = None

    @property
    def finishing(self) -> Finish:
        if self.operation == "update":
            return Finish(when="created")
        return self.finish or usual_finish(self.entity)

    @property
    def is_tracked(self) -> bool:
        return self.finishing.when != "created"

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        for is_wrong, problem in self._rules():
            if is_wrong:
                raise ValueProblem(problem, Text("see README", "см. README"))
        return self

    def _rules(self) -> Iterator[tuple[bool, Text]]:
        prefix, when = PREFIXES[self.kind], self.finish.when if self.finish else None
        yield (
            not self.entity.startswith(prefix),
            Text(f"entity of kind {self.kind} begins with {prefix}", f"entity вида {self.kind} начинается с {prefix}"),
        )
        yield (
            self.action is not None and ACTIONS[self.action] != self.kind,
            Text(f"{self.kind} has no action {self.action}", f"у {self.kind} нет действия {self.action}"),
        )
        yield (
            self.operation == "update" and self.finish is not None,
            Text("an update is finished at once: no finish", "изменение завершено сразу: finish не нужен"),
        )
        yield (
            self.operation == "create" and "target" in self.model_fields_set,
            Text("what is created has no target", "у создаваемого объекта нет target"),
        )
        yield (
            self.action == "Post" and when in (None, "posted") and self.operation == "create",
            Text(
                'action = "Post" posts it at once: finish.when must be "created" or "status"',
                'action = "Post" проводит сразу: finish.when должен быть "created" или "status"',
            ),
        )
        yield (
            when in FINISHED_BY and when != _USUALLY[self.kind],
            Text(f"{self.kind} is never {when}", f"для {self.kind} не бывает {when}"),
        )
        yield (
            bool(OURS & self.fields.keys()),
            Text(
                f"these attributes cannot be set: {', '.join(sorted(OURS))}",
                f"эти реквизиты задать нельзя: {', '.join(sorted(OURS))}",
            ),
        )


class ServiceTopic(_Part):
    """A topic that one of the customer's own HTTP services does at once."""

    mode: Literal["http_service"]
    root: Annotated[str, Field(pattern=r"^[^/\s?#]+$")]
    path: Annotated[str, Field(pattern=r"^[^\s?#]*$")] = ""
    fields: Fields = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fields_are_plain(self) -> Self:
        if any(spec.type or spec.cut or spec.by for spec in self.fields.values()):
            raise ValueProblem(
                Text("fields of a service have no type, lookup, cut, by", "у полей сервиса нет type, lookup, cut, by"),
                Text("the service gets the values as they are", "сервис получает значения как есть"),
            )
        return self

    @property
    def address(self) -> str:
        return f"{self.root}/{self.path.strip('/')}".rstrip("/")


def _mode(value: object) -> object:
    return {"mode": "odata", **value} if isinstance(value, dict) else value


Topic = Annotated[
    Annotated[ODataTopic | ServiceTopic, Field(discriminator="mode")],
    BeforeValidator(_mode),
]


class OneCMapping(_Part):
    """The whole mapping file."""

    topics: Annotated[Mapping[str, Topic], Field(min_length=1)]

    @property
    def entities(self) -> frozenset[str]:
        """All objects whose attributes must be known."""
        odata = [topic for topic in self.topics.values() if isinstance(topic, ODataTopic)]
        found = {topic.entity for topic in odata}
        return frozenset(found | {spec.entity for topic in odata for spec in topic.fields.values() if spec.entity})

    def tracked(self) -> dict[str, Finish]:
        """Return how the objects of each tracked entity are finished."""
        return {
            topic.entity: topic.finishing
            for topic in self.topics.values()
            if isinstance(topic, ODataTopic) and topic.is_tracked
        }

    @model_validator(mode="after")
    def _one_finish_for_each_entity(self) -> Self:
        known: dict[str, Finish] = {}
        for name, topic in self.topics.items():
            if not isinstance(topic, ODataTopic) or not topic.is_tracked:
                continue
            if known.setdefault(topic.entity, topic.finishing) != topic.finishing:
                # The sent queue tells the tracker which object it is, not which topic has made it.
                raise ValueProblem(
                    Text(
                        f"{name}: another topic finishes {topic.entity} in another way",
                        f"{name}: другая тема завершает {topic.entity} иначе",
                    ),
                    Text("give both the same finish", "задайте обеим один и тот же finish"),
                )
        return self


def usual_finish(entity: str) -> Finish:
    """Return what finishes an object of this kind when the mapping does not say."""
    return Finish(when=_USUALLY.get(_kind(entity), "created"))


def usual_attributes(entity: str) -> tuple[str | None, str]:
    """Return (moment, result) that such objects mostly have."""
    return _USUAL_MOMENT.get(_kind(entity)), _USUAL_RESULT


def _kind(entity: str) -> str:
    return next((kind for kind, prefix in PREFIXES.items() if entity.startswith(prefix)), "")
