"""Counts the hooks, and what became of the tasks that they tell of."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Literal, get_args

from core.texts import Text
from metrics.metric import Label, Metric, Series

System = Literal["bitrix24", "openproject"]
Result = Literal["accepted", "ignored", "refused", "malformed", "too_large"]
Fate = Literal["handed", "unheard", "dropped"]

SYSTEMS: tuple[System, ...] = get_args(System)
_SOURCE = Label("source", SYSTEMS)
REQUESTS = Metric(
    "task_creator_hook_requests_total",
    "counter",
    Text(
        "webhooks of changed tasks; accepted: its task is asked about, ignored: genuine and of no interest, refused: "
        "forged or not configured",
        "вебхуки об изменённых задачах; accepted: о задаче спросят, ignored: настоящий, но не важен, refused: подделан "
        "или не настроен",
    ),
    (_SOURCE, Label("result", get_args(Result))),
)
TASKS = Metric(
    "task_creator_hook_tasks_total",
    "counter",
    Text(
        "tasks that webhooks told of, each once a batch; unheard: no worker took it, dropped: more came than are kept; "
        "sweeps find both",
        "задачи, о которых сказали вебхуки, по разу на пачку; unheard: воркер не взял, dropped: пришло больше, чем "
        "хранится; и те и другие найдёт проход трекера",
    ),
    (_SOURCE, Label("result", get_args(Fate))),
)
METRICS = (REQUESTS, TASKS)


class HookMetrics:
    """The counters, a source of metrics. Usable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, ...]] = Counter({(s, r): 0 for s in SYSTEMS for r in get_args(Result)})
        self._tasks: Counter[tuple[str, ...]] = Counter({(s, f): 0 for s in SYSTEMS for f in get_args(Fate)})

    def request(self, system: System, result: Result) -> None:
        with self._lock:
            self._requests[system, result] += 1

    def tasks(self, system: System, fate: Fate, count: int = 1) -> None:
        with self._lock:
            self._tasks[system, fate] += count

    def series(self) -> Iterator[tuple[Metric, Series]]:
        with self._lock:
            requests, tasks = dict(self._requests), dict(self._tasks)
        yield REQUESTS, {labels: float(count) for labels, count in requests.items()}
        yield TASKS, {labels: float(count) for labels, count in tasks.items()}
