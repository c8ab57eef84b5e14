"""Counts what the trackers do: the specification's figures, and how long and how dear a pass is."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator

from core.distributions import Distribution
from core.events.base import Event
from core.events.systems import Swept
from core.events.worker import QueueTracked
from core.texts import Text
from metrics.metric import SYSTEM, LabelValues, Metric, Series, system_of

TRACKED = Metric(
    "task_creator_tracked_tasks",
    "gauge",
    Text(
        "messages left in the sent queue after the last pass: created tasks that are not finished",
        "сообщения, оставшиеся в очереди отправленных после последнего прохода: созданные незавершённые задачи",
    ),
    (SYSTEM,),
)
PASS_DURATION = Metric(
    "task_creator_tracker_pass_duration_seconds",
    "histogram",
    Text("one pass through the sent queue", "один проход по очереди отправленных"),
    (SYSTEM,),
    (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
LAST_SUCCESS = Metric(
    "task_creator_tracker_last_success_timestamp_seconds",
    "gauge",
    Text(
        "when a pass has come through last; until the first one the start of the worker",
        "когда проход удался в последний раз; до первого – запуск воркера",
    ),
    (SYSTEM,),
)
INTERVAL = Metric(
    "task_creator_tracker_interval_seconds",
    "gauge",
    Text("the pause between two passes", "пауза между проходами"),
    (SYSTEM,),
)
CALLS = Metric(
    "task_creator_tracker_calls_total",
    "counter",
    Text(
        "questions that the tracker was asked, each about many tasks; what they cost the system is told by "
        "task_creator_external_requests_total",
        "вопросы трекеру, каждый о многих задачах; сколько это стоило системе, говорит "
        "task_creator_external_requests_total",
    ),
    (SYSTEM,),
)
METRICS = (TRACKED, PASS_DURATION, LAST_SUCCESS, INTERVAL, CALLS)


class TrackerCounts:
    """A sink of the event stream. `started_at` in unix seconds, `interval` in seconds."""

    def __init__(self, started_at: float, interval: float) -> None:
        self._started_at = started_at
        self._interval = interval
        self._lock = threading.Lock()
        self._tracked: dict[LabelValues, float] = {}
        self._last_success: dict[LabelValues, float] = {}
        self._calls: defaultdict[LabelValues, float] = defaultdict(float)
        self._durations: defaultdict[LabelValues, Distribution] = defaultdict(PASS_DURATION.distribution)

    def wants(self, kind: type[Event]) -> bool:
        return kind in {Swept, QueueTracked}

    def __call__(self, event: Event) -> None:
        with self._lock:
            match event:
                case Swept():
                    self._swept(event)
                case QueueTracked():
                    labels = (system_of(event.queue),)
                    self._tracked[labels] = 0.0
                    self._last_success[labels] = self._started_at
                    self._calls[labels] += 0
                    self._durations.setdefault(labels, PASS_DURATION.distribution())

    def series(self) -> Iterator[tuple[Metric, Series]]:
        with self._lock:
            tracked, last_success, calls = dict(self._tracked), dict(self._last_success), dict(self._calls)
            durations = {labels: each.copy() for labels, each in self._durations.items()}
        yield TRACKED, tracked
        yield PASS_DURATION, durations
        yield LAST_SUCCESS, last_success
        yield INTERVAL, dict.fromkeys(last_success, self._interval)
        yield CALLS, calls

    def _swept(self, event: Swept) -> None:
        labels = (event.system,)
        self._durations[labels].add(event.seconds)
        self._calls[labels] += event.calls
        if event.left is not None:
            self._tracked[labels] = event.left
        if event.reason is None:
            self._last_success[labels] = event.at
