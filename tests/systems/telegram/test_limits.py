"""Telegram's limits are met as waits: one busy chat holds up no other, and nothing is spent on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.telegram.chats import is_group
from consumers.telegram.config import TelegramSettings
from consumers.telegram.limiter import Limiter, Window
from core.errors import OutageError, OutcomeError, PartialOutageError, StoppingError
from core.results import Done
from sandbox.telegram import GROUP, PERSON, SUPERGROUP, FloodLimits, TelegramSandbox, faults
from tests.systems.telegram.support import handler_for, message, outcome


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limiter(clock: Clock, *, chance: float = 0.0, most_waiting: int = 4, **changes: Any) -> Limiter:
    made = Limiter(TelegramSettings(**changes), clock, lambda: chance)
    made.most_waiting = most_waiting
    return made


def refused(limiter: Limiter, chat: str, patience: float = 0.0, key: str = "") -> OutcomeError:
    with pytest.raises(OutcomeError) as caught:
        limiter.turn(chat, patience, key)
    return caught.value


# -- the limiter -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 30), st.floats(0.1, 120), st.lists(st.floats(0, 60), max_size=100))
def test_in_no_period_are_there_more_than_allowed(limit: int, period: float, pauses: list[float]) -> None:
    window, now = Window(limit, period), 0.0
    taken = []
    for pause in pauses:
        now += pause
        taken.append(now + window.wait(now))
        window.take(taken[-1])
        now = taken[-1]
    for first, after_limit in zip(taken, taken[limit:], strict=False):
        assert after_limit - first >= period * (1 - 1e-9)


def test_a_chat_has_a_burst_and_then_its_rate(clock: Clock) -> None:
    each = limiter(clock, chat_rate_per_second=1, chat_burst=3)
    assert [each.turn("1", 10) for _ in range(4)] == [0, 0, 0, 3]
    clock.now += 3
    assert [each.turn("1", 10) for _ in range(3)] == [0, 0, 3]


def test_a_group_has_twenty_a_minute_and_a_person_has_not(clock: Clock) -> None:
    each = limiter(clock, chat_burst=1000, chat_rate_per_second=1000)
    assert [each.turn("-100", 0) for _ in range(20)] == [0] * 20
    assert refused(each, "-100").retry_after == 60
    assert [each.turn("@channel", 0) for _ in range(4)] == [0] * 4
    clock.now += 1
    assert [each.turn("100", 0) for _ in range(25)] == [0] * 25


def test_the_bot_has_its_rate_over_all_chats(clock: Clock) -> None:
    each = limiter(clock, rate_per_second=5)
    assert [each.turn(str(chat), 2) for chat in range(1, 8)] == [0] * 5 + [1, 1]


def test_one_thread_waits_for_a_chat_and_some_of_them_for_all(clock: Clock) -> None:
    each = limiter(clock, chat_burst=1, most_waiting=2)
    assert [each.turn(chat, 2) for chat in "123"] == [0, 0, 0]
    assert each.turn("1", 2) == 1
    assert isinstance(refused(each, "1", 5), PartialOutageError), "somebody waits for this chat already"
    assert each.turn("2", 2) == 1
    assert isinstance(refused(each, "3", 5), PartialOutageError), "so many wait already"
    assert each.turn("4", 2) == 0
    clock.now += 1
    assert [each.turn("3", 2), each.turn("1", 2)] == [0, 1]


@pytest.mark.parametrize("rate", [0.1, 0.5, 1, 2.5, 25])
def test_a_rate_may_be_less_than_one(clock: Clock, rate: float) -> None:
    each = limiter(clock, rate_per_second=rate, chat_rate_per_second=1000, chat_burst=1000)
    for _ in range(100):
        clock.now += each.turn("1", 100)
    assert (100 - max(1, rate)) / rate - 1e-6 <= clock.now - 1000 <= 100 / rate


def test_who_is_given_back_takes_no_place_and_does_not_come_all_at_once(clock: Clock) -> None:
    each = limiter(clock, chance=1.0, chat_burst=1)
    each.turn("1", 0)
    waits = [refused(each, "1", key=key).retry_after for key in "abcd"]
    assert waits == [1, 2, 3, 4], "the next place, and one more for each that was given back before"
    assert refused(each, "1", key="a").retry_after == 4, "who comes again is counted once"
    clock.now += 1
    assert each.turn("1", 0, "a") == 0, "nobody who was given back has the place"
    assert refused(each, "1", key="b").retry_after == 3, "who was sent is not awaited any more"


def test_who_is_given_back_is_not_kept_away_for_long(clock: Clock) -> None:
    each = limiter(clock, chance=1.0, chat_burst=1)
    each.turn("1", 0)
    assert max(refused(each, "1", key=str(key)).retry_after or 0 for key in range(1000)) == 61
    clock.now += 122
    each.turn("1", 0)
    assert refused(each, "1", key="new").retry_after == 1, "those that have never come again are forgotten"


def test_a_refused_chat_pauses_alone(clock: Clock) -> None:
    each = limiter(clock)
    each.flooded("1", 35)
    assert isinstance(refused(each, "1"), PartialOutageError)
    assert refused(each, "1").retry_after == 35
    assert each.turn("2", 0) == 0
    clock.now += 35
    assert each.turn("1", 0) == 0


def test_two_chats_refused_at_once_pause_the_whole_bot(clock: Clock) -> None:
    each = limiter(clock)
    each.flooded("1", 30)
    clock.now += 1
    each.flooded("2", 30)
    error = refused(each, "3")
    assert (type(error), error.retry_after) == (OutageError, 30)
    clock.now += 30
    assert each.turn("3", 0) == 0


def test_two_chats_refused_one_after_the_other_do_not(clock: Clock) -> None:
    each = limiter(clock)
    each.flooded("1", 3600)
    clock.now += 10
    each.flooded("2", 3600)
    assert each.turn("3", 0) == 0


def test_the_whole_bot_is_not_paused_for_hours_by_two_chats(clock: Clock) -> None:
    each = limiter(clock)
    for chat in "12":
        each.flooded(chat, 36_000)
    assert refused(each, "3").retry_after == 60
    clock.now += 61
    assert each.turn("3", 0) == 0
    assert refused(each, "1").retry_after == pytest.approx(36_000 - 61)


def test_many_chats_take_no_memory_for_ever(clock: Clock) -> None:
    each = limiter(clock, rate_per_second=100_000)
    for chat in range(1, 5001):
        clock.now += 0.1
        each.turn(str(chat), 0)
    assert len(vars(each)["_chats"]) <= 1000


@pytest.mark.parametrize(("chat", "expected"), [("-2001", True), ("@news", True), ("2001", False)])
def test_which_chats_are_groups(chat: str, expected: bool) -> None:
    assert is_group(chat) is expected


# -- the handler -------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[TelegramSandbox]:
    with TelegramSandbox() as server:
        yield server


def test_a_busy_chat_gives_its_messages_back_and_the_others_flow(server: TelegramSandbox, tmp_path: Path) -> None:
    with handler_for(server, tmp_path, chat_rate_per_second=0.01, chat_burst=2) as handler:
        results = [outcome(handler, message(text=str(number))) for number in range(10)]
        other = outcome(handler, message(text="x", chat_id=SUPERGROUP))
    assert [type(each) for each in results] == [Done] * 2 + [PartialOutageError] * 8
    assert all((each.retry_after or 0) > 0 for each in results if isinstance(each, OutcomeError))
    assert isinstance(other, Done)
    assert handler.get_stats()["given_back"] == 8
    assert server.texts(PERSON) == ["0", "1"]


def test_the_other_chats_of_a_message_do_not_wait_for_the_busy_one(server: TelegramSandbox, tmp_path: Path) -> None:
    refusal = faults.refusal(429, "Too Many Requests: retry after 9", retry_after=9)
    server.inject(refusal, "sendMessage", match=lambda sent: sent["chat_id"] == PERSON)
    incoming = message(text="x", chat_id=[PERSON, GROUP])
    with handler_for(server, tmp_path) as handler:
        assert isinstance(outcome(handler, incoming), PartialOutageError)
    assert (server.texts(PERSON), server.texts(GROUP)) == ([], ["x"])
    with handler_for(server, tmp_path) as after_the_wait:
        assert isinstance(outcome(after_the_wait, incoming), Done)
    assert (server.texts(PERSON), server.texts(GROUP)) == (["x"], ["x"])


def test_a_wait_of_a_second_is_waited_here(server: TelegramSandbox, tmp_path: Path) -> None:
    server.inject(faults.refusal(429, "Too Many Requests: retry after 1", retry_after=1), "sendMessage")
    with handler_for(server, tmp_path) as handler:
        assert isinstance(outcome(handler, message(text="x")), Done)
    assert [each.status for each in server.log] == [429, 200]


def test_a_wait_ends_when_the_daemon_stops_and_leaves_no_doubt(server: TelegramSandbox, tmp_path: Path) -> None:
    refusal = server.inject(faults.refusal(429, "Too Many Requests: retry after 2", retry_after=2), "sendMessage")
    stop = threading.Event()
    incoming = message(text="x")
    with handler_for(server, tmp_path, stop) as handler:

        def stop_it() -> None:
            assert refusal.wait(10)
            stop.set()

        thread = threading.Thread(target=stop_it)
        thread.start()
        with pytest.raises(StoppingError):
            handler.handle(incoming)
        thread.join()
    with handler_for(server, tmp_path, on_ambiguous="fail") as next_worker:
        assert isinstance(outcome(next_worker, incoming), Done)
    assert server.texts(PERSON) == ["x"]


def test_our_rates_keep_a_strict_server_from_refusing(tmp_path: Path) -> None:
    """The pace of two chats at the server's very limit: the server, which counts for itself, refuses nothing."""
    # Three in half a second are ours; a machine that stalls may bring two such groups at once.
    limits = FloodLimits(per_chat=7, per_bot=14, period=0.5, penalty=60)
    with TelegramSandbox(limits=limits) as server:
        rates: dict[str, Any] = {"rate_per_second": 12, "chat_rate_per_second": 6, "group_rate_per_minute": 1000}
        with handler_for(server, tmp_path, chat_burst=3, **rates) as handler:
            waiting = [message(text=str(number), chat_id=chat) for number in range(8) for chat in (PERSON, GROUP)]
            deadline = time.monotonic() + 60
            while waiting and time.monotonic() < deadline:
                waiting = [each for each in waiting if not isinstance(outcome(handler, each), Done)]
        assert waiting == []
        assert server.flood.refused == 0
        assert len(server.messages) == 16


def test_a_server_that_refuses_everything_now_and_then_gets_everything_once(tmp_path: Path) -> None:
    limits = FloodLimits(per_chat=2, period=0.5, penalty=0.5)
    with TelegramSandbox(limits=limits) as server:
        with handler_for(server, tmp_path) as handler:
            waiting = [message(text=f"task-{number}") for number in range(8)]
            deadline = time.monotonic() + 60
            while waiting and time.monotonic() < deadline:
                waiting = [each for each in waiting if not isinstance(outcome(handler, each), Done)]
        assert server.flood.refused > 0
        assert {key: len(each) for key, each in server.by_task(r"task-\d+").items()} == {
            f"task-{number}": 1 for number in range(8)
        }
