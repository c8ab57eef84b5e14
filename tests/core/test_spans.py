"""How long something takes, as short as people say it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.spans import span

SIZES = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0s"),
        (-3, "0s"),  # a clock that was set back
        (42.9, "42s"),
        (60, "1m"),
        (899, "14m"),
        (3600, "1h"),
        (5 * 3600 + 12 * 60 + 59, "5h12m"),
        (86400, "1d"),
        (3 * 86400 + 5 * 3600 + 3599, "3d5h"),
        (400 * 86400, "400d"),
    ],
)
def test_two_units_are_enough(seconds: float, said: str) -> None:
    assert span(seconds) == said


@given(st.floats(0, 1e10))
def test_what_is_said_is_never_more_and_hardly_less(seconds: float) -> None:
    parts = re.findall(r"(\d+)([dhms])", span(seconds))
    said = sum(int(count) * SIZES[unit] for count, unit in parts)
    exact = SIZES["h" if parts[0][1] == "d" else "m" if parts[0][1] in "hm" else "s"]
    assert said <= seconds < said + exact
