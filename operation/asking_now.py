"""Has the trackers of the running workers ask about one task now, and waits until they have."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from control.client import NoWorkerError
from control.protocol import OTHER_VERSION, RefusedError
from core.results import FoundTask
from core.texts import Text
from journal.records import MessageRecord
from journal.states import State
from operation.desk import Desk
from operation.systems_asked import answers_of

LOOK = 0.2  # seconds between looks whether it has happened
WRITTEN = 5.0  # seconds in which a journal has stored what its worker knows


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of it. `message` is what the journal says now; `held`: a person has the tracker rest.

    `has_been_asked` is False when the time was over before. `trouble`: why the sweep did not get through.
    """

    message: MessageRecord | None
    has_been_asked: bool
    held: Sequence[str]
    trouble: str | None


def ask_now(desk: Desk, words: str, message: MessageRecord | None, timeout: float, *, by: str | None = None) -> Asked:
    """Ask about a message of the journal, or about the task or number that `words` are.

    `by` is who wants it; None: the user of this process. Raises NoWorkerError, ForbiddenError, RefusedError, OSError,
    StoreError.
    """
    before = _moved(desk.workers.ask("status"))
    if message is None:
        answers = desk.workers.ask("track", task_id=words, external_id=words, by=by)
    else:
        known = {"task_id": message.name, "external_id": message.external, "system": message.system}
        answers = desk.workers.ask("track", **known, by=by)
    if not all("sweeps" in each for each in answers):
        raise RefusedError("unknown_question", OTHER_VERSION)
    held = sorted({system for each in answers for system in each["held"]})
    wanted = {
        (each["pid"], system): number
        for each in answers
        for system, number in each["sweeps"].items()
        if system not in each["held"]
    }
    status = _swept(desk, wanted, time.monotonic() + timeout) if wanted else None
    if status is None:
        return Asked(message, has_been_asked=False, held=held, trouble=None)
    told = _told(desk, words, message, has_moved=_moved(status) != before)
    trouble = _trouble(status, {system for _, system in wanted})
    return Asked(told, has_been_asked=True, held=held, trouble=trouble)


def status_of(desk: Desk, message: MessageRecord) -> FoundTask | Text | None:
    """Return what the system itself says of a task, or why it does not; None where it cannot be asked, or has none."""
    handler = None if message.system is None else desk.handler_of(f"{message.system}.queue")
    if handler is None or message.system is None:
        return None
    return answers_of({message.system: handler}, message.name).get(message.system)


def _swept(desk: Desk, wanted: Mapping[tuple[int, str], int], deadline: float) -> list[Any] | None:
    """Return the status of the workers when all have ended the sweeps that are waited for; None if not in time.

    The tracker of one that ends meanwhile is waited for no more, of all of them: NoWorkerError.
    """
    while True:
        status = desk.workers.ask("status")
        ended = {
            (worker["pid"], each["system"]): each["sweeps"]["ended"]
            for worker in status
            for each in worker["systems"]
            if each["sweeps"] is not None
        }
        left = {key: number for key, number in wanted.items() if key in ended}
        if not left:
            raise NoWorkerError(Text("the worker has ended meanwhile", "воркер тем временем завершился"))
        if all(ended[key] >= number for key, number in left.items()):
            return status
        if time.monotonic() > deadline:
            return None
        time.sleep(LOOK)


def _told(desk: Desk, words: str, message: MessageRecord | None, *, has_moved: bool) -> MessageRecord | None:
    """Return what the journal says; where a tracker has answered something, when it has had the time to hear of it."""
    if desk.journal is None:
        return message
    name, deadline = words if message is None else message.name, time.monotonic() + WRITTEN
    while True:
        told = desk.journal.message(name) or message
        is_open = told is None or told.state in (State.TRACKING, State.COMPLETING)
        if not (is_open and has_moved) or time.monotonic() > deadline:
            return told
        time.sleep(LOOK)


def _moved(status: Sequence[Mapping[str, Any]]) -> int:
    return sum((each["tracker"] or {}).get("moved", 0) for worker in status for each in worker["systems"])


def _trouble(status: Sequence[Mapping[str, Any]], systems: set[str]) -> str | None:
    told = (each["tracker"] or {} for worker in status for each in worker["systems"] if each["system"] in systems)
    return next((each["trouble"] for each in told if each.get("trouble")), None)
