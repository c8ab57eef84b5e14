"""Goes through one queue of a tracker from its head to its tail: asks, answers, and leaves the rest where it belongs.

What a person has not finished stays: on a classic queue by closing the channel, which keeps the order and costs nothing
per message; on any other, which counts returns and drops a message after some (broker.returns), by a confirmed copy to
the tail, also when the system could not be asked. What belongs into another queue of the tracker (tracking.shards) is
put there by such a copy. Worker after worker may be killed in the middle of a passage, and each time what it holds is
returned: a message that shows a return is replaced by a copy, which begins at zero, before anything else. A message is
acked only after its copy, response or error report is confirmed.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from broker.queue_types import CLASSIC
from broker.returns import times_returned
from broker.taken_queue import Taken, TakenQueue, Taking
from core.envelopes import STATE_DONE, SentHeader, decode_sent_header
from core.errors import InvalidMessageError
from core.events.base import EventStream
from core.events.systems import SweepLate
from core.messages import HEADER_TASK_ID
from core.results import Completed, Pending, Verdict
from tracking.asking import Asking, UnansweredError
from tracking.changed_tasks import SoughtTasks
from tracking.held import Held
from tracking.passing import passing
from tracking.responses import Responses
from tracking.tracked_queue import SweepResult

LONGEST = 600.0  # seconds; RabbitMQ closes a channel that holds a message for 30 minutes
# Where returns are counted so many are taken at first, and until none of them has been returned before: worker after
# worker may be killed, each gets so much further, and no kill costs more messages a second return.
CAREFUL = 100
PASSED_AT_ONCE = 4  # times as many, while most messages go by unread


@dataclass(slots=True)
class Means:
    """What all passages of a tracker share.

    `answered`: task id -> when its response was confirmed; `keyless`: the external ids of open tasks without our
    headers; `counts_returns`: what is known of each queue; `moved` is told the queue that a message has left, and the
    one where it is now, None for an answered one.
    """

    asking: Asking
    responses: Responses
    events: EventStream
    is_stopping: Callable[[], bool]
    chunk_size: int
    moved: Callable[[str, str | None], None]
    answered: OrderedDict[str, float] = field(default_factory=OrderedDict)
    keyless: set[str] = field(default_factory=set)
    counts_returns: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Search:
    """What a passage is for: everything (`is_full`), or the tasks that are `wanted`.

    `place` names the queue that an open task belongs into. `to_the_end`: there may be results that need no person.
    """

    is_full: bool
    wanted: SoughtTasks | None
    place: Callable[[SentHeader], str]
    to_the_end: bool = False

    @property
    def is_over(self) -> bool:
        """Whether all that is looked for has been found."""
        return self.wanted is not None and self.wanted.all_found and not self.is_full and not self.to_the_end


@dataclass(slots=True)
class _Chunk:
    """Messages of one queue that are settled together; `may_stay`: those that stay may wait for the channel's end."""

    queue: TakenQueue
    search: Search
    may_stay: bool = True
    open: list[Held] = field(default_factory=list)
    done: list[Held] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)  # tags of copies whose response is confirmed already
    passed: list[Held] = field(default_factory=list)  # not looked for by this sweep

    @property
    def size(self) -> int:
        """How many messages wait for an answer of the system, or are answers themselves."""
        return len(self.open) + len(self.done)

    def __bool__(self) -> bool:
        return bool(self.open or self.done or self.answered)


