"""Tracks `python-services.sent.queue`: asks each job that is due, one GET, at its status address."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from base_tracker import BaseTracker
from consumers.python_services import addresses
from consumers.python_services.client import ServiceClient, title
from consumers.python_services.config import ServicesSettings
from consumers.python_services.events import ServiceDown, ServiceUp
from consumers.python_services.http_service import response
from consumers.python_services.jobs import Job, job_of
from consumers.python_services.outcomes import Failed, Finished, Running, answered, failure, read, refused
from consumers.python_services.polling import Schedule
from consumers.python_services.registry import HttpSpec, Poll
from core.errors import BusinessError, ConfigurationError, OutageError, OutcomeError, PermanentError
from core.events.base import write
from core.messages import TrackedTask
from core.request_figures import RequestFigures
from core.results import Completed, Pending, Rejected, Verdict
from core.texts import BilingualError, Text
from toolkit.http import HttpAnswer
from toolkit.json_answers import read_answer, result_of

LOST_CHECKS = 2
LONGEST_ROUND = 60.0  # seconds that one service is asked in one sweep; the rest of its jobs comes next time
SILENT_IN_A_ROW = 3  # jobs without a word until the service counts as one that cannot be asked
TOO_MANY_TO_BE_LOST = 10  # jobs of a service that is asked: if it knows none of them, it is the service
_NOT_NOW = frozenset({401, 403, 407, 429, 502, 503, 504})  # about the service, not about the job


class _SilentError(BilingualError):
    """Nothing was heard of a job. `is_refused`: its address refuses us (401, 403), which others may not."""

    def __init__(self, text: Text, retry_after: float | None, *, is_refused: bool = False) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.is_refused = is_refused


@dataclass(slots=True)
class _Round:
    """The result of asking one service; `lost` are jobs that it does not know."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    silent: dict[str, _SilentError] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    asked: int = 0
    mistake: Exception | None = None


