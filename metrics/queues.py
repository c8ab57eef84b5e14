"""Shows what only RabbitMQ knows, as far as somebody tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from core.texts import Text
from metrics.metric import QUEUE, Label, LabelValues, Metric, Series

MESSAGES = Metric(
    "task_creator_queue_messages",
    "gauge",
    Text("messages in the queue", "сообщения в очереди"),
    (QUEUE, Label("kind", ("ready", "unacked"))),
)
OLDEST = Metric(
    "task_creator_queue_oldest_message_age_seconds",
    "gauge",
    Text("the age of the oldest message in the queue", "возраст самого старого сообщения в очереди"),
    (QUEUE,),
)
CONSUMERS = Metric(
    "task_creator_queue_consumers",
    "gauge",
    Text("consumers of the queue, of all programs", "потребители очереди, всех программ"),
    (QUEUE,),
)
METRICS = (MESSAGES, OLDEST, CONSUMERS)


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """What is known of a queue; None where it is not. `oldest` in seconds."""

    ready: int | None = None
    unacked: int | None = None
    consumers: int | None = None
    oldest: float | None = None


AskQueues = Callable[[], Mapping[str, QueueFigures]]  # by the name of the queue


class QueueLooks:
    """What others tell at each look; its metrics are left out where nobody does."""

    def __init__(self, queues: AskQueues | None = None) -> None:
        self._queues = queues

    def series(self) -> Iterator[tuple[Metric, Series]]:
        if self._queues is not None:
            told = self._queues()
            both = (
                ((queue, kind), getattr(each, kind)) for queue, each in told.items() for kind in ("ready", "unacked")
            )
            yield MESSAGES, _known(both)
            yield OLDEST, _known(((queue,), each.oldest) for queue, each in told.items())
            yield CONSUMERS, _known(((queue,), each.consumers) for queue, each in told.items())


def _known(figures: Iterator[tuple[LabelValues, float | None]]) -> Series:
    return {labels: value for labels, value in figures if value is not None}
