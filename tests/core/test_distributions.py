"""A distribution counts each value in every class that it fits into."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.distributions import Distribution

BOUNDS = (0.005, 0.01, 1.0, 2.5, 86400.0)
values = st.lists(st.floats(0, 1e6) | st.sampled_from(BOUNDS))


def distribution_of(values: list[float]) -> Distribution:
    distribution = Distribution(BOUNDS)
    for value in values:
        distribution.add(value)
    return distribution


@given(values)
def test_a_class_holds_all_that_is_not_larger_than_its_bound(values: list[float]) -> None:
    distribution = distribution_of(values)
    expected = [sum(value <= bound for value in values) for bound in BOUNDS]
    assert distribution.cumulated() == [*expected, len(values)]
    assert distribution.count == len(values)
    assert distribution.total == sum(values)


@given(values, values)
def test_the_sum_of_two_holds_the_values_of_both_and_changes_neither(one: list[float], other: list[float]) -> None:
    first, second = distribution_of(one), distribution_of(other)
    both = first + second
    assert both.cumulated() == distribution_of(one + other).cumulated()
    assert both.total == first.total + second.total
    assert (first.count, second.count) == (len(one), len(other))


def test_a_copy_does_not_change_with_what_it_was_made_of() -> None:
    distribution = distribution_of([0.5])
    copy = distribution.copy()
    distribution.add(0.5)
    assert (copy.count, copy.total, distribution.count) == (1, 0.5, 2)
