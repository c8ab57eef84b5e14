"""Counts what becomes of the messages that the worker publishes."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from typing import get_args

from core.distributions import Distribution
from core.events.base import Event
from core.events.publishing import Published, PublishFailed, PublishFault
from core.events.worker import QueueConsumed
from core.texts import Text
from metrics.metric import QUEUE, Label, LabelValues, Metric, Series

CONFIRMED = "confirmed"
RESULTS = (CONFIRMED, *get_args(PublishFault))
OTHER = "other"  # where messages are re-routed to, beyond this worker's queues
_WAIT_QUEUE = re.compile(r"(?P<queue>.+\.retry)\.\d+ms")

PUBLISHES = Metric(
    "task_creator_publishes_total",
    "counter",
    Text(
        "messages that RabbitMQ has confirmed, and tries that failed and are repeated: refused, no such queue, no "
        "confirm before the channel was lost; the wait queues of a queue are counted together",
        "сообщения, подтверждённые RabbitMQ, и неудачные попытки, которые повторяются: отказ, нет очереди, нет "
        "подтверждения до потери канала; очереди ожидания одной очереди считаются вместе",
    ),
    (QUEUE, Label("result", RESULTS)),
)
DURATION = Metric(
    "task_creator_publish_duration_seconds",
    "histogram",
    Text(
        "until the confirm; of messages that are confirmed together the slowest one counts",
        "до подтверждения; из подтверждённых вместе считается самое медленное",
    ),
    (QUEUE,),
    (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0),
)
METRICS = (PUBLISHES, DURATION)


class PublishCounts:
    """A sink of the event stream. `sent_queue_of` an input queue; `common`: the queues of all systems."""

    def __init__(self, sent_queue_of: Callable[[str], str], common: Collection[str]) -> None:
        self._sent_queue_of = sent_queue_of
        self._lock = threading.Lock()
        self._counts: defaultdict[LabelValues, float] = defaultdict(float)
        self._durations: defaultdict[LabelValues, Distribution] = defaultdict(DURATION.distribution)
        self._known: set[str] = set()
        self._know(*common, OTHER)

    def wants(self, kind: type[Event]) -> bool:
        return kind in {Published, PublishFailed, QueueConsumed}

    def __call__(self, event: Event) -> None:
        with self._lock:
            match event:
                case Published():
                    queue = self._name(event.queue)
                    self._counts[queue, CONFIRMED] += event.count
                    self._durations[queue,].add(event.seconds)
                case PublishFailed():
                    self._counts[self._name(event.queue), event.result] += 1
                case QueueConsumed():
                    queue = event.queue
                    self._know(queue, f"{queue}.retry", self._sent_queue_of(queue))

    def series(self) -> Iterator[tuple[Metric, Series]]:
        with self._lock:
            counts = dict(self._counts)
            durations = {labels: each.copy() for labels, each in self._durations.items()}
        yield PUBLISHES, counts
        yield DURATION, durations

    def _know(self, *queues: str) -> None:
        for queue in queues:
            self._known.add(queue)
            self._durations.setdefault((queue,), DURATION.distribution())
            for result in RESULTS:
                self._counts[queue, result] += 0

    def _name(self, queue: str) -> str:
        if queue in self._known:
            return queue
        found = _WAIT_QUEUE.fullmatch(queue)
        return found["queue"] if found and found["queue"] in self._known else OTHER
