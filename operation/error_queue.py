"""What a person does with the error queue: looks through it, puts messages back, moves them into the archive and back.

What is moved is published with a confirm and `mandatory` first and taken out afterwards: a process that is killed in
between leaves the message in both places, never in none. A task that is put back twice is found by its id and not
created a second time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from broker.depths import depths_of
from broker.errors import MessageTooLargeError
from broker.taken_queue import Taken
from core.events.base import Event, Identity
from core.events.operator import MessageDropped, MessageRetried, MessageSeen
from core.messages import HEADER_DROPPED, OutgoingMessage
from core.texts import Text
from core.traces import trace_of
from operation.choosing import Choice
from operation.desk import Desk
from operation.noting import acted, note
from operation.pacing import Pace, Watch
from operation.reports import Kind, Report, report_of
from operation.walking import QueueWalk, walk_through, whole_copy

ALONE = Watch()
_MISSING = Text("there is no queue {queue}", "очереди {queue} нет")
_TOO_LARGE = Text("RabbitMQ refuses messages of this size", "RabbitMQ не берёт сообщения такого размера")

Edit = Callable[[Report], bytes]  # returns what is put back instead of the original


@dataclass(frozen=True, slots=True)
class Moved:
    """A message that was moved. `at` is unix seconds before it was published: what happens to it comes later."""

    name: str
    kind: Kind
    system: str | None
    at: float


@dataclass(slots=True)
class Outcome:
    """What has become of a request. `left` are those that fit and were left where they are, with the reason.

    `is_stopped`: somebody has stopped it before it was through.
    """

    looked_at: int = 0
    moved: list[Moved] = field(default_factory=list)
    left: list[tuple[Report, Text]] = field(default_factory=list)
    remarks: list[Text] = field(default_factory=list)
    is_stopped: bool = False

    def remark(self, text: Text | None) -> None:
        """Add what a person should know, once."""
        if text is not None and text not in self.remarks:
            self.remarks.append(text)


# Where a message goes and as what – an edited one also into the archive, as it was –, or why it stays.
_Decision = Sequence[tuple[str, OutgoingMessage]] | Text
_Action = Callable[[Taken, Report], _Decision]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is done with each message, what the journal is told of it, who watches, how many it may be a second."""

    action: _Action
    told: Callable[[Report], Event]
    watch: Watch
    rate: float | None = None


