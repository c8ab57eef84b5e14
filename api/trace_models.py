"""The way of a message, and where else it may be, as the API tells it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.message_models import Message, message
from api.models import Answer, Both, Moment, at, both, moment
from core.results import FoundTask
from core.texts import Text
from operation.asking_now import Asked
from operation.elsewhere import Place as FoundPlace
from operation.tracing import MessageTrace

StageName = Literal[
    "received",
    "processing",
    "retry_wait",
    "created",
    "tracking",
    "completing",
    "done",
    "failed",
    "rejected",
    "dropped",
]


class StageReached(Answer):
    """One thing that happened on the way."""

    stage: StageName
    at: Moment
    code: str = Field(description="of the list of events in the operator's manual", examples=["task.created"])
    said: Both
    is_setback: bool = Field(description="it did not go as it should")


class Prospect(Answer):
    """One thing that is to come, or that keeps it from coming."""

    said: Both
    at: Moment | None = Field(description="when, where that is known")
    is_obstacle: bool


class Trace(Answer):
    """The way of one message: what happened, where it stands, what happens next."""

    message: Message
    stage: StageName
    since: Moment = Field(description="it stands there since then")
    now: Both = Field(description="where it stands, in words")
    next: list[Prospect] = Field(description="what keeps it from going on comes first")
    steps: list[StageReached]
    ahead: list[StageName] = Field(description="the stages to come, as things stand")
    address: str | None = Field(description="where people see the task in a browser")
    remarks: list[Both] = Field(description="what could not be asked")


class Finding(Answer):
    task_id: str | None
    external_id: str | None = Field(examples=["48211"])
    said: Both
    address: str | None


class Place(Answer):
    """A queue or a system that may know the message."""

    kind: Literal["input_queue", "error_queue", "archive_queue", "sent_queue", "system"]
    name: str = Field(examples=["bitrix24.sent.queue"])
    was_asked: bool
    said: Both = Field(description="what it was asked, or why not")
    messages: int | None = Field(description="how many it holds")
    found: list[Finding]


class Traced(Answer):
    """What is meant by some words: one message, several, or what the queues and the systems have."""

    kind: Literal["trace", "messages", "places"]
    trace: Trace | None = Field(description="of the message that is surely meant")
    others: list[Message] = Field(description="others that hold the words, 200 at the most")
    places: list[Place] = Field(description="who was asked, where the journal knows nothing")


class InTheSystem(Answer):
    """What the system itself says of the task now; `trouble` where it does not."""

    external_id: str | None
    title: str | None
    status: str | None = Field(description="in the system's own words")
    address: str | None
    trouble: Both | None


class Polled(Answer):
    """What a look at the system has shown."""

    message: Message
    was_asked: bool = Field(description="false: it was not over in time, or its tracker rests")
    held: list[str] = Field(description="systems whose tracker a person has rest")
    trouble: str | None = Field(description="why the sweep did not get through")
    in_the_system: InTheSystem | None = Field(description="null where it cannot be asked, or the task has ended")


def trace(told: MessageTrace) -> Trace:
    return Trace(
        message=message(told.message),
        stage=told.stage.value,
        since=at(told.since),
        now=both(told.now),
        next=[Prospect(said=both(each.said), at=moment(each.at), is_obstacle=each.is_obstacle) for each in told.next],
        steps=[
            StageReached(
                stage=each.stage.value,
                at=at(each.at),
                code=each.code,
                said=both(each.said),
                is_setback=each.is_setback,
            )
            for each in told.steps
        ],
        ahead=[each.value for each in told.ahead],
        address=told.address,
        remarks=[both(each) for each in told.remarks],
    )


def place(told: FoundPlace) -> Place:
    return Place(
        kind=told.kind,
        name=told.name,
        was_asked=told.was_asked,
        said=both(told.said),
        messages=told.messages,
        found=[
            Finding(
                task_id=each.task_id,
                external_id=each.external_id,
                said=both(each.said),
                address=each.address,
            )
            for each in told.found
        ],
    )


def polled(told: Asked, own: FoundTask | Text | None, known: Message) -> Polled:
    return Polled(
        message=known,
        was_asked=told.has_been_asked,
        held=list(told.held),
        trouble=told.trouble,
        in_the_system=_in_the_system(own),
    )


def _in_the_system(own: FoundTask | Text | None) -> InTheSystem | None:
    if own is None:
        return None
    if isinstance(own, Text):
        return InTheSystem(external_id=None, title=None, status=None, address=None, trouble=both(own))
    return InTheSystem(
        external_id=own.external_id, title=own.title, status=own.status, address=own.address, trouble=None
    )
