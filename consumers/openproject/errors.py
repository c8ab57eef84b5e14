"""What a refusal of OpenProject means for the message: one table by status and error identifier, never by text.

Texts are localised. Identifiers: docs/api, "Errors"; body `{"_type": "Error", "errorIdentifier": "urn:…:X", "message",
"_embedded": {"details": {"attribute"}}}`; several at once come as X = MultipleErrors with `_embedded.errors`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from core.errors import (
    AmbiguousError,
    ConfigurationError,
    OutageError,
    OutcomeError,
    PermanentError,
    TransientError,
)

_TEXT_LIMIT = 1000  # characters of the server's own text that are shown to people
_MISTAKE = "a mistake of this program: please report it"


class InvalidQueryError(PermanentError):
    """A filter was refused: a field that may not be filtered by, or an id that is not there (any more)."""


class NotFoundError(PermanentError):
    """The object does not exist, or the token's user may not see it: the server does not tell which."""


class UpdateConflictError(TransientError):
    """Somebody has changed the work package since it was read: read it again."""


class Rule(NamedTuple):
    """What a status means, and what a person can do about it."""

    outcome: type[OutcomeError]
    advice: str = ""


RULES: Mapping[int, Rule] = {
    401: Rule(ConfigurationError, "check OPENPROJECT_TOKEN and OPENPROJECT_AUTH: the token is wrong or expired"),
    403: Rule(ConfigurationError, "the token's user lacks a right: give it a role in the project"),
    404: Rule(NotFoundError, "it does not exist, or the token's user may not see it"),
    406: Rule(ConfigurationError, _MISTAKE),
    409: Rule(UpdateConflictError),
    415: Rule(ConfigurationError, _MISTAKE),
    429: Rule(OutageError),
    503: Rule(OutageError),  # a proxy or the maintenance page: nothing was handed on
}


def outcome_of(
    status: int, body: Mapping[str, Any], *, what: str, write: bool, retry_after: float | None = None
) -> OutcomeError:
    """The outcome of one refused request; `what` names it for people, `body` is `{}` when it is no JSON object."""
    name = identifier(body)
    reason = f"OpenProject refused {what} (HTTP {status})"
    if text := "; ".join(_texts(body)):
        reason = f"{reason}: {text[:_TEXT_LIMIT]}"
    outcome, advice = _rule(status, name, is_theirs=body.get("_type") == "Error", write=write)
    code = name or f"http_{status}"
    return outcome(f"{reason} – {advice}" if advice else reason, code=code, retry_after=retry_after)


def identifier(body: Mapping[str, Any]) -> str:
    """`urn:openproject-org:api:v3:errors:X` -> X; some errors carry the bare word."""
    return str(body.get("errorIdentifier") or "").rpartition(":")[2]


def _rule(status: int, name: str, *, is_theirs: bool, write: bool) -> Rule:
    if status == 400 and name == "InvalidQuery":
        return Rule(InvalidQueryError)
    if status in RULES:
        return RULES[status]
    if status < 500:
        return Rule(PermanentError)
    # Inside the application, or a proxy that lost patience: what was asked for may have been done.
    if write:
        return Rule(AmbiguousError)
    return Rule(TransientError if is_theirs else OutageError)


def _texts(body: Mapping[str, Any]) -> Iterator[str]:
    embedded = body.get("_embedded")
    inner = embedded.get("errors") if isinstance(embedded, Mapping) else None
    if isinstance(inner, list) and inner:
        for each in inner:
            if isinstance(each, Mapping):
                yield from _texts(each)
    elif isinstance(body.get("message"), str):
        details = embedded.get("details") if isinstance(embedded, Mapping) else None
        attribute = details.get("attribute") if isinstance(details, Mapping) else None
        yield f"{attribute}: {body['message']}" if attribute else body["message"]
