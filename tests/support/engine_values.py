"""Variables as the sides of Camunda publish them: the plain value, or `{"value", "type", "valueInfo"}`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

from hypothesis import strategies as st


class Variable(NamedTuple):
    """`sent` stands in the message, `value` is what it means."""

    sent: Any
    value: Any


def _of(kind: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Variable]:
    def forms(value: Any) -> st.SearchStrategy[Variable]:
        typed = {"value": value, "type": kind}
        return st.sampled_from([value, typed, {**typed, "valueInfo": {}}]).map(lambda sent: Variable(sent, value))

    return values.flatmap(forms)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_DATES = st.datetimes(datetime(1971, 1, 1), datetime(2099, 12, 31)).map(  # noqa: DTZ001  # the offset follows
    lambda moment: moment.replace(microsecond=0)
)
_OFFSETS = st.sampled_from([UTC, timezone(timedelta(hours=3)), timezone(timedelta(hours=-11))])


def _written(moment: datetime, offset: timezone) -> str:
    return moment.replace(tzinfo=offset).strftime("%Y-%m-%dT%H:%M:%S.000%z")


_WORDS = ("да", "нет", "high", "boss", "12", "-5", "0", "3.5", "a,b", "[1]", "x" * 300)

texts = _of("String", _TEXT | st.sampled_from(_WORDS))
booleans = _of("Boolean", st.booleans())
whole_numbers = (
    _of("Short", st.integers(-(2**15), 2**15 - 1))
    | _of("Integer", st.integers(-5, 12))
    | _of("Long", st.integers(-(2**63), 2**63 - 1))
)
# `+ 0.0`: there is no -0.0, which may become 0
doubles = _of("Double", st.floats(-1e9, 1e9).map(lambda number: round(number, 4) + 0.0))
dates = _of("Date", st.builds(_written, _DATES, _OFFSETS))
nothing = _of("Null", st.none())
lists = _of("Json", st.lists(st.integers(1, 9) | st.sampled_from(["a", "b", "boss"]), min_size=1, max_size=3))

variables = texts | booleans | whole_numbers | doubles | dates | nothing | lists
