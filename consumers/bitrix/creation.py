"""Creates tasks at most once per key, many with few requests.

    keys ──lookup──> found ───────────────────────────────> checklists ──> Accepted(duplicate)
                     not found ──add──> created ──────────> checklists ──> Accepted
                                        doubtful ──lookup─> as above, or the message comes again later

The additions of one group travel together with the lookup of the next one, so 500 messages cost about a dozen
requests. The portal has no unique constraint: a key that is in the hands of another thread is not touched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from consumers.bitrix import checklists
from consumers.bitrix.batch import BATCH_LIMIT, Answer, Command
from consumers.bitrix.checklists import Checklist, ChecklistJob
from consumers.bitrix.claims import KeyClaims
from consumers.bitrix.client import BitrixClient
from consumers.bitrix.errors import UnclearAnswerError
from consumers.bitrix.lookup import Row, TaskLookup, task_of
from consumers.bitrix.portal import Portal
from core.errors import AmbiguousError, OutcomeError, PermanentError, TransientError
from core.messages import CamundaTask, IncomingMessage
from core.results import Accepted, Result

Outcome = Result | OutcomeError
Settled = tuple[IncomingMessage, Outcome]
Translate = Callable[[CamundaTask], tuple[dict[str, Any], list[Checklist]]]

# A cloud portal cuts every request off after 60 s (limits.md) and leaves a whole group in doubt. Groups shrink
# long before and grow again when the portal is quick.
_SLOW_BATCH = 20.0
_QUICK_BATCH = 5.0

# A checklist that cannot be added must not keep the process waiting for a task that exists: after these tries the
# task is accepted without it, and the result says so.
_CHECKLIST_TRIES = 3


@dataclass(slots=True)
class _Job:
    message: IncomingMessage
    fields: dict[str, Any]
    checklists: list[Checklist]
    task: Row | None = None
    existed: bool = False
    errors: list[OutcomeError] = field(default_factory=list)

    @property
    def key(self) -> str:
        return self.message.task.task_id


class TaskCreation:
    """`group_size` is the most additions in one request; `ambiguous_wait` is in seconds."""

    def __init__(
        self,
        client: BitrixClient,
        lookup: TaskLookup,
        portal: Portal,
        claims: KeyClaims,
        *,
        group_size: int,
        ambiguous_wait: float,
    ) -> None:
        self._client = client
        self._lookup = lookup
        self._portal = portal
        self._largest_group = self._group_size = min(group_size, BATCH_LIMIT - 1)  # one place is the lookup's
        self._ambiguous_wait = ambiguous_wait
        self._claims = claims

    def create(self, messages: Sequence[IncomingMessage], translate: Translate) -> Iterator[Settled]:
        """One outcome per message, each as soon as its request was answered. Raises StoppingError only.

        `translate` turns a task into its fields and checklists.
        """
        waiting = list(messages)
        while waiting:
            # A key that comes twice is looked up again after its first message is through, and then found.
            first = {message.task.task_id: message for message in reversed(waiting)}
            current = [message for message in waiting if first[message.task.task_id] is message]
            waiting = [message for message in waiting if first[message.task.task_id] is not message]
            yield from self._create_each_once(current, translate)

    def _create_each_once(self, messages: Sequence[IncomingMessage], translate: Translate) -> Iterator[Settled]:
        claimed: set[str] = set()
        try:
            jobs: deque[_Job] = deque()
            for message in messages:
                key = message.task.task_id
                if not self._claims.take(key):
                    yield message, self._again("Another message of this task is being processed", "key_in_use")
                    continue
                claimed.add(key)
                try:
                    jobs.append(_Job(message, *translate(message.task)))
                except OutcomeError as error:
                    yield message, error
            yield from self._create_in_groups(jobs)
        finally:
            self._claims.release(claimed)

    def _create_in_groups(self, jobs: deque[_Job]) -> Iterator[Settled]:
        group = self._take(jobs)
        found: dict[str, Row] | OutcomeError = self._find(group)
        while group:
            if isinstance(found, OutcomeError):
                # The portal cannot be asked: nothing was created for these nor for those that follow.
                yield from ((job.message, found) for job in [*group, *jobs])
                return
            upcoming = self._take(jobs)
            yield from self._check_found(group, found)
            found = self._add([job for job in group if job.task is None], upcoming)
            yield from self._settle(group)
            group = upcoming
            try:
                self._portal.user_fields()  # costs nothing, unless the portal has just become distrusted
            except OutcomeError as error:
                found = error

    def _check_found(self, group: list[_Job], found: dict[str, Row]) -> Iterator[Settled]:
        for job in list(group):
            job.task = found.get(job.key)
            job.existed = job.task is not None
            if job.task is None and job.message.redelivered:
                # An earlier worker may have died with the request on the wire: the portal gets time to finish it.
                group.remove(job)
                yield job.message, self._again("An earlier worker may be creating this task still", "redelivered")

    def _add(self, new: Sequence[_Job], upcoming: Sequence[_Job]) -> dict[str, Row] | OutcomeError:
        """Adds the tasks and looks up the next group in the same request; returns what that lookup found."""
        commands = [Command("tasks.task.add", {"fields": job.fields}, write=True) for job in new]
        if upcoming:
            commands.append(self._lookup.command([job.key for job in upcoming]))
        reply = self._client.batch(commands)
        self._group_size = next_group_size(self._group_size, reply.seconds, self._largest_group)
        for job, outcome in zip(new, reply.outcomes, strict=False):
            if isinstance(outcome, OutcomeError):
                job.errors.append(outcome)
            else:
                job.task = task_of(outcome.result)
        self._resolve_doubts(new)
        if not upcoming:
            return {}
        return self._read(upcoming, reply.outcomes[-1])

    def _resolve_doubts(self, jobs: Sequence[_Job]) -> None:
        doubtful = [job for job in jobs if job.task is None and (not job.errors or _is_ambiguous(job.errors[0]))]
        found = self._find(doubtful)
        for job in doubtful:
            if isinstance(found, dict) and job.key in found:
                job.task = found[job.key]
                job.errors.clear()
            elif not job.errors:
                # Created, says the portal, but it does not show the task. It is accepted without an id (the tracker
                # looks for it by its key), and the portal is not trusted any further.
                self._portal.distrust(job.key)
            elif isinstance(job.errors[0], UnclearAnswerError) and isinstance(found, dict):
                job.errors = [TransientError(job.errors[0].reason, code=job.errors[0].code)]
            else:
                job.errors[0].retry_after = self._ambiguous_wait

    def _settle(self, group: Sequence[_Job]) -> Iterator[Settled]:
        with_checklists = [job for job in group if job.task is not None and job.checklists]
        for job in group:
            if job not in with_checklists:
                yield job.message, job.errors[0] if job.errors else _accepted(job)
        tasks = [
            ChecklistJob(str(job.task["id"]), job.checklists, fresh=not job.existed)
            for job in with_checklists
            if job.task is not None
        ]
        checklists.add(self._client, tasks)
        for job, done in zip(with_checklists, tasks, strict=True):
            yield job.message, self._with_checklists(job, done.errors)

    def _with_checklists(self, job: _Job, errors: list[OutcomeError]) -> Outcome:
        passing = [error for error in errors if not isinstance(error, PermanentError)]
        last_try = job.message.attempt >= _CHECKLIST_TRIES and all(isinstance(e, TransientError) for e in passing)
        if passing and not last_try:
            if _is_ambiguous(passing[0]):
                passing[0].retry_after = self._ambiguous_wait
            return passing[0]  # the message comes again, finds its task and adds what is missing
        return _accepted(job, [f"Checklist incomplete: {error.reason}" for error in errors])

    def _take(self, jobs: deque[_Job]) -> list[_Job]:
        return [jobs.popleft() for _ in range(min(self._group_size, len(jobs)))]

    def _find(self, jobs: Sequence[_Job]) -> dict[str, Row] | OutcomeError:
        try:
            return self._lookup.find([job.key for job in jobs])
        except OutcomeError as error:
            return error

    def _read(self, jobs: Sequence[_Job], outcome: Answer | OutcomeError) -> dict[str, Row] | OutcomeError:
        if isinstance(outcome, OutcomeError):
            return outcome
        try:
            return self._lookup.read([job.key for job in jobs], outcome)
        except OutcomeError as error:
            return error

    def _again(self, reason: str, code: str) -> AmbiguousError:
        return AmbiguousError(reason, code=code, retry_after=self._ambiguous_wait)


def next_group_size(size: int, seconds: float, largest: int) -> int:
    """The size of the next group after one that took the portal `seconds`."""
    if seconds > _SLOW_BATCH:
        return max(1, size // 2)
    return min(largest, size * 2) if seconds < _QUICK_BATCH else size


def _accepted(job: _Job, warnings: Sequence[str] = ()) -> Accepted:
    response: dict[str, Any] = {"result": {"task": dict(job.task or {})}, "success": True}
    if warnings:
        response["warnings"] = list(warnings)
    task_id = str(job.task["id"]) if job.task is not None else None
    return Accepted(response, external_id=task_id, duplicate=job.existed)


def _is_ambiguous(error: OutcomeError) -> bool:
    return isinstance(error, AmbiguousError)
