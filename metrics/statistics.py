"""Shows the figures that the statistics hold already; nothing of them is counted a second time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from core.events.base import Event
from core.events.worker import QueueConsumed, QueueTracked
from core.stats import Statistics
from core.texts import Text
from metrics.metric import SYSTEM, Label, Metric, Series, system_of

STORED, NOT_STORED = "stored", "failed"
VIA = "poll"  # the one way so far by which a finished task is noticed

RECEIVED = Metric(
    "task_creator_messages_received_total",
    "counter",
    Text("deliveries taken, repeated ones too", "взятые доставки, и повторные"),
    (SYSTEM,),
)
RESULTS = Metric(
    "task_creator_results_total",
    "counter",
    Text("results put into the sent queue, or not", "результаты, сохранённые в очереди отправленных или нет"),
    (SYSTEM, Label("result", (STORED, NOT_STORED))),
)
STORED_RATIO = Metric(
    "task_creator_success_queue_ratio",
    "gauge",
    Text(
        "the share of the results that could be put into the sent queue, since the start: 1 is all",
        "доля результатов, сохранённых в очереди отправленных, с запуска: 1 – все",
    ),
)
COMPLETED = Metric(
    "task_creator_tasks_completed_total",
    "counter",
    Text("finished tasks whose answer Camunda's queue has", "завершённые задачи, ответ о которых в очереди Camunda"),
    (SYSTEM, Label("via", (VIA,))),
)
CHECKED = Metric(
    "task_creator_tracker_checked_total",
    "counter",
    Text(
        "messages of the sent queue that a tracker was asked about",
        "сообщения очереди отправленных, о которых спросили трекер",
    ),
    (SYSTEM,),
)
MOVED = Metric(
    "task_creator_tracker_moved_total",
    "counter",
    Text(
        "messages that have left the sent queue, with an answer or a report",
        "сообщения, ушедшие из очереди отправленных, с ответом или отчётом",
    ),
    (SYSTEM,),
)
ERRORS = Metric(
    "task_creator_tracker_errors_total",
    "counter",
    Text(
        "passes of the tracker that failed, and tasks that ended in a report",
        "неудачные проходы трекера и задачи, кончившиеся отчётом",
    ),
    (SYSTEM,),
)
LAST_CHECK = Metric(
    "task_creator_tracker_last_check_timestamp_seconds",
    "gauge",
    Text(
        "when the last pass ended, failed ones too; 0 before the first",
        "когда кончился последний проход, и неудачный; 0 до первого",
    ),
    (SYSTEM,),
)
METRICS = (RECEIVED, RESULTS, STORED_RATIO, COMPLETED, CHECKED, MOVED, ERRORS, LAST_CHECK)


class StatisticsFigures:
    """The statistics as metrics; a sink that hears which systems there are, so that their figures begin with zero."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._lock = threading.Lock()
        self._systems: set[str] = set()
        self._tracked: set[str] = set()

    def wants(self, kind: type[Event]) -> bool:
        return kind in {QueueConsumed, QueueTracked}

    def __call__(self, event: Event) -> None:
        with self._lock:
            match event:
                case QueueConsumed():
                    self._systems.add(system_of(event.queue))
                case QueueTracked():
                    self._tracked.add(system_of(event.queue))

    def series(self) -> Iterator[tuple[Metric, Series]]:
        snapshot = self._statistics.snapshot(time.time())
        with self._lock:
            systems = {name: snapshot["systems"].get(name, {}) for name in {*self._systems, *snapshot["systems"]}}
            trackers = {name: snapshot["trackers"].get(name, {}) for name in {*self._tracked, *snapshot["trackers"]}}
        yield RECEIVED, {(name,): each.get("total", 0) for name, each in systems.items()}
        yield RESULTS, dict(_results(systems))
        yield STORED_RATIO, {(): snapshot["success_queue_rate"] / 100}
        yield COMPLETED, {(name, VIA): each.get("completed", 0) for name, each in trackers.items()}
        for metric, figure in ((CHECKED, "checked"), (MOVED, "moved"), (ERRORS, "errors")):
            yield metric, {(name,): each.get(figure, 0) for name, each in trackers.items()}
        yield LAST_CHECK, {(name,): _seconds(each.get("last_check")) for name, each in trackers.items()}


def _results(systems: dict[str, Any]) -> Iterator[tuple[tuple[str, str], float]]:
    for name, figures in systems.items():
        yield (name, STORED), figures.get("sent_to_success_queue", 0)
        yield (name, NOT_STORED), figures.get("success_queue_failures", 0)


def _seconds(moment: str | None) -> float:
    return 0.0 if moment is None else datetime.fromisoformat(moment).timestamp()
