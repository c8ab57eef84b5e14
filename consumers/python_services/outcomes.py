"""Says what a service's answer means: one table by status, one reading of the body for answers, polls and callables.

    {"status": "succeeded|running|failed", "result": {...},
     "error": {"code": "...", "message": "...", "retryable": false, "bpmn_error": "CODE"}}

Idempotency-Key: draft-ietf-httpapi-idempotency-key-header-07, 2.7 (409 the same key is still in work, 422 it came with
another payload). Retry-After: RFC 9110, 10.2.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consumers.python_services.registry import HttpSpec, Poll
from core import values
from core.errors import (
    AmbiguousError,
    BusinessError,
    ConfigurationError,
    OutageError,
    OutcomeError,
    PermanentError,
    TransientError,
)
from core.texts import Text
from toolkit.http import HttpAnswer
from toolkit.http_outcomes import COMMON, TEXT_LIMIT, Rule, refusal, rule_of
from toolkit.json_answers import read_answer

CODE_LIMIT = 200  # characters

JsonObject = Mapping[str, Any]


class ServerFailedError(TransientError):
    """The service failed at this request, or at all."""


class StillRunningError(AmbiguousError):
    """An earlier request with this key is still in work: come again for its result."""


RULES: Mapping[int, Rule] = {
    **{status: Rule(ServerFailedError) for status in range(500, 600)},
    **COMMON,
    409: Rule(StillRunningError),
    423: Rule(TransientError),
    501: Rule(PermanentError),
}


@dataclass(frozen=True, slots=True)
class Finished:
    result: Any


@dataclass(frozen=True, slots=True)
class Failed:
    error: JsonObject


@dataclass(frozen=True, slots=True)
class Running:
    word: str


@dataclass(frozen=True, slots=True)
class Unmarked:
    """The body has no status that the registry knows; `word` is what stands in its place, None when nothing does."""

    word: str | None


Reading = Finished | Failed | Running | Unmarked


def at(body: Any, path: str) -> Any:
    """Return body["job"]["status"] for `$.job.status`; None where there is nothing."""
    for name in path.split(".")[1:]:
        body = body.get(name) if isinstance(body, Mapping) else None
    return body


def read(body: JsonObject, poll: Poll) -> Reading:
    status = at(body, poll.status)
    if not isinstance(status, str | int):
        return Unmarked(None)
    word = values.text(status)
    for words, reading in ((poll.done, Finished), (poll.failed, Failed), (poll.running, Running)):
        if word.casefold() in {each.casefold() for each in words}:
            if reading is Finished:
                result = at(body, poll.result)
                return Finished(body if result is None else result)
            return Failed(body) if reading is Failed else Running(word)
    return Unmarked(word)


def failure(who: Text, body: JsonObject) -> OutcomeError:
    """Return the error for what a service reports as `failed`: for the process, for a later try, or for good."""
    error = body.get("error")
    told: JsonObject = error if isinstance(error, Mapping) else {"message": error}
    text = values.text(told.get("message") or body.get("message") or "")
    text = values.cut_words(text, TEXT_LIMIT)
    reason = Text(
        f"{who.en} failed: {text}" if text else f"{who.en} failed without a reason",
        f"{who.ru} сообщил о неудаче: {text}" if text else f"{who.ru} сообщил о неудаче без причины",
    )
    code = values.text(told.get("code") or "")[:CODE_LIMIT] or "service_failed"
    if bpmn_error := _bpmn_error(told):
        return BusinessError(reason, code=bpmn_error)
    return (TransientError if told.get("retryable") is True else PermanentError)(reason, code=code)


def refused(who: Text, spec: HttpSpec, answer: HttpAnswer) -> OutcomeError:
    """Return the outcome of an answer that is not 2xx."""
    status, body = answer.status, read_answer(answer).content or {}
    error = body.get("error")
    told: JsonObject = error if isinstance(error, Mapping) else {}
    text = values.text(told.get("message") or body.get("message") or (error if isinstance(error, str) else ""))
    reason = answered(who, status)
    if bpmn_error := spec.bpmn_errors.get(status) or _bpmn_error(told):
        return refusal(Rule(BusinessError), reason, text=text, code=bpmn_error)
    if 300 <= status < 400:
        redirect = Text(
            f"{reason.en}, a redirect – requests are not sent on: give the address that it means in SERVICES_FILE",
            f"{reason.ru}, это перенаправление – воркер по ним не ходит: укажите в SERVICES_FILE адрес, на который "
            "оно ведёт",
        )
        return ConfigurationError(redirect, code="redirect")
    rule = rule_of(status, RULES, write=True, is_theirs=bool(body))
    if rule.outcome is PermanentError and told.get("retryable") is True:
        rule = Rule(TransientError)
    code = values.text(told.get("code") or "")[:CODE_LIMIT] or f"http_{status}"
    return refusal(rule, reason, text=text, code=code, retry_after=answer.retry_after)


def answered(who: Text, status: int) -> Text:
    return Text(f"{who.en} answered HTTP {status}", f"{who.ru} ответил HTTP {status}")


def is_certain_failure(error: OutcomeError) -> bool:
    """Return whether the service as a whole is not usable, whatever the message."""
    return isinstance(error, OutageError | ConfigurationError)


def is_doubtful_failure(error: OutcomeError) -> bool:
    """Return whether the service or this message may be at fault: several in a row show which."""
    return isinstance(error, ServerFailedError | AmbiguousError) and not isinstance(error, StillRunningError)


def _bpmn_error(told: JsonObject) -> str:
    code = told.get("bpmn_error")
    return code.strip()[:CODE_LIMIT] if isinstance(code, str) else ""
