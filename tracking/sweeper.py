"""Runs one sweep of a sent queue: ask what has been finished, answer it, hold nothing.

A full sweep takes every message once and asks the system about each, in bulk. That is what a queue of up to one
`chunk_size` gets each time, and a larger one at start, every `full_sweep_interval`, and whenever the tracker cannot
say what has changed. In between the tracker is asked which tasks may have been finished: with none, no message moves;
otherwise the queue is skimmed by headers, and only the messages of those tasks are asked about.

What a person has not finished goes back: on a classic queue by closing the channel, which keeps the order and costs
nothing per message; on any other, which counts returns and drops a message after some (broker.returns), by a confirmed
copy to the tail, also when the system could not be asked. Worker after worker may be killed in the middle of a sweep,
and each time what it holds is returned: a message that shows a return is replaced by a copy, which begins at zero,
before anything else. A message is acked only after its copy, response or error report is confirmed.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from base_tracker import ChangedTask, Changes
from broker.nodes import Parameters
from broker.queue_types import CLASSIC
from broker.returns import times_returned
from broker.taken_queue import Taken, TakenQueue, TakingInterruptedError
from broker.topology import Topology
from broker.undeliverable import Undeliverable
from core.envelopes import STATE_DONE, decode_sent_header
from core.errors import InvalidMessageError
from core.events.base import EventStream
from core.events.systems import LargeQueueSwept, SweepLate
from core.messages import HEADER_TASK_ID
from core.results import Completed, Pending, Verdict
from rabbitmq_publisher import RabbitMQPublisher
from tracking.asking import Asking, UnansweredError
from tracking.changed_tasks import ChangedTasks, SoughtTasks
from tracking.held import Held
from tracking.passing import passing
from tracking.responses import Responses
from tracking.tracked_queue import SweepResult, TrackedQueue

__all__ = ["SweepResult", "Sweeper", "TrackedQueue"]

SWEEP_LIMIT = 600.0  # seconds; RabbitMQ closes a channel that holds a message for 30 minutes
# A crash between a confirmed result and its ack leaves a second sent message: for this many seconds after the
# response it needs no second one. Later it is somebody's deliberate replay and is answered.
REMEMBER_ANSWERS = 900.0
# Where returns are counted so many are taken at first, and until none of them has been returned before: worker after
# worker may be killed, each gets so much further, and no kill costs more messages a second return.
CAREFUL = 100
PASSED_AT_ONCE = 4  # times as many, while most messages go by unread
READY_POLL = 0.5  # seconds between looks at the stop flag while RabbitMQ takes no messages


@dataclass(slots=True)
class _Chunk:
    """Messages that are settled together."""

    open: list[Held] = field(default_factory=list)
    done: list[Held] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)  # tags of copies whose response is confirmed already
    passed: list[Held] = field(default_factory=list)  # not looked for by this sweep

    def __len__(self) -> int:
        return len(self.open) + len(self.done)


class Sweeper:
    """Goes through one sent queue, on a connection of its own for each sweep. Used by one thread."""

    def __init__(
        self,
        tracked: TrackedQueue,
        topology: Topology,
        parameters: Parameters,
        publisher: RabbitMQPublisher,
        is_stopping: Callable[[], bool],
        *,
        events: EventStream,
    ) -> None:
        self._tracked = tracked
        self._events = events
        self._tracker = tracked.tracker
        self._open_queue = partial(TakenQueue.opened, tracked.queue, topology, parameters, is_stopping)
        self._undeliverable = Undeliverable(parameters, publisher.publish, tracked.errors_queue, events)
        self._responses = Responses(tracked, publisher, events)
        self._publisher = publisher
        self._is_stopping = is_stopping
        self._watch = ChangedTasks(tracked.full_sweep_interval)
        self._answered: OrderedDict[str, float] = OrderedDict()  # task id -> when its response was confirmed
        self._keyless: set[str] = set()  # external ids of open tasks without our headers, in this sweep
        self._returns_are_counted: bool | None = None  # None: not asked yet
        self._asking = Asking(self._tracker, tracked.system)
        self._done_is_expected = False
        self._asked_for: deque[ChangedTask] = deque()

    def look_for(self, task: ChangedTask) -> None:
        """Have the next sweep ask about this task, whether the system has told a change of it or not. Thread-safe."""
        self._asked_for.append(task)

    def heard_of(self, external_ids: Sequence[str]) -> bool:
        """Ask the system about tasks of which it has told; anybody's may be among them.

        Return whether the next sweep has something to find: those that are finished and ours, which it looks for.
        No queue is touched. Raises what the system raises.
        """
        self._forget_old_answers()
        try:
            told = self._asking.finished_among(external_ids, self._is_stopping)
        except UnansweredError as unanswered:
            raise unanswered.error from None
        if told is None:
            return True
        ours = self._watch.ours_among(told, self._answered)
        self._asked_for.extend(ours)
        return bool(ours)

    @property
    def chunk_size(self) -> int:
        return self._tracker.chunk_size

    def sweep(self, result: SweepResult, *, woken: bool = False) -> None:
        """Sweep once and count into `result`.

        `woken`: a result that needs no person has been stored since the last sweep. Raises what the broker or the
        system raises; what is unsettled is back in the queue then.
        """
        self._done_is_expected = self._done_is_expected or woken
        self._forget_old_answers()
        # What is held until there is room for its copy or answer would be returned one day.
        while not self._publisher.wait_until_ready(READY_POLL):
            if self._is_stopping():
                raise TakingInterruptedError
        found_out = self._undeliverable.taken_out(self._tracked.queue, self._tracker.chunk_size)
        with found_out, self._open_queue() as queue:
            result.found = queue.ready
            self._ask_for_type(queue)
            asked_before = self._asking.calls
            try:
                self._sweep(queue, result)
            except UnansweredError as unanswered:
                raise unanswered.error from None
            finally:
                result.calls = self._asking.calls - asked_before

    def _ask_for_type(self, queue: TakenQueue) -> None:
        if queue.is_new:
            self._returns_are_counted = None
        elif self._returns_are_counted is None and queue.ready:
            self._returns_are_counted = queue.type() != CLASSIC

    def _sweep(self, queue: TakenQueue, result: SweepResult) -> None:
        if queue.ready > self._tracker.chunk_size:
            self._sweep_large(queue, result)
        elif self._go_through(queue, None, result):
            self._done_is_expected = False
            self._asked_for.clear()  # all have been asked about

    def is_large(self, result: SweepResult) -> bool:
        """Return whether the sweep has cost so much that the next one must not follow at once."""
        return result.taken > self._tracker.chunk_size

    def _sweep_large(self, queue: TakenQueue, result: SweepResult) -> None:
        began = time.monotonic()
        is_full = self._watch.is_full_sweep_due()
        changes = self._asking.changes(queue, self._watch.mark) if self._watch.mark is not None else None
        if changes is None:
            is_full = True
            changes = self._asking.changes(queue, None) or Changes((), None)
        while self._asked_for:
            self._watch.look_for([self._asked_for.popleft()])
        wanted = self._watch.wanted(changes.tasks, self._answered)
        if is_full or wanted or self._done_is_expected:
            self._keyless = set()
            if not self._go_through(queue, wanted, result, is_full=is_full):
                return
            self._done_is_expected = False
            counts = (result.taken, result.checked, result.completed)
            seconds = time.monotonic() - began
            self._events.emit(LargeQueueSwept(queue.name, *counts, is_full=is_full, seconds=seconds))
        self._watch.sweep_succeeded(changes.mark)
        if is_full:
            self._watch.full_sweep_succeeded(began, self._keyless)

    def _go_through(
        self, queue: TakenQueue, wanted: SoughtTasks | None, result: SweepResult, *, is_full: bool = True
    ) -> bool:
        """Take every message once; return False when the sweep has ended before it was through."""
        deadline = time.monotonic() + SWEEP_LIMIT
        remaining, chunk, portion = queue.ready, _Chunk(), self._first_portion()
        is_passed = self._passing(wanted, is_full=is_full)
        while remaining > 0 and not self._is_stopping():
            room = self._tracker.chunk_size - len(chunk) if is_full else self._tracker.chunk_size
            size = min(remaining, portion, room * (PASSED_AT_ONCE if queue.passed else 1))
            messages: Sequence[Taken] = queue.take(size, is_passed)
            result.taken += queue.passed
            seen = len(messages) + queue.passed
            remaining = remaining - seen if seen == size else 0
            messages, renewed = self._renew(queue, messages)
            remaining += renewed  # the copies are at the tail
            self._sort(queue, messages, chunk, wanted, result, is_full=is_full)
            late = time.monotonic() > deadline
            if wanted is not None and wanted.all_found and not is_full and not self._done_is_expected:
                remaining = 0
            rotate = late or self._returns_are_counted is True
            if late or not remaining or not self._asking.system_answers or len(chunk) >= self._tracker.chunk_size:
                self._ask_and_settle(queue, chunk, result, rotate=rotate)
                chunk = _Chunk()
            else:
                self._pass_by(queue, chunk, rotate=rotate)
            portion = self._next_portion(portion, renewed)
            if queue.passed > size // 2:  # of what goes by nothing stays in memory
                portion *= PASSED_AT_ONCE
            if late:
                self._events.emit(SweepLate(queue.name))
                return False
        return not self._is_stopping()

    def _passing(self, wanted: SoughtTasks | None, *, is_full: bool) -> Callable[[bytes], bool] | None:
        """Return which messages need not be read at all.

        Where returns are counted each is replaced by a copy, and a task that is known by its id in the system only is
        found by reading.
        """
        if is_full or wanted is None or self._returns_are_counted is not False or wanted.task_ids is None:
            return None
        return passing(wanted.task_ids, self._answered)

    def _first_portion(self) -> int:
        if not self._asking.system_answers:
            return 1  # in an outage no more is moved than it takes to notice its end
        return CAREFUL if self._returns_are_counted else self._tracker.chunk_size

    def _next_portion(self, portion: int, renewed: int) -> int:
        if not self._asking.system_answers:
            return 10 * portion  # nothing to ask about was among them
        return CAREFUL if renewed else self._tracker.chunk_size

    def _renew(self, queue: TakenQueue, messages: Sequence[Taken]) -> tuple[Sequence[Taken], int]:
        """Return those that have never been returned, and how many others have been replaced by copies at the tail."""
        returned = [taken for taken in messages if times_returned(taken[1].headers) and taken[1].refusal() is None]
        if not returned:
            return messages, 0
        self._returns_are_counted = True
        queue.ensure_ours()
        self._wait(queue, [self._responses.renew(taken) for taken in returned])
        tags = {tag for tag, _, _ in returned}
        queue.ack(tags)
        return [taken for taken in messages if taken[0] not in tags], len(returned)

    def _sort(
        self,
        queue: TakenQueue,
        messages: Sequence[Taken],
        chunk: _Chunk,
        wanted: SoughtTasks | None,
        result: SweepResult,
        *,
        is_full: bool,
    ) -> None:
        result.taken += len(messages)
        for tag, properties, body in messages:
            try:
                if refusal := properties.refusal():
                    raise refusal
                header = decode_sent_header(body, properties.headers or {})
            except InvalidMessageError as error:
                self._wait(queue, [self._responses.report_unreadable((tag, properties, body), error, result)])
                queue.ack([tag])
                continue
            is_wanted = wanted is not None and wanted.note(header)
            if header.task_id in self._answered:
                chunk.answered.append(tag)
            elif header.state == STATE_DONE:
                chunk.done.append(Held(tag, properties, body, header))
            elif is_wanted or is_full:
                chunk.open.append(Held(tag, properties, body, header))
            elif self._returns_are_counted:
                chunk.passed.append(Held(tag, properties, body, header))

    def _ask_and_settle(self, queue: TakenQueue, chunk: _Chunk, result: SweepResult, *, rotate: bool) -> None:
        """Ask about the messages and settle them.

        Raises what the question raises, after all that needs no answer is settled.
        """
        verdicts: list[Verdict] = []
        try:
            for start in range(0, len(chunk.open), self._tracker.chunk_size):
                verdicts += self._asking.verdicts(queue, chunk.open[start : start + self._tracker.chunk_size])
        except UnansweredError:
            asked = _Chunk(chunk.open[: len(verdicts)], chunk.done, chunk.answered)
            self._settle(queue, asked, verdicts, result, rotate=rotate)
            self._pass_by(queue, _Chunk(passed=chunk.open[len(verdicts) :] + chunk.passed), rotate=rotate)
            raise
        self._settle(queue, chunk, verdicts, result, rotate=rotate)
        self._pass_by(queue, chunk, rotate=rotate)

    def _settle(
        self, queue: TakenQueue, chunk: _Chunk, verdicts: Sequence[Verdict], result: SweepResult, *, rotate: bool
    ) -> None:
        result.checked += len(chunk.open) + len(chunk.done)
        published: list[tuple[Held, Future[None]]] = []
        if chunk.open or chunk.done:
            queue.ensure_ours()  # the question may have taken long
        seen: dict[str, list[int]] = {}  # task id -> tags of further copies of a message answered in this chunk
        judged: list[tuple[Held, Verdict | None]] = [*zip(chunk.open, verdicts, strict=True)]
        judged += ((held, None) for held in chunk.done)
        for held, verdict in judged:
            if isinstance(verdict, Pending):
                self._note_keyless(held)
                if rotate:
                    published.append((held, self._responses.rotate(held)))
            elif held.header.task_id in seen:
                seen[held.header.task_id].append(held.tag)
            else:
                seen[held.header.task_id] = []
                published.append((held, self._responses.publish(held, verdict, result)))
        self._wait(queue, [future for _, future in published])
        result.moved += len(seen)
        for held, verdict in judged:
            if verdict is None or isinstance(verdict, Completed):
                self._answered[held.header.task_id] = time.monotonic()
        queue.ack([held.tag for held, _ in published])
        queue.ack([*chunk.answered, *(tag for copies in seen.values() for tag in copies)])

    def _pass_by(self, queue: TakenQueue, chunk: _Chunk, *, rotate: bool) -> None:
        if rotate and chunk.passed:
            queue.ensure_ours()
            self._wait(queue, [self._responses.rotate(held) for held in chunk.passed])
            queue.ack([held.tag for held in chunk.passed])
        chunk.passed = []

    def _note_keyless(self, held: Held) -> None:
        if held.header.external_id is not None and HEADER_TASK_ID not in (held.properties.headers or {}):
            self._keyless.add(held.header.external_id)

    def _wait(self, queue: TakenQueue, futures: Sequence[Future[Any]]) -> None:
        try:
            queue.wait(futures)
        finally:
            self._responses.tell_confirmed()

    def _forget_old_answers(self) -> None:
        oldest_kept = time.monotonic() - REMEMBER_ANSWERS
        while self._answered and next(iter(self._answered.values())) < oldest_kept:
            self._answered.popitem(last=False)
