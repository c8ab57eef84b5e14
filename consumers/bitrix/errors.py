"""What an error code of Bitrix24 means for the message: one table, compared without case, never by text.

Texts are localised and change; codes are documented on error-codes.md and on each method's page.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import (
    AmbiguousError,
    ConfigurationError,
    OutageError,
    OutcomeError,
    PermanentError,
    TransientError,
)

QUERY_LIMIT_EXCEEDED = "query_limit_exceeded"
OPERATION_TIME_LIMIT = "operation_time_limit"

_TEXT_LIMIT = 1000  # characters of the portal's own text that are shown to people


class UnclearAnswerError(AmbiguousError):
    """The portal has finished the write with an internal error of its own: executed or not, a lookup tells now."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`outcome` None: the portal failed inside, so a write is unclear and a read may simply be repeated."""

    outcome: type[OutcomeError] | None
    advice: str = ""
    retry_after: float | None = None  # seconds


_WEBHOOK = "check BITRIX_WEBHOOK_URL: the webhook's code is wrong, expired or was changed"
_SCOPE = "give the webhook the scopes task, user and (for CRM topics) crm"
_PLAN = "the portal's plan does not include the REST API"

RULES: Mapping[str, Rule] = {
    "query_limit_exceeded": Rule(OutageError),
    "operation_time_limit": Rule(OutageError),
    "overload_limit": Rule(ConfigurationError, "the portal blocks REST by hand: ask the support of Bitrix24", 900),
    "internal_server_error": Rule(None),
    "error_unexpected_answer": Rule(None),
    "no_auth_found": Rule(ConfigurationError, _WEBHOOK),
    "expired_token": Rule(ConfigurationError, _WEBHOOK),
    "invalid_token": Rule(ConfigurationError, _WEBHOOK),
    "invalid_credentials": Rule(ConfigurationError, "the webhook's user lacks rights; " + _SCOPE),
    "insufficient_scope": Rule(ConfigurationError, _SCOPE),
    "user_access_error": Rule(ConfigurationError, "the webhook's user may not use it; " + _WEBHOOK),
    "access_denied": Rule(ConfigurationError, _PLAN + " or the webhook's user lacks the right"),
    "allowed_only_intranet_user": Rule(ConfigurationError, "the webhook's user must be an employee"),
    "invalid_request": Rule(ConfigurationError, "use https in BITRIX_WEBHOOK_URL"),
    "error_method_not_found": Rule(ConfigurationError, "this portal has no such method; " + _SCOPE),
    "error_manifest_is_not_available": Rule(ConfigurationError, _PLAN),
    "portal_deleted": Rule(ConfigurationError, "the portal is closed or deleted"),
    "error_batch_method_not_allowed": Rule(ConfigurationError, "a mistake of this program: please report it"),
    "error_batch_length_exceeded": Rule(ConfigurationError, "a mistake of this program: please report it"),
    # The catch-all of the task methods: unknown responsible, no title, a missing mandatory field, no right.
    # Nothing in it says that time would help, and a person reads the reason soonest in the error queue.
    "error_core": Rule(PermanentError),
    "0": Rule(PermanentError),
    "100": Rule(PermanentError),
    "1048582": Rule(PermanentError, "the webhook's user may not do this with the task"),
    "": Rule(PermanentError),
    "illegal_new_link": Rule(PermanentError),
    "action_not_allowed": Rule(PermanentError),
    "crm_field_error_value_not_valid": Rule(PermanentError),
    "not_found": Rule(PermanentError),
    "invalid_arg_value": Rule(PermanentError),
}


def outcome_of(code: Any, text: Any, *, method: str, write: bool, status: int | None = None) -> OutcomeError:
    """The outcome for one refused call. `status` is the HTTP status, None for a command inside a batch."""
    code = str(code if code is not None else "")
    rule = _rule(code.lower(), status)
    reason = f"Bitrix24 refused {method}: {readable(text) or 'no reason given'}"
    if code not in {"", "0"}:
        reason += f" [{code}]"
    if rule.advice:
        reason += f" – {rule.advice}"
    outcome = rule.outcome or (UnclearAnswerError if write else TransientError)
    return outcome(reason, code=code or None, retry_after=rule.retry_after)


def readable(text: Any) -> str:
    """The portal's text for people: it comes with `<br>` and entities."""
    without_tags = re.sub(r"<[^<>]{0,200}>", " ", str(text if text is not None else ""))
    return " ".join(html.unescape(without_tags).split())[:_TEXT_LIMIT]


def _rule(code: str, status: int | None) -> Rule:
    if code == "access_denied" and status == 400:
        # On a method's own page it is about one kind of object; it must not stop all other messages.
        return Rule(PermanentError, "the webhook's user lacks the right for this kind of object")
    known = RULES.get(code)
    if known is not None:
        return known
    if status in {401, 403}:
        return Rule(ConfigurationError, _WEBHOOK)
    if status == 429:
        return Rule(OutageError)
    if status is not None and status >= 500:
        return Rule(None)
    return Rule(PermanentError)
