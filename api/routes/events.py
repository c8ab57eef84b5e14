"""What happened to systems, queues and the worker, and what people have done: as a list, and as it comes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic.json_schema import SkipJsonSchema
from starlette.concurrency import run_in_threadpool

from api import message_models as models
from api.context import Context
from api.event_stream import MEDIA_TYPE, EventStream
from api.guards import viewer
from api.problems import documented
from api.requests import EventId, EventsQuery, StreamQuery
from api.routes.messages import PAGED, link
from journal.entries import keepable

LastEventId = Annotated[
    EventId | SkipJsonSchema[None],
    Header(
        alias="Last-Event-ID",
        description="the id of the last event that the client has: the stream goes on behind it. An id that is not "
        "there any more is none the less a place; without any the stream begins now",
    ),
]
_EXAMPLE = """retry: 3000

id: 4711
event: system.paused
data: {"id":"4711","at":"2026-11-23T08:02:16.020000Z","code":"system.paused","level":"warning","system":"1c",\
"queue":null,"line":"1c is paused: connection refused","fields":{"outcome":"outage"}}

: keep-alive
"""
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "events without end, as Server-Sent Events",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": _EXAMPLE}},
        "headers": {
            "Cache-Control": {"description": "no-store", "schema": {"type": "string"}},
            "X-Accel-Buffering": {"description": "no: a proxy must not collect it", "schema": {"type": "string"}},
        },
    }
}


def router(context: Context) -> APIRouter:
    routes = APIRouter(tags=["messages"], dependencies=[Depends(viewer)], responses=documented(401, 422, 500, 503))

    @routes.get("/events", operation_id="listEvents", responses=PAGED)
    def events(query: Annotated[EventsQuery, Query()], request: Request, response: Response) -> models.Events:
        """What happened to systems, queues and the worker, and what people have done; the latest first."""
        code = None if query.code is None else keepable(query.code)
        found = context.journal.occurrences(before=query.before, code=code, most=query.limit)
        before = found[-1].id if len(found) >= query.limit else None
        link(request, response, before)
        answer: models.Events = context.masked(
            models.Events(items=[models.event(each) for each in found], next_before=before)
        )
        return answer

    @routes.get(
        "/events/stream",
        operation_id="streamEvents",
        status_code=200,
        response_class=EventStream,
        responses=_STREAM,
    )
    async def stream(query: Annotated[StreamQuery, Query()], last_event_id: LastEventId = None) -> EventStream:
        """What happens from now on, or from behind an id on, as Server-Sent Events without gap and without double.

        `id` is that of the event, `event` its code, `data` the same object as an item of `GET /api/v1/events`. A
        comment comes every 15 seconds. `stream-ended` (`data` says why) is the last event of a stream that is ended
        from here: the client is too slow, or the API is being stopped; whoever comes again with the last id misses
        nothing. `journal-unusable` says that nothing can be read for a while; the stream goes on by itself. A journal
        that has been begun anew is told from its first event.
        """
        context.streams.refuse_too_many()
        after = query.last_event_id if last_event_id is None else last_event_id
        async with context.streams.turns:
            start = await run_in_threadpool(context.streams.start_of, after)
        return EventStream(context.streams, start, query.code)

    return routes
