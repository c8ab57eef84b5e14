"""What the API itself tells Prometheus, beside what the worker tells it: its requests, and the errors that wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.operations import Operations
from control.client import UNANSWERED, Workers
from core.distributions import Distribution
from core.outcomes import Outcome
from core.texts import Text
from journal.states import State
from journal.store import StoreError
from metrics.error_codes import CLASSES, OTHER
from metrics.exposition import exposition
from metrics.metric import SYSTEM, Label, LabelValues, Metric, Series, Source

PATIENCE = 5.0  # seconds for the worker: Prometheus gives up after ten
STATUSES = ("2xx", "3xx", "4xx", "5xx")
NOWHERE = (OTHER, OTHER)  # method and route of what is no operation of the document

_CLASSES = (*CLASSES, OTHER)
_METHOD, _ROUTE = Label("method"), Label("route")
REQUESTS = Metric(
    "task_creator_http_requests_total",
    "counter",
    Text(
        "answers of the API that have begun; what is no operation of openapi.json is counted as other",
        "начатые ответы API; всё, что не является операцией openapi.json, считается как other",
    ),
    (_METHOD, _ROUTE, Label("status", STATUSES)),
)
DURATION = Metric(
    "task_creator_http_request_duration_seconds",
    "histogram",
    Text(
        "from a request of the API until its answer begins; a stream of events is open for longer",
        "от запроса к API до начала ответа; поток событий открыт дольше",
    ),
    (_METHOD, _ROUTE),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
REACHABLE = Metric(
    "task_creator_worker_reachable",
    "gauge",
    Text(
        "1 while a worker answers the API; with 0 there are no metrics of the worker",
        "1, пока воркер отвечает API; при 0 метрик воркера нет",
    ),
)
ERRORS_WAITING = Metric(
    "task_creator_errors_waiting",
    "gauge",
    Text(
        "messages in the error queue that wait for a person, as the journal knows them; left out while it cannot be "
        "read; other: a system that is not configured, a class that is not kept",
        "сообщения очереди ошибок, ждущие человека, по журналу сообщений; нет, пока журнал не читается; other: система "
        "не настроена, класс не записан",
    ),
    (SYSTEM, Label("class", _CLASSES)),
)
METRICS = (REACHABLE, REQUESTS, DURATION, ERRORS_WAITING)


class RequestCounts:
    """Counts the answers. The series are those of the document's operations, so that no address makes one."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._lock = threading.Lock()
        self._answers: dict[LabelValues, float] = {}
        self._durations: dict[LabelValues, Distribution] = {}

    def add(self, method: str, path: str, status: int, seconds: float) -> None:
        place = self._operations.place_of(method, path) or NOWHERE
        with self._lock:
            self._begin()
            self._answers[*place, f"{status // 100}xx"] += 1
            self._durations[place].add(seconds)

    def series(self) -> Iterator[tuple[Metric, Series]]:
        with self._lock:
            self._begin()
            answers, durations = dict(self._answers), {place: each.copy() for place, each in self._durations.items()}
        yield REQUESTS, answers
        yield DURATION, durations

    def _begin(self) -> None:
        """Begin all series with zero, as soon as all operations are known."""
        if not self._durations:
            for place in (*self._operations.places(), NOWHERE):
                self._durations[place] = DURATION.distribution()
                self._answers.update(((*place, status), 0.0) for status in STATUSES)


class Measuring:
    """Middleware around everything else: what is refused before any operation is counted, too."""

    def __init__(self, app: ASGIApp, counts: RequestCounts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, is_answered = time.monotonic(), False

        def count(status: int) -> None:
            nonlocal is_answered
            if not is_answered:
                is_answered = True
                self._counts.add(scope["method"], scope["path"], status, time.monotonic() - begun)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:
            count(500)  # the answer is given outside
            raise


class ErrorsWaiting:
    """What the journal has of the error queue. `ask` gives the counts of JournalReader, and may raise StoreError."""

    def __init__(self, ask: Callable[[], Mapping[tuple[str, State, str | None], int]], systems: Sequence[str]) -> None:
        self._ask = ask
        self._systems = (*systems, OTHER)

    def series(self) -> Iterator[tuple[Metric, Series]]:
        counts: dict[LabelValues, float] = {(system, class_): 0.0 for system in self._systems for class_ in _CLASSES}
        try:
            found = self._ask()
        except StoreError:
            return  # zero would say that nobody has to do anything
        for (system, state, outcome), count in found.items():
            counts[system if system in self._systems else OTHER, _class_of(state, outcome)] += count
        yield ERRORS_WAITING, counts


class WorkerMetrics:
    """What the worker tells, asked through its socket; of two that share a state directory, of one."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def ask(self) -> str | None:
        """Return its exposition; None where no worker answers."""
        try:
            text: str = self._workers.ask("metrics")[0]
        except UNANSWERED:
            return None
        return text


def all_of(of_worker: str | None, sources: Sequence[Source]) -> str:
    """Return what the worker tells, and what is told here."""
    return (of_worker or "") + exposition([_Reach(of_worker is not None), *sources]).decode()


class _Reach:
    def __init__(self, is_reachable: bool) -> None:
        self._is_reachable = is_reachable

    def series(self) -> Iterator[tuple[Metric, Series]]:
        yield REACHABLE, {(): float(self._is_reachable)}


def _class_of(state: State, outcome: str | None) -> str:
    """Return the class by which it is counted: of a task that a person has deleted or declined none is kept."""
    if state is State.REJECTED:
        return Outcome.BUSINESS
    return outcome if outcome in _CLASSES else OTHER
