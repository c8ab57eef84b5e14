"""Calls the customer's own HTTP services (`/hs/…`): JSON in, JSON out, done at once.

What a service says in JSON is its own contract: 422 is a refusal that the process should know, any other 4xx is for the
error queue, 503 asks for patience. `Idempotency-Key` is the Camunda task id, by which the service knows a repetition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumers.onec.client import Json, OneCClient
from consumers.onec.errors import TEXT_LIMIT, RefusalError, outcome_of
from consumers.onec.fields import service_data
from consumers.onec.mapping import ServiceTopic
from core.errors import AmbiguousError, BusinessError, OutcomeError, PartialOutageError, PermanentError, TransientError
from core.messages import CamundaTask
from core.results import Done, with_warnings
from core.texts import Text
from toolkit.http import Guard
from toolkit.json_answers import read_answer, result_of

_PATIENCE = 30.0  # seconds, where the service tells no Retry-After
_NOT_THE_SERVICES_OWN = frozenset({401, 407, 408, 425, 429})


class HttpServices:
    def __init__(self, client: OneCClient) -> None:
        self._client = client

    def call(self, task: CamundaTask, topic: ServiceTopic, guard: Guard) -> Done:
        """Call a service. Raises an outcome. `guard` is asked at the last moment."""
        body: Json = {
            "task_id": task.task_id,
            "topic": task.topic,
            "process_instance_id": task.process_instance_id,
            "activity_id": task.activity_id,
            "data": service_data(task, topic.fields),
        }
        try:
            answer = self._client.call_service(topic.address, body, task.task_id, guard)
        except RefusalError as refused:
            raise service_outcome_of(refused, topic.address) from None
        told, notes = result_of(answer, _title(topic.address))
        view = {"id": task.task_id, "title": topic.address, "status": "done", **told}
        return Done(with_warnings({"result": {"task": view}, "success": True}, notes))


def service_outcome_of(refused: RefusalError, name: str) -> OutcomeError:
    """Return the outcome of a refusal by a service or by what stands before it."""
    own = read_answer(refused.answer).content or None
    status = refused.answer.status
    if own is None or own.keys() & {"exception", "odata.error"} or status in _NOT_THE_SERVICES_OWN:
        outcome = outcome_of(refused)
        if isinstance(outcome, AmbiguousError) and status == 500:
            # What an exception in the service's code looks like: repeated like any fault, not as a doubt.
            return TransientError(outcome.text, code=outcome.code)
        return outcome
    who = _title(name)
    if status == 503:  # this service asks for patience; the rest of 1C works on
        busy = Text(f"{who.en} is busy (HTTP 503)", f"{who.ru} занят (HTTP 503)")
        return PartialOutageError(busy, code="http_503", retry_after=refused.answer.retry_after or _PATIENCE)
    text, code = _told(own)
    why = text[:TEXT_LIMIT]
    reason = Text(
        f"{who.en} refused the task (HTTP {status}): {why}", f"{who.ru}: отказ выполнить задачу (HTTP {status}): {why}"
    )
    kind: type[OutcomeError] = PermanentError if status < 500 else TransientError
    return (BusinessError if status == 422 else kind)(
        reason, code=code or f"http_{status}", retry_after=refused.answer.retry_after
    )


def _title(name: str) -> Text:
    return Text(f"The HTTP service {name} of 1C", f"HTTP-сервис {name} в 1С")


def _told(body: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return message and code from `{"error": {"code", "message"}}`, `{"error": "…"}` or `{"code", "message"}`."""
    error = body.get("odata.error", body.get("error", body))
    if isinstance(error, str):
        return error, None
    if not isinstance(error, Mapping):
        error = body
    message, code = error.get("message", ""), error.get("code")
    if isinstance(message, Mapping):
        message = message.get("value", "")
    return str(message), str(code)[:50] if isinstance(code, str | int) and str(code).strip() else None
