"""One of many equal things passes at a time, and none of the others is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.repeats import Repeats

INTERVAL = 60.0


def test_the_next_one_that_passes_says_how_many_did_not() -> None:
    repeats = Repeats(INTERVAL)
    assert [repeats.admit("a", 0.0), repeats.admit("a", 59.9), repeats.admit("b", 30.0)] == [0, None, 0]
    assert [repeats.admit("a", 60.0), repeats.admit("a", 61.0), repeats.admit("a", 120.0)] == [1, None, 1]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 30)), max_size=200))
def test_every_one_passes_or_is_counted(steps: list[tuple[str, float]]) -> None:
    repeats, now, passed, counted = Repeats(INTERVAL), 0.0, 0, 0
    for key, pause in steps:
        now += pause
        held_back = repeats.admit(key, now)
        if held_back is not None:
            passed, counted = passed + 1, counted + held_back
    for key in "abc":  # the last ones of each are counted with the next that passes
        if any(key == each for each, _ in steps):
            held_back = repeats.admit(key, now + INTERVAL)
            assert held_back is not None
            counted += held_back
    assert passed + counted == len(steps)


def test_keys_made_of_data_do_not_fill_the_memory() -> None:
    repeats = Repeats(INTERVAL)
    for number in range(3000):
        repeats.admit(f"task {number}", 0.0)
    assert repeats.admit("task 2999", 1.0) is None, "the latest are remembered"
    assert repeats.admit("task 0", 1.0) == 0, "and no more than so many"
