"""Counts what becomes of messages, from their delivery to the answer that Camunda gets."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args

from core.distributions import Distribution
from core.events.base import Event
from core.events.messages import (
    DeliveryLost,
    MessageFailed,
    MessageParked,
    MessageReceived,
    MessageRerouted,
    RetryScheduled,
    SentMessageUnreadable,
    TaskAccepted,
    TaskCompleted,
    TaskDone,
    TaskFound,
    TaskRejected,
)
from core.events.worker import QueueConsumed, QueueTracked
from core.outcomes import Outcome
from core.texts import Text
from metrics.error_codes import CLASSES, LISTED, STAGES, Stage, code_of, combinations
from metrics.metric import SYSTEM, Label, LabelValues, Metric, Series, system_of

# What a delivery has come to. `accepted` and `done` are words of core.outcomes; `rejected` is its `business`, `failed`
# its other ends in the error queue, `paused` its `outage` and `configuration`, `lost` its `lost`.
Result = Literal["accepted", "done", "duplicate", "rerouted", "retry", "paused", "rejected", "failed", "lost"]
RESULTS: tuple[Result, ...] = get_args(Result)
RETRIED = (Outcome.TRANSIENT, Outcome.PARTIAL_OUTAGE, Outcome.AMBIGUOUS)
ENDS = ("completed", "rejected")
_PAUSING = (Outcome.OUTAGE, Outcome.CONFIGURATION)

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0

REDELIVERED = Metric(
    "task_creator_messages_redelivered_total",
    "counter",
    Text("deliveries that a worker had held before", "доставки сообщений, которые воркер уже держал"),
    (SYSTEM,),
)
PROCESSED = Metric(
    "task_creator_messages_processed_total",
    "counter",
    Text(
        "what deliveries have come to, each counted once; results: when they are stored",
        "чем кончились доставки, каждая один раз; результаты – когда сохранены",
    ),
    (SYSTEM, Label("result", RESULTS)),
)
DURATION = Metric(
    "task_creator_message_process_duration_seconds",
    "histogram",
    Text(
        "from taking a delivery until it has come to that",
        "от получения доставки до того, чем она кончилась",
    ),
    (SYSTEM, Label("result", RESULTS)),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0),
)
ERRORS = Metric(
    "task_creator_message_errors_total",
    "counter",
    Text(
        "errors: of a handler, of tracked tasks that will not be finished, of responses that cannot be written; "
        "all codes but the listed ones are counted as other",
        "ошибки: обработчиков, отслеживаемых задач, которые не завершат, ответов, которые нельзя записать; коды, "
        "которых нет в списке, считаются как other",
    ),
    (SYSTEM, Label("stage", STAGES), Label("class", CLASSES), Label("code", LISTED)),
)
RETRIES = Metric(
    "task_creator_message_retries_total",
    "counter",
    Text("copies put into a wait queue for another try", "копии, положенные в очередь ожидания для новой попытки"),
    (SYSTEM, Label("class", RETRIED)),
)
WAIT = Metric(
    "task_creator_message_queue_wait_seconds",
    "histogram",
    Text(
        "from publishing (its AMQP timestamp, whole seconds) until a worker takes the message for the first time",
        "от публикации (её AMQP timestamp, целые секунды) до того, как воркер впервые взял сообщение",
    ),
    (SYSTEM,),
    (1.0, 2.0, 5.0, 10.0, 30.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 4 * _HOUR, _DAY),
)
LIFETIME = Metric(
    "task_creator_task_lifetime_seconds",
    "histogram",
    Text(
        "from the stored result to the answer to Camunda, or to the report that there will be none",
        "от сохранения результата до ответа Camunda или до отчёта, что ответа не будет",
    ),
    (SYSTEM, Label("outcome", ENDS)),
    (_MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 4 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY),
)
METRICS = (REDELIVERED, PROCESSED, DURATION, ERRORS, RETRIES, WAIT, LIFETIME)


class MessageCounts:
    """A sink of the event stream: what is told of every message costs one lock and one addition."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._redelivered: defaultdict[LabelValues, float] = defaultdict(float)
        self._errors: defaultdict[LabelValues, float] = defaultdict(float)
        self._retries: defaultdict[LabelValues, float] = defaultdict(float)
        self._durations: defaultdict[LabelValues, Distribution] = defaultdict(DURATION.distribution)
        self._waits: defaultdict[LabelValues, Distribution] = defaultdict(WAIT.distribution)
        self._lifetimes: defaultdict[LabelValues, Distribution] = defaultdict(LIFETIME.distribution)
        self._on: Mapping[type[Event], Callable[[Any], None]] = {
            MessageReceived: self._received,
            TaskAccepted: self._accepted,
            TaskDone: self._accepted,
            TaskFound: self._found,
            MessageFailed: self._failed,
            RetryScheduled: self._retried,
            MessageParked: self._parked,
            MessageRerouted: self._rerouted,
            DeliveryLost: self._lost,
            TaskCompleted: self._completed,
            TaskRejected: self._rejected,
            SentMessageUnreadable: self._unreadable,
            QueueConsumed: self._consumed,
            QueueTracked: self._tracked,
        }

    def wants(self, kind: type[Event]) -> bool:
        return kind in self._on

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._on[type(event)](event)

    def series(self) -> Iterator[tuple[Metric, Series]]:
        with self._lock:
            durations, waits, lifetimes = (
                {labels: each.copy() for labels, each in kept.items()}
                for kept in (self._durations, self._waits, self._lifetimes)
            )
            redelivered, errors, retries = dict(self._redelivered), dict(self._errors), dict(self._retries)
        yield REDELIVERED, redelivered
        yield PROCESSED, {labels: float(each.count) for labels, each in durations.items()}
        yield DURATION, durations
        yield ERRORS, errors
        yield RETRIES, retries
        yield WAIT, waits
        yield LIFETIME, lifetimes

    # -- what can happen to the messages of a system, counted from zero on

    def _consumed(self, event: QueueConsumed) -> None:
        system = system_of(event.queue)
        self._redelivered[system,] += 0
        self._waits.setdefault((system,), WAIT.distribution())
        for result in RESULTS:
            self._durations.setdefault((system, result), DURATION.distribution())
        for outcome in RETRIED:
            self._retries[system, outcome] += 0
        for combination in combinations("create"):
            self._errors[system, *combination] += 0

    def _tracked(self, event: QueueTracked) -> None:
        system = system_of(event.queue)
        for end in ENDS:
            self._lifetimes.setdefault((system, end), LIFETIME.distribution())
        for combination in combinations("track", "respond"):
            self._errors[system, *combination] += 0

    # -- what happens

    def _received(self, event: MessageReceived) -> None:
        if event.redelivered:
            self._redelivered[event.identity.system,] += 1
        if event.waited is not None:
            self._waits[event.identity.system,].add(event.waited)

    def _accepted(self, event: TaskAccepted | TaskDone) -> None:
        self._ended(event, "accepted" if event.created else "done")

    def _found(self, event: TaskFound) -> None:
        self._ended(event, "duplicate")

    def _failed(self, event: MessageFailed) -> None:
        self._count_error(event, "create")
        if event.outcome in _PAUSING:
            self._ended(event, "paused")

    def _retried(self, event: RetryScheduled) -> None:
        self._retries[event.identity.system, event.outcome] += 1
        self._ended(event, "retry")

    def _parked(self, event: MessageParked) -> None:
        self._ended(event, "rejected" if event.outcome is Outcome.BUSINESS else "failed")

    def _rerouted(self, event: MessageRerouted) -> None:
        self._ended(event, "rerouted")

    def _lost(self, event: DeliveryLost) -> None:
        self._ended(event, "lost")

    def _completed(self, event: TaskCompleted) -> None:
        self._finished(event, "completed")

    def _rejected(self, event: TaskRejected) -> None:
        self._count_error(event, "track" if event.outcome is Outcome.BUSINESS else "respond")
        self._finished(event, "rejected")

    def _unreadable(self, event: SentMessageUnreadable) -> None:
        code = code_of("respond", Outcome.PERMANENT, event.error_code)
        self._errors[event.identity.system, "respond", Outcome.PERMANENT, code] += 1

    def _ended(self, event: Any, result: Result) -> None:
        self._durations[event.identity.system, result].add(event.seconds)

    def _finished(self, event: TaskCompleted | TaskRejected, end: str) -> None:
        if event.lifetime is not None:
            self._lifetimes[event.identity.system, end].add(event.lifetime)

    def _count_error(self, event: MessageFailed | TaskRejected, stage: Stage) -> None:
        code = code_of(stage, event.outcome, event.error_code)
        self._errors[event.identity.system, stage, event.outcome, code] += 1
