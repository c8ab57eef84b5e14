"""Shows how each outside system is: its state, what stands in the hands of its handler, its requests."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, get_args

from core.alerts import SILENCE
from core.distributions import Distribution
from core.events.base import Event
from core.events.messages import PartDown
from core.events.systems import Swept
from core.events.worker import QueueConsumed, QueueSkipped
from core.outcomes import Outcome
from core.pauses import Pauses
from core.request_figures import BOUNDS, OPERATIONS, STATUSES, RequestFigures
from core.texts import Text
from metrics.metric import SYSTEM, Label, LabelValues, Metric, Series, system_of

State = Literal["ok", "degraded", "down", "paused", "unconfigured"]
STATES: tuple[State, ...] = get_args(State)
BREAKERS = (Outcome.OUTAGE, Outcome.CONFIGURATION)

STATE = Metric(
    "task_creator_system_state",
    "gauge",
    Text(
        "1 for the state in which the system is: usable; usable but for a part of it or for its tracker; not usable; "
        "paused by a person; without settings",
        "1 у того состояния, в котором система: доступна; доступна, кроме её части или трекера; недоступна; "
        "остановлена человеком; не настроена",
    ),
    (SYSTEM, Label("state", STATES)),
)
BREAKER = Metric(
    "task_creator_circuit_breaker_open",
    "gauge",
    Text(
        "1 while the worker takes no messages because the system cannot be used, and why",
        "1, пока воркер не берёт сообщений, потому что система недоступна, и почему",
    ),
    (SYSTEM, Label("class", BREAKERS)),
)
IN_PROGRESS = Metric(
    "task_creator_messages_in_progress",
    "gauge",
    Text("messages that a handler has in hand", "сообщения в руках обработчика"),
    (SYSTEM,),
)
REQUESTS = Metric(
    "task_creator_external_requests_total",
    "counter",
    Text(
        "requests over HTTP, of handler and tracker; a write is one that must not be done twice",
        "запросы по HTTP, обработчика и трекера; write – тот, что нельзя выполнить дважды",
    ),
    (SYSTEM, Label("operation", OPERATIONS), Label("status", STATUSES)),
)
REQUEST_DURATION = Metric(
    "task_creator_external_request_duration_seconds",
    "histogram",
    Text("how long requests over HTTP took", "сколько длились запросы по HTTP"),
    (SYSTEM, Label("operation", OPERATIONS)),
    BOUNDS,
)
THROTTLED = Metric(
    "task_creator_external_throttled_seconds_total",
    "counter",
    Text("time in which requests waited for the system's limit", "время, когда запросы ждали из-за лимита системы"),
    (SYSTEM,),
)
METRICS = (STATE, BREAKER, IN_PROGRESS, REQUESTS, REQUEST_DURATION, THROTTLED)


class SystemStates:
    """A sink of the event stream: which systems there are, and which of them are not as they should be."""

    def __init__(self, pauses: Pauses, clock: Callable[[], float] = time.monotonic) -> None:
        self._pauses = pauses
        self._clock = clock
        self._lock = threading.Lock()
        self._used: dict[str, None] = {}  # in their order
        self._unused: dict[str, None] = {}
        self._part_met: dict[str, float] = {}  # when a message has met a part that is down
        self._untracked: set[str] = set()  # whose last sweep has failed

    def wants(self, kind: type[Event]) -> bool:
        return kind in {QueueConsumed, QueueSkipped, PartDown, Swept}

    def __call__(self, event: Event) -> None:
        with self._lock:
            match event:
                case QueueConsumed():
                    self._used[system_of(event.queue)] = None
                case QueueSkipped(what="consumed"):
                    self._unused[system_of(event.queue)] = None
                case PartDown():
                    self._part_met[event.system] = self._clock()
                case Swept(reason=None):
                    self._untracked.discard(event.system)
                case Swept():
                    self._untracked.add(event.system)

    def series(self) -> Iterator[tuple[Metric, Series]]:
        with self._lock:
            states = {system: self._state(system) for system in self._used}
            for system in self._unused:
                states.setdefault(system, "unconfigured")
            used = tuple(self._used)
        yield STATE, {(system, each): float(state == each) for system, state in states.items() for each in STATES}
        yield BREAKER, dict(self._breakers(used))

    def _state(self, system: str) -> State:
        if self._pauses.hold_of(system) is not None:
            return "paused"
        if self._pauses.of(system) is not None:
            return "down"
        met = self._part_met.get(system)
        is_partly_down = met is not None and self._clock() - met < SILENCE
        return "degraded" if is_partly_down or system in self._untracked else "ok"

    def _breakers(self, systems: Sequence[str]) -> Iterator[tuple[LabelValues, float]]:
        for system in systems:
            pause = self._pauses.of(system)
            for outcome in BREAKERS:
                yield (system, outcome), float(pause is not None and pause.outcome == outcome)


class SystemFigures:
    """What handlers and trackers hold themselves. `in_progress` is asked at each look; `requests` by system."""

    def __init__(
        self, in_progress: Callable[[], Mapping[str, int]], requests: Mapping[str, Sequence[RequestFigures]]
    ) -> None:
        self._in_progress = in_progress
        self._requests = requests

    def series(self) -> Iterator[tuple[Metric, Series]]:
        yield IN_PROGRESS, {(system,): float(count) for system, count in self._in_progress().items()}
        counts: defaultdict[LabelValues, float] = defaultdict(float)
        throttled: defaultdict[LabelValues, float] = defaultdict(float)
        durations: dict[LabelValues, Distribution] = {}
        for system, parts in self._requests.items():
            for part in parts:
                figures = part.so_far()
                throttled[system,] += figures.throttled
                for (operation, status), count in figures.counts.items():
                    counts[system, operation, status] += count
                for operation, each in figures.durations.items():
                    known = durations.get((system, operation))
                    durations[system, operation] = each if known is None else known + each
        yield REQUESTS, counts
        yield REQUEST_DURATION, durations
        yield THROTTLED, throttled
