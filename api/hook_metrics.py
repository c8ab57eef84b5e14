"""Counts the hooks, and what became of the tasks that they tell of."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Literal, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

Source = Literal["bitrix24", "openproject"]
# accepted: its task is asked about; ignored: genuine, of no interest; refused: forged or not configured
Result = Literal["accepted", "ignored", "refused", "malformed", "too_large"]
# handed: the worker knows; unheard: no worker took it; dropped: more came than are kept. Sweeps find the others.
Fate = Literal["handed", "unheard", "dropped"]

SOURCES: tuple[Source, ...] = get_args(Source)


class HookMetrics(Collector):
    """The counters, in a registry of the API. Usable from any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str]] = Counter({(s, r): 0 for s in SOURCES for r in get_args(Result)})
        self._tasks: Counter[tuple[str, str]] = Counter({(s, f): 0 for s in SOURCES for f in get_args(Fate)})
        registry.register(self)

    def request(self, source: Source, result: Result) -> None:
        with self._lock:
            self._requests[source, result] += 1

    def tasks(self, source: Source, fate: Fate, count: int = 1) -> None:
        with self._lock:
            self._tasks[source, fate] += count

    def collect(self) -> Iterator[Family]:
        with self._lock:
            requests, tasks = dict(self._requests), dict(self._tasks)
        yield _family("task_creator_hook_requests_total", "webhooks of changed tasks", requests)
        yield _family("task_creator_hook_tasks_total", "tasks that webhooks told of, each once a batch", tasks)


def _family(name: str, meaning: str, counts: dict[tuple[str, str], int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, meaning, labels=["source", "result"])
    for labels, count in counts.items():
        family.add_metric(labels, count)
    return family
