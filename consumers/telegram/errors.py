"""Says what a refusal of the Bot API means: by `error_code` and `parameters`.

The description only separates kinds of 400. `{"ok": false, "error_code": N, "description": "...", "parameters":
{"retry_after" | "migrate_to_chat_id"}}` (core.telegram.org/bots/api#responseparameters). Whatever else answers is
something in between: a proxy, a filter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import ConfigurationError, OutageError, OutcomeError, PartialOutageError, PermanentError
from core.texts import Text
from toolkit.http_outcomes import TEXT_LIMIT, Rule, refusal, refused

UNREACHABLE = "TELEGRAM_UNREACHABLE"
_LEAST_WAIT = 1.0  # seconds; who is told none must not ask again and again
_UNTOLD_WAIT = 30.0  # seconds after "too many requests" without a time
_LONGEST_WAIT = 24 * 3600  # seconds; longer ones were never told, and would be for ever

# Parts of descriptions, lower case: the chat cannot be written to, whatever the text is.
_UNREACHABLE_TEXTS = (
    "chat not found",
    "user not found",
    "peer_id_invalid",
    "no rights to send",
    "not enough rights",
    "need administrator rights",
    "chat_write_forbidden",
    "chat_restricted",
    "group chat was deactivated",
    "bot is not a member",
    "bot was kicked",
    "user_is_blocked",
    "can't send messages to bots",
)


class UnreachableError(PermanentError):
    """The bot may not or cannot write to this chat: blocked, kicked, not a member, no such chat."""


class EntitiesError(PermanentError):
    """The markup was refused; without it the text can be sent."""


class MigratedError(PermanentError):
    """The group has become a supergroup with another id."""

    def __init__(self, reason: str | Text, chat_id: str) -> None:
        super().__init__(reason, code="migrated")
        self.chat_id = chat_id


class FloodError(PartialOutageError):
    """Too many messages: none was sent, and none may be sent for `retry_after` seconds."""


class DoubtfulOutageError(OutageError):
    """The system is down, and what was asked for may have been done before it went."""


_PROXY_LOGIN = Text(
    "the proxy wants credentials: check TELEGRAM_PROXY", "прокси требует учётные данные: проверьте TELEGRAM_PROXY"
)
_RULES: Mapping[int, Rule] = {
    401: Rule(
        ConfigurationError,
        Text(
            "check TELEGRAM_BOT_TOKEN, it is wrong or was revoked",
            "проверьте TELEGRAM_BOT_TOKEN, он неверен или отозван",
        ),
    ),
    404: Rule(
        ConfigurationError,
        Text(
            "check TELEGRAM_BOT_TOKEN and TELEGRAM_API_URL: no such bot or method",
            "проверьте TELEGRAM_BOT_TOKEN и TELEGRAM_API_URL: такого бота или метода нет",
        ),
    ),
    403: Rule(UnreachableError),
    429: Rule(FloodError),
}


def outcome_of(
    status: int, body: Mapping[str, Any] | None, *, what: str, write: bool, retry_after: float | None = None
) -> OutcomeError:
    """Return the outcome of one refused request.

    `what` names it for people, `body` is None when it is no JSON object.
    """
    if body is None or body.get("ok") is not False or type(body.get("error_code")) is not int:
        return _of_something_else(status, what, write=write, retry_after=retry_after)
    code = body["error_code"]
    description = str(body.get("description") or "")
    parameters = body.get("parameters")
    told: Mapping[str, Any] = parameters if isinstance(parameters, Mapping) else {}
    reason = refused("Telegram", what, str(code))
    moved_to = told.get("migrate_to_chat_id")
    if code < 500 and type(moved_to) is int:
        return MigratedError(reason.map(lambda each: f"{each}: {description[:TEXT_LIMIT]}"), str(moved_to))
    rule = _server_error(code, write) if code >= 500 else _RULES.get(code) or _bad_request(description)
    if rule.outcome is FloodError:
        seconds = told.get("retry_after")
        told_wait = min(seconds, _LONGEST_WAIT) if type(seconds) is int else retry_after or _UNTOLD_WAIT
        retry_after = max(_LEAST_WAIT, float(told_wait))
    name = UNREACHABLE if rule.outcome is UnreachableError else f"telegram_{code}"
    return refusal(rule, reason, text=description, code=name, retry_after=retry_after)


def _bad_request(description: str) -> Rule:
    lowered = description.lower()
    if "can't parse" in lowered or "can't find end" in lowered:
        return Rule(EntitiesError)
    if any(text in lowered for text in _UNREACHABLE_TEXTS):
        return Rule(UnreachableError)
    return Rule(PermanentError)


def _server_error(status: int, write: bool) -> Rule:
    # 503: nothing was handed on. The others may come after the work was done.
    return Rule(DoubtfulOutageError if write and status != 503 else OutageError)


def _of_something_else(status: int, what: str, *, write: bool, retry_after: float | None) -> OutcomeError:
    reason = Text(
        f"Something in between answered {what} in Telegram's place (HTTP {status})",
        f"На запрос {what} ответил не Telegram, а что-то на пути к нему (HTTP {status})",
    )
    if status == 407:
        return refusal(Rule(ConfigurationError, _PROXY_LOGIN), reason, code="http_407")
    rule = _server_error(status, write) if status >= 500 else Rule(OutageError)
    return refusal(rule, reason, code=f"http_{status}", retry_after=retry_after)
