"""Turns a refused HTTP request into its outcome: a table by status, and one rule for what the table does not name.

A system gives its own rows; what it says in its body (codes, identifiers) comes first and is the system's own matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from core import values
from core.errors import (
    AmbiguousError,
    ConfigurationError,
    OutageError,
    OutcomeError,
    PermanentError,
    TransientError,
)
from core.texts import Text

TEXT_LIMIT = 1000  # characters of a server's own text that are shown to people


PROXY_LOGIN = Text("a proxy in between wants credentials", "промежуточный прокси требует учётные данные")


class Rule(NamedTuple):
    """What a status means, and what a person can do about it."""

    outcome: type[OutcomeError]
    advice: str | Text = ""


COMMON: Mapping[int, Rule] = {
    401: Rule(ConfigurationError, Text("the credentials are wrong or expired", "учётные данные неверны или устарели")),
    403: Rule(ConfigurationError, Text("the worker's user lacks a right", "пользователю воркера не хватает прав")),
    407: Rule(ConfigurationError, PROXY_LOGIN),
    408: Rule(TransientError),
    425: Rule(TransientError),
    429: Rule(OutageError),
    502: Rule(OutageError),
    503: Rule(OutageError),
    504: Rule(OutageError),
}


def rule_of(status: int, rules: Mapping[int, Rule], *, write: bool, is_theirs: bool) -> Rule:
    """Return the row of a status (not 2xx).

    `is_theirs`: the body is the system's own, not that of something in between.
    """
    if status in rules:
        return rules[status]
    if status < 500:
        return Rule(PermanentError)
    # Inside the application, or a proxy that lost patience: what was asked for may have been done.
    if write:
        return Rule(AmbiguousError)
    return Rule(TransientError if is_theirs else OutageError)


def refused(system: str | Text, what: str | Text, told: str | Text) -> Text:
    """Return the beginning of a refusal; `what` names the request, `told` is the status in the system's own terms."""
    who, named, status = Text.of(system), Text.of(what), Text.of(told)
    return Text(f"{who.en} refused {named.en} ({status.en})", f"{who.ru}: отказ на запрос {named.ru} ({status.ru})")


def refusal(
    rule: Rule, reason: str | Text, *, text: str = "", code: str, retry_after: float | None = None
) -> OutcomeError:
    """Return the outcome, worded as `reason: the server's text – advice`."""
    told = Text.of(reason)
    if text:
        shown = values.cut_words(text, TEXT_LIMIT)
        told = told.map(lambda each: f"{each}: {shown}")
    if rule.advice:
        advice = Text.of(rule.advice)
        told = Text(f"{told.en} – {advice.en}", f"{told.ru} – {advice.ru}")
    return rule.outcome(told, code=code, retry_after=retry_after)
