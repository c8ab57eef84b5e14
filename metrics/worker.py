"""Shows how the worker itself is: its version, its connections, its journal, its alerts, the files of its secrets."""

from __future__ import annotations

import platform
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Protocol, get_args

from core.events.alerts import AlertsDropped, AlertsSent, AlertsUnsent, Way
from core.events.base import Event
from core.events.connections import ConnectionLost, ConnectionOpened, RabbitMQUnreachable
from core.texts import Text
from core.version import VERSION
from metrics.metric import Label, LabelValues, Metric, Series

CONNECTIONS = ("consumer", "publisher")
WAYS: tuple[Way, ...] = get_args(Way)
SENT, UNSENT, DROPPED = "sent", "failed", "dropped"

BUILD = Metric("task_creator_build_info", "gauge", Text("always 1", "всегда 1"), (Label("version"), Label("python")))
UP_SINCE = Metric(
    "task_creator_up_since_timestamp_seconds",
    "gauge",
    Text("when the worker was started", "когда воркер запущен"),
)
READY = Metric(
    "task_creator_ready",
    "gauge",
    Text(
        "1 while all queues are consumed and RabbitMQ takes messages",
        "1, пока все очереди читаются и RabbitMQ принимает сообщения",
    ),
)
CONNECTED = Metric(
    "task_creator_rabbitmq_connected",
    "gauge",
    Text("1 while the connection is open", "1, пока соединение открыто"),
    (Label("connection", CONNECTIONS),),
)
RECONNECTS = Metric(
    "task_creator_rabbitmq_reconnects_total",
    "counter",
    Text("how often a connection was opened again", "сколько раз соединение открыто заново"),
    (Label("connection", CONNECTIONS),),
)
ALERTS = Metric(
    "task_creator_alerts_sent_total",
    "counter",
    Text(
        "alerts that were sent, that failed at a try, that were given up",
        "уведомления отправленные, не прошедшие с попытки, отброшенные",
    ),
    (Label("channel", WAYS), Label("result", (SENT, UNSENT, DROPPED))),
)
JOURNAL_BYTES = Metric(
    "task_creator_journal_bytes",
    "gauge",
    Text("the journal's file on the disk; not of a database", "файл журнала на диске; не для базы данных"),
)
JOURNAL_ERRORS = Metric(
    "task_creator_journal_write_errors_total",
    "counter",
    Text("failed tries to write into the journal", "неудачные попытки писать в журнал"),
)
SETTINGS = Metric(
    "task_creator_config_last_reload_successful",
    "gauge",
    Text(
        "0 while the file of a secret cannot be used and the last good secret is; all else is read at a start",
        "0, пока файл секрета не годится и используется прежний секрет; всё прочее читается при запуске",
    ),
)
METRICS = (BUILD, UP_SINCE, READY, CONNECTED, RECONNECTS, ALERTS, JOURNAL_BYTES, JOURNAL_ERRORS, SETTINGS)


class ConnectionCounts:
    """A sink of the event stream: the worker's two lasting connections. Those of the sweeps come and go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: Counter[str] = Counter()
        self._open: set[str] = set()

    def wants(self, kind: type[Event]) -> bool:
        return kind in {ConnectionOpened, ConnectionLost, RabbitMQUnreachable}

    def __call__(self, event: Event) -> None:
        with self._lock:
            match event:
                case ConnectionOpened():
                    self._opened[_short(event.connection)] += 1
                    self._open.add(_short(event.connection))
                case ConnectionLost() | RabbitMQUnreachable():
                    self._open.discard(_short(event.connection))

    def series(self) -> Iterator[tuple[Metric, Series]]:
        with self._lock:
            yield CONNECTED, {(name,): float(name in self._open) for name in CONNECTIONS}
            yield RECONNECTS, {(name,): float(max(0, self._opened[name] - 1)) for name in CONNECTIONS}


class AlertCounts:
    """A sink of the event stream: the fate of alerts, by the kind of the channel."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[LabelValues, float] = {
            (way, result): 0.0 for way in WAYS for result in (SENT, UNSENT, DROPPED)
        }

    def wants(self, kind: type[Event]) -> bool:
        return kind in {AlertsSent, AlertsUnsent, AlertsDropped}

    def __call__(self, event: Event) -> None:
        with self._lock:
            match event:
                case AlertsSent():
                    self._counts[event.way, SENT] += event.count
                case AlertsUnsent():
                    self._counts[event.way, UNSENT] += event.count
                case AlertsDropped():
                    self._counts[event.way, DROPPED] += event.count

    def series(self) -> Iterator[tuple[Metric, Series]]:
        with self._lock:
            yield ALERTS, dict(self._counts)


class Journal(Protocol):
    """What is asked of the journal. `errors`: tries that its store has failed."""

    @property
    def errors(self) -> int: ...

    def size(self) -> int | None: ...


class WorkerFigures:
    """What is asked at each look. `started_at` in unix seconds; `is_stale`: a secret's file cannot be used now."""

    def __init__(
        self,
        started_at: float,
        *,
        is_ready: Callable[[], bool],
        is_stale: Callable[[], bool],
        journal: Journal | None,
    ) -> None:
        self._started_at = started_at
        self._is_ready = is_ready
        self._is_stale = is_stale
        self._journal = journal

    def series(self) -> Iterator[tuple[Metric, Series]]:
        yield BUILD, {(VERSION, platform.python_version()): 1.0}
        yield UP_SINCE, {(): self._started_at}
        yield READY, {(): float(self._is_ready())}
        yield SETTINGS, {(): float(not self._is_stale())}
        if self._journal is not None:
            size = self._journal.size()
            if size is not None:
                yield JOURNAL_BYTES, {(): float(size)}
            yield JOURNAL_ERRORS, {(): float(self._journal.errors)}


def _short(connection: str) -> str:
    return connection.removeprefix("rabbitmq-")
