"""Results of handlers and verdicts of trackers: nothing went wrong (or a person's decision ended the task)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.texts import Text

JsonObject = Mapping[str, Any]


def with_warnings(response: JsonObject, warnings: Sequence[Text], key: str = "warnings") -> dict[str, Any]:
    """Return `response` with what people should know of a task that has gone well.

    In English under `key`, in Russian under `key` with `_ru`; without warnings, neither is there.
    """
    if not warnings:
        return dict(response)
    return {**response, key: [each.en for each in warnings], f"{key}_ru": [each.ru for each in warnings]}


@dataclass(frozen=True, slots=True)
class Accepted:
    """The task was created (or found) and a person will finish it. `response` becomes `response_data`."""

    response: JsonObject
    external_id: str | None = None
    duplicate: bool = False  # an earlier attempt had created it; nothing was created now


@dataclass(frozen=True, slots=True)
class Done:
    """Finished at once; the tracker forwards it to Camunda without asking the system."""

    response: JsonObject
    external_id: str | None = None
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A `process_message -> bool` handler said True: the message is settled, no result is stored."""


@dataclass(frozen=True, slots=True)
class Rerouted:
    """The message belongs into another input queue: it is put there as it is, and nothing is stored."""

    queue: str


Result = Accepted | Done | Acknowledged | Rerouted


@dataclass(frozen=True, slots=True)
class Pending:
    """A person is still working on it."""


@dataclass(frozen=True, slots=True)
class Completed:
    """Finished. `response` is the system's data as of completion and becomes `response_data`."""

    response: JsonObject


@dataclass(frozen=True, slots=True)
class Rejected:
    """Will never be finished (deleted, declined): people learn it from the error queue."""

    reason: str | Text
    code: str


Verdict = Pending | Completed | Rejected


@dataclass(frozen=True, slots=True)
class FoundTask:
    """What a system has for a Camunda task. `address`: where people see it in a browser."""

    external_id: str
    title: str | None = None
    status: str | None = None  # in the system's own words
    address: str | None = None
