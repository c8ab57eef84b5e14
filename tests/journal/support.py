"""Events as a worker tells them, and what a journal holds of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from core.events.base import Event, Identity
from core.events.messages import MessageParked, MessageReceived, RetryScheduled, TaskAccepted, TaskCompleted
from core.events.systems import SystemResumed
from core.outcomes import Outcome
from core.texts import Text
from journal.entries import Batch
from journal.states import State

NOON = 1_796_000_000.0  # unix seconds


def task(number: int, system: str = "bitrix24", *, attempt: int = 1, external: str | None = None) -> Identity:
    return Identity(
        f"{system}.queue",
        system,
        f"8f6c1a52-0b3f-4c8e-9a51-{number:012}",
        f"0f4e7a3c-5d21-4f1b-8c0d-{number:012}",
        "bitrix_create_task",
        attempt,
        external,
        f"8f6c1a52-0b3f-4c8e-9a51-{number:012}:task",
    )


def received(number: int, title: str = "Согласовать договор", attempt: int = 1) -> MessageReceived:
    return MessageReceived(task(number, attempt=attempt), attempt > 1, f"{title} №{number}", f"ORD-{number}")


def created(number: int) -> TaskAccepted:
    return TaskAccepted(task(number, external=str(48000 + number)), created=True, stored=True)


def answered(number: int) -> TaskCompleted:
    return TaskCompleted(task(number, external=str(48000 + number)))


def retried(number: int, attempt: int = 1) -> RetryScheduled:
    return RetryScheduled(task(number, attempt=attempt), Text("busy", "занят"), "http_503", 5.0)


def parked(number: int, reason: str = "RESPONSIBLE_ID: user 17 is not there") -> MessageParked:
    return MessageParked(task(number), Text(reason, f"по-русски: {reason}"), "no_user", Outcome.PERMANENT)


def batch(*events: Event, start: float = NOON) -> Batch:
    """The events, a second apart from `start` on."""
    made = Batch()
    for number, event in enumerate(events):
        made.add(start + number, event)
    return made


def rows(path: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, values).fetchall()


def states(path: Path) -> dict[str, State]:
    return {name: State(state) for name, state in rows(path, "select name, state from message")}


def found(path: Path, words: str) -> list[str]:
    """The names of the messages that are found by these words of FTS5."""
    query = "select name from message where id in (select rowid from message_search where message_search match ?)"
    return [name for (name,) in rows(path, query, words)]


# A life of two messages, and something beside them.
LIFE: list[Event] = [
    *(received(1), retried(1), received(2), received(1, attempt=2), created(1), parked(2)),
    *(SystemResumed("1c"), answered(1)),
]
