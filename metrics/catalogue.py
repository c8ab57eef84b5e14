"""Lists all metrics of the worker; the operator's list is made of them."""

from __future__ import annotations

from metrics import messages, publishing, queues, statistics, systems, tracking, worker
from metrics.metric import Metric

METRICS: tuple[Metric, ...] = (
    *worker.METRICS,
    *statistics.METRICS,
    *messages.METRICS,
    *systems.METRICS,
    *tracking.METRICS,
    *publishing.METRICS,
    *queues.METRICS,
)
