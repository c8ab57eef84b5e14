"""The stages of a message, and the steps on its way as the journal has seen them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.events.base import Event
from core.events.messages import (
    DeliveryLost,
    LateOutcomeTold,
    MessageHandedBack,
    MessageParked,
    MessageReceived,
    MessageRenewed,
    MessageRerouted,
    MessageStuck,
    PartDown,
    RetryScheduled,
    SentMessageUnreadable,
    TaskAccepted,
    TaskCompleted,
    TaskDone,
    TaskFound,
    TaskRejected,
)
from core.events.operator import MessageDropped, MessageRetried, MessageSeen
from core.texts import Text
from journal.records import EventRecord, MessageRecord
from journal.states import KINDS, State


class Stage(StrEnum):
    """Where a message is on its way; the same words everywhere."""

    RECEIVED = "received"
    PROCESSING = "processing"
    RETRY_WAIT = "retry_wait"
    CREATED = "created"
    TRACKING = "tracking"
    COMPLETING = "completing"
    DONE = "done"
    FAILED = "failed"  # the ends that are not the good one
    REJECTED = "rejected"
    DROPPED = "dropped"


STAGE_OF: Mapping[State, Stage] = {
    State.WAITING: Stage.RECEIVED,
    State.PROCESSING: Stage.PROCESSING,
    State.RETRY_WAIT: Stage.RETRY_WAIT,
    State.TRACKING: Stage.TRACKING,
    State.COMPLETING: Stage.COMPLETING,
    State.DONE: Stage.DONE,
    State.FAILED: Stage.FAILED,
    State.REJECTED: Stage.REJECTED,
    State.STUCK: Stage.PROCESSING,
    State.DROPPED: Stage.DROPPED,
}
STILL_AHEAD = (Stage.CREATED, Stage.TRACKING, Stage.COMPLETING, Stage.DONE)
_ENDS = (Stage.DONE, Stage.FAILED, Stage.REJECTED, Stage.DROPPED)
_NAMES = {kind.code or kind.__name__: kind for kind in KINDS.values()}
_WHY = Text.of("{why}")
# Where each kind of event brings a message, what is said of it, and whether it is a setback.
_SAID: Mapping[type[Event], tuple[Stage, Text, bool]] = {
    TaskAccepted: (Stage.CREATED, Text("{system} has it{called}", "в {system}{called}"), False),
    TaskFound: (
        Stage.CREATED,
        Text(
            "{system} has it{called}; an earlier attempt had created it", "в {system}{called}; создана прежней попыткой"
        ),
        False,
    ),
    TaskDone: (Stage.COMPLETING, Text("{system} has done it{called}", "в {system} выполнено{called}"), False),
    MessageHandedBack: (Stage.RECEIVED, Text("back in its queue: {why}", "снова в очереди: {why}"), True),
    TaskCompleted: (Stage.DONE, Text("answered to Camunda: {response}", "ответ отдан Camunda: {response}"), False),
    MessageRerouted: (Stage.RECEIVED, Text("put into {target}", "переложено в {target}"), False),
    MessageParked: (Stage.FAILED, _WHY, True),
    SentMessageUnreadable: (Stage.FAILED, _WHY, True),
    TaskRejected: (Stage.REJECTED, _WHY, True),
    RetryScheduled: (Stage.RETRY_WAIT, _WHY, True),
    PartDown: (Stage.RETRY_WAIT, _WHY, True),
    MessageStuck: (
        Stage.PROCESSING,
        Text("could be neither stored nor parked: {why}", "не удалось ни сохранить, ни отложить: {why}"),
        True,
    ),
    MessageRenewed: (Stage.RECEIVED, _WHY, False),
    DeliveryLost: (
        Stage.RECEIVED,
        Text("the delivery was lost: RabbitMQ delivers it again", "доставка потеряна: RabbitMQ доставит снова"),
        True,
    ),
    MessageRetried: (Stage.RECEIVED, Text("put back by {by}", "возвращено: {by}"), False),
    MessageDropped: (Stage.DROPPED, Text("moved into the archive by {by}", "убрано в архив: {by}"), False),
    MessageSeen: (Stage.RECEIVED, Text("found in a queue by a person", "найдено человеком в очереди"), False),
    LateOutcomeTold: (
        Stage.PROCESSING,
        Text("was worked on by an earlier delivery", "обработано прежней доставкой"),
        False,
    ),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. `at` in unix seconds, `code` as in the log; `is_setback`: it did not go as it should."""

    stage: Stage
    at: float
    code: str
    said: Text
    is_setback: bool = False


