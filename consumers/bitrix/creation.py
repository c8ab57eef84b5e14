"""Creates tasks at most once per key, many with few requests.

    keys ──lookup──> found ───────────────────────────────> checklists ──> Accepted(duplicate)
                     not found ──add──> created ──────────> checklists ──> Accepted
                                        doubtful ──lookup─> as above, or the message comes again later

The additions of one group travel together with the lookup of the next one, which is fetched from the backlog just
before: in the long run a request carries 49 tasks. The portal has no unique constraint: a key that is in the hands of
another thread is not touched.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from consumers.bitrix import checklists
from consumers.bitrix.batch import BATCH_LIMIT, Answer
from consumers.bitrix.checklists import ChecklistJob
from consumers.bitrix.client import BitrixClient, Turn
from consumers.bitrix.creation_groups import CreationGroups, Job, More, Outcome, Settled, Translate
from consumers.bitrix.errors import UnclearAnswerError
from consumers.bitrix.lookup import Found, TaskLookup, task_of
from consumers.bitrix.portal_check import PortalCheck
from consumers.bitrix.rows import id_of
from core.errors import AmbiguousError, LostError, OutcomeError, TransientError
from core.messages import IncomingMessage
from core.results import Accepted, with_warnings
from core.texts import Text
from toolkit.claims import KeyClaims, being_created, come_back_later

LARGEST_GROUP = BATCH_LIMIT - 1  # additions in one request; one place is the lookup's

# A cloud portal cuts every request off after 60 s (limits.md) and leaves a whole group in doubt. Groups shrink
# long before and grow again when the portal is quick.
_SLOW_BATCH = 20.0
_QUICK_BATCH = 5.0


class TaskCreation:
    """Creates tasks. `group_size` is the most additions in one request; `ambiguous_wait` is in seconds."""

    def __init__(
        self,
        client: BitrixClient,
        lookup: TaskLookup,
        portal: PortalCheck,
        claims: KeyClaims,
        *,
        group_size: int,
        ambiguous_wait: float,
    ) -> None:
        self._client = client
        self._lookup = lookup
        self._portal = portal
        self._largest_group = self._group_size = min(group_size, LARGEST_GROUP)
        self._ambiguous_wait = ambiguous_wait
        self._claims = claims

    def create(self, messages: Sequence[IncomingMessage], more: More, translate: Translate) -> Iterator[Settled]:
        """Yield one outcome per message, each as soon as its request was answered. Raises StoppingError only.

        `more` fetches further messages while these are worked on, as long as there are any; their outcomes are
        yielded, too. `translate` turns a task into its fields and checklists.
        """
        intake = CreationGroups(messages, more, self._claims, translate, self._ambiguous_wait)
        try:
            while group := (yield from intake.group(self._group_size)):
                yield from self._create_in_groups(group, intake)
        finally:
            intake.close()

    def _create_in_groups(self, group: list[Job], intake: CreationGroups) -> Iterator[Settled]:
        asked = time.monotonic()
        with self._client.slots:
            found = self._distrust() or self._find(group)
        while group:
            if isinstance(found, OutcomeError):
                yield from _unasked(found, group, intake)
                return
            upcoming = yield from intake.group(self._group_size)
            with self._client.turn() as turn:  # the backlog fills up meanwhile
                upcoming += yield from intake.group(self._group_size - len(upcoming))
                if self._is_long_ago(asked):
                    found = self._find(group)
                if isinstance(found, OutcomeError):
                    yield from _unasked(found, [*group, *upcoming], intake)
                    return
                keys = [job.key for job in group]
                yield from self._check_found(group, found)
                asked = time.monotonic()
                found = self._add([job for job in group if job.task is None], upcoming, turn)
            yield from self._settle(group, fresh=not self._is_long_ago(asked))
            intake.release(keys)
            group, found = upcoming, self._distrust() or found

    def _is_long_ago(self, asked: float) -> bool:
        """True when this process was frozen since `asked`, or the portal very slow.

        Another worker may have taken over.
        """
        return time.monotonic() - asked > self._ambiguous_wait

    def _check_found(self, group: list[Job], found: Found) -> Iterator[Settled]:
        for job in list(group):
            # Asked again when the request goes out, which then is for nobody: here the others can still be spared that.
            try:
                job.message.ensure_ours()
            except LostError as lost:
                group.remove(job)
                yield job.message, lost
                continue
            task = found.get(job.key)
            if isinstance(task, OutcomeError):
                group.remove(job)
                yield job.message, task
                continue
            job.task = task
            job.existed = job.task is not None
            if job.task is not None:
                continue
            # A request that nobody heard of any more may be running still: the portal gets time to finish it.
            if job.message.redelivered:
                group.remove(job)
                self._claims.doubt(job.key, self._ambiguous_wait)  # a second message of it may come without the mark
                yield job.message, being_created(self._ambiguous_wait)
            elif self._claims.is_in_doubt(job.key):
                group.remove(job)
                reason = Text(
                    "The portal may be creating this task still, for another message of it",
                    "Возможно, портал ещё создаёт эту задачу по другому сообщению о ней",
                )
                yield job.message, come_back_later(reason, "key_in_doubt", self._ambiguous_wait)

    def _add(self, new: Sequence[Job], upcoming: Sequence[Job], turn: Turn) -> Found | OutcomeError:
        """Add the tasks and look up the next group in the same request; return what that lookup found."""
        commands = [job.addition for job in new]
        if upcoming:
            commands.append(self._lookup.command([job.key for job in upcoming]))
        reply = self._client.batch(commands, turn=turn)
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

    def _resolve_doubts(self, jobs: Sequence[Job]) -> None:
        doubtful = [job for job in jobs if job.task is None and (not job.errors or _is_ambiguous(job.errors[0]))]
        found = self._find(doubtful)
        for job in doubtful:
            task = found.get(job.key) if isinstance(found, dict) else None
            if task is not None and not isinstance(task, OutcomeError):
                job.task = task
                job.errors.clear()
            elif not job.errors:
                # Created, says the portal, but it does not show the task. It is accepted without an id (the tracker
                # looks for it by its key), and the portal is not trusted any further.
                self._portal.distrust(job.key)
            elif isinstance(job.errors[0], UnclearAnswerError) and isinstance(found, dict) and task is None:
                job.errors = [TransientError(job.errors[0].text, code=job.errors[0].code)]
            else:
                job.errors[0].retry_after = self._ambiguous_wait
                self._claims.doubt(job.key, self._ambiguous_wait)

    def _settle(self, group: Sequence[Job], *, fresh: bool) -> Iterator[Settled]:
        """Settle a group.

        `fresh`: what was created here has been seen by nobody else, so that its checklists need not be compared.
        """
        with_checklists = [job for job in group if job.task is not None and job.checklists]
        for job in group:
            if job not in with_checklists:
                yield job.message, job.errors[0] if job.errors else _accepted(job)
        tasks = [
            ChecklistJob(
                id_of(job.task) or "", job.checklists, job.message.ensure_ours, fresh=fresh and not job.existed
            )
            for job in with_checklists
            if job.task is not None
        ]
        if tasks:
            with self._client.slots:
                checklists.add(self._client, tasks)
        for job, done in zip(with_checklists, tasks, strict=True):
            yield job.message, self._with_checklists(job, done.errors)

    def _with_checklists(self, job: Job, errors: list[OutcomeError]) -> Outcome:
        try:
            return _accepted(job, checklists.told(errors, job.message.attempt))
        except OutcomeError as error:
            if _is_ambiguous(error):
                error.retry_after = self._ambiguous_wait
            return error

    def _distrust(self) -> OutcomeError | None:
        """Return why nothing may be created in this portal, if anything.

        Costs nothing, unless it has just become distrusted.
        """
        try:
            self._portal.user_fields()
        except OutcomeError as error:
            return error
        return None

    def _find(self, jobs: Sequence[Job]) -> Found | OutcomeError:
        try:
            return self._lookup.find([job.key for job in jobs])
        except OutcomeError as error:
            return error

    def _read(self, jobs: Sequence[Job], outcome: Answer | OutcomeError) -> Found | OutcomeError:
        if isinstance(outcome, OutcomeError):
            return outcome
        try:
            return self._lookup.read([job.key for job in jobs], outcome)
        except OutcomeError as error:
            return error


def next_group_size(size: int, seconds: float, largest: int) -> int:
    """Return the size of the next group after one that took the portal `seconds`."""
    if seconds > _SLOW_BATCH:
        return max(1, size // 2)
    return min(largest, size * 2) if seconds < _QUICK_BATCH else size


def _unasked(error: OutcomeError, jobs: Sequence[Job], intake: CreationGroups) -> Iterator[Settled]:
    """Yield an error for each message.

    The portal cannot be asked: nothing was created for these nor those that follow.
    """
    for message in [*(job.message for job in jobs), *intake.rest()]:
        yield message, error


def _accepted(job: Job, warnings: Sequence[Text] = ()) -> Accepted:
    response = {"result": {"task": dict(job.task or {})}, "success": True}
    told = with_warnings(response, [*job.warnings, *warnings])
    return Accepted(told, external_id=id_of(job.task), duplicate=job.existed)


def _is_ambiguous(error: OutcomeError) -> bool:
    return isinstance(error, AmbiguousError)
