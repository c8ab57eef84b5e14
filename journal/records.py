"""What a journal is asked for, and what it answers. Times are unix seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from journal.states import State


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """One message as the journal knows it; the names are those of the columns. Times in unix seconds.

    `cursor` is its place in a list: when it came, in microseconds.
    """

    id: int
    cursor: int
    name: str
    process: str | None
    business: str | None
    topic: str | None
    system: str | None
    queue: str | None
    title: str | None
    external: str | None
    message_id: str | None
    state: State | None
    attempts: int | None
    first: float
    last: float
    due: float | None
    code: str | None
    outcome: str | None
    reason: str | None
    reason_ru: str | None
    error_group: str | None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One thing that happened to a message. `code` is that of the log, or the name of the step where it has none."""

    at: float
    code: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OccurrenceRecord:
    """What happened, but not to one message. `level` as in logging."""

    id: int
    at: float
    code: str
    level: int
    system: str | None
    queue: str | None
    line: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Messages in the error queue that failed for the same reason; `sample` is the latest of them."""

    group: str
    count: int
    first: float
    last: float
    sample: MessageRecord


@dataclass(frozen=True, slots=True)
class Figures:
    """How much a journal holds: rows, and the times (unix seconds) of the oldest and of the latest news."""

    messages: int
    events: int
    occurrences: int
    first: float | None
    last: float | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages are wanted; None leaves a choice open.

    Times in unix seconds. `before` is the cursor of the last message of a page, for the next one.
    """

    states: Sequence[State] = ()
    system: str | None = None
    topic: str | None = None
    code: str | None = None
    group: str | None = None
    since: float | None = None  # came then or later
    until: float | None = None  # came before
    older_than: float | None = None  # in their state since then
    before: int | None = None
