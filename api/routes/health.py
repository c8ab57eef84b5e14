"""Whether the process lives and the work goes on, for whoever watches; no token is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from prometheus_client import generate_latest
from pydantic import Field

from api.context import Context
from api.models import Answer
from api.problems import RETRY_AFTER, Problem, documented
from core.texts import Text
from operation.standing import StatusReport

State = Literal["ok", "degraded", "failed"]
_SIGNS = {"ok": "[+]", "degraded": "[~]", "failed": "[-]"}
_AS_TEXT = {"text/plain": {"schema": {"type": "string"}, "example": "[+]worker ok\n[+]rabbitmq ok\n"}}
_READY: dict[int | str, dict[str, Any]] = {200: {"content": _AS_TEXT}, **documented(422, 500, 503)}
_READY[503]["content"] |= _AS_TEXT
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"  # prometheus.io/docs/instrumenting/exposition_formats
_EXPOSED = {"text/plain": {"schema": {"type": "string"}, "example": "task_creator_ready 1.0\n"}}
_METRICS: dict[int | str, dict[str, Any]] = {200: {"content": _EXPOSED}, **documented(422, 500, 503)}


class Check(Answer):
    name: str = Field(examples=["rabbitmq"])
    state: State


class Alive(Answer):
    alive: Literal[True]


class Ready(Answer):
    """`degraded`: the work goes on, but not for every system."""

    ready: Literal[True]
    state: Literal["ok", "degraded"]
    checks: list[Check]


Verbose = Annotated[str | None, Query(description="lines of text instead, if it is there, whatever it says")]


def router(context: Context) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/livez", operation_id="isAlive", responses=documented(422, 500))
    async def livez() -> Alive:
        """Whether this process lives. It asks nobody."""
        return Alive(alive=True)

    def readyz(verbose: Verbose = None) -> Any:
        """Whether messages are worked on: a worker is ready, RabbitMQ is there, and each input queue is read.

        A system that is down does not make it unready, since the others go on: it is `degraded`.
        """
        checks = list(checks_of(context.standing.get()))
        failed = [each.name for each in checks if each.state == "failed"]
        if verbose is not None:
            lines = "".join(f"{_SIGNS[each.state]}{each.name} {each.state}\n" for each in checks)
            return PlainTextResponse(lines, 503 if failed else 200)
        if failed:
            told = ", ".join(failed)
            raise Problem(503, "not-ready", Text(f"failed: {told}", f"не работает: {told}"), retry_after=RETRY_AFTER)
        is_ok = all(each.state == "ok" for each in checks)
        return Ready(ready=True, state="ok" if is_ok else "degraded", checks=checks)

    @routes.get("/metrics", operation_id="getMetrics", response_class=PlainTextResponse, responses=_METRICS)
    def metrics() -> PlainTextResponse:
        """The metrics of the worker and of the hooks that came here, in the text format of Prometheus.

        Of two workers that share a state directory those of one.
        """
        own = generate_latest(context.registry).decode()
        return PlainTextResponse(context.masked(context.desk.workers.ask("metrics")[0] + own), media_type=_PROMETHEUS)

    for path, name in (("/readyz", "isReady"), ("/healthz", "isHealthy")):
        routes.get(path, operation_id=name, response_model=Ready, responses=_READY)(readyz)
    return routes


def checks_of(report: StatusReport) -> Iterator[Check]:
    """Yield what readiness is made of."""
    yield Check(name="worker", state="ok" if any(each["is_ready"] for each in report.workers) else "failed")
    yield Check(name="rabbitmq", state="ok" if report.broker["is_reachable"] else "failed")
    for each in report.systems:
        if each.state == "ok" and each.consumers == 0:
            yield Check(name=f"consumer {each.system}", state="failed")
        elif each.state != "unconfigured":
            is_well = each.state in ("ok", "paused") and each.trouble is None
            yield Check(name=each.system, state="ok" if is_well else "degraded")
