"""The settings as they count, and whether a system can be used with them."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from api.context import Context
from api.guards import Caller, operator_of, viewer
from api.idempotency import Key, route_class
from api.models import Answer, Both, both
from api.problems import Problem, documented
from api.requests import Nothing
from api.routes.status import SystemName
from core.texts import Text
from operation.probing import probe
from operation.settings_shown import shown_settings


class Setting(Answer):
    """One setting as it counts."""

    variable: str = Field(examples=["BITRIX_WEBHOOK_URL"])
    value: str | None = Field(description="null for none; of a secret no more than a hint")
    source: Literal["environment", "env_file", "file", "default"]
    is_secret: bool
    file: str | None = Field(description="the file that a secret stands in")


class Remark(Answer):
    variable: str
    said: Both


class Config(Answer):
    """The settings of this process, which are those of a worker that was started beside it."""

    env_file: str | None = Field(description="the .env that was read")
    settings: list[Setting]
    remarks: list[Remark]


class Checked(Answer):
    """Whether a system can be used now; `is_usable` is null where nothing can be asked."""

    system: str
    is_usable: bool | None
    reason: Both | None = Field(description="why not, or why it was not asked")
    code: str | None = Field(examples=["invalid_credentials"])
    remarks: list[Both] = Field(description="what is to be mended in the system's set-up")


def router(context: Context) -> APIRouter:
    routes = APIRouter(tags=["settings"], dependencies=[Depends(viewer)], responses=documented(401, 422, 500, 503))

    @routes.get("/config", operation_id="getConfig")
    def config() -> Config:
        """Every setting with its source, without secrets."""
        settings = context.desk.settings
        env_file = settings.origins.env_file
        answer: Config = context.masked(
            Config(
                env_file=None if env_file is None else str(env_file),
                settings=[
                    Setting(
                        variable=each.variable,
                        value=each.value,
                        source=each.source,
                        is_secret=each.is_secret,
                        file=each.file,
                    )
                    for each in shown_settings(settings)
                ],
                remarks=[Remark(variable=each.variable, said=both(each.text)) for each in settings.warnings],
            )
        )
        return answer

    return routes


def acting_router(context: Context) -> APIRouter:
    routes = APIRouter(
        tags=["status"],
        route_class=route_class(context.answers),
        responses=documented(400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 503),
    )
    operator = Depends(operator_of(context))

    @routes.post("/systems/{system}/check", operation_id="checkSystem")
    def check(system: SystemName, _told: Nothing, _caller: Caller = operator, _key: Key = None) -> Checked:
        """Ask a system now whether it can be used: reached, logged in, with the rights that are needed."""
        if (queue := f"{system}.queue") not in context.desk.settings.worker.queue_handlers:
            raise Problem(404, "unknown-system", Text("there is no such system", "такой системы нет"))
        told = probe(context.desk, queue)
        answer: Checked = context.masked(
            Checked(
                system=system,
                is_usable=told.is_usable,
                reason=both(told.reason),
                code=told.code,
                remarks=[both(each) for each in told.remarks],
            )
        )
        return answer

    return routes
