"""What waits for a person: its groups, and the jobs that put messages back or into the archive."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from api import message_models as models
from api import moves
from api.context import Context
from api.guards import Caller, operator_of, viewer
from api.idempotency import HEADER, PATTERN, Answers, route_class
from api.jobs import Job, Kind
from api.problems import Problem, documented
from api.requests import Archive, GroupsQuery, Moving, Retry, RetryOne
from api.routes.messages import MessageName
from core.texts import Text
from journal.entries import keepable
from operation.choosing import Choice
from operation.error_groups import overview
from operation.error_queue import ErrorQueue, Outcome

JobName = Annotated[str, Path(min_length=1, max_length=64, description="the id of the job")]
Key = Annotated[
    Annotated[str, Field(pattern=PATTERN)] | SkipJsonSchema[None],
    Header(
        alias=HEADER,
        description="the same key with the same body gets the answer of the first time, for 24 hours",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]
_LOCATION: dict[str, Any] = {"Location": {"description": "of the job", "schema": {"type": "string"}}}
_BEGUN: dict[int | str, dict[str, Any]] = {202: {"model": moves.JobAnswer, "headers": _LOCATION}}
_ACTING = documented(400, 401, 403, 408, 409, 413, 422, 429, 500, 503)
_Family = tuple[str, str, tuple[Kind, ...]]
_FAMILIES: tuple[_Family, ...] = (
    ("retries", "Retry", ("retry",)),
    ("archives", "Archive", ("archive", "restore")),
)
_NOT_FAILED = Text("it is not in the error queue", "его нет в очереди ошибок")


def router(context: Context) -> APIRouter:
    routes = APIRouter(tags=["errors"], dependencies=[Depends(viewer)], responses=documented(401, 422, 500, 503))

    @routes.get("/errors/groups", operation_id="listErrorGroups")
    def groups(query: Annotated[GroupsQuery, Query()]) -> models.FailureGroups:
        """What is in the error queue, by cause: from the journal where that knows it all, else from the queue."""
        return _groups(context, query.choice())

    @routes.get("/errors/groups/{group}", operation_id="getErrorGroup", responses=documented(404))
    def one_group(group: Annotated[str, Path(min_length=1, max_length=64)]) -> models.FailureGroup:
        """One group; its messages are those of `GET /api/v1/messages?group=…`."""
        found = [each for each in _groups(context, Choice(group=keepable(group))).items if each.group == group]
        if not found:
            raise Problem(404, "unknown-group", Text("nothing in the error queue has this group", "такой группы нет"))
        return found[0]

    return routes


def acting_router(context: Context) -> APIRouter:
    routes = APIRouter(tags=["errors"], route_class=route_class(Answers()), responses=_ACTING)
    operator = Depends(operator_of(context))

    def moved(kind: Kind, place: str, told: Moving, action: moves.Action, caller: Caller) -> Response:
        if told.dry_run:
            dry = moves.dry_run(context, kind, told.choice(None), caller.by)
            return JSONResponse(context.masked(dry).model_dump(mode="json"))
        return _begun(context, moves.start(context, kind, told, action, caller.by), place)

    @routes.post(
        "/messages/{id}/retry",
        operation_id="retryMessage",
        status_code=202,
        response_model=moves.JobAnswer,
        responses={**_BEGUN, **documented(404)},
    )
    def retry_one(id: MessageName, _told: RetryOne, caller: Caller = operator, _key: Key = None) -> Response:
        """Put one message of the error queue back into its queue; 409 where it is not in the error queue."""
        choice = Choice(name=id, before=time.time())
        errors = ErrorQueue(context.desk, caller.by)
        with context.walks.one():
            total, count = errors.depth(), sum(1 for _ in errors.look(choice))
        if not count:
            is_known = context.desk.journal is not None and context.desk.journal.message(keepable(id)) is not None
            raise Problem(409 if is_known else 404, "not-failed" if is_known else "unknown-message", _NOT_FAILED)
        job = moves.begin(context, Job("retry", caller.by, count, total), choice, _retry(None))
        return _begun(context, job, "retries")

    @routes.post(
        "/retries",
        operation_id="startRetry",
        status_code=202,
        response_model=moves.JobAnswer,
        responses={200: {"model": moves.DryRun}, **_BEGUN},
    )
    def retry(told: Retry, caller: Caller = operator, _key: Key = None) -> Response:
        """Put messages back into their queues, and follow them to what becomes of them."""
        return moved("retry", "retries", told, _retry(told.rate), caller)

    @routes.post(
        "/archives",
        operation_id="startArchive",
        status_code=202,
        response_model=moves.JobAnswer,
        responses={200: {"model": moves.DryRun}, **_BEGUN},
    )
    def archive(told: Archive, caller: Caller = operator, _key: Key = None) -> Response:
        """Move messages into the archive, from which they can be brought back."""

        def action(errors: ErrorQueue, choice: Choice, job: Job) -> Outcome:
            return errors.drop(choice, told.reason, advance=job.advance, is_stopping=job.stop.is_set)

        return moved("archive", "archives", told, action, caller)

    @routes.post(
        "/archives/restore",
        operation_id="startRestore",
        status_code=202,
        response_model=moves.JobAnswer,
        responses={200: {"model": moves.DryRun}, **_BEGUN},
    )
    def restore(told: Moving, caller: Caller = operator, _key: Key = None) -> Response:
        """Bring messages back from the archive into the error queue."""

        def action(errors: ErrorQueue, choice: Choice, job: Job) -> Outcome:
            return errors.restore(choice, advance=job.advance, is_stopping=job.stop.is_set)

        return moved("restore", "archives", told, action, caller)

    for family in _FAMILIES:
        _add_jobs(context, routes, family)
    return routes


def _add_jobs(context: Context, routes: APIRouter, family: _Family) -> None:
    place, name, kinds = family
    operator, looker = Depends(operator_of(context)), Depends(viewer)

    @routes.get(f"/{place}/{{job}}", operation_id=f"get{name}", responses=documented(404))
    def look(job: JobName, _caller: Caller = looker) -> moves.JobAnswer:
        """How far a job is, and what has become of each message. Jobs are known until the API is restarted."""
        answer: moves.JobAnswer = context.masked(moves.answer(context.jobs.get(job, kinds)))
        return answer

    @routes.delete(f"/{place}/{{job}}", operation_id=f"stop{name}", responses=documented(404))
    def stop(job: JobName, _caller: Caller = operator) -> moves.JobAnswer:
        """Stop a job, say how it has ended, and forget it. What is moved stays moved, the rest stays where it is."""
        answer: moves.JobAnswer = context.masked(moves.answer(context.jobs.end(job, kinds)))
        return answer


def _retry(rate: float | None) -> moves.Action:
    def action(errors: ErrorQueue, choice: Choice, job: Job) -> Outcome:
        return errors.retry(choice, rate=rate, advance=job.advance, is_stopping=job.stop.is_set)

    return action


def _begun(context: Context, job: Job, place: str) -> Response:
    told = context.masked(moves.answer(job)).model_dump(mode="json")
    return JSONResponse(told, 202, {"Location": f"/api/v1/{place}/{job.id}"})


def _groups(context: Context, choice: Choice) -> models.FailureGroups:
    with context.walks.one():
        told = overview(context.desk, ErrorQueue(context.desk, "api"), choice)
    answer: models.FailureGroups = context.masked(models.groups(told))
    return answer
