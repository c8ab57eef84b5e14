"""What a request may say. Everything that is not wanted is refused, so that nothing is ignored without a word."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from api.message_models import StateName
from core.holds import Scope
from journal.entries import keepable
from journal.records import Wanted
from journal.states import State
from operation.choosing import Choice
from operation.exporting import Format

MOST_IDS = 1000  # in one request
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_CHOICES = ("ids", "group", "filter")


def _rfc3339(value: object) -> object:
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("a moment as in RFC 3339 is wanted, e.g. 2026-11-23T08:02:16Z")
    return value


def _whole(value: object) -> object:
    """140.0 is an integer in JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _without_choices_defaults(schema: dict[str, Any]) -> None:
    for name in _CHOICES:
        schema["properties"][name].pop("default", None)
    schema.update(_exactly_one_of(_CHOICES))


def _of_title_or_message(schema: dict[str, Any]) -> None:
    for name in ("title", "message", "topic"):
        schema["properties"][name].pop("default", None)
    schema.update(
        {
            "if": {"required": ["title"]},
            "then": {"not": {"required": ["message"]}},
            "else": {"required": ["message"], "not": _any_of(("topic", "fields"))},
        }
    )


def _exactly_one_of(names: Sequence[str]) -> dict[str, Any]:
    """Return what says so in a schema. `oneOf` would say it, too, and generated clients would know no names."""
    first, *others = names
    if not others:
        return {"required": [first]}
    return {"if": {"required": [first]}, "then": {"not": _any_of(others)}, "else": _exactly_one_of(others)}


def _any_of(names: Sequence[str]) -> dict[str, Any]:
    return {"anyOf": [{"required": [name]} for name in names]}


When = Annotated[AwareDatetime, BeforeValidator(_rfc3339), Field(strict=False, examples=["2026-11-23T08:02:16Z"])]
# Letters of Latin and Cyrillic, digits and signs, no space at either end: what a worker takes whatever it is.
_SIGN = "!-~À-ÿЀ-ӿ"
Identifier = Annotated[str, Field(min_length=1, max_length=120, pattern=rf"^[{_SIGN}]([ {_SIGN}]*[{_SIGN}])?$")]
Words = Annotated[str, Field(min_length=1, max_length=300)]
Cursor = Annotated[int, Field(ge=0, le=2**63 - 1, description="next_before of the page before")]
EventId = Annotated[int, Field(ge=0, le=2**63 - 1, examples=[4711])]
Limit = Annotated[int, Field(ge=1, le=200, description="messages of a page")]


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class MessagesQuery(_Query):
    """Which messages are wanted; what is left out leaves the choice open."""

    system: Words | None = Field(None, examples=["bitrix24"])
    state: list[StateName] = Field(default_factory=list, description="one of these")
    topic: Words | None = None
    code: Words | None = Field(None, description="of the failure")
    group: Words | None = Field(None, description="failed for the same reason")
    since: When | None = Field(None, description="came then or later")
    until: When | None = Field(None, description="came before")
    older_than: float | None = Field(
        None, ge=0, le=1e10, allow_inf_nan=False, description="nothing has happened to it for so many seconds"
    )
    before: Cursor | None = None
    limit: Limit = 50

    def wanted(self) -> Wanted:
        def plain(text: str | None) -> str | None:
            return None if text is None else keepable(text)

        return Wanted(
            states=[State[name.upper()] for name in self.state],
            system=plain(self.system),
            topic=plain(self.topic),
            code=plain(self.code),
            group=plain(self.group),
            since=None if self.since is None else self.since.timestamp(),
            until=None if self.until is None else self.until.timestamp(),
            older_than=None if self.older_than is None else time.time() - self.older_than,
            before=self.before,
        )


class EventsQuery(_Query):
    code: Words | None = Field(None, description="of the list of events in the operator's manual")
    before: Cursor | None = None
    limit: Limit = 50


class StreamQuery(_Query):
    code: Words | None = Field(None, description="of the list of events in the operator's manual")
    last_event_id: EventId | None = Field(None, description="for clients that cannot set the header, which counts more")


class SearchQuery(_Query):
    q: Words = Field(
        description="a task id, process instance, business key, number in a system, message id, or the beginning of "
        "words of the title",
        examples=["ORD-118"],
    )


class TraceQuery(SearchQuery):
    elsewhere: bool = Field(True, description="ask the queues and the systems, too, where the journal knows nothing")


class GroupsQuery(_Query):
    system: Words | None = None
    code: Words | None = None
    topic: Words | None = None
    since: When | None = Field(None, description="failed then or later")

    def choice(self) -> Choice:
        since = None if self.since is None else self.since.timestamp()
        return Choice(system=self.system, code=self.code, topic=self.topic, since=since)


