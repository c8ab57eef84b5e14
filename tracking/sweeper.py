"""Runs one sweep of a sent queue: ask what has been finished, answer it, hold nothing.

A full sweep takes every message once and asks the system about each, in bulk. That is what up to one `chunk_size` of
open tasks get each time, and more at start, every `full_sweep_interval`, and whenever the tracker cannot say what has
changed. In between the tracker is asked which tasks may have been finished: with none, no message moves that has been
seen before; otherwise only the shards of those tasks are skimmed (tracking.shards; without shards the whole queue), and
only the messages of those tasks are asked about.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack

from base_tracker import ChangedTask, Changes
from broker.errors import TopologyError, describe_in_both
from broker.nodes import Parameters
from broker.taken_queue import Taking, TakingInterruptedError
from broker.topology import Topology
from broker.undeliverable import Undeliverable
from core.envelopes import SentHeader
from core.events.base import EventStream
from core.events.systems import LargeQueueSwept, ShardsRefused, TasksSpread
from rabbitmq_publisher import RabbitMQPublisher
from tracking.asking import Asking, UnansweredError
from tracking.changed_tasks import ChangedTasks, SoughtTasks
from tracking.passage import Means, Passage, Search
from tracking.responses import Responses
from tracking.shards import Shards
from tracking.tracked_queue import SweepResult, TrackedQueue

__all__ = ["SweepResult", "Sweeper", "TrackedQueue"]

# A crash between a confirmed result and its ack leaves a second sent message: for this many seconds after the
# response it needs no second one. Later it is somebody's deliberate replay and is answered.
REMEMBER_ANSWERS = 900.0
MOST_OPEN = 8  # queues of which a sweep holds messages at the same time, each on a channel of its own
READY_POLL = 0.5  # seconds between looks at the stop flag while RabbitMQ takes no messages


class Sweeper:
    """Goes through one sent queue and its shards, on a connection of its own for each sweep. Used by one thread."""

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
        self._queue = tracked.queue
        self._events = events
        self._topology = topology
        self._parameters = parameters
        self._undeliverable = Undeliverable(parameters, publisher.publish, tracked.errors_queue, events)
        self._publisher = publisher
        self._is_stopping = is_stopping
        self._watch = ChangedTasks(tracked.full_sweep_interval)
        self._shards = Shards(tracked.queue, tracked.full_sweep_interval, tracked.shard_growth)
        self._means = Means(
            Asking(tracked.tracker, tracked.system),
            Responses(tracked, publisher, events),
            events,
            is_stopping,
            tracked.tracker.chunk_size,
            self._shards.moved,
        )
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
            told = self._means.asking.finished_among(external_ids, self._is_stopping)
        except UnansweredError as unanswered:
            raise unanswered.error from None
        if told is None:
            return True
        ours = self._watch.ours_among(told, self._means.answered)
        self._asked_for.extend(ours)
        return bool(ours)

    @property
    def chunk_size(self) -> int:
        return self._means.chunk_size

    @property
    def shards(self) -> tuple[str, ...]:
        """The queues beside the sent queue that may hold open tasks. From any thread."""
        return self._shards.in_use

    def sweep(self, result: SweepResult, *, woken: bool = False) -> None:
        """Sweep once and count into `result`.

        `woken`: a result that needs no person has been stored since the last sweep. Raises what the broker or the
        system raises; what is unsettled is back in its queue then.
        """
        self._done_is_expected = self._done_is_expected or woken
        self._forget_old_answers()
        # What is held until there is room for its copy or answer would be returned one day.
        while not self._publisher.wait_until_ready(READY_POLL):
            if self._is_stopping():
                raise TakingInterruptedError
        with Taking.opened(self._topology, self._parameters, self._is_stopping) as taking:
            ready = self._ready(taking)
            self._shards.look(taking)
            asked_before, spread_before = self._means.asking.calls, self._shards.total
            result.found = ready + spread_before
            try:
                if result.found > self.chunk_size:
                    self._sweep_large(taking, ready, result)
                else:
                    self._sweep_small(taking, ready, result)
            except UnansweredError as unanswered:
                raise unanswered.error from None
            finally:
                result.calls = self._means.asking.calls - asked_before
                if self._shards.total and not spread_before:
                    self._events.emit(TasksSpread(self._queue, self._shards.total))

    def is_large(self, result: SweepResult) -> bool:
        """Return whether the sweep has cost so much that the next one must not follow at once."""
        return result.taken > self.chunk_size

    def _ready(self, taking: Taking) -> int:
        ready = taking.ready([self._queue])[self._queue]
        if ready is None:
            self._means.counts_returns.pop(self._queue, None)
            taking.ensure([self._queue])
        return ready or 0

    def _sweep_large(self, taking: Taking, ready: int, result: SweepResult) -> None:
        began = time.monotonic()
        asking, mark = self._means.asking, self._watch.mark
        changes = asking.changes(taking.wait, mark) if mark is not None else None
        is_full = changes is None or self._watch.is_full_sweep_due()
        if changes is None:
            changes = asking.changes(taking.wait, None) or Changes((), None)
        while self._asked_for:
            self._watch.look_for([self._asked_for.popleft()])
        wanted = self._watch.wanted(changes.tasks, self._means.answered)
        # Who cannot tell what has changed looks at everything each time, wherever it lies.
        is_spread = changes.mark is not None and self._is_spread(taking, ready)
        if is_full or (self._shards.total and not is_spread):
            is_full, self._means.keyless = True, set()
            is_through = self._look_at_all(taking, ready, wanted, result, is_spread=is_spread)
        else:
            is_through = self._look_for(taking, ready, wanted, result, is_spread=is_spread)
        if not is_through:
            return
        if is_full or wanted or self._done_is_expected:
            counts = (result.taken, result.checked, result.completed)
            seconds = time.monotonic() - began
            self._events.emit(LargeQueueSwept(self._queue, *counts, is_full=is_full, seconds=seconds))
        self._done_is_expected = False
        self._watch.sweep_succeeded(changes.mark)
        if is_full:
            self._watch.full_sweep_succeeded(began, self._means.keyless)

    def _sweep_small(self, taking: Taking, ready: int, result: SweepResult) -> None:
        is_spread = self._is_spread(taking, ready)
        if self._look_at_all(taking, ready, None, result, is_spread=is_spread):
            self._done_is_expected = False
            self._asked_for.clear()  # all have been asked about

    def _is_spread(self, taking: Taking, ready: int) -> bool:
        """Return whether open tasks belong into the shards, which are made when they are first needed.

        They go back when they are half of what fills a chunk.
        """
        if not self._tracked.has_shards:
            return False
        if self._shards.total:
            if ready + self._shards.total <= self.chunk_size // 2:
                self._shards.count(taking)  # another worker may have filled them
            return ready + self._shards.total > self.chunk_size // 2
        if ready <= self.chunk_size:
            return False
        try:
            return self._shards.make(taking)
        except TopologyError as error:
            self._events.emit(ShardsRefused(self._queue, describe_in_both(error)))
            return False

    def _look_at_all(
        self, taking: Taking, ready: int, wanted: SoughtTasks | None, result: SweepResult, *, is_spread: bool
    ) -> bool:
        """Ask about every open task, and put each into its place; return False when that has ended before the end."""
        everything = Search(is_full=True, wanted=wanted, place=self._shards.of if is_spread else self._here)
        if wanted is not None and self._shards.in_use:
            self._shards.count(taking)
        # The shards come before the queue: what it puts into them has been asked about. The first one is the last to
        # become empty: somebody may take an empty one for useless, and it is by the first that shards are known.
        held = [name for name in reversed(self._shards.in_use) if self._shards.held(name)]
        queues = [*held, self._queue] if ready else held
        return self._go_through(taking, ((name, everything) for name in queues), result)

    def _look_for(
        self, taking: Taking, ready: int, wanted: SoughtTasks, result: SweepResult, *, is_spread: bool
    ) -> bool:
        """Look for tasks, and at all that is new; return False when that has ended before the end."""
        if not is_spread:
            is_needless = not wanted and not self._done_is_expected
            search = Search(is_full=False, wanted=wanted, place=self._here, to_the_end=self._done_is_expected)
            return is_needless or self._go_through(taking, [(self._queue, search)], result)
        return self._go_through(taking, self._searches(ready, wanted), result)

    def _searches(self, ready: int, wanted: SoughtTasks) -> Iterator[tuple[str, Search]]:
        for number, name in enumerate(self._shards.names):
            if part := wanted.in_shard(number):
                yield name, Search(is_full=False, wanted=part, place=self._shards.of)
        if ready:
            yield self._queue, Search(is_full=True, wanted=wanted, place=self._shards.of)

    def _go_through(self, taking: Taking, searches: Iterable[tuple[str, Search]], result: SweepResult) -> bool:
        passage, opened = Passage(taking, self._means, result), dict[str, int]()
        with self._undeliverable.taken_out(opened), ExitStack() as stack:
            for name, search in searches:
                if len(opened) == MOST_OPEN:
                    passage.settle()
                if passage.is_settled:
                    stack.pop_all().close()
                    opened.clear()
                queue = stack.enter_context(taking.queue(name))
                opened[name] = self.chunk_size
                if name != self._queue:
                    self._shards.opened(name, queue.ready)
                    self._know_type_of(name)
                if not passage.go_through(queue, search):
                    return False
            passage.settle()
        return True

    def _know_type_of(self, shard: str) -> None:
        """Spare RabbitMQ the question: the shards are made together, all of one type."""
        counts = self._means.counts_returns
        told = next((counts[name] for name in self._shards.names if name in counts), None)
        if told is not None:
            counts.setdefault(shard, told)

    def _here(self, _: SentHeader) -> str:
        return self._queue

    def _forget_old_answers(self) -> None:
        answered, oldest_kept = self._means.answered, time.monotonic() - REMEMBER_ANSWERS
        while answered and next(iter(answered.values())) < oldest_kept:
            answered.popitem(last=False)