def steps_of(message: MessageRecord, events: Sequence[EventRecord]) -> list[Step]:
    """Return what happened to a message, the first thing first."""
    return [step for number, event in enumerate(events) for step in _steps(message, events, number, event)]


def ahead_of(stage: Stage, steps: Sequence[Step]) -> list[Stage]:
    """Return the stages that a message has still to come to, as things stand."""
    if stage in _ENDS:
        return []
    reached = {step.stage for step in steps} | {stage}
    last = max((STILL_AHEAD.index(each) for each in reached if each in STILL_AHEAD), default=-1)
    return list(STILL_AHEAD[last + 1 :])


def error_of(detail: Mapping[str, Any]) -> Text:
    """Return why something did not succeed, with its code."""
    reason, code = str(detail.get("reason") or "?"), detail.get("code")
    code = f" [{code}]" if code and f"[{code}]" not in reason else ""  # a system may have put it there
    return Text(f"{reason}{code}", f"{detail.get('reason_ru') or reason}{code}")


def _steps(message: MessageRecord, events: Sequence[EventRecord], number: int, event: EventRecord) -> Iterator[Step]:
    kind, at, code, detail = _NAMES.get(event.code), event.at, event.code, event.detail
    if kind is MessageReceived:
        if number == 0:
            yield Step(Stage.RECEIVED, at, code, _taken(message, events))
        yield Step(Stage.PROCESSING, at, code, _attempt(detail))
        return
    stage, said, is_setback = _told(kind, message, detail)
    yield Step(stage, at, code, said, is_setback)
    if kind in (TaskAccepted, TaskFound) and number == len(events) - 1 and message.state is State.TRACKING:
        yield Step(Stage.TRACKING, at, code, Text("people are at work on it", "над ней работают люди"))


def _taken(message: MessageRecord, events: Sequence[EventRecord]) -> Text:
    was_rerouted = any(_NAMES.get(each.code) is MessageRerouted for each in events)
    if message.queue is None or was_rerouted:  # the journal knows the last queue only
        return Text("taken from its queue", "взято из очереди")
    return Text(f"taken from {message.queue}", f"взято из {message.queue}")


def _attempt(detail: Mapping[str, Any]) -> Text:
    attempt = detail.get("attempt") or 1
    if detail.get("redelivered") and attempt == 1:
        return Text("attempt 1, delivered once more", "попытка 1, доставлено ещё раз")
    return Text(f"attempt {attempt}", f"попытка {attempt}")


def _told(kind: type[Event] | None, message: MessageRecord, detail: Mapping[str, Any]) -> tuple[Stage, Text, bool]:
    if kind is None or kind not in _SAID:
        return Stage.PROCESSING, Text.of("") if kind is None else kind.meaning, False
    stage, said, is_setback = _SAID[kind]
    why, number = error_of(detail), message.external
    told = {
        "system": message.system or "?",
        "response": f"{message.name}:response",
        "target": detail.get("target", "?"),
        "by": detail.get("by", "?"),
    }
    in_english = {**told, "why": why.en, "called": "" if number is None else f" as {number}"}
    in_russian = {**told, "why": why.ru, "called": "" if number is None else f" под номером {number}"}
    return stage, Text(said.en.format(**in_english), said.ru.format(**in_russian)), is_setback
