"""Moves messages of the error queue: what would be done, and the jobs that do it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from api.context import Context
from api.jobs import Job, JobState, Kind, follow_job
from api.message_models import FailureGroup, group
from api.models import Answer, Both, Moment, at, both, moment
from api.problems import Problem
from api.requests import Moving
from core.texts import Text
from operation.choosing import Choice
from operation.error_groups import grouped
from operation.error_queue import ErrorQueue, Outcome
from operation.pacing import Watch
from operation.reports import Report

OFF = 0.05  # of what was expected: more means that the list has changed
SHOWN = 100  # messages of a job that are told one by one

Action = Callable[[ErrorQueue, Choice, Job], Outcome]


class FailedAgain(Answer):
    id: str
    group: str | None
    code: str | None
    reason: Both | None


class NotMoved(Answer):
    id: str
    reason: Both


class JobAnswer(Answer):
    """A job: how far it is, and what has become of each message. `chosen` is what was there at its beginning."""

    id: str = Field(examples=["1f0c3c0e6b5f4b0f8e6f3f1d0a9b8c7d"])
    kind: Kind
    state: JobState = Field(
        description="waiting: for the queue; following: all are moved, what becomes of them is awaited"
    )
    by: str = Field(examples=["ops@127.0.0.1"])
    created: Moment
    finished: Moment | None
    looked_at: int = Field(description="messages of the queue")
    total: int = Field(description="that were in the queue")
    chosen: int
    moved: int
    done_anew: int
    already_there: int = Field(description="the task existed and was not created again")
    failed_again: int
    pending: int = Field(description="nothing is known of them yet")
    to_camunda: int = Field(description="responses that Camunda got again; nobody here hears of them")
    left: int = Field(description="not moved; see not_moved")
    gone: int = Field(description="were chosen and not there any more")
    failures: list[FailedAgain] = Field(description=f"the first {SHOWN}")
    not_moved: list[NotMoved] = Field(description=f"the first {SHOWN}")
    remarks: list[Both]
    error: Both | None = Field(description="why the job has failed")


class DryRun(Answer):
    """What would be done."""

    dry_run: Literal[True]
    chosen: int
    would_be_moved: int
    would_be_left: int
    groups: list[FailureGroup]


@dataclass(slots=True)
class _Chosen:
    count: int = 0
    usable: int = 0

    def through(self, reports: Iterable[Report]) -> Iterator[Report]:
        for report in reports:
            self.count += 1
            self.usable += report.target is not None
            yield report


def dry_run(context: Context, kind: Kind, choice: Choice, by: str) -> DryRun:
    """Raises Problem, BROKER_ERRORS."""
    chosen, groups, _ = _look(context, kind, choice, by)
    moved = chosen.usable if kind == "retry" else chosen.count
    return DryRun(
        dry_run=True,
        chosen=chosen.count,
        would_be_moved=moved,
        would_be_left=chosen.count - moved,
        groups=groups,
    )


def start(context: Context, kind: Kind, told: Moving, action: Action, by: str) -> Job:
    """Begin a job. Raises Problem, BROKER_ERRORS."""
    choice = told.choice(None if kind == "restore" else time.time())
    chosen, _, total = _look(context, kind, choice, by)
    if (expected := told.expected_count) is not None and abs(chosen.count - expected) > OFF * expected:
        raise Problem(
            409,
            "group-changed",
            Text(
                f"{expected} messages were expected and {chosen.count} are there: look at the list again",
                f"ожидалось сообщений: {expected}, а их {chosen.count}: посмотрите на список ещё раз",
            ),
        )
    return begin(context, Job(kind, by, chosen.count, total), choice, action)


def begin(context: Context, job: Job, choice: Choice, action: Action) -> Job:
    """Raises Problem."""

    def work(job: Job) -> None:
        job.outcome = action(ErrorQueue(context.desk, job.by), choice, job)
        if job.kind == "retry":
            job.state = "following"
            follow_job(job, context.desk.journal)

    context.jobs.start(job, work)
    return job


def watch_of(context: Context, job: Job) -> Watch:
    """Return what tells the job how far it is, and has the queue to itself in each of its turns."""

    @contextmanager
    def turn() -> Iterator[bool]:
        with context.walks.turn(job.stop) as is_ours:
            if is_ours:
                job.state = "moving"
            yield is_ours

    return Watch(job.advance, job.stop.is_set, turn)


def answer(job: Job) -> JobAnswer:
    outcome, is_moved = job.outcome, job.state in ("following", "done", "stopped")
    moved, left = len(outcome.moved), len(outcome.left)
    is_through = is_moved and not outcome.is_stopped and not (job.stop.is_set() and not moved)
    failed = [record for name, record in list(job.records.items()) if job.fates.get(name) == "failed_again"]
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        state=job.state,
        by=job.by,
        created=at(job.created),
        finished=moment(job.finished),
        looked_at=job.looked_at,
        total=job.total,
        chosen=job.chosen,
        moved=moved,
        done_anew=job.count("done_anew"),
        already_there=job.count("already_there"),
        failed_again=job.count("failed_again"),
        pending=job.count("waiting", "unknown"),
        to_camunda=sum(each.kind == "camunda_response" for each in outcome.moved) if job.kind == "retry" else 0,
        left=left,
        gone=max(0, job.chosen - moved - left) if is_through else 0,
        failures=[
            FailedAgain(
                id=each.name,
                group=each.error_group,
                code=each.code,
                reason=None if each.reason is None else both(Text(each.reason, each.reason_ru or each.reason)),
            )
            for each in failed[:SHOWN]
        ],
        not_moved=[NotMoved(id=each.name, reason=both(why)) for each, why in outcome.left[:SHOWN]],
        remarks=[both(each) for each in outcome.remarks],
        error=both(job.error),
    )


def _look(context: Context, kind: Kind, choice: Choice, by: str) -> tuple[_Chosen, list[FailureGroup], int]:
    errors, chosen, archive = ErrorQueue(context.desk, by), _Chosen(), kind == "restore"
    with context.walks.one():
        total = errors.depth(archive=archive)
        groups = [group(each) for each in grouped(chosen.through(errors.look(choice, archive=archive)))]
    return chosen, groups, total
