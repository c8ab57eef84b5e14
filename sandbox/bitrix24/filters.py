"""Filters of list methods: `{"!REAL_STATUS": [4, 5], ">=CHANGED_DATE": "2026-01-31T00:00:00+03:00"}`.

A key is an operator and a field: none, `=` equal; `!` not; `<` `<=` `>` `>=`; `><` between; `%` contains; `@` in. A
list of values means any of them. Blank values are skipped and unknown fields ignored: the list then returns everything.
Sources: page tasks-task-list; page user-get for the operators.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.bitrix24 import php

_KEY = re.compile(r"(!?)(><|<=|>=|=%|%=|<|>|=|%|@|\?|\*)?(\w.*)", re.DOTALL)

Predicate = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Condition:
    """`operator` is one of `=` `<` `<=` `>` `>=` `><` `%` (contains) `=%` (pattern); `values` are never empty."""

    field: str
    operator: str
    negated: bool
    values: tuple[Any, ...]


def split_key(key: str) -> tuple[bool, str, str] | None:
    """`!%TITLE` -> (True, "%", "TITLE"); None for what is no filter key at all (`::SUBFILTER-1`)."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    negation, operator, field = match.groups()
    operator = {None: "=", "@": "=", "?": "%", "*": "%", "%=": "=%"}.get(operator, operator)
    return bool(negation), operator, field


def conditions(filter_: Mapping[str, Any]) -> list[Condition]:
    found = []
    for key, value in filter_.items():
        parts = split_key(key)
        values = tuple(each for each in php.values(value) if not php.is_empty(each))
        if parts is not None and values:
            negated, operator, field = parts
            found.append(Condition(field, operator, negated, values))
    return found


def predicate(condition: Condition, convert: Callable[[Any], Any]) -> Predicate:
    """A test of one stored value, or of a collection of which one member must fit; `convert` types the wanted ones
    (None for one that can never fit)."""
    test = _test(condition, convert)

    def holds(stored: Any) -> bool:
        if isinstance(stored, (tuple, list)):
            return any(map(test, stored)) is not condition.negated
        return test(stored) is not condition.negated

    return holds


def _test(condition: Condition, convert: Callable[[Any], Any]) -> Predicate:
    operator = condition.operator
    if operator == "=":
        wanted = {convert(value) for value in condition.values} - {None}
        return lambda stored: stored in wanted
    if operator == "%":
        needles = [str(value).lower() for value in condition.values]
        return lambda stored: stored is not None and any(needle in str(stored).lower() for needle in needles)
    if operator == "=%":
        patterns = [like(str(value)) for value in condition.values]
        return lambda stored: stored is not None and any(each.fullmatch(str(stored)) for each in patterns)
    if operator == "><":
        low, high = convert(condition.values[0]), convert(condition.values[-1])
        return lambda stored: stored is not None and low <= stored <= high
    bound = convert(condition.values[0])
    compare: Predicate = {
        "<": lambda stored: stored < bound,
        "<=": lambda stored: stored <= bound,
        ">": lambda stored: stored > bound,
        ">=": lambda stored: stored >= bound,
    }[operator]
    return lambda stored: stored is not None and bound is not None and compare(stored)


def like(pattern: str) -> re.Pattern[str]:
    """SQL's LIKE: `%` is any text, `_` one character, case does not matter."""
    body = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.compile(body, re.IGNORECASE | re.DOTALL)
