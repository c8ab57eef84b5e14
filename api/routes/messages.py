"""Messages and what happened to them, from the journal."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api import message_models as models
from api.context import Context
from api.guards import viewer
from api.problems import Problem, documented
from api.requests import MessagesQuery, SearchQuery
from core.texts import Text
from journal.entries import keepable
from journal.records import MessageRecord

MessageName = Annotated[
    str, Path(min_length=1, max_length=300, description="the Camunda task id, or what stands for one")
]
_LINK: dict[str, Any] = {"Link": {"description": 'rel="next": the next page', "schema": {"type": "string"}}}
PAGED: dict[int | str, dict[str, Any]] = {200: {"headers": _LINK}}
UNKNOWN = Text(
    "the journal does not know this message; one that nobody has taken yet waits in its queue",
    "журнал не знает такого сообщения; если его ещё не брали, оно ждёт в своей очереди",
)


def router(context: Context) -> APIRouter:
    routes = APIRouter(tags=["messages"], dependencies=[Depends(viewer)], responses=documented(401, 422, 500, 503))

    @routes.get("/messages", operation_id="listMessages", responses=PAGED)
    def messages(query: Annotated[MessagesQuery, Query()], request: Request, response: Response) -> models.Messages:
        """The latest messages first, by the time at which they came.

        Several that came in the same microsecond stay together: a page may be longer by them.
        """
        found = context.journal.messages(query.wanted(), query.limit)
        before = found[-1].cursor if len(found) >= query.limit else None
        link(request, response, before)
        answer: models.Messages = context.masked(
            models.Messages(items=[models.message(each) for each in found], next_before=before)
        )
        return answer

    @routes.get("/messages/{id}", operation_id="getMessage", responses=documented(404))
    def one(id: MessageName) -> models.Message:
        """Where a message stands, and why it failed."""
        answer: models.Message = context.masked(models.message(record_of(context, id)))
        return answer

    @routes.get("/messages/{id}/events", operation_id="listMessageEvents", responses=documented(404))
    def steps(id: MessageName) -> models.Steps:
        """What happened to a message, the first thing first."""
        found = context.journal.events(record_of(context, id))
        answer: models.Steps = context.masked(models.Steps(items=[models.step(each) for each in found]))
        return answer

    @routes.get("/search", operation_id="search")
    def search(query: Annotated[SearchQuery, Query()]) -> models.Found:
        """The messages that somebody may mean by any id that people have, 20 at the most; the exact ones first."""
        found = context.journal.search(query.q)
        answer: models.Found = context.masked(models.Found(items=[models.message(each) for each in found]))
        return answer

    return routes


def record_of(context: Context, name: str) -> MessageRecord:
    """Return a message of the journal. Raises Problem."""
    record = context.journal.message(keepable(name))
    if record is None:
        raise Problem(404, "unknown-message", UNKNOWN)
    return record


def link(request: Request, response: Response, before: int | None) -> None:
    """Name the next page, if there is one, in the header Link."""
    if before is not None:
        told = [(name, value) for name, value in request.query_params.multi_items() if name != "before"]
        response.headers["Link"] = f'<{request.url.path}?{urlencode([*told, ("before", before)])}>; rel="next"'
