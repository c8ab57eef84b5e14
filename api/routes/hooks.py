"""Where Bitrix24 and OpenProject tell of changed tasks, so that a click is answered sooner than the next sweep.

No token is needed: a hook proves itself. It may be lost, late, doubled or forged; all that it can do is to make the
tracker look at a task.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field

from api.context import Context
from api.hook_metrics import SYSTEMS, System
from api.hook_reading import ForgedError, MalformedError, bitrix24_task, openproject_task
from api.models import Answer
from api.problems import Problem, documented
from core.events.base import write
from core.events.hooks import HooksRefused
from core.texts import Text

MOST_SENT = 256 * 1024  # bytes of a hook's body
TOLD_EVERY = 60.0  # seconds between two lines of the log about refused hooks

_REFUSED = Text("there is nothing at this address", "по этому адресу ничего нет")
_MALFORMED = Text("the hook names no event or no task", "в хуке нет события или задачи")
_TOO_LARGE = Text(f"more than {MOST_SENT} bytes", f"больше {MOST_SENT} байт")
_PROBLEMS = documented(400, 404, 408, 413, 422, 500)
_FIELDS = (
    ("event", "ONTASKUPDATE"),
    ("data[FIELDS_BEFORE][ID]", "123"),
    ("data[FIELDS_AFTER][ID]", "123"),
    ("auth[application_token]", "51856fefc120afa4b628cc82d3935cce"),
)
_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {name: {"type": "string", "examples": [example]} for name, example in _FIELDS},
}
_JSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "action": {"type": "string", "examples": ["work_package:updated"]},
        "work_package": {"type": "object", "properties": {"id": {"type": "integer", "examples": [123]}}},
    },
}


class HookAnswer(Answer):
    accepted: bool = Field(description="the task will be looked at; false: the event is of no interest")


def router(context: Context) -> APIRouter:
    routes = APIRouter(tags=["hooks"], prefix="/hooks")
    refusals = _Refusals()

    def taken(source: System, body: bytes, read: Callable[[], str | None]) -> HookAnswer:
        """Count it, and have its task looked at. Raises Problem."""
        metrics = context.hook_metrics
        if len(body) > MOST_SENT:
            metrics.request(source, "too_large")
            raise Problem(413, "too-large", _TOO_LARGE)
        try:
            external_id = read()
        except ForgedError:
            metrics.request(source, "refused")
            refusals.count(source)
            raise Problem(404, "not-found", _REFUSED) from None
        except MalformedError:
            metrics.request(source, "malformed")
            raise Problem(400, "malformed-hook", _MALFORMED) from None
        metrics.request(source, "ignored" if external_id is None else "accepted")
        if external_id is not None:
            context.hooks.put(source, external_id)
        return HookAnswer(accepted=external_id is not None)

    @routes.post(
        "/bitrix24/{name}",
        operation_id="hookOfBitrix24",
        responses=_PROBLEMS,
        openapi_extra=_body("application/x-www-form-urlencoded", _FORM),
    )
    async def bitrix24(name: str, request: Request) -> HookAnswer:
        """An outgoing webhook of Bitrix24: a task was changed. Whatever proves nothing is not found."""
        body = await request.body()
        return taken("bitrix24", body, lambda: bitrix24_task(context.hook_settings, name, body))

    @routes.post(
        "/openproject/{name}",
        operation_id="hookOfOpenProject",
        responses=_PROBLEMS,
        openapi_extra=_body("application/json", _JSON),
    )
    async def openproject(name: str, request: Request) -> HookAnswer:
        """A webhook of OpenProject, signed: a work package was changed. Whatever proves nothing is not found."""
        body = await request.body()
        return taken("openproject", body, lambda: openproject_task(context.hook_settings, name, request.headers, body))

    return routes


def _body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


class _Refusals:
    """Tells the log of refused hooks, seldom: anybody may send them. For one thread, the loop's."""

    def __init__(self) -> None:
        self._counts: dict[System, int] = dict.fromkeys(SYSTEMS, 0)
        self._told: dict[System, float] = {}

    def count(self, source: System) -> None:
        self._counts[source] += 1
        now = time.monotonic()
        if now - self._told.get(source, -TOLD_EVERY) >= TOLD_EVERY:
            write(HooksRefused(source, self._counts[source]))
            self._counts[source], self._told[source] = 0, now
