"""Turns events into what a journal keeps: one row for each message, one for each thing that happened to it.

Nothing is written here. What one batch of events says about a message is put together, so that it costs one row to
change. Times are whole microseconds since 1970.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.events.base import Event, MessageEvent
from core.events.messages import (
    DeliveryLost,
    MessageHandedBack,
    MessageParked,
    MessageProcessed,
    MessageReceived,
    MessageRenewed,
    MessageRerouted,
    MessageStuck,
    PartDown,
    RetryScheduled,
    SentMessageUnreadable,
    TaskCompleted,
    TaskRejected,
)
from core.events.operator import MessageDropped, MessageRetried, MessageSeen
from core.events.worker import Heartbeat
from core.texts import Text
from journal.groups import group_of
from journal.states import NUMBERS, State

MICROSECONDS = 1_000_000  # in a second
_TOGETHER = 100  # texts that are looked at as one
_PLACES = {"sent": State.TRACKING, "done": State.COMPLETING, "retry": State.RETRY_WAIT, "errors": State.FAILED}
_WRITTEN_BY_OTHERS = ("title", "business", "reason", "reason_ru")
# Of every message: to name a member of an enumeration takes Python 3.11 as long as five attributes.
_PROCESSING, _TRACKING, _COMPLETING, _DONE = State.PROCESSING, State.TRACKING, State.COMPLETING, State.DONE
Detail = Mapping[str, Any]


@dataclass(init=False)
class MessageRow:
    """What is said of one message. None where nothing is said; `state` None leaves the error of the message as well.

    Most of it is said of few messages and is None in the class until then: to set twenty attributes takes long.
    """

    name: str
    first: int
    last: int
    events: list[tuple[int, int, str | None]]  # when, kind, detail as JSON
    process: str | None = None
    business: str | None = None
    topic: str | None = None
    system: str | None = None
    queue: str | None = None
    title: str | None = None
    external: str | None = None
    message_id: str | None = None
    state: State | None = None
    attempts: int | None = None
    due: int | None = None
    code: str | None = None
    outcome: str | None = None
    reason: str | None = None
    reason_ru: str | None = None
    error_group: str | None = None

    def __init__(self, name: str, moment: int) -> None:
        self.name = name
        self.first = self.last = moment
        self.events = []


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What happened, but not to one message. `level` as in logging, `fields` as JSON."""

    at: int
    code: str
    level: int
    system: str | None
    queue: str | None
    line: str
    fields: str | None


