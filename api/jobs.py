"""Long work on the error queue: each job is a thread of its own that somebody may look at, and stop."""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from api.problems import MISTAKE, Problem, problem_of
from broker.errors import BROKER_ERRORS
from core.events.base import write
from core.events.control import QuestionFailed
from core.texts import Text
from journal.reading import JournalReader
from journal.records import MessageRecord
from journal.store import StoreError
from operation.error_queue import Outcome
from operation.following import Fate, follow

Kind = Literal["retry", "archive", "restore"]
JobState = Literal["waiting", "moving", "following", "done", "stopped", "failed"]

MOST_RUNNING = 20
MOST_KEPT = 500  # jobs that have ended and can be looked at
FOLLOWED = 600.0  # seconds for which messages are followed
STOPPING = 20.0  # seconds for a job to come to its end
POLL = 1.0  # seconds between looks at what has become of them
_OPEN: tuple[Fate, ...] = ("unknown", "waiting")
_NO_JOURNAL = Text(
    "there is no journal: what becomes of them is not known", "журнала нет: что с ними станет, неизвестно"
)


@dataclass(slots=True)
class Job:
    """One job, written by its own thread alone. Times in unix seconds; `chosen` is what was there at the beginning."""

    kind: Kind
    by: str
    chosen: int
    total: int
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: float = field(default_factory=time.time)
    finished: float | None = None
    state: JobState = "waiting"
    looked_at: int = 0
    outcome: Outcome = field(default_factory=Outcome)
    fates: dict[str, Fate] = field(default_factory=dict)
    records: dict[str, MessageRecord] = field(default_factory=dict)
    error: Text | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def advance(self, done: int) -> None:
        self.looked_at = done

    def count(self, *fates: Fate) -> int:
        return sum(each in fates for each in list(self.fates.values()))


class Jobs:
    """The jobs of this process; who restarts it knows of none any more, what they have moved is moved. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._threads: list[threading.Thread] = []

    def start(self, job: Job, work: Callable[[Job], None]) -> None:
        """Have `work` done in a thread. Raises Problem when there are too many jobs."""
        with self._lock:
            running = [each for each in self._jobs.values() if each.finished is None]
            if len(running) >= MOST_RUNNING:
                text = Text(f"{MOST_RUNNING} jobs are running", f"уже выполняется заданий: {MOST_RUNNING}")
                raise Problem(409, "too-many-jobs", text)
            ended = [each.id for each in self._jobs.values() if each.finished is not None]
            for name in ended[: max(0, len(ended) - MOST_KEPT)]:
                del self._jobs[name]
            self._jobs[job.id] = job
            thread = threading.Thread(target=_run, args=(job, work), name=f"job-{job.kind}", daemon=True)
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
            thread.start()

    def get(self, name: str, kinds: tuple[Kind, ...]) -> Job:
        """Raises Problem."""
        with self._lock:
            job = self._jobs.get(name)
        if job is None or job.kind not in kinds:
            raise Problem(404, "unknown-job", Text("there is no such job", "такого задания нет"))
        return job

    def end(self, name: str, kinds: tuple[Kind, ...]) -> Job:
        """Stop a job, and forget it when it has ended. Raises Problem, also when it does not end in time."""
        job = self.get(name, kinds)
        job.stop.set()
        if not job.ended.wait(STOPPING):
            text = Text("the job is still stopping: ask again", "задание ещё останавливается: повторите запрос")
            raise Problem(409, "still-stopping", text)
        with self._lock:
            self._jobs.pop(name, None)
        return job

    def close(self, patience: float) -> None:
        """Stop all jobs and wait for them; what a job has in hand then stays where it is, or is in both places."""
        with self._lock:
            jobs, threads = list(self._jobs.values()), list(self._threads)
        for job in jobs:
            job.stop.set()
        deadline = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def follow_job(job: Job, journal: JournalReader | None) -> None:
    """Find out what has become of what was put back, until all is known, it takes too long, or the job is stopped."""
    since = {each.name: each.at for each in job.outcome.moved if each.kind != "camunda_response"}
    job.fates = dict.fromkeys(since, "unknown")
    if journal is None and since:
        job.outcome.remark(_NO_JOURNAL)
    if journal is None:
        return
    deadline = time.monotonic() + FOLLOWED
    while open_ := {name: since[name] for name, fate in job.fates.items() if fate in _OPEN}:
        told = follow(journal, open_, 0.0)
        job.fates.update(told.fates)
        job.records.update((name, told.records[name]) for name in _failed(told.fates))
        if time.monotonic() > deadline or job.stop.wait(POLL):
            return


def _failed(fates: Mapping[str, Fate]) -> Iterator[str]:
    return (name for name, fate in fates.items() if fate == "failed_again")


def _run(job: Job, work: Callable[[Job], None]) -> None:
    with _ended(job):
        work(job)
        job.state = "stopped" if job.stop.is_set() and (job.outcome.is_stopped or job.count(*_OPEN)) else "done"


@contextmanager
def _ended(job: Job) -> Iterator[None]:
    try:
        yield
    except (Problem, StoreError, *BROKER_ERRORS) as error:
        job.state, job.error = "failed", problem_of(error).text
    # The border of the thread: whoever looks at the job must hear of a mistake, and so must the log.
    except Exception as error:  # noqa: BLE001
        write(QuestionFailed(error))
        job.state, job.error = "failed", MISTAKE
    finally:
        job.finished = time.time()
        job.ended.set()
