"""`$filter` as 1C takes it: comparisons, and/or/not, brackets, three text functions, `cast` of references.

A question that names nothing but keys (`Ref_Key eq guid'…' or …`) is answered from the index, as a database would.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.onec.errors import ODataError
from sandbox.onec.schema import Entity

Row = Mapping[str, Any]
Test = Callable[[Row], bool]

_TOKEN = re.compile(
    r"\s*(?:(guid'[0-9a-fA-F-]{36}')|(datetime'[^']*')|('(?:[^']|'')*')|(-?\d+(?:\.\d+)?)|([(),])|([^\W\d][\w/]*))"
)
_FUNCTIONS = {"substringof", "startswith", "endswith"}
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: bool(left == right),
    "ne": lambda left, right: bool(left != right),
    "gt": lambda left, right: bool(left > right),
    "ge": lambda left, right: bool(left >= right),
    "lt": lambda left, right: bool(left < right),
    "le": lambda left, right: bool(left <= right),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """`keys`: only these objects can be meant (None: any)."""

    test: Test
    keys: frozenset[str] | None = None


def parse(text: str, entity: Entity) -> Filter:
    """Raises ODataError, as 1C would."""
    parser = _Parser(text, entity)
    found = parser.disjunction()
    if parser.token is not None:
        raise _wrong(text)
    return found


def _wrong(text: str) -> ODataError:
    return ODataError(400, 14, f"Ошибка разбора опций запроса: {text[:100]}")


class _Parser:
    def __init__(self, text: str, entity: Entity) -> None:
        self._text = text
        self._entity = entity
        self._at = 0
        self.token: str | None = None
        self._advance()

    def disjunction(self) -> Filter:
        parts = [self._conjunction()]
        while self._take("or"):
            parts.append(self._conjunction())
        if len(parts) == 1:
            return parts[0]
        known = [each.keys for each in parts if each.keys is not None]
        keys = frozenset().union(*known) if len(known) == len(parts) else None
        return Filter(lambda row: any(each.test(row) for each in parts), keys)

    def _conjunction(self) -> Filter:
        parts = [self._negation()]
        while self._take("and"):
            parts.append(self._negation())
        if len(parts) == 1:
            return parts[0]
        keys = next((each.keys for each in parts if each.keys is not None), None)
        return Filter(lambda row: all(each.test(row) for each in parts), keys)

    def _negation(self) -> Filter:
        if self._take("not"):
            inner = self._negation()
            return Filter(lambda row: not inner.test(row))
        if self._take("("):
            found = self.disjunction()
            self._expect(")")
            return found
        return self._comparison()

    def _comparison(self) -> Filter:
        name = self.token
        if name in _FUNCTIONS:
            return self._function(name)
        left = self._operand()
        operator = self.token or ""
        if operator not in _COMPARISONS:
            raise _wrong(self._text)
        self._advance()
        if self._is_composite(name) and (self.token or "").startswith("guid'"):
            # A reference of several types is compared with cast(…); without it nothing is ever found (17.4.5.2).
            self._operand()
            return Filter(lambda _row: False)
        right, compare = self._operand(), _COMPARISONS[operator]
        keys = frozenset({str(right({}))}) if name == "Ref_Key" and operator == "eq" else None
        return Filter(lambda row: compare(left(row), right(row)), keys)

    def _function(self, name: str) -> Filter:
        self._advance()
        self._expect("(")
        first = self._operand()
        self._expect(",")
        second = self._operand()
        self._expect(")")
        match name:
            case "substringof":
                return Filter(lambda row: str(first(row)) in str(second(row)))
            case "startswith":
                return Filter(lambda row: str(first(row)).startswith(str(second(row))))
        return Filter(lambda row: str(first(row)).endswith(str(second(row))))

    def _operand(self) -> Callable[[Row], Any]:
        token = self.token
        if token is None or token in {"(", ")", ","}:
            raise _wrong(self._text)
        self._advance()
        if token == "cast":  # noqa: S105 - a word of the language
            self._expect("(")
            inner = self._operand()
            self._expect(",")
            self._operand()
            self._expect(")")
            return inner
        value = _literal(token)
        if value is not _NAME:
            return lambda _row: value
        if self._entity.attribute(token) is None:
            raise ODataError(400, 10, f"Свойство «{token}» не найдено")
        return lambda row: row.get(token)

    def _is_composite(self, name: str | None) -> bool:
        attribute = self._entity.attribute(name or "")
        return attribute is not None and bool(attribute.kinds)

    def _take(self, word: str) -> bool:
        if self.token == word:
            self._advance()
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise _wrong(self._text)

    def _advance(self) -> None:
        if not self._text[self._at :].strip():
            self.token = None
            return
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            raise _wrong(self._text)
        self._at = match.end()
        self.token = match[match.lastindex or 0]


_NAME = object()


def _literal(token: str) -> Any:
    if token.startswith("guid'"):
        return token[5:-1].lower()
    if token.startswith("datetime'"):
        return token[9:-1]
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    if token in {"true", "false"}:
        return token == "true"  # noqa: S105 - a word of the language
    if token[0].isdigit() or token[0] == "-":
        return float(token)
    return _NAME