class PythonServicesTracker(BaseTracker):
    """Tracks jobs: at most SERVICES_POLLS_PER_SWEEP requests per `chunk_size` open jobs and sweep.

    There is no bulk question. Services are asked side by side, each in a thread of its own: one that hangs holds up its
    own jobs.
    """

    settings_class = ServicesSettings
    chunk_size = 10_000

    def __init__(
        self, settings: ServicesSettings, stop: threading.Event, clock: Callable[[], float] = time.time
    ) -> None:
        """Raise NotConfiguredError when SERVICES_FILE is empty."""
        super().__init__("python-services")
        services = settings.registry().services
        self._specs = {name: spec for name, spec in services.items() if isinstance(spec, HttpSpec)}
        self._clients = {name: ServiceClient(name, spec, settings.secrets) for name, spec in self._specs.items()}
        self._limit = settings.polls_per_sweep
        self._stop = stop
        self._clock = clock
        self._schedule = Schedule()
        self._lock = threading.Lock()
        self._requests = 0
        self._down: set[str] = set()

    @classmethod
    def from_settings(cls, settings: ServicesSettings, stop: threading.Event) -> PythonServicesTracker:
        """Build the tracker. Raises NotConfiguredError when SERVICES_FILE is empty."""
        return cls(settings, stop)

    def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
        verdicts: dict[str, Verdict] = {}
        jobs: dict[str, Job] = {}
        for task in tasks:
            job = job_of(task.external_id)
            if job is None:
                reason = Text(
                    f"The sent message names no job of a service but {task.external_id!r}",
                    f"В сообщении очереди отправленных не задание сервиса, а {task.external_id!r}",
                )
                verdicts[task.task_id] = Rejected(reason, code="no_external_id")
            elif job.service in self._specs:
                jobs[task.task_id] = job
            elif self._clock() > job.expires:
                reason = Text(
                    f"SERVICES_FILE has no service {job.service} any more, and the job's time is over: {job.url}",
                    f"В SERVICES_FILE больше нет сервиса {job.service}, и срок задания вышел: {job.url}",
                )
                verdicts[task.task_id] = Rejected(reason, code="no_service")
        polls = {name: spec.poll for name, spec in self._specs.items()}
        due = self._schedule.due(jobs, polls, self._clock(), self._limit)
        rounds = self._ask_side_by_side({name: {each: jobs[each] for each in chosen} for name, chosen in due.items()})
        for each in rounds:
            verdicts.update(each.verdicts)
        for task_id in verdicts:
            self._schedule.ended(task_id)
        return [verdicts.get(task.task_id, Pending()) for task in tasks]

    def get_stats(self) -> dict[str, Any]:
        with self._lock:
            return {"requests": self._requests, "remembered": len(self._schedule), "down": sorted(self._down)}

    def request_figures(self) -> Sequence[RequestFigures]:
        return [client.figures for client in self._clients.values()]

    def _ask_side_by_side(self, due: Mapping[str, Mapping[str, Job]]) -> list[_Round]:
        rounds = {name: _Round() for name in due}
        threads = [
            threading.Thread(target=self._ask, args=(name, due[name], rounds[name]), name=f"poll-{name}", daemon=True)
            for name in due
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for each in rounds.values():
            if each.mistake is not None:
                raise each.mistake
        return list(rounds.values())

    # -- one service, in its own thread -----------------------------------------------------------------------------

    def _ask(self, name: str, jobs: Mapping[str, Job], results: _Round) -> None:
        began, poll = time.monotonic(), self._specs[name].poll
        left = list(jobs)
        in_a_row = 0
        try:
            while left and not self._stop.is_set() and time.monotonic() - began < LONGEST_ROUND:
                task_id = left.pop(0)
                try:
                    self._ask_one(name, task_id, jobs[task_id], results)
                except _SilentError as error:
                    # One address that is dead or refuses us says nothing about the others; several in a row do.
                    results.silent[task_id] = error
                    in_a_row += 1
                    if in_a_row >= SILENT_IN_A_ROW:
                        break
                else:
                    results.asked += 1
                    in_a_row = 0
            self._settle_silent(name, jobs, results)
            if in_a_row and (in_a_row >= SILENT_IN_A_ROW or not results.asked):
                raise list(results.silent.values())[-1]
            self._tell_lost(name, jobs, results)
        except _SilentError as error:
            with self._lock:
                self._schedule.unasked([*left, *results.lost], poll, self._clock(), error.retry_after)
            self._note_down(name, str(error))
            return
        except Exception as error:  # noqa: BLE001  # handed to the tracker's thread, the border that reports it
            results.mistake = error
        finally:
            self._clients[name].close()
        if results.asked:
            self._note_up(name)

    def _settle_silent(self, name: str, jobs: Mapping[str, Job], results: _Round) -> None:
        """Ask each job ever later; one that refuses us past its deadline while others answer is given up."""
        poll, now = self._specs[name].poll, self._clock()
        for task_id, error in results.silent.items():
            if error.is_refused and results.asked and now >= jobs[task_id].expires:
                results.verdicts[task_id] = _too_late(name, poll, error.text)
            else:
                with self._lock:
                    self._schedule.silent(task_id, poll, now, error.retry_after)

    def _ask_one(self, name: str, task_id: str, job: Job, results: _Round) -> None:
        """Ask one job. Raises _SilentError."""
        spec = self._specs[name]
        try:
            addresses.resolved(job.url, addresses.filled(spec.url, lambda _name: "x"), spec.status_hosts)
            answer = self._looked(name, job.url, task_id)
            location = answer.headers.get("Location") if answer.status == 303 else None
            if location:
                result_url = addresses.resolved(location, job.url, spec.status_hosts)
                answer = self._looked(name, result_url, task_id)
            self._judge(name, task_id, job, answer, results, is_result=bool(location))
        except (PermanentError, BusinessError) as error:
            results.verdicts[task_id] = Rejected(error.text, code=error.code)

    def _looked(self, name: str, url: str, task_id: str) -> HttpAnswer:
        """Return the answer. Raises _SilentError, and PermanentError for an answer that is too large."""
        with self._lock:
            self._requests += 1
        try:
            answer = self._clients[name].look(url, task_id)
        except (OutageError, ConfigurationError) as error:
            raise _SilentError(error.text, error.retry_after) from None
        if answer.status in _NOT_NOW and answer.status not in self._specs[name].bpmn_errors:
            is_refused = answer.status in {401, 403}
            raise _SilentError(answered(title(name), answer.status), answer.retry_after, is_refused=is_refused)
        return answer

    def _judge(
        self, name: str, task_id: str, job: Job, answer: HttpAnswer, results: _Round, *, is_result: bool
    ) -> None:
        """Judge an answer. Raises PermanentError or BusinessError when the job has failed."""
        spec, told, now = self._specs[name], read_answer(answer), self._clock()
        note = Text.of(f"HTTP {answer.status}")
        if told.problem:
            note = Text(f"{note.en}, but {told.problem.en}", f"{note.ru}, но {told.problem.ru}")
        is_known = answer.status not in {404, 410} or answer.status in spec.bpmn_errors
        if not is_known and now < job.expires:
            results.lost.append(task_id)
            return
        if answer.status in spec.bpmn_errors:
            raise refused(title(name), spec, answer)
        # Where nothing is said, or nothing that can be read, the job is not given up before its time.
        if answer.status in {200, 201} and told.content is not None and not told.is_empty:
            match read(told.content, spec.poll):
                case Finished(result):
                    results.verdicts[task_id] = Completed(self._finished(name, answer, result))
                    return
                case Failed(error):
                    raise _for_good(failure(title(name), error))
                case Running(word):
                    note = Text.of(word)
                case unmarked:
                    if is_result or (unmarked.word is None and not spec.poll.needs_status):
                        results.verdicts[task_id] = Completed(self._finished(name, answer, told.content))
                        return
                    nothing = Text(f"nothing at {spec.poll.status}", f"в {spec.poll.status} ничего")
                    note = Text.of(unmarked.word) if unmarked.word else nothing
        if now >= job.expires:
            results.verdicts[task_id] = _too_late(name, spec.poll, note)
            return
        with self._lock:
            self._schedule.answered(task_id, spec.poll, now, answer.retry_after)

    @staticmethod
    def _finished(name: str, answer: HttpAnswer, result: Any) -> dict[str, Any]:
        """Return the response of a job. Raises PermanentError when what is finished cannot be handed on."""
        _, notes = result_of(answer, title(name))
        return response(name, result, notes=notes)

    def _tell_lost(self, name: str, jobs: Mapping[str, Job], results: _Round) -> None:
        """Report lost jobs.

        Raises _SilentError when none of many is known: the service lost its memory or its way, not one job.
        """
        if len(results.lost) >= TOO_MANY_TO_BE_LOST and len(results.lost) == results.asked:
            who = title(name)
            text = Text(
                f"{who.en} knows none of {results.asked} jobs",
                f"{who.ru} не знает ни одного из спрошенных заданий (их {results.asked})",
            )
            raise _SilentError(text, None)
        for task_id in results.lost:
            with self._lock:
                checks = self._schedule.unknown(task_id, self._specs[name].poll, self._clock())
            if checks >= LOST_CHECKS:
                who, url = title(name), jobs[task_id].url
                reason = Text(
                    f"job lost: {who.en} no longer knows {url}", f"{who.ru} больше не знает {url}: задание потеряно"
                )
                results.verdicts[task_id] = Rejected(reason, code="job_lost")

    def _note_down(self, name: str, reason: str) -> None:
        with self._lock:
            newly = name not in self._down
            self._down.add(name)
        if newly:
            write(ServiceDown(f"the jobs of service {name} cannot be asked about: {reason}"))

    def _note_up(self, name: str) -> None:
        with self._lock:
            was_down = name in self._down
            self._down.discard(name)
        if was_down:
            write(ServiceUp(f"the jobs of service {name} can be asked about again"))


def _for_good(error: OutcomeError) -> OutcomeError:
    """Return a final error: a job that has failed stays failed, whatever the service thinks of trying it again."""
    return error if isinstance(error, BusinessError) else PermanentError(error.text, code=error.code)


def _too_late(name: str, poll: Poll, last: Text) -> Rejected:
    who = title(name)
    reason = Text(
        f"{who.en} did not finish in {poll.deadline:g} s, the last that it told was: {last.en}",
        f"{who.ru} не закончил за {poll.deadline:g} с, последнее, что он сообщил: {last.ru}",
    )
    return Rejected(reason, code="deadline")
