"""Says what a refusal of OpenProject means for the message: one table by status and error identifier, never by text.

Texts are localised. Identifiers: docs/api, "Errors"; body `{"_type": "Error", "errorIdentifier": "urn:…:X", "message",
"_embedded": {"details": {"attribute"}}}`; several at once come as X = MultipleErrors with `_embedded.errors`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.errors import (
    ConfigurationError,
    OutageError,
    OutcomeError,
    PartialOutageError,
    PermanentError,
    TransientError,
)
from core.texts import Text
from toolkit.http_outcomes import Rule, refusal, refused, rule_of

RIGHT_WAIT = 300.0  # seconds until a message whose right is missing is tried again
_MISTAKE = Text("a mistake of this program: please report it", "это ошибка программы: сообщите о ней разработчикам")


class InvalidQueryError(PermanentError):
    """A filter was refused: a field that may not be filtered by, or an id that is not there (any more)."""


class NotFoundError(PermanentError):
    """The object does not exist, or the token's user may not see it: the server does not say which."""


class MissingRightError(PartialOutageError):
    """The token's user may not do this here: the message waits for the right, the others flow."""

    def __init__(self, reason: str | Text, *, code: str | None = None, retry_after: float | None = None) -> None:
        part = Text("a right of the token's user", "право пользователя маркера")
        super().__init__(reason, code=code, retry_after=retry_after or RIGHT_WAIT, part=part)


class UpdateConflictError(TransientError):
    """Somebody has changed the work package since it was read: read it again."""


RULES: Mapping[int, Rule] = {
    401: Rule(
        ConfigurationError,
        Text(
            "check OPENPROJECT_TOKEN and OPENPROJECT_AUTH: the token is wrong or expired",
            "проверьте OPENPROJECT_TOKEN и OPENPROJECT_AUTH: маркер доступа неверен или истёк",
        ),
    ),
    403: Rule(
        MissingRightError,
        Text(
            "the token's user lacks a right: give it a role in the project",
            "пользователю маркера не хватает прав: дайте ему роль в проекте",
        ),
    ),
    404: Rule(
        NotFoundError,
        Text(
            "it does not exist, or the token's user may not see it",
            "этого нет, или пользователю маркера это не видно",
        ),
    ),
    406: Rule(ConfigurationError, _MISTAKE),
    409: Rule(UpdateConflictError),
    415: Rule(ConfigurationError, _MISTAKE),
    429: Rule(OutageError),
    503: Rule(OutageError),  # a proxy or the maintenance page: nothing was handed on
}

_NOBODY = Rule(
    ConfigurationError,
    Text(
        "check OPENPROJECT_URL: no OpenProject answers there", "проверьте OPENPROJECT_URL: там отвечает не OpenProject"
    ),
)


def outcome_of(
    status: int, body: Mapping[str, Any], *, what: str, write: bool, retry_after: float | None = None
) -> OutcomeError:
    """Return the outcome of one refused request.

    `what` names it for people, `body` is `{}` when it is no JSON object.
    """
    name, is_theirs = identifier(body), body.get("_type") == "Error"
    if status == 400 and name == "InvalidQuery":
        rule = Rule(InvalidQueryError)
    elif status in {404, 405, 410} and not is_theirs:
        rule = _NOBODY  # a web server's page: with a wrong address every message would be set aside
    else:
        rule = rule_of(status, RULES, write=write, is_theirs=is_theirs)
    reason = refused("OpenProject", what, f"HTTP {status}")
    return refusal(rule, reason, text="; ".join(_texts(body)), code=name or f"http_{status}", retry_after=retry_after)


def identifier(body: Mapping[str, Any]) -> str:
    """Return X of `urn:openproject-org:api:v3:errors:X`; some errors carry the bare word."""
    return str(body.get("errorIdentifier") or "").rpartition(":")[2]


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