@dataclass(slots=True)
class Batch:
    """What a number of events say."""

    messages: dict[str, MessageRow] = field(default_factory=dict)  # by name
    occurrences: list[Occurrence] = field(default_factory=list)
    _written: set[str] = field(default_factory=set, repr=False)  # by others: what may hold a secret

    def __len__(self) -> int:
        return len(self.messages) + len(self.occurrences)

    def add(self, at: float, event: Event) -> None:
        """Put in an event that happened at `at` (unix seconds)."""
        moment = int(at * MICROSECONDS)
        if isinstance(event, MessageEvent):
            self._add_to_message(moment, event)
        else:
            self.occurrences.append(self._occurrence(moment, event))

    def hide(self, mask: Callable[[str], str]) -> None:
        """Take secrets out of all that others have written.

        Many texts are looked at as one: nearly always there is nothing to be done.
        """
        written = list(self._written)
        blocks = ("\n".join(written[start : start + _TOGETHER]) for start in range(0, len(written), _TOGETHER))
        if any(mask(block) != block for block in blocks):
            for row in self.messages.values():
                _hide(row, mask)
            self.occurrences = [
                replace(each, line=mask(each.line), fields=None if each.fields is None else mask(each.fields))
                for each in self.occurrences
            ]

    def _add_to_message(self, moment: int, event: MessageEvent) -> None:
        queue, system, task_id, process, topic, attempt, external, message_id = event.identity
        name = task_id or keepable(message_id or f"unknown:{queue}")
        row = self.messages.get(name)
        if row is None:
            row = self.messages[name] = MessageRow(name, moment)
        else:
            if moment <= row.last:
                moment = row.last + 1  # what came later stands later
            row.last = moment
        if process is not None and row.process is None:
            row.process = process
        if topic is not None and row.topic is None:
            row.topic = topic
        row.system = system
        if external is not None:
            row.external = external
        if message_id is not None and not message_id.startswith(name):  # else it says nothing new
            row.message_id = message_id
        if attempt is not None:
            row.attempts = attempt
        kind = type(event)
        detail: Detail | None = None
        if isinstance(event, MessageReceived):  # what comes with every message first, and quickly
            detail = self._received(row, event)
        elif isinstance(event, MessageProcessed):
            _move(row, _TRACKING if event.created else _COMPLETING if event.stored else _DONE)
        elif isinstance(event, TaskCompleted):
            _move(row, _DONE)
        else:
            detail = self._note_what_is_rarer(row, event, moment)
        row.events.append((moment, NUMBERS[kind], None if detail is None else self._json(detail)))

    def _note_what_is_rarer(self, row: MessageRow, event: MessageEvent, moment: int) -> Detail | None:
        detail: Detail | None = None
        match event:
            case RetryScheduled():
                _move(row, State.RETRY_WAIT)
                row.due = moment + int(event.delay * MICROSECONDS)
                self._blame(row, event.error_code, event.reason)
                detail = {**_error(row), "retry_in": event.delay, "attempt": event.identity.attempt}
            case MessageParked() | TaskRejected() | SentMessageUnreadable():
                detail = self._failed(row, event)
            case MessageStuck():
                _move(row, State.STUCK)
                self._blame(row, None, Text.of(event.reason))
                detail = _error(row)
            case MessageRerouted() | DeliveryLost() | MessageRenewed() | PartDown() | MessageHandedBack():
                _move(row, State.WAITING)
                detail = self._back_in_a_queue(row, event)
            case MessageRetried() | MessageDropped() | MessageSeen():
                detail = self._moved(row, event)
        return detail

    def _back_in_a_queue(
        self, row: MessageRow, event: MessageRerouted | DeliveryLost | MessageRenewed | PartDown | MessageHandedBack
    ) -> Detail:
        match event:
            case MessageRerouted():
                row.queue = event.target
                return {"target": event.target, "is_consumed": event.is_consumed}
            case DeliveryLost():
                return {"is_done": event.is_done}
            case MessageRenewed():
                return {"reason": event.reason}
            case MessageHandedBack():
                self._blame(row, event.error_code, event.reason)
                return _error(row)
            case PartDown():
                self._blame(row, None, event.reason)
                return {**_error(row), "part": event.part.en, "part_ru": event.part.ru}

    def _moved(self, row: MessageRow, event: MessageRetried | MessageDropped | MessageSeen) -> Detail:
        row.queue = event.identity.queue
        match event:
            case MessageRetried():
                _move(row, State.DONE if event.is_response else State.WAITING)
                return {"by": event.by}
            case MessageDropped():
                _move(row, State.DROPPED)
                return {"by": event.by, "reason": event.reason}
            case MessageSeen():
                _move(row, _PLACES[event.place])
                row.title = None if event.title is None else self._kept(event.title)
                row.business = None if event.business_key is None else self._kept(event.business_key)
                if event.due is not None or event.error_code is not None or event.reason.en:
                    self._blame(row, event.error_code, event.reason)
                    row.outcome = event.outcome
                row.due = None if event.due is None else int(event.due * MICROSECONDS)
                if event.place == "errors":
                    row.error_group = group_of(row.system, event.error_code or "", row.reason or "")
                return _error(row)

    def _received(self, row: MessageRow, event: MessageReceived) -> Detail | None:
        _move(row, _PROCESSING)
        row.queue = event.identity.queue
        if event.title is not None:
            row.title = self._kept(event.title)
        if event.business_key is not None:
            row.business = self._kept(event.business_key)
        attempt = event.identity.attempt
        if event.redelivered or (attempt or 1) > 1:
            return {"attempt": attempt, "redelivered": event.redelivered}
        return None

    def _failed(self, row: MessageRow, event: MessageParked | TaskRejected | SentMessageUnreadable) -> Detail:
        _move(row, State.REJECTED if isinstance(event, TaskRejected) else State.FAILED)
        self._blame(row, event.error_code, event.reason)
        row.outcome = event.outcome.value if isinstance(event, MessageParked) else None
        row.error_group = group_of(row.system, event.error_code, row.reason or "")
        return _error(row)

    def _blame(self, row: MessageRow, code: str | None, reason: Text) -> None:
        row.code, row.reason, row.reason_ru = code, self._kept(reason.en), self._kept(reason.ru)

    def _occurrence(self, moment: int, event: Event) -> Occurrence:
        fields = {name: value for name, value in event.fields().items() if value is not None}
        system, queue = fields.pop("system", None), fields.pop("queue", None)
        rest = self._json(fields) if fields else None
        return Occurrence(moment, event.code, event.severity(), system, queue, self._kept(event.line()), rest)

    def _json(self, value: Detail) -> str:
        return self._kept(json.dumps(value, ensure_ascii=False, default=str))

    def _kept(self, text: str) -> str:
        if text not in self._written:  # many tasks have the same title
            text = keepable(text)
            self._written.add(text)
        return text


def wants(kind: type[Event]) -> bool:
    """Whether a journal keeps events of this kind."""
    if issubclass(kind, MessageEvent):
        return kind in NUMBERS
    return bool(kind.code) and kind is not Heartbeat


def keepable(text: str) -> str:
    """Return the text as every database can keep it: without half characters and without NUL."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _hide(row: MessageRow, mask: Callable[[str], str]) -> None:
    for name in _WRITTEN_BY_OTHERS:
        if (text := getattr(row, name)) is not None:
            setattr(row, name, mask(text))
    row.events = [(at, kind, None if detail is None else mask(detail)) for at, kind, detail in row.events]


def _move(row: MessageRow, state: State) -> None:
    row.state = state
    if row.reason is not None:  # without one there is nothing else
        row.due = row.code = row.outcome = row.reason = row.reason_ru = row.error_group = None


def _error(row: MessageRow) -> dict[str, Any]:
    told = {"code": row.code, "outcome": row.outcome, "reason": row.reason, "reason_ru": row.reason_ru}
    return {name: value for name, value in told.items() if value is not None}
