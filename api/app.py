"""Makes the application: its operations, its OpenAPI document, what is refused before and after them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.context import UNSAFE_PER_MINUTE, Context
from api.front import Front
from api.metrics import Measuring, RequestCounts
from api.operations import Operations, refuse_unknown
from api.problems import ProblemAnswer, add_handlers
from api.routes import errors, events, health, hooks, messages, sending, settings, status, tracing
from api.streams import Pace
from api.tokens import Tokens
from core.version import VERSION
from operation.desk import Desk

PREFIX = "/api/v1"
ABOUT = """What an operator asks and has done. Times are RFC 3339 in UTC, durations are seconds, ids are texts; what
people read is in English and in Russian. Everything that goes wrong is `application/problem+json` (RFC 9457), whose
`detail` is in the language of `Accept-Language`. Additions only: what is not known to a client may be there."""
CLOSING = 10.0  # seconds for the jobs to end


def make_app(
    desk: Desk, tokens: Tokens, *, unsafe_per_minute: int = UNSAFE_PER_MINUTE, pace: Pace | None = None
) -> FastAPI:
    """Return the application; `desk` is the caller's to close. `state.streams` are the streams that are open."""
    context = Context.of(desk, tokens, unsafe_per_minute, pace or Pace())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        context.hooks.start()
        yield
        context.hooks.close()
        context.jobs.close(CLOSING)

    app = FastAPI(
        title="Task Creator",
        version=VERSION,
        description=ABOUT,
        docs_url=None,  # they load their scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.streams = context.streams
    operations = Operations(app)
    app.include_router(health.router(context), dependencies=[refuse_unknown(operations)])
    app.include_router(hooks.router(context), dependencies=[refuse_unknown(operations)])
    for router in (
        *(status.router, messages.router, events.router, tracing.router, errors.router, settings.router),
        *(sending.acting_router, tracing.acting_router, errors.acting_router, settings.acting_router),
    ):
        app.include_router(router(context), prefix=PREFIX, dependencies=[refuse_unknown(operations)])
    add_handlers(app, desk, operations)
    counts = RequestCounts(operations)
    context.figures.append(counts)
    app.add_middleware(Front, tokens=tokens)
    app.add_middleware(Measuring, counts=counts)  # the last one is the outermost
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    return app


def document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with our problems where FastAPI would show errors of its own."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = made["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        problem = ProblemAnswer.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
        schemas.update(problem.pop("$defs"))
        schemas["ProblemAnswer"] = problem
        app.openapi_schema = made
    return app.openapi_schema
