"""Puts a task into an input queue, as Camunda's side would."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from api.context import Context
from api.guards import Caller, operator_of
from api.idempotency import Key, route_class
from api.models import Answer, Both, both
from api.problems import Problem, documented
from api.requests import Send
from broker.handing_in import NotTakenError
from core.errors import InvalidMessageError
from core.texts import Text
from operation.editing import text_of
from operation.noting import acted
from operation.sending import USUAL_TOPICS, Wish, checked, queue_named, send, task_of

_LOCATION: dict[str, Any] = {"Location": {"description": "of the message", "schema": {"type": "string"}}}
_SENT: dict[int | str, dict[str, Any]] = {202: {"headers": _LOCATION}}


class Sent(Answer):
    """RabbitMQ has it; `GET /api/v1/messages/{id}/trace` says what becomes of it."""

    id: str = Field(description="its Camunda task id")
    queue: str = Field(examples=["bitrix24.queue"])
    topic: str
    warnings: list[Both] = Field(description="e.g. that the journal could not be told who has sent it")


def acting_router(context: Context) -> APIRouter:
    routes = APIRouter(
        tags=["messages"],
        route_class=route_class(context.answers),
        responses=documented(400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 503),
    )
    operator = Depends(operator_of(context))

    @routes.post("/messages", operation_id="sendMessage", status_code=202, responses=_SENT)
    def put(told: Send, response: Response, caller: Caller = operator, _key: Key = None) -> Sent:
        """Put a task into an input queue: one that is made of a title and fields, or a whole message as it stands.

        It is read as a worker reads it first, so that nothing is sent that would be refused. Nobody in Camunda waits
        for its answer, unless the message says so.
        """
        desk, began = context.desk, time.time()
        queue = queue_named(desk, told.queue)
        if queue is None:
            known = ", ".join(sorted(desk.settings.worker.queue_handlers))
            raise Problem(404, "unknown-queue", Text(f"known queues: {known}", f"известные очереди: {known}"))
        body = _body(told, queue)
        try:
            task = checked(desk, body)
            [task_id] = send(desk, queue, iter([(task, body)]))
        except InvalidMessageError as error:
            raise Problem(422, "refused-message", error.text) from None
        except NotTakenError as error:
            raise Problem(409 if error.is_missing else 503, "not-taken", error.text) from None
        system = queue.removesuffix(".queue")
        warning = acted(desk, began, f"send {queue}", by=caller.by, system=system, count=1)
        response.headers["Location"] = f"/api/v1/messages/{task_id}"
        answer: Sent = context.masked(
            Sent(
                id=task_id,
                queue=queue,
                topic=task.topic,
                warnings=[] if warning is None else [both(warning)],
            )
        )
        return answer

    return routes


def _body(told: Send, queue: str) -> bytes:
    if told.message is not None:
        return text_of(told.message).encode("utf-8", "surrogatepass")
    topic = told.topic or USUAL_TOPICS.get(queue.removesuffix(".queue"))
    if topic is None:
        raise Problem(422, "topic-wanted", Text(f"{queue} needs a topic", f"для {queue} нужен topic"))
    return task_of(Wish(queue, topic, told.title or "", told.fields), time.time())
