"""Builds the metrics of the worker: the counts that hear its events, and what is asked at each look."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from prometheus_client import CollectorRegistry

from base_handler import BaseMessageHandler
from base_tracker import BaseTracker
from broker.queue_depths import QueueDepths
from broker.topology import ERRORS_QUEUE
from config import Settings
from core.events.base import Event
from core.pauses import Pauses
from core.stats import Statistics
from journal.writer import Journal
from message_processor import MessageProcessor
from metrics.exposition import Metrics
from metrics.messages import MessageCounts
from metrics.metric import Source
from metrics.publishing import PublishCounts
from metrics.queues import QueueFigures, QueueLooks
from metrics.statistics import StatisticsFigures
from metrics.systems import SystemFigures, SystemStates
from metrics.tracking import TrackerCounts
from metrics.worker import AlertCounts, ConnectionCounts, WorkerFigures
from settings.secret_files import FileSecret


class Counts(Source, Protocol):
    """A source of figures that is a sink of the event stream."""

    def wants(self, kind: type[Event]) -> bool: ...

    def __call__(self, event: Event) -> None: ...


def make_counts(settings: Settings, statistics: Statistics, pauses: Pauses, started_at: float) -> tuple[Counts, ...]:
    """Build what must hear every event from the first one on. `started_at` in unix seconds."""
    worker = settings.worker
    return (
        StatisticsFigures(statistics),
        MessageCounts(),
        SystemStates(pauses),
        TrackerCounts(started_at, worker.heartbeat_interval),
        PublishCounts(worker.sent_queue_of, (settings.rabbitmq.responses_queue, ERRORS_QUEUE)),
        ConnectionCounts(),
        AlertCounts(),
    )


def make_metrics(
    counts: Sequence[Source],
    settings: Settings,
    started_at: float,
    *,
    is_ready: Callable[[], bool],
    journal: Journal | None,
    processors: Sequence[MessageProcessor],
    trackers: Mapping[str, BaseTracker],
    depths: QueueDepths | None = None,
) -> Metrics:
    """Join the counts with what is asked. `trackers` by system."""
    secrets = [secret for secret in settings.secrets() if isinstance(secret, FileSecret)]
    handlers = {each.consumed.system: each.consumed.handler for each in processors}
    parts: dict[str, list[BaseMessageHandler | BaseTracker]] = {name: [handler] for name, handler in handlers.items()}
    for system, tracker in trackers.items():
        parts.setdefault(system, []).append(tracker)
    sources = (
        WorkerFigures(
            started_at,
            is_ready=is_ready,
            is_stale=lambda: any(secret.is_stale() for secret in secrets),
            journal=journal,
        ),
        *counts,
        SystemFigures(
            lambda: {each.consumed.system: each.in_progress() for each in processors},
            {
                system: [figures for part in both for figures in part.request_figures()]
                for system, both in parts.items()
            },
        ),
        QueueLooks(None if depths is None else partial(_figures, depths)),
    )
    return Metrics(sources, CollectorRegistry())


def _figures(depths: QueueDepths) -> dict[str, QueueFigures]:
    now = time.time()
    return {
        queue: QueueFigures(
            ready=depth.messages,
            consumers=depth.consumers,
            oldest=None if depth.oldest_since is None else max(0.0, now - depth.oldest_since),
        )
        for queue, depth in depths.latest().items()
    }