class Passage:
    """A passage through queues, one after the other, counted into `result`. Used by one thread.

    A portion that is asked about may be of several queues: each has to stay open until `is_settled`.
    """

    def __init__(self, taking: Taking, means: Means, result: SweepResult) -> None:
        self._taking = taking
        self._means = means
        self._result = result
        self._asking = means.asking
        self._responses = means.responses
        self._chunks: list[_Chunk] = []  # of the queues that are not settled

    @property
    def is_settled(self) -> bool:
        return not any(map(bool, self._chunks))

    def go_through(self, queue: TakenQueue, search: Search) -> bool:
        """Take every message once; return False when the passage has ended before it was through.

        What has not filled a portion waits for the next queue, or for `settle`. Raises what the broker raises, and
        UnansweredError.
        """
        means, chunk = self._means, self._chunk(queue, search)
        self._ask_for_type(queue)
        deadline = time.monotonic() + LONGEST
        remaining, portion = queue.ready, self._first_portion(queue)
        is_passed = self._passing(queue, search)
        while remaining > 0 and not means.is_stopping():
            room = means.chunk_size - self._in_hand() if search.is_full else means.chunk_size
            size = min(remaining, portion, room * (PASSED_AT_ONCE if queue.passed else 1))
            messages: Sequence[Taken] = queue.take(size, is_passed)
            self._result.taken += queue.passed
            seen = len(messages) + queue.passed
            remaining = remaining - seen if seen == size else 0
            messages, renewed = self._renew(queue, messages)
            remaining += renewed  # the copies are at the tail
            self._sort(chunk, messages)
            late = time.monotonic() > deadline
            if search.is_over:
                remaining = 0
            chunk.may_stay = not late and not self._counts_returns(queue)
            if late or not self._asking.system_answers or self._in_hand() >= means.chunk_size:
                self.settle()
                chunk = self._chunk(queue, search)
            else:
                self._pass_by(chunk)
            portion = self._next_portion(portion, renewed)
            if queue.passed > size // 2:  # of what goes by nothing stays in memory
                portion *= PASSED_AT_ONCE
            if late:
                means.events.emit(SweepLate(queue.name))
                return False
        return not means.is_stopping()

    def settle(self) -> None:
        """Ask about the messages in hand and settle them.

        Raises what the question raises, after all that needs no answer is settled.
        """
        chunks, self._chunks = [chunk for chunk in self._chunks if chunk], []
        held = [each for chunk in chunks for each in chunk.open]
        size, verdicts = self._means.chunk_size, list[Verdict]()
        unanswered: UnansweredError | None = None
        try:
            for start in range(0, len(held), size):
                verdicts += self._asking.verdicts(self._taking.wait, held[start : start + size])
        except UnansweredError as error:
            unanswered = error
        seen: set[str] = set()
        for chunk in chunks:
            known, verdicts = verdicts[: len(chunk.open)], verdicts[len(chunk.open) :]
            chunk.open, unknown = chunk.open[: len(known)], chunk.open[len(known) :]
            self._settle(chunk, known, seen)
            chunk.passed += unknown
            self._pass_by(chunk)
        if unanswered is not None:
            raise unanswered

    def _chunk(self, queue: TakenQueue, search: Search) -> _Chunk:
        self._chunks.append(_Chunk(queue, search))
        return self._chunks[-1]

    def _in_hand(self) -> int:
        return sum(chunk.size for chunk in self._chunks)

    def _counts_returns(self, queue: TakenQueue) -> bool:
        return self._means.counts_returns.get(queue.name) is True

    def _ask_for_type(self, queue: TakenQueue) -> None:
        counts = self._means.counts_returns
        if queue.is_new:
            counts.pop(queue.name, None)
        elif queue.name not in counts and queue.ready:
            counts[queue.name] = queue.type() != CLASSIC

    def _passing(self, queue: TakenQueue, search: Search) -> Callable[[bytes], bool] | None:
        """Return which messages need not be read at all.

        Where returns are counted each is replaced by a copy, and a task that is known by its id in the system only is
        found by reading.
        """
        wanted = search.wanted
        is_certain = self._means.counts_returns.get(queue.name) is False
        if search.is_full or wanted is None or not is_certain or wanted.task_ids is None:
            return None
        return passing(wanted.task_ids, self._means.answered)

    def _first_portion(self, queue: TakenQueue) -> int:
        if not self._asking.system_answers:
            return 1  # in an outage no more is moved than it takes to notice its end
        return CAREFUL if self._counts_returns(queue) else self._means.chunk_size

    def _next_portion(self, portion: int, renewed: int) -> int:
        if not self._asking.system_answers:
            return 10 * portion  # nothing to ask about was among them
        return CAREFUL if renewed else self._means.chunk_size

    def _renew(self, queue: TakenQueue, messages: Sequence[Taken]) -> tuple[Sequence[Taken], int]:
        """Return those that have never been returned, and how many others have been replaced by copies at the tail."""
        returned = [taken for taken in messages if times_returned(taken[1].headers) and taken[1].refusal() is None]
        if not returned:
            return messages, 0
        self._means.counts_returns[queue.name] = True
        queue.ensure_ours()
        self._wait([self._responses.renew(taken, queue.name) for taken in returned])
        tags = {tag for tag, _, _ in returned}
        queue.ack(tags)
        return [taken for taken in messages if taken[0] not in tags], len(returned)

    def _sort(self, chunk: _Chunk, messages: Sequence[Taken]) -> None:
        queue, search = chunk.queue, chunk.search
        self._result.taken += len(messages)
        for tag, properties, body in messages:
            try:
                if refusal := properties.refusal():
                    raise refusal
                header = decode_sent_header(body, properties.headers or {})
            except InvalidMessageError as error:
                self._wait([self._responses.report_unreadable((tag, properties, body), error, self._result)])
                queue.ack([tag])
                continue
            is_wanted = search.wanted is not None and search.wanted.note(header)
            if header.task_id in self._means.answered:
                chunk.answered.append(tag)
            elif header.state == STATE_DONE:
                chunk.done.append(Held(tag, properties, body, header))
            elif is_wanted or search.is_full:
                chunk.open.append(Held(tag, properties, body, header))
            elif self._counts_returns(queue):
                chunk.passed.append(Held(tag, properties, body, header))

    def _settle(self, chunk: _Chunk, verdicts: Sequence[Verdict], seen: set[str]) -> None:
        """Answer what is finished and put the rest where it belongs; `seen` are the tasks of these chunks that were."""
        queue, result = chunk.queue, self._result
        result.checked += chunk.size
        if chunk.size:
            queue.ensure_ours()  # the question may have taken long
        published: list[tuple[Held, str | None, Future[None]]] = []  # with the queue where it is now
        answered: list[Held] = []
        copies = list(chunk.answered)  # tags of further copies of a message that has been answered
        judged: list[tuple[Held, Verdict | None]] = [*zip(chunk.open, verdicts, strict=True)]
        judged += ((held, None) for held in chunk.done)
        for held, verdict in judged:
            if isinstance(verdict, Pending):
                self._note_keyless(held)
                place = chunk.search.place(held.header)
                if place != queue.name or not chunk.may_stay:
                    published.append((held, place, self._responses.put(held, place)))
            elif held.header.task_id in seen:
                copies.append(held.tag)
            else:
                seen.add(held.header.task_id)
                published.append((held, None, self._responses.publish(held, verdict, result)))
                if verdict is None or isinstance(verdict, Completed):
                    answered.append(held)
        self._wait([future for *_, future in published])
        result.moved += sum(target is None for _, target, _ in published)
        for held in answered:
            self._means.answered[held.header.task_id] = time.monotonic()
        queue.ack([held.tag for held, *_ in published])
        queue.ack(copies)
        for _, target, _ in published:
            self._means.moved(queue.name, target)

    def _pass_by(self, chunk: _Chunk) -> None:
        queue = chunk.queue
        if chunk.passed and not chunk.may_stay:
            queue.ensure_ours()
            self._wait([self._responses.put(held, queue.name) for held in chunk.passed])
            queue.ack([held.tag for held in chunk.passed])
        chunk.passed = []

    def _note_keyless(self, held: Held) -> None:
        if held.header.external_id is not None and HEADER_TASK_ID not in (held.properties.headers or {}):
            self._means.keyless.add(held.header.external_id)

    def _wait(self, futures: Sequence[Future[Any]]) -> None:
        try:
            self._taking.wait(futures)
        finally:
            self._responses.tell_confirmed()
