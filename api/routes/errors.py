"""What waits for a person: its groups, and the jobs that put messages back or into the archive."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.background import BackgroundTask

from api import message_models as models
from api import moves
from api.context import Context
from api.guards import Caller, operator_of, viewer
from api.idempotency import Key, route_class
from api.jobs import Job, Kind
from api.problems import Problem, documented
from api.requests import Archive, ExportQuery, GroupsQuery, Moving, Retry, RetryOne
from api.routes.messages import MessageName
from core.texts import Text
from journal.entries import keepable
from operation.choosing import Choice
from operation.editing import EditError, OtherTaskError, difference, edited_body, pretty, text_of
from operation.error_groups import overview
from operation.error_queue import ErrorQueue, Outcome
from operation.exporting import Format, as_data, writer_of
from operation.reports import Report

JobName = Annotated[str, Path(min_length=1, max_length=64, description="the id of the job")]
_LOCATION: dict[str, Any] = {"Location": {"description": "of the job", "schema": {"type": "string"}}}
_BEGUN: dict[int | str, dict[str, Any]] = {202: {"model": moves.JobAnswer, "headers": _LOCATION}}
_MEDIA: Mapping[Format, str] = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {"content": {each.partition(";")[0]: {"schema": {"type": "string"}} for each in _MEDIA.values()}}
}
_ACTING = documented(400, 401, 403, 408, 409, 413, 422, 429, 500, 503)
_Family = tuple[str, str, tuple[Kind, ...]]
_FAMILIES: tuple[_Family, ...] = (
    ("retries", "Retry", ("retry",)),
    ("archives", "Archive", ("archive", "restore")),
)
_NOT_EDITABLE = Text(
    "only one message that can be put back can be edited", "изменить можно одно сообщение, которое можно вернуть"
)
_NOT_FAILED = Text("it is not in the error queue", "его нет в очереди ошибок")


def router(context: Context) -> APIRouter:
    routes = APIRouter(tags=["errors"], dependencies=[Depends(viewer)], responses=documented(401, 422, 500, 503))
    operator = Depends(operator_of(context))

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

    @routes.get("/messages/{id}/failure", operation_id="getMessageFailure", responses=documented(403, 404, 409, 429))
    def failure(id: MessageName, caller: Caller = operator) -> models.FailedMessages:
        """Why a message is in the error queue, with the message itself: what there is to edit. For operators."""
        found, _ = _in_the_error_queue(context, Choice(name=id), caller.by)
        return models.failed([as_data(each, context.desk.mask, whole=True) for each in found])

    @routes.get(
        "/errors/export",
        operation_id="exportErrors",
        response_class=FileResponse,
        responses={**_EXPORTED, **documented(403, 429)},
    )
    def export(query: Annotated[ExportQuery, Query()], caller: Caller = operator) -> FileResponse:
        """What is in the error queue or in its archive, whole, as a file without secrets. For operators."""
        path = _exported(context, query, caller.by)
        name, remove = f"errors.{query.format}", BackgroundTask(os.unlink, path)
        return FileResponse(path, media_type=_MEDIA[query.format], filename=name, background=remove)

    return routes


def acting_router(context: Context) -> APIRouter:
    routes = APIRouter(tags=["errors"], route_class=route_class(context.answers), responses=_ACTING)
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
        responses={200: {"model": models.Edited}, **_BEGUN, **documented(404)},
    )
    def retry_one(id: MessageName, told: RetryOne, caller: Caller = operator, _key: Key = None) -> Response:
        """Put one message of the error queue back into its queue; 409 where it is not in the error queue.

        An edited message goes back instead, and the original into the archive; a dry run says what is changed.
        """
        choice = Choice(name=id, before=time.time())
        found, total = _in_the_error_queue(context, choice, caller.by)
        edit = None if told.message is None else _edit(context, found, text_of(told.message))
        if told.dry_run:
            lines = [] if edit is None else edit.difference
            return JSONResponse(context.masked(models.Edited(dry_run=True, difference=lines)).model_dump(mode="json"))
        action = _retry(context, None, None if edit is None else edit.body)
        job = moves.begin(context, Job("retry", caller.by, len(found), total), choice, action)
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
        return moved("retry", "retries", told, _retry(context, told.rate), caller)

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
            return errors.drop(choice, told.reason, watch=moves.watch_of(context, job))

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
            return errors.restore(choice, watch=moves.watch_of(context, job))

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


@dataclass(frozen=True, slots=True)
class _Edit:
    body: bytes
    difference: list[str]


def _edit(context: Context, found: Sequence[Report], text: str) -> _Edit:
    if len(found) != 1 or (original := found[0].original) is None:
        raise Problem(409, "not-editable", _NOT_EDITABLE)
    try:
        body = edited_body(found[0], text, context.desk.settings.worker.message_limits)
    except OtherTaskError as error:
        raise Problem(409, "another-task", error.text) from None
    except EditError as error:
        raise Problem(422, "refused-message", error.text) from None
    if not (changed := difference(pretty(original), text)):
        raise Problem(409, "nothing-changed", Text("nothing was changed", "ничего не изменено"))
    return _Edit(body, changed)


def _in_the_error_queue(context: Context, choice: Choice, by: str) -> tuple[list[Report], int]:
    """Return what is there of one message, and how many messages the queue holds. Raises Problem."""
    errors, name = ErrorQueue(context.desk, by), choice.name or ""
    with context.walks.one():
        total, found = errors.depth(), list(errors.look(choice))
    if not found:
        is_known = context.desk.journal is not None and context.desk.journal.message(keepable(name)) is not None
        raise Problem(409 if is_known else 404, "not-failed" if is_known else "unknown-message", _NOT_FAILED)
    return found, total


def _exported(context: Context, query: ExportQuery, by: str) -> str:
    """Write the file and return its path: a client that reads slowly must not hold the queue."""
    with NamedTemporaryFile("w", encoding="utf-8", newline="", suffix=f".{query.format}", delete=False) as file:
        try:
            write = writer_of(query.format, file, context.desk.mask)
            with context.walks.one():
                for report in ErrorQueue(context.desk, by).look(query.choice(), archive=query.archive):
                    write(report)
        except BaseException:
            os.unlink(file.name)
            raise
    return file.name


def _retry(context: Context, rate: float | None, body: bytes | None = None) -> moves.Action:
    edit = None if body is None else lambda _report: body

    def action(errors: ErrorQueue, choice: Choice, job: Job) -> Outcome:
        return errors.retry(choice, rate=rate, edit=edit, watch=moves.watch_of(context, job))

    return action


def _begun(context: Context, job: Job, place: str) -> Response:
    told = context.masked(moves.answer(job)).model_dump(mode="json")
    return JSONResponse(told, 202, {"Location": f"/api/v1/{place}/{job.id}"})


def _groups(context: Context, choice: Choice) -> models.FailureGroups:
    with context.walks.one():
        told = overview(context.desk, ErrorQueue(context.desk, "api"), choice)
    answer: models.FailureGroups = context.masked(models.groups(told))
    return answer