class ExportQuery(GroupsQuery):
    group: Words | None = None
    text: Words | None = Field(None, description="in the reason or in the title")
    format: Format = "jsonl"
    archive: bool = Field(False, description="what is in the archive instead")

    def choice(self) -> Choice:
        return replace(super().choice(), group=self.group, text=self.text)


class Pause(_Body):
    """A pause that only a person or its own end lifts."""

    seconds: float | None = Field(
        None, ge=1, le=315_360_000, allow_inf_nan=False, description="null: until somebody ends it", examples=[3600]
    )
    reason: str = Field("", max_length=500, examples=["update of the portal"])
    scope: Scope = Field("all", description="what rests: new tasks, the questions about those that exist, or all")


class Filter(_Body):
    """Messages of the error queue by what they have; an empty filter is all of them."""

    system: Words | None = None
    code: Words | None = None
    topic: Words | None = None
    since: When | None = Field(default=None, description="failed then or later")
    text: Words | None = Field(default=None, description="in the reason or in the title")


class Moving(_Body):
    """Which messages are meant: by exactly one of ids, group and filter."""

    model_config = ConfigDict(json_schema_extra=_without_choices_defaults)

    ids: Annotated[list[Words], Field(min_length=1, max_length=MOST_IDS)] | SkipJsonSchema[None] = Field(
        None, description="of tasks, messages, process instances, or numbers in the systems"
    )
    group: Words | SkipJsonSchema[None] = Field(None, examples=["4f1c9a0b2e"])
    filter: Filter | SkipJsonSchema[None] = None
    expected_count: Annotated[int, Field(ge=0, le=10**9), BeforeValidator(_whole)] | None = Field(
        None, description="as many as were seen; more than 5 % off is refused with group-changed"
    )
    dry_run: bool = Field(False, description="only say what would be done")

    @model_validator(mode="after")
    def _names_one_choice(self) -> Self:
        named = self.model_fields_set & set(_CHOICES)
        if len(named) != 1 or getattr(self, *named) is None:
            raise ValueError("exactly one of ids, group and filter is wanted")
        return self

    def choice(self, before: float | None) -> Choice:
        told = self.filter or Filter()
        return Choice(
            ids=self.ids or (),
            group=self.group,
            system=told.system,
            code=told.code,
            topic=told.topic,
            since=None if told.since is None else told.since.timestamp(),
            text=told.text,
            before=before,
        )


class Retry(Moving):
    """Messages that go back into their queues."""

    rate: float | None = Field(
        None, gt=0, le=100_000, allow_inf_nan=False, description="messages a second at the most", examples=[5]
    )


class Archive(Moving):
    """Messages that go into the archive."""

    reason: str = Field("", max_length=500, description="for whoever looks into the archive")


class _Task(BaseModel):
    """A task as Camunda's side writes it; whatever else it has stays as it is."""

    model_config = ConfigDict(extra="allow", strict=True, title="TaskMessage")

    task_id: Identifier
    topic: Identifier
    variables: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)


def _task(value: dict[str, Any]) -> dict[str, Any]:
    """Return the same, in the order in which it was said. Raises ValidationError."""
    _Task.model_validate(value)
    return value


TaskMessage = Annotated[dict[str, Any], AfterValidator(_task), WithJsonSchema(_Task.model_json_schema())]


class Nothing(_Body):
    """Nothing has to be said."""


class RetryOne(_Body):
    """Nothing has to be said; an edited message goes back instead of the original, which moves into the archive."""

    message: TaskMessage | None = Field(None, description="the task as it is to be; its task_id must stay")
    dry_run: bool = Field(False, description="only check it, and say what is changed")


class Poll(_Body):
    """How long to wait for the tracker."""

    seconds: float = Field(10, ge=0, le=60, allow_inf_nan=False)


class Send(_Body):
    """A new task: of a title and fields, or a whole message."""

    model_config = ConfigDict(json_schema_extra=_of_title_or_message)

    queue: Words = Field(description="an input queue, or its system", examples=["bitrix24"])
    title: Words | SkipJsonSchema[None] = Field(None, examples=["Согласовать договор"])
    topic: Identifier | SkipJsonSchema[None] = Field(
        None, description="what the system usually gets where it is left out", examples=["bitrix_create_task"]
    )
    fields: dict[str, str] = Field(default_factory=dict, description="become process variables")
    message: TaskMessage | SkipJsonSchema[None] = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if any(getattr(self, name) is None for name in self.model_fields_set):
            raise ValueError("leave out what is not wanted, null is no value")
        if (self.title is None) == (self.message is None):
            raise ValueError("either title or message is wanted")
        if self.message is not None and (self.topic is not None or self.fields):
            raise ValueError("a message is sent as it stands: topic and fields belong to a title")
        return self
