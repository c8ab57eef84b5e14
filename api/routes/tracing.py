"""Where a message is: its way, what its system says of it now, and all that is known of it in one file."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api import trace_models
from api.context import Context
from api.guards import Caller, operator_of, viewer
from api.idempotency import Key, route_class
from api.message_models import message as told_of
from api.problems import Problem, documented
from api.requests import Poll, TraceQuery
from api.routes.messages import UNKNOWN, MessageName, record_of
from core.texts import Text
from journal.entries import keepable
from journal.states import State
from operation.asking_now import Asked, ask_now, status_of
from operation.bundle import bundle_of
from operation.elsewhere import Place, queues_of
from operation.systems_asked import systems_of
from operation.tracing import look_up, message_trace

_ZIP: dict[str, Any] = {"application/zip": {"schema": {"type": "string", "format": "binary"}}}
_BUNDLE: dict[int | str, dict[str, Any]] = {200: {"content": _ZIP, "description": "the file"}, **documented(404)}


def router(context: Context) -> APIRouter:
    routes = APIRouter(tags=["messages"], dependencies=[Depends(viewer)], responses=documented(401, 422, 500, 503))

    looker = Depends(viewer)

    @routes.get("/trace", operation_id="trace", responses=documented(429))
    def trace(query: Annotated[TraceQuery, Query()], caller: Caller = looker) -> trace_models.Traced:
        """Where is this message? By any id that people have.

        Where the journal knows nothing, the queues that can be looked through and the systems are asked: that may take
        a minute, and is counted as a change is.
        """
        words, desk = query.q.strip(), context.desk
        hits = look_up(desk, words)
        others = [told_of(each) for each in hits.others]
        if hits.one is not None:
            way = trace_models.trace(message_trace(desk, hits.one))
            answer = trace_models.Traced(kind="trace", trace=way, others=others, places=[])
        elif others or not query.elsewhere:
            answer = trace_models.Traced(kind="messages", trace=None, others=others, places=[])
        else:
            places = [trace_models.place(each) for each in _elsewhere(context, caller, words)]
            answer = trace_models.Traced(kind="places", trace=None, others=[], places=places)
        masked: trace_models.Traced = context.masked(answer)
        return masked

    @routes.get("/messages/{id}/trace", operation_id="getMessageTrace", responses=documented(404))
    def way(id: MessageName) -> trace_models.Trace:
        """The way of one message: what happened, where it stands, what happens next."""
        answer: trace_models.Trace = context.masked(
            trace_models.trace(message_trace(context.desk, record_of(context, id)))
        )
        return answer

    @routes.get("/messages/{id}/bundle", operation_id="getMessageBundle", response_class=Response, responses=_BUNDLE)
    def bundle(id: MessageName) -> Response:
        """All that is known of a message in a zip file for a developer or a vendor, without secrets."""
        told = message_trace(context.desk, record_of(context, id))
        content = bundle_of(context.desk, told, None, context.desk.mask)
        return Response(content, 200, {"Content-Disposition": 'attachment; filename="message.zip"'}, "application/zip")

    return routes


def acting_router(context: Context) -> APIRouter:
    routes = APIRouter(
        tags=["messages"],
        route_class=route_class(context.answers),
        responses=documented(400, 401, 403, 408, 409, 413, 422, 429, 500, 503),
    )
    operator = Depends(operator_of(context))

    @routes.post("/messages/{id}/poll", operation_id="pollMessage", responses=documented(404))
    def poll(id: MessageName, told: Poll, caller: Caller = operator, _key: Key = None) -> trace_models.Polled:
        """Have the tracker ask about a task now; one that has ended is not asked about.

        The id may also be the task's number in its system.
        """
        desk = context.desk
        message = None if desk.journal is None else desk.journal.message(keepable(id))
        if message is None or message.state in (State.TRACKING, State.COMPLETING):
            asked = ask_now(desk, id, message, told.seconds, by=caller.by)
        else:
            asked = Asked(message, has_been_asked=False, held=(), trouble=None)
        if asked.message is None:
            raise Problem(404, "unknown-message", UNKNOWN)
        is_open = asked.message.state is State.TRACKING
        own = status_of(desk, asked.message) if is_open else None
        answer: trace_models.Polled = context.masked(trace_models.polled(asked, own, told_of(asked.message)))
        return answer

    return routes


def _elsewhere(context: Context, caller: Caller, words: str) -> list[Place]:
    context.limiter.count(caller.holder.name)

    def unsaid(_text: Text) -> None:
        """Whoever asks over HTTP waits for the answer as a whole."""

    with context.walks.one():
        found = queues_of(context.desk, words, unsaid)
    return [*found, *systems_of(context.desk, words, unsaid)]
