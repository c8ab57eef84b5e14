"""Messages, what happened to them and why they failed, as the API tells it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from api.models import Answer, Both, Moment, at, both, moment
from core.texts import Text
from journal.records import EventRecord, MessageRecord, OccurrenceRecord
from operation.error_groups import Group, Overview
from operation.reports import Kind

StateName = Literal[
    "waiting",
    "processing",
    "retry_wait",
    "tracking",
    "completing",
    "done",
    "failed",
    "rejected",
    "stuck",
    "dropped",
]


class Failure(Answer):
    """Why a message failed, or why it is repeated."""

    code: str | None = Field(examples=["unknown_user"])
    outcome: str | None = Field(examples=["permanent"])
    group: str | None = Field(
        description="what failed for the same reason; see /errors/groups", examples=["4f1c9a0b2e"]
    )
    reason: Both | None


class Message(Answer):
    """A message, as the journal knows it."""

    id: str = Field(description="the Camunda task id, or what stands for one", examples=["8f6c1a52-0b3f-4c8e-9a51"])
    process_instance_id: str | None
    business_key: str | None = Field(examples=["ORD-118"])
    topic: str | None = Field(examples=["bitrix_create_task"])
    system: str | None = Field(examples=["bitrix24"])
    queue: str | None = Field(examples=["bitrix24.queue"])
    title: str | None = Field(examples=["Согласовать договор"])
    external_id: str | None = Field(description="its number in the system", examples=["48211"])
    message_id: str | None = Field(description="that of AMQP")
    state: StateName | None
    attempts: int | None
    first: Moment = Field(description="when it came")
    last: Moment = Field(description="when something happened to it last")
    due: Moment | None = Field(description="when it is tried again")
    error: Failure | None


class Messages(Answer):
    """A page; `next_before` is the cursor of the next one, null on the last."""

    items: list[Message]
    next_before: int | None = Field(examples=[1796000000000000])


class Found(Answer):
    items: list[Message]


class Step(Answer):
    """One thing that happened to a message."""

    at: Moment
    code: str = Field(description="of the list of events in the operator's manual", examples=["task.created"])
    detail: dict[str, Any]


class Steps(Answer):
    items: list[Step]


class Event(Answer):
    """What happened to a system, a queue or the worker, or what a person has done."""

    id: str
    at: Moment
    code: str = Field(examples=["operator.acted"])
    level: Literal["debug", "info", "warning", "error", "critical"]
    system: str | None
    queue: str | None
    line: str = Field(examples=["ops@127.0.0.1: pause bitrix24"])
    fields: dict[str, Any]


class Events(Answer):
    """A page; `next_before` is the cursor of the next one, null on the last."""

    items: list[Event]
    next_before: int | None


class FailureGroup(Answer):
    """Messages of the error queue that failed for the same reason."""

    group: str = Field(examples=["4f1c9a0b2e"])
    count: int
    first: Moment | None
    last: Moment | None
    system: str | None
    code: str | None
    outcome: str | None
    reason: Both = Field(description="of the latest of them")
    sample: str = Field(description="the id of the latest of them")
    topics: list[str]


class FailureGroups(Answer):
    """The largest group comes first."""

    items: list[FailureGroup]
    in_queue: int = Field(description="all messages in the error queue")
    source: Literal["journal", "queue"] = Field(description="what this was read from")
    remarks: list[Both]


class Edited(Answer):
    """The edited message would be put back."""

    dry_run: Literal[True]
    difference: list[str] = Field(description="lines of a unified diff")


class FailedMessage(Answer):
    """A message of the error queue, with the original that goes back into `target` when it is retried."""

    name: str
    kind: Kind
    group: str
    code: str
    reason: Both
    task_id: str | None
    process_instance_id: str | None
    business_key: str | None
    title: str | None
    topic: str | None
    system: str | None
    external_id: str | None
    outcome: str | None
    attempts: int | None
    first_seen: Moment | None
    at: Moment | None
    source_queue: str | None
    target: str | None = Field(description="null: it cannot be put back")
    not_retried: Both | None = Field(description="why it cannot be put back")
    original: str = Field(description="as it stands, most often JSON")


class FailedMessages(Answer):
    """More than one where a message failed more than once."""

    items: list[FailedMessage]


def failed(told: Sequence[Mapping[str, Any]]) -> FailedMessages:
    return FailedMessages(
        items=[
            FailedMessage(**{**each, "first_seen": moment(each["first_seen"]), "at": moment(each["at"])})
            for each in told
        ]
    )


def message(record: MessageRecord) -> Message:
    failure = None
    if record.code is not None or record.reason is not None:
        reason = None if record.reason is None else Text(record.reason, record.reason_ru or record.reason)
        failure = Failure(code=record.code, outcome=record.outcome, group=record.error_group, reason=both(reason))
    return Message(
        id=record.name,
        process_instance_id=record.process,
        business_key=record.business,
        topic=record.topic,
        system=record.system,
        queue=record.queue,
        title=record.title,
        external_id=record.external,
        message_id=record.message_id,
        state=None if record.state is None else record.state.name.lower(),  # type: ignore[arg-type]
        attempts=record.attempts,
        first=at(record.first),
        last=at(record.last),
        due=moment(record.due),
        error=failure,
    )


def step(record: EventRecord) -> Step:
    return Step(at=at(record.at), code=record.code, detail=dict(record.detail))


def event(record: OccurrenceRecord) -> Event:
    return Event(
        id=str(record.id),
        at=at(record.at),
        code=record.code,
        level=logging.getLevelName(record.level).lower(),  # type: ignore[arg-type]
        system=record.system,
        queue=record.queue,
        line=record.line,
        fields=dict(record.fields),
    )


def group(each: Group) -> FailureGroup:
    return FailureGroup(
        group=each.group,
        count=each.count,
        first=moment(each.first),
        last=moment(each.last),
        system=each.system,
        code=each.code,
        outcome=each.outcome,
        reason=both(each.reason),
        sample=each.sample,
        topics=each.topics,
    )


def groups(told: Overview) -> FailureGroups:
    return FailureGroups(
        items=[group(each) for each in told.groups],
        in_queue=told.in_queue,
        source=told.source,
        remarks=[both(each) for each in told.remarks],
    )