class ErrorQueue:
    """The error queue and its archive. Every method may raise BROKER_ERRORS. `by` is who does it."""

    def __init__(self, desk: Desk, by: str) -> None:
        self._desk = desk
        self._by = by
        self._queue = desk.topology.errors_queue
        self._archive = desk.topology.archive_queue

    def depth(self, *, archive: bool = False) -> int:
        """Return how many messages are in the error queue, or in the archive."""
        return self._depth_of(self._archive if archive else self._queue)

    def look(self, choice: Choice, *, archive: bool = False, watch: Watch = ALONE) -> Iterator[Report]:
        """Yield what fits, in the order of the queue; everything stays where it is."""
        queue = self._archive if archive else self._queue
        if not self._depth_of(queue):
            return
        looked_at = 0
        with walk_through(self._desk, queue) as walk:
            portions = walk.portions()
            try:
                for portion in portions:
                    walk.keep(portion)
                    for taken in portion:
                        if choice.fits(report := self._report_of(taken)):
                            yield report
                    looked_at += len(portion)
                    watch.advance(looked_at)
            except GeneratorExit:
                walk.leave(portions)
                raise

    def retry(
        self,
        choice: Choice,
        *,
        rate: float | None = None,
        edit: Edit | None = None,
        watch: Watch = ALONE,
    ) -> Outcome:
        """Put what fits back into its queue; `rate` is messages a second at the most."""
        there = self._existing_targets()

        def retried(taken: Taken, report: Report) -> _Decision:
            if report.target is None or report.original is None:
                return report.not_retried or Text("", "")
            if report.target not in there:
                return _MISSING.map(lambda text: text.format(queue=report.target))
            if edit is None:
                return [(report.target, _put_back(report, report.original, taken))]
            kept = _with_header(whole_copy(taken), f"{int(time.time())} {self._by}: edited")
            return [(self._archive, kept), (report.target, _put_back(report, edit(report), taken))]

        def told(report: Report) -> Event:
            is_response = report.kind == "camunda_response"
            return MessageRetried(_identity(report, report.target), self._by, is_response=is_response)

        outcome = self._move(self._queue, choice, _Plan(retried, told, watch, rate))
        self._keep(outcome, "errors retry")
        return outcome

    def drop(self, choice: Choice, reason: str, *, watch: Watch = ALONE) -> Outcome:
        """Move what fits into the archive."""
        words = f"{int(time.time())} {self._by}: {reason}"

        def dropped(taken: Taken, _report: Report) -> _Decision:
            return [(self._archive, _with_header(whole_copy(taken), words))]

        def told(report: Report) -> Event:
            return MessageDropped(_identity(report, self._archive), self._by, reason)

        outcome = self._move(self._queue, choice, _Plan(dropped, told, watch))
        self._keep(outcome, "errors drop")
        return outcome

    def restore(self, choice: Choice, *, watch: Watch = ALONE) -> Outcome:
        """Bring what fits back from the archive into the error queue."""

        def restored(taken: Taken, _report: Report) -> _Decision:
            return [(self._queue, _with_header(whole_copy(taken), None))]

        def told(report: Report) -> Event:
            return seen(report, self._queue)

        outcome = self._move(self._archive, choice, _Plan(restored, told, watch))
        self._keep(outcome, "errors restore")
        return outcome

    # -- the walk -----------------------------------------------------------------------------------------------------

    def _move(self, queue: str, choice: Choice, plan: _Plan) -> Outcome:
        outcome, pace = Outcome(), Pace(plan.rate, plan.watch.is_stopping)
        while not outcome.is_stopped and self._depth_of(queue):
            with plan.watch.turn() as may_begin:
                allowed = pace.begin_turn(len(outcome.moved))
                if not may_begin or plan.watch.is_stopping():
                    outcome.is_stopped = True
                elif self._turn(queue, choice, plan, allowed, outcome):
                    break
            pace.rest(len(outcome.moved))
        return outcome

    def _turn(self, queue: str, choice: Choice, plan: _Plan, allowed: int | None, outcome: Outcome) -> bool:
        """Walk through the queue once and move up to so many; return False when something may be left to move."""
        moved_before = len(outcome.moved)
        most = None if allowed is None else moved_before + allowed
        outcome.left.clear()  # they are met again
        walked = 0
        with walk_through(self._desk, queue) as walk:
            portions = walk.portions()
            for portion in portions:
                outcome.is_stopped = plan.watch.is_stopping()
                if outcome.is_stopped or len(outcome.moved) == most:
                    walk.keep(portion)
                    walk.leave(portions)
                    return False
                self._move_portion(walk, portion, choice, plan, outcome, most=most)
                walked += len(portion)
                outcome.looked_at = max(outcome.looked_at, moved_before + walked)
                plan.watch.advance(outcome.looked_at)
            return not walk.is_late and len(outcome.moved) != most

    def _move_portion(
        self,
        walk: QueueWalk,
        portion: Sequence[Taken],
        choice: Choice,
        plan: _Plan,
        outcome: Outcome,
        *,
        most: int | None,
    ) -> None:
        kept: list[Taken] = []
        sent: list[tuple[Taken, Report, float, list[Future[None]]]] = []
        for taken in portion:
            report = self._report_of(taken)
            if not choice.fits(report) or (most is not None and len(outcome.moved) + len(sent) >= most):
                kept.append(taken)
                continue
            decided = plan.action(taken, report)
            if isinstance(decided, Text):
                outcome.left.append((report, decided))
                kept.append(taken)
                continue
            sent.append((taken, report, time.time(), [walk.publish(*each) for each in decided]))
        walk.wait([future for *_, futures in sent for future in futures])
        settled: list[Taken] = []
        events: list[tuple[float, Event]] = []
        for taken, report, at, futures in sent:
            if any(isinstance(future.exception(), MessageTooLargeError) for future in futures):
                outcome.left.append((report, _TOO_LARGE))
                kept.append(taken)
                continue
            for future in futures:
                future.result()
            settled.append(taken)
            outcome.moved.append(Moved(report.name, report.kind, report.system, at))
            events.append((at, plan.told(report)))
        walk.settle(settled)
        walk.keep(kept)
        outcome.remark(note(self._desk, events))

    def _report_of(self, taken: Taken) -> Report:
        return report_of(taken[2], taken[1], self._desk.input_queue_of)

    def _depth_of(self, queue: str) -> int:
        with self._desk.broker("operator") as connection:
            depth = depths_of(connection, [queue])[queue]
        return 0 if depth is None else depth.messages

    def _existing_targets(self) -> set[str]:
        topology = self._desk.topology
        known = {*self._desk.input_queue_of, *self._desk.input_queue_of.values(), topology.responses_queue}
        with self._desk.broker("operator") as connection:
            return {queue for queue, depth in depths_of(connection, known).items() if depth is not None}

    def _keep(self, outcome: Outcome, what: str) -> None:
        if not outcome.moved:
            return
        systems = {each.system for each in outcome.moved}
        system = systems.pop() if len(systems) == 1 else None
        outcome.remark(acted(self._desk, time.time(), what, by=self._by, system=system, count=len(outcome.moved)))


def seen(report: Report, queue: str) -> MessageSeen:
    """Return the event of a report that lies in the error queue."""
    return MessageSeen(
        _identity(report, queue),
        "errors",
        report.title,
        report.business_key,
        error_code=report.code,
        outcome=report.outcome,
        reason=report.reason,
    )


def _identity(report: Report, queue: str | None) -> Identity:
    return Identity(
        queue or "",
        report.system or "",
        report.task_id,
        report.process_instance_id,
        report.topic,
        report.attempts,
        report.external_id,
        None if report.task_id is not None else report.name,
    )


def _put_back(report: Report, body: bytes, taken: Taken) -> OutgoingMessage:
    if report.kind == "camunda_response":
        message = OutgoingMessage(body, f"{report.name}:response")
    elif report.task_id is not None:
        message = OutgoingMessage(body, f"{report.task_id}:task")
    else:
        message = OutgoingMessage(body, report.name, {}, "application/octet-stream", None)
    return message.in_trace(trace_of(taken[1].headers))


def _with_header(message: OutgoingMessage, told: str | None) -> OutgoingMessage:
    headers = {name: value for name, value in message.headers.items() if name != HEADER_DROPPED}
    if told is not None:
        headers[HEADER_DROPPED] = told
    return OutgoingMessage(
        message.body, message.message_id, headers, message.content_type, message.content_encoding, message.properties
    )
