"""Says what an error code of Bitrix24 means for the message: one table, compared without case, never by text.

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
from core.texts import Text

QUERY_LIMIT_EXCEEDED = "query_limit_exceeded"
OPERATION_TIME_LIMIT = "operation_time_limit"

_TEXT_LIMIT = 1000  # characters of the portal's own text that are shown to people


class UnclearAnswerError(AmbiguousError):
    """The portal has finished the write with an internal error of its own.

    Executed or not: only a lookup can show it now.
    """


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table.

    `outcome` None: the portal failed inside, so a write is unclear and a read may simply be repeated.
    """

    outcome: type[OutcomeError] | None
    advice: Text | None = None
    retry_after: float | None = None  # seconds


_WEBHOOK = Text(
    "check BITRIX_WEBHOOK_URL: the webhook's code is wrong, expired or was changed",
    "проверьте BITRIX_WEBHOOK_URL: код вебхука неверен, истёк или был изменён",
)
_SCOPE = Text(
    "give the webhook the scopes task, user and (for CRM topics) crm",
    "дайте вебхуку права task, user и (для топиков CRM) crm",
)
_PLAN = Text("the portal's plan does not include the REST API", "в тарифе портала нет REST API")
_OURS = Text("a mistake of this program: please report it", "это ошибка программы: сообщите о ней разработчикам")

RULES: Mapping[str, Rule] = {
    "query_limit_exceeded": Rule(OutageError),
    "operation_time_limit": Rule(OutageError),
    "overload_limit": Rule(
        ConfigurationError,
        Text(
            "the portal blocks REST by hand: ask the support of Bitrix24",
            "REST портала заблокирован вручную: обратитесь в поддержку Битрикс24",
        ),
        900,
    ),
    "internal_server_error": Rule(None),
    "error_unexpected_answer": Rule(None),
    "no_auth_found": Rule(ConfigurationError, _WEBHOOK),
    "expired_token": Rule(ConfigurationError, _WEBHOOK),
    "invalid_token": Rule(ConfigurationError, _WEBHOOK),
    "invalid_credentials": Rule(
        ConfigurationError,
        Text(f"the webhook's user lacks rights; {_SCOPE.en}", f"пользователю вебхука не хватает прав; {_SCOPE.ru}"),
    ),
    "insufficient_scope": Rule(ConfigurationError, _SCOPE),
    "user_access_error": Rule(
        ConfigurationError,
        Text(
            f"the webhook's user may not use it; {_WEBHOOK.en}",
            f"пользователю вебхука это не разрешено; {_WEBHOOK.ru}",
        ),
    ),
    "access_denied": Rule(
        ConfigurationError,
        Text(
            f"{_PLAN.en} or the webhook's user lacks the right",
            f"{_PLAN.ru} или у пользователя вебхука нет на это прав",
        ),
    ),
    "allowed_only_intranet_user": Rule(
        ConfigurationError,
        Text("the webhook's user must be an employee", "пользователь вебхука должен быть сотрудником"),
    ),
    "invalid_request": Rule(
        ConfigurationError, Text("use https in BITRIX_WEBHOOK_URL", "укажите https в BITRIX_WEBHOOK_URL")
    ),
    "error_method_not_found": Rule(
        ConfigurationError,
        Text(f"this portal has no such method; {_SCOPE.en}", f"такого метода на портале нет; {_SCOPE.ru}"),
    ),
    "error_manifest_is_not_available": Rule(ConfigurationError, _PLAN),
    "portal_deleted": Rule(ConfigurationError, Text("the portal is closed or deleted", "портал закрыт или удалён")),
    "error_batch_method_not_allowed": Rule(ConfigurationError, _OURS),
    "error_batch_length_exceeded": Rule(ConfigurationError, _OURS),
    # The catch-all of the task methods: unknown responsible, no title, a missing mandatory field, no right.
    # Nothing in it says that time would help, and a person reads the reason soonest in the error queue.
    "error_core": Rule(PermanentError),
    "0": Rule(PermanentError),
    "100": Rule(PermanentError),
    "1048582": Rule(
        PermanentError,
        Text("the webhook's user may not do this with the task", "пользователю вебхука так менять задачу нельзя"),
    ),
    "": Rule(PermanentError),
    "illegal_new_link": Rule(PermanentError),
    "action_not_allowed": Rule(PermanentError),
    "crm_field_error_value_not_valid": Rule(PermanentError),
    "not_found": Rule(PermanentError),
    "invalid_arg_value": Rule(PermanentError),
}


def outcome_of(code: Any, text: Any, *, method: str, write: bool, status: int | None = None) -> OutcomeError:
    """Return the outcome for one refused call. `status` is the HTTP status, None for a command inside a batch."""
    code = str(code if code is not None else "")
    rule = _rule(code.lower(), status)
    why = Text.of(readable(text)) if readable(text) else Text("no reason given", "причина не названа")
    named = f" [{code}]" if code not in {"", "0"} else ""
    advice = rule.advice.led_by(" – ") if rule.advice else Text.of("")
    told = Text(
        f"Bitrix24 refused {method}: {why.en}{named}{advice.en}",
        f"Bitrix24: отказ на запрос {method}: {why.ru}{named}{advice.ru}",
    )
    outcome = rule.outcome or (UnclearAnswerError if write else TransientError)
    return outcome(told, code=code or None, retry_after=rule.retry_after)


def readable(text: Any) -> str:
    """Return the portal's text for people: it comes with `<br>` and entities."""
    without_tags = re.sub(r"<[^<>]{0,200}>", " ", str(text if text is not None else ""))
    return " ".join(html.unescape(without_tags).split())[:_TEXT_LIMIT]


def _rule(code: str, status: int | None) -> Rule:
    if code == "access_denied" and status == 400:
        # On a method's own page it is about one kind of object; it must not stop all other messages.
        right = Text(
            "the webhook's user lacks the right for this kind of object",
            "у пользователя вебхука нет прав на объекты этого вида",
        )
        return Rule(PermanentError, right)
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
