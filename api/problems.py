"""What goes wrong, as RFC 9457 wants it: `application/problem+json`, in the language of whoever asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from api.operations import Operations
from broker.errors import BROKER_ERRORS, describe_in_both
from control.client import UNANSWERED, ForbiddenError, NoWorkerError, SilentWorkerError
from control.protocol import RefusedError
from core.events.base import write
from core.events.control import QuestionFailed
from core.texts import BilingualError, Language, Text, escape
from journal.store import NoJournalError, StoreError
from operation.desk import Desk

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 5  # seconds, where something cannot be reached

MISTAKE = Text("a mistake in the program; the log says more", "ошибка в программе; подробности в журнале")
_TEXTS: Mapping[int, Text] = {
    400: Text("the body is no JSON in UTF-8", "тело запроса – не JSON в UTF-8"),
    404: Text("there is nothing at this address", "по этому адресу ничего нет"),
    405: Text("this address has no such method", "у этого адреса нет такого метода"),
    422: Text("the request does not fit; see errors", "запрос не подходит, см. errors"),
    500: MISTAKE,
}
_CODES: Mapping[int, str] = {
    400: "unreadable",
    404: "not-found",
    405: "method-not-allowed",
    422: "invalid-request",
    500: "failed",
}
_UNREACHABLE: Sequence[tuple[type[Exception], str]] = (
    (NoWorkerError, "no-worker"),
    (SilentWorkerError, "worker-silent"),
    (ForbiddenError, "worker-of-another-user"),
    (NoJournalError, "no-journal"),
    (StoreError, "journal-unusable"),
)
_REFUSED: Mapping[str, int] = {"unknown_system": 404, "not_tracked": 404, "not_held": 409, "bad_value": 422}


class FieldError(BaseModel):
    """One value that does not fit."""

    pointer: str = Field(
        description="where it stands: body, query, path or header, then the names", examples=["query/limit"]
    )
    detail: str = Field(description="what is wrong, in English", examples=["Input should be less than or equal to 200"])


class ProblemAnswer(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems/group-changed",
                    "title": "Conflict",
                    "status": 409,
                    "detail": "214 messages were expected and 260 are there: look at the list again",
                    "instance": "/api/v1/retries",
                    "code": "group-changed",
                    "errors": [],
                    "request_id": "5f0c3c0e6b5f4b0f8e6f3f1d0a9b8c7d",
                }
            ]
        }
    )

    type: str = Field(description="names the kind of problem")
    title: str = Field(description="the status in words")
    status: int
    detail: str = Field(description="what happened, in English or Russian by Accept-Language")
    instance: str = Field(description="the path that was asked")
    code: str = Field(description="a stable word for machines, the end of `type`")
    errors: list[FieldError] = Field(description="what does not fit, one by one (422)")
    request_id: str = Field(description="X-Request-ID of the request")


class Problem(BilingualError):  # noqa: N818  # the word of RFC 9457
    """A request ends with this problem. `code` is a stable word for machines; `retry_after` in seconds."""

    def __init__(self, status: int, code: str, text: Text, *, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.retry_after = retry_after


def language_of(accepted: str) -> Language:
    """Return the language that `Accept-Language` likes best: Russian where it stands before English."""
    weighed = []
    for place, each in enumerate(accepted.lower().split(",")[:20]):
        tag, *parameters = (part.strip() for part in each.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            weight = 0.0
        weighed.append((-weight, place, tag.split("-")[0]))
    languages = [tag for weight, _, tag in sorted(weighed) if tag in ("ru", "en") and weight < 0]
    return "ru" if languages and languages[0] == "ru" else "en"


def answer_of(
    headers: Mapping[str, str],
    path: str,
    request_id: str,
    problem: Problem,
    errors: Sequence[Mapping[str, str]] = (),
) -> JSONResponse:
    """Return the answer. `headers` are those of the request, in lower case."""
    told = {
        "type": f"/problems/{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.text.say(language_of(headers.get("accept-language", ""))),
        "instance": escape(path),
        "code": problem.code,
        "errors": list(errors),
        "request_id": request_id,
    }
    more: dict[str, str] = {}
    if problem.status == 401:
        more["WWW-Authenticate"] = 'Bearer realm="task-creator"'
    if problem.retry_after is not None:
        more["Retry-After"] = str(problem.retry_after)
    return JSONResponse(told, problem.status, more, MEDIA_TYPE)


def add_handlers(app: FastAPI, desk: Desk, operations: Operations) -> None:
    """Have every error leave as a problem, without a secret."""

    def told(request: Request, problem: Problem, errors: Sequence[Mapping[str, str]] = ()) -> JSONResponse:
        problem.text = problem.text.map(desk.mask)
        return answer_of(request.headers, request.url.path, request_id_of(request), problem, errors)

    def on_problem(request: Request, error: Exception) -> JSONResponse:
        return told(request, problem_of(error))

    def on_invalid(request: Request, error: Exception) -> JSONResponse:
        found = error.errors() if isinstance(error, RequestValidationError) else ()
        errors = [
            {
                "pointer": escape("/".join(str(part) for part in each["loc"])),
                "detail": desk.mask(escape(str(each["msg"]))),
            }
            for each in found
        ]
        return told(request, Problem(422, _CODES[422], _TEXTS[422]), errors)

    def on_http(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            raise error
        text = _TEXTS.get(error.status_code) or Text.of(str(error.detail))
        answer = told(request, Problem(error.status_code, _CODES.get(error.status_code, "refused"), text))
        answer.headers.update(error.headers or {})
        if error.status_code == 405:  # Starlette names the methods of one route, and a path has several
            answer.headers["Allow"] = ", ".join(sorted(operations.methods_at(request.url.path)))
        return answer

    def on_mistake(request: Request, error: Exception) -> JSONResponse:
        write(QuestionFailed(error))
        return told(request, Problem(500, _CODES[500], _TEXTS[500]))

    for kind in (Problem, *UNANSWERED, StoreError, *BROKER_ERRORS):
        app.add_exception_handler(kind, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_mistake)


def problem_of(error: Exception) -> Problem:
    """Return what an error of the parts below means to whoever asks."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RefusedError):
        status = _REFUSED.get(error.code, 503)
        return Problem(status, error.code.replace("_", "-"), error.text, retry_after=_after(status))
    code = next((code for kind, code in _UNREACHABLE if isinstance(error, kind)), "rabbitmq-unusable")
    text = error.text if isinstance(error, BilingualError | StoreError) else describe_in_both(error)
    if code == "rabbitmq-unusable":
        text = text.led_by("RabbitMQ: ")
    return Problem(503, code, text, retry_after=RETRY_AFTER)


def request_id_of(request: Request) -> str:
    told: str = request.scope["state"]["request_id"]
    return told


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of the problems of an operation."""
    return {status: _document(status) for status in statuses}


def _document(status: int) -> dict[str, Any]:
    document: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}},
    }
    if status in (429, 503):
        document["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "string"}}}
    if status == 401:
        document["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return document


def _after(status: int) -> int | None:
    return RETRY_AFTER if status == 503 else None
