"""What is to be done at the end of a turn of the I/O loop is done in that turn, whatever it makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker.turns import TurnLoop


@pytest.fixture
def ioloop() -> Iterator[TurnLoop]:
    ioloop = TurnLoop()
    yield ioloop
    ioloop.close()


def test_it_is_done_after_what_the_loop_is_doing_and_before_it_waits_again(ioloop: TurnLoop) -> None:
    done: list[str] = []

    def first() -> None:
        ioloop.at_end_of_turn(lambda: done.append("end"))
        ioloop.at_end_of_turn(lambda: ioloop.at_end_of_turn(lambda: done.append("end of the end")))
        ioloop.call_later(0, ioloop.stop)  # in the next turn
        done.append("first")

    ioloop.call_later(0, first)
    ioloop.call_later(0, lambda: done.append("second"))
    ioloop.start()
    assert done == ["first", "second", "end", "end of the end"]


def test_what_is_said_before_the_loop_runs_waits_for_nothing(ioloop: TurnLoop) -> None:
    done: list[str] = []

    def last() -> None:
        done.append("timer")
        ioloop.stop()

    ioloop.call_later(0.02, last)
    ioloop.at_end_of_turn(lambda: done.append("said before"))
    ioloop.start()
    assert done == ["said before", "timer"]


def test_a_mistake_ends_the_loop_and_is_not_done_twice(ioloop: TurnLoop) -> None:
    done: list[str] = []

    def mistake() -> None:
        done.append("mistake")
        raise LookupError("told")

    ioloop.at_end_of_turn(mistake)
    with pytest.raises(LookupError, match="told"):
        ioloop.start()
    ioloop.at_end_of_turn(ioloop.stop)
    ioloop.start()
    assert done == ["mistake"]
