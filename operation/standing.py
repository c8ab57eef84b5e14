"""How everything stands: one verdict, and what it is made of. The answer to "does it work, and what is stuck?".

Asked of the running workers, of RabbitMQ and of the journal; what does not answer is told, and the others still are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from broker.depths import Depth, depths_of, with_shards
from broker.errors import BROKER_ERRORS, describe_in_both
from control.client import NoWorkerError
from core.texts import Text
from journal.states import State
from journal.store import StoreError
from operation.desk import Desk
from operation.workers import answers_of, system_among

Verdict = Literal["ok", "degraded", "paused", "down", "no_worker"]
_Kind = Literal["input", "sent", "responses", "errors"]
Standing = Mapping[str, Mapping[State, tuple[int, float]]]

AGES = (3600.0, 86400.0, 7 * 86400.0, 30 * 86400.0)  # seconds; the last group is everything older
IN_ERRORS = (State.FAILED, State.REJECTED)


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """A queue. `messages` None: there is none, or RabbitMQ is not there. `oldest` in unix seconds, where known."""

    queue: str
    kind: _Kind
    messages: int | None
    consumers: int | None
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """A system. `hold`: the pause of a person; `down`: why it cannot be used now. Times in unix seconds."""

    system: str
    state: Literal["ok", "paused", "down", "unconfigured", "unknown"]
    hold: Mapping[str, Any] | None
    down: Mapping[str, Any] | None
    unused: Mapping[str, str] | None
    waiting: int | None
    consumers: int | None
    oldest_waiting: float | None
    in_retry: int
    open: int
    oldest_open: float | None
    open_by_age: Sequence[int]  # younger than each of AGES, and the rest
    errors: int
    oldest_error: float | None
    last_check: str | None
    trouble: str | None


@dataclass(frozen=True, slots=True)
class StatusReport:
    verdict: Verdict
    at: float
    workers: Sequence[Mapping[str, Any]]
    broker: Mapping[str, Any]
    systems: Sequence[SystemStatus]
    queues: Sequence[QueueStatus]
    errors_waiting: int | None
    remarks: Sequence[Mapping[str, str]] = field(default_factory=tuple)


@dataclass(slots=True)
class _Facts:
    """What was found out. `is_silent`: a worker does not answer; `broken` says why RabbitMQ cannot be asked."""

    workers: Sequence[Mapping[str, Any]] = ()
    is_silent: bool = False
    depths: Mapping[str, Depth | None] = field(default_factory=dict)
    broken: Text | None = None
    known: Standing = field(default_factory=dict)
    ages: Mapping[str, Sequence[int]] = field(default_factory=dict)
    remarks: list[Text] = field(default_factory=list)


def standing_of(desk: Desk) -> StatusReport:
    """Return how everything stands. Raises ForbiddenError when the workers belong to another user."""
    facts = _Facts()
    _ask_workers(desk, facts)
    _ask_broker(desk, facts)
    _ask_journal(desk, facts)
    systems = [_system(facts, queue) for queue in desk.settings.worker.queue_handlers]
    errors = facts.depths.get(desk.topology.errors_queue)
    return StatusReport(
        verdict=_verdict(facts, systems, errors),
        at=time.time(),
        workers=facts.workers,
        broker={
            "is_reachable": facts.broken is None,
            "reason": None if facts.broken is None else facts.broken._asdict(),
        },
        systems=systems,
        queues=_queues(desk, facts, systems),
        errors_waiting=None if errors is None else errors.messages,
        remarks=[text._asdict() for text in facts.remarks],
    )


def _ask_workers(desk: Desk, facts: _Facts) -> None:
    facts.workers, why_none = answers_of(desk.workers)
    if why_none is not None:
        facts.remarks.append(why_none.text)
        facts.is_silent = not isinstance(why_none, NoWorkerError)


def _ask_broker(desk: Desk, facts: _Facts) -> None:
    inputs = list(desk.settings.worker.queue_handlers)
    sent = [desk.sent_queue_of(queue) for queue in inputs]
    names = dict.fromkeys((*inputs, *sent, desk.topology.errors_queue, desk.topology.responses_queue))
    try:
        with desk.broker("status") as connection:
            depths = depths_of(connection, names)
            for queue in sent:
                if (own := depths[queue]) is not None and _may_have_shards(desk, facts, queue):
                    depths[queue] = with_shards(connection, queue, own)
            facts.depths = depths
    except BROKER_ERRORS as error:
        facts.broken = describe_in_both(error)


def _may_have_shards(desk: Desk, facts: _Facts, sent_queue: str) -> bool:
    """RabbitMQ writes an error into its log when it is asked for a queue that is not there, so workers are believed."""
    system = desk.input_queue_of[sent_queue].removesuffix(".queue")
    told = system_among(facts.workers, system)
    return told is None or bool(told.get("has_shards"))


def _ask_journal(desk: Desk, facts: _Facts) -> None:
    try:
        if desk.journal is None:
            nothing = Text("there is no journal: ages are not known", "журнала сообщений нет: возраст неизвестен")
            facts.remarks.append(nothing)
        else:
            facts.known, facts.ages = desk.journal.standing(), desk.journal.open_by_age(time.time(), AGES)
    except StoreError as error:
        facts.remarks.append(error.text)


def _system(facts: _Facts, queue: str) -> SystemStatus:
    system = queue.removesuffix(".queue")
    told: Mapping[str, Any] = system_among(facts.workers, system) or {}
    own, depth, tracker = facts.known.get(system, {}), facts.depths.get(queue), told.get("tracker") or {}
    return SystemStatus(
        system=system,
        state=told.get("state", "unknown"),
        hold=told.get("hold"),
        down=told.get("down"),
        unused=told.get("unused"),
        waiting=None if depth is None else depth.messages,
        consumers=None if depth is None else depth.consumers,
        oldest_waiting=_oldest_waiting(facts, queue, own),
        in_retry=_count(own, (State.RETRY_WAIT,)),
        open=_count(own, (State.TRACKING,)),
        oldest_open=_oldest(own, (State.TRACKING,)),
        open_by_age=facts.ages.get(system, [0] * (len(AGES) + 1)),
        errors=_count(own, IN_ERRORS),
        oldest_error=_oldest(own, IN_ERRORS),
        last_check=tracker.get("last_check"),
        trouble=tracker.get("trouble"),
    )


def _queues(desk: Desk, facts: _Facts, systems: Sequence[SystemStatus]) -> list[QueueStatus]:
    def status(queue: str, kind: _Kind, oldest: float | None) -> QueueStatus:
        depth = facts.depths.get(queue)
        if depth is None:
            return QueueStatus(queue, kind, None, None, oldest)
        return QueueStatus(queue, kind, depth.messages, depth.consumers, oldest)

    inputs = [status(f"{each.system}.queue", "input", each.oldest_waiting) for each in systems]
    sent = [status(desk.sent_queue_of(f"{each.system}.queue"), "sent", each.oldest_open) for each in systems]
    oldest_error = min((each.oldest_error for each in systems if each.oldest_error is not None), default=None)
    responses, errors = desk.topology.responses_queue, desk.topology.errors_queue
    return [*inputs, *sent, status(responses, "responses", None), status(errors, "errors", oldest_error)]


def _verdict(facts: _Facts, systems: Sequence[SystemStatus], errors: Depth | None) -> Verdict:
    if facts.broken is not None or facts.is_silent:
        return "down"
    if not facts.workers:
        return "no_worker"
    if not any(worker["is_ready"] for worker in facts.workers):
        return "down"
    if any(each.down is not None or each.trouble is not None for each in systems) or (errors and errors.messages):
        return "degraded"
    if any(each.waiting and not each.consumers and each.state != "paused" for each in systems):
        return "degraded"
    return "paused" if any(each.state == "paused" for each in systems) else "ok"


def _oldest_waiting(facts: _Facts, queue: str, own: Mapping[State, tuple[int, float]]) -> float | None:
    """Return since when the oldest message waits, at the most: by what the workers have seen, else by the journal."""
    depth = facts.depths.get(queue)
    if depth is not None and not depth.messages:
        return None
    seen = (worker["statistics"].get("queues", {}).get(queue, {}).get("oldest_seconds") for worker in facts.workers)
    ages = [float(age) for age in seen if age is not None]
    if ages:
        return time.time() - max(ages)
    return _oldest(own, (State.WAITING, State.PROCESSING))


def _count(own: Mapping[State, tuple[int, float]], states: Sequence[State]) -> int:
    return sum(own[state][0] for state in states if state in own)


def _oldest(own: Mapping[State, tuple[int, float]], states: Sequence[State]) -> float | None:
    return min((own[state][1] for state in states if state in own), default=None)
