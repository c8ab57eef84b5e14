"""How everything stands, and the pauses of systems."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from api import status_models as models
from api.context import Context
from api.guards import Caller, operator_of, viewer
from api.models import Answer, Both, both
from api.problems import Problem, documented
from api.requests import Pause
from core.texts import Text

SystemName = Annotated[
    str, Path(min_length=1, max_length=100, examples=["bitrix24"], description="as in `GET /api/v1/systems`")
]


class Paused(Answer):
    """The pause as it counts now."""

    hold: models.Hold
    warnings: list[Both] = Field(description="e.g. that it will not survive a restart")


class Resumed(Answer):
    down: Both | None = Field(description="why the system still cannot be used, if so; the worker goes on trying")
    warnings: list[Both]


def router(context: Context) -> APIRouter:
    routes = APIRouter(tags=["status"], dependencies=[Depends(viewer)], responses=documented(401, 422, 500, 503))
    operator = Depends(operator_of(context))

    def standing() -> models.Status:
        told: models.Status = context.masked(models.status(context.standing.get()))
        return told

    @routes.get("/status", operation_id="getStatus")
    def status() -> models.Status:
        """One verdict, and what it is made of: workers, RabbitMQ, systems, queues."""
        return standing()

    @routes.get("/systems", operation_id="listSystems")
    def systems() -> models.Systems:
        """Every system and how it stands."""
        return models.Systems(items=standing().systems)

    @routes.get("/systems/{system}", operation_id="getSystem", responses=documented(404))
    def one_system(system: SystemName) -> models.System:
        """One system and how it stands."""
        found = next((each for each in standing().systems if each.system == system), None)
        if found is None:
            text = Text("there is no such system", "такой системы нет")
            raise Problem(404, "unknown-system", text)
        return found

    @routes.get("/queues", operation_id="listQueues")
    def queues() -> models.Queues:
        """Every queue with its depth, its consumers and the age of its oldest message."""
        return models.Queues(items=standing().queues)

    @routes.put(
        "/systems/{system}/pause", operation_id="pauseSystem", responses=documented(400, 403, 404, 408, 413, 429)
    )
    def pause(system: SystemName, told: Pause, caller: Caller = operator) -> Paused:
        """Have the worker leave a system alone; its messages wait, the others go on. Repeating it begins it anew."""
        until = None if told.seconds is None else time.time() + told.seconds
        answers = context.desk.workers.ask(
            "hold", system=system, until=until, reason=told.reason, scope=told.scope, by=caller.by
        )
        context.standing.forget()
        answer: Paused = context.masked(
            Paused(
                hold=models.hold(answers[0]["hold"]),
                warnings=[Both(**each["warning"]) for each in answers if each["warning"] is not None],
            )
        )
        return answer

    @routes.delete(
        "/systems/{system}/pause", operation_id="resumeSystem", responses=documented(403, 404, 408, 409, 413, 429)
    )
    def resume(system: SystemName, caller: Caller = operator) -> Resumed:
        """End the pause of a system; 409 where there is none."""
        answers = context.desk.workers.ask("release", system=system, by=caller.by)
        context.standing.forget()
        answer: Resumed = context.masked(
            Resumed(
                down=next((both(each["down"]) for each in answers if each["down"] is not None), None),
                warnings=[Both(**each["warning"]) for each in answers if each["warning"] is not None],
            )
        )
        return answer

    return routes
