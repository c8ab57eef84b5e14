"""What the operations of one API share: the desk, the tokens, what was asked a moment ago, the jobs."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from api import event_stream
from api.hook_inbox import HookInbox
from api.hook_metrics import HookMetrics
from api.hook_settings import HookSettings
from api.idempotency import Answers
from api.jobs import Jobs
from api.message_models import event
from api.metrics import PATIENCE as WORKER_PATIENCE
from api.metrics import ErrorsWaiting, WorkerMetrics
from api.models import masked
from api.problems import Problem
from api.streams import Pace, Streams, Told
from api.tokens import Tokens
from control.client import Workers
from core.texts import Text
from journal.reading import JournalReader
from journal.records import OccurrenceRecord
from journal.store import NoJournalError
from metrics.metric import Source
from operation.desk import Desk
from operation.standing import StatusReport, standing_of

UNSAFE_PER_MINUTE = 60  # requests of one token that do something
RECENT = 1.0  # seconds for which an answer of the worker and of RabbitMQ is good enough
PATIENCE = 10.0  # seconds for the queue to be free

_T = TypeVar("_T")


class Recent(Generic[_T]):
    """Asks once for all who want to know at the same time: more clients are no more questions."""

    def __init__(self, ask: Callable[[], _T], seconds: float = RECENT) -> None:
        self._ask = ask
        self._seconds = seconds
        self._lock = threading.Lock()
        self._told: tuple[float, _T] | None = None

    def get(self) -> _T:
        with self._lock:
            if self._told is None or time.monotonic() - self._told[0] > self._seconds:
                value = self._ask()
                self._told = (time.monotonic(), value)
            return self._told[1]

    def forget(self) -> None:
        self._told = None


class Limiter:
    """Counts what each token has done within the last minute. Thread-safe: a look may be counted as a change is."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def count(self, name: str) -> None:
        """Raises Problem when it is too much."""
        with self._lock:
            self._count(name)

    def _count(self, name: str) -> None:
        now = time.monotonic()
        times = self._times.setdefault(name, deque())
        while times and times[0] < now - 60:
            times.popleft()
        if len(times) >= self._most:
            text = Text(f"more than {self._most} changes a minute", f"больше {self._most} изменений в минуту")
            raise Problem(429, "too-many-requests", text, retry_after=int(times[0] + 60 - now) + 1)
        times.append(now)


class Walks:
    """One walk through the error queue at a time: two would see half of it each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def one(self, patience: float = PATIENCE) -> Iterator[None]:
        """Raises Problem when somebody else is in the queue for longer than `patience` (seconds)."""
        if not self._lock.acquire(timeout=patience):
            text = Text(
                "the error queue is being worked on; its jobs say how far they are",
                "с очередью ошибок сейчас работают; задания скажут, сколько сделано",
            )
            raise Problem(503, "queue-busy", text, retry_after=int(PATIENCE))
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def turn(self, stop: threading.Event) -> Iterator[bool]:
        """Wait for the queue until `stop`; yield whether it is ours."""
        is_ours = False
        while not is_ours and not stop.is_set():
            is_ours = self._lock.acquire(timeout=0.5)
        try:
            yield is_ours
        finally:
            if is_ours:
                self._lock.release()


@dataclass(slots=True)
class Context:
    desk: Desk
    tokens: Tokens
    limiter: Limiter
    standing: Recent[StatusReport]
    streams: Streams
    worker_metrics: Recent[str | None]
    figures: list[Source]  # what /metrics adds to those of the worker
    hook_settings: HookSettings
    hook_metrics: HookMetrics
    hooks: HookInbox
    walks: Walks = field(default_factory=Walks)
    jobs: Jobs = field(default_factory=Jobs)
    answers: Answers = field(default_factory=Answers)

    @classmethod
    def of(cls, desk: Desk, tokens: Tokens, unsafe_per_minute: int, pace: Pace) -> Context:
        systems = [queue.removesuffix(".queue") for queue in desk.settings.worker.queue_handlers]
        hook_metrics = HookMetrics()
        return cls(
            desk,
            tokens,
            Limiter(unsafe_per_minute),
            Recent(lambda: standing_of(desk)),
            _streams_of(desk, pace),
            Recent(WorkerMetrics(Workers(desk.settings.worker.state_dir, WORKER_PATIENCE)).ask),
            [ErrorsWaiting(Recent(lambda: _journal_of(desk).errors_waiting()).get, systems), hook_metrics],
            desk.settings.for_system(HookSettings),
            hook_metrics,
            HookInbox(desk.workers, hook_metrics),
        )

    @property
    def journal(self) -> JournalReader:
        """Raises NoJournalError where there is none, StoreError where it cannot be used."""
        return _journal_of(self.desk)

    def masked(self, answer: Any) -> Any:
        return masked(answer, self.desk.mask)


def _journal_of(desk: Desk) -> JournalReader:
    if (journal := desk.journal) is None:
        raise NoJournalError(Text("there is no journal", "журнала сообщений нет"))
    return journal


def _streams_of(desk: Desk, pace: Pace) -> Streams:
    def tell(record: OccurrenceRecord) -> Told:
        said = masked(event(record), desk.mask)
        return event_stream.told(record.id, said.code, said.model_dump_json())

    return Streams(lambda: _journal_of(desk), tell, lambda text: event_stream.trouble(text.map(desk.mask)), pace)
