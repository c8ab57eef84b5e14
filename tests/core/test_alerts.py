"""Who is on duty is told what matters once, and again only when it goes on; nothing that was told is left open."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.alerts import PART_FORGOTTEN, REASON_LIMIT, Alert, AlertBook, AlertPolicy
from core.events.base import Event
from core.events.connections import ConnectionUnstable
from core.events.queues import QueueUnusable
from core.events.systems import SystemResumed
from core.pauses import Pauses
from core.texts import Text
from tests.support import made_events
from tests.support.made_events import part_down, paused, rerouted, swept

DATE = Text("no such date", "нет такой даты")
POLICY = AlertPolicy(delay=60, stale_after=900, repeat=3600)


def parked(code: str = "no_handler", topic: str | None = "aprove", reason: str = "There is no handler") -> Event:
    return made_events.parked("default", code, topic, reason)


def a_book(mask: Callable[[str], str] = lambda text: text) -> AlertBook:
    return AlertBook(POLICY, Pauses(time.monotonic, POLICY.delay), mask)


def note(book: AlertBook, event: Event, now: float) -> None:
    """As the stream does."""
    book.pauses.note(event, now)
    book.note(event, now)


def kinds(alerts: list[Alert]) -> list[str]:
    return [alert.kind for alert in alerts]


def test_a_new_kind_of_error_is_told_once_with_system_code_topic_and_reason() -> None:
    book = a_book()
    for _ in range(1000):
        note(book, parked(), 1)
    [alert] = book.due(2)
    assert (alert.kind, alert.system) == ("error", "default")
    for text in alert.text:
        assert "no_handler" in text
        assert "aprove" in text
        assert "There is no handler" in text
    assert book.due(3) == []
    note(book, parked(topic="other"), 4)
    note(book, parked(code="bad_value"), 4)
    assert kinds(book.due(5)) == ["error", "error"]


def test_errors_of_two_fields_are_two_and_other_values_of_one_are_not() -> None:
    book = a_book()
    for value in ("завтра", "31.12.2026", "2026-13-01"):
        note(book, parked("bad_value", reason=f"deadline: {value!r} is not a date such as 2026-12-31"), 1)
        note(book, parked("bad_value", reason=f"assigneeId: {value!r} is not a user id or a role"), 1)
    told = [alert.text.en for alert in book.due(2)]
    assert [("deadline" in text, "assigneeId" in text) for text in told] == [(True, False), (False, True)]


def test_a_server_that_tells_something_new_each_time_does_not_call_people_each_time() -> None:
    book = a_book()
    for first in "абвгдежзиклмнопрстуфхцчшщэюя":
        for second in "абвгдежзик":
            note(book, parked("refused", reason=f"the server says {first}{second}{first}"), 1)
    assert 1 < len(book.due(2)) <= 21


def test_a_queue_that_rabbitmq_refuses_is_told_once_and_again_while_it_is_refused() -> None:
    book = a_book()
    for second in range(300):
        note(book, QueueUnusable("1c.queue", Text.of("ACCESS_REFUSED - read access refused for user 'worker'")), second)
    [alert] = book.due(300)
    assert (alert.kind, alert.system) == ("unusable", "rabbitmq")
    for text in alert.text:
        assert "1c.queue" in text
        assert "ACCESS_REFUSED" in text
    assert book.due(301) == []
    assert kinds(book.due(4000)) == ["unusable"]


def test_an_error_that_goes_on_is_told_again_with_its_count_and_one_that_has_ended_is_not() -> None:
    book = a_book()
    note(book, parked(), 0)
    book.due(0)
    for _ in range(7):
        note(book, parked(), 100)
    assert book.due(3599) == []
    [again] = book.due(3600)
    assert "7 more" in again.text.en
    assert book.due(20_000) == []


def test_a_connection_that_is_lost_again_and_again_is_told_once_with_its_reason_and_again_while_it_goes_on() -> None:
    book = a_book()
    for losses in range(5, 400):
        note(book, ConnectionUnstable("rabbitmq-consumer", losses, Text.of("cannot decode a timestamp")), losses)
    [alert] = book.due(400)
    assert (alert.kind, alert.system) == ("unstable", "rabbitmq")
    for text in alert.text:
        assert "rabbitmq-consumer" in text
        assert "cannot decode a timestamp" in text
    assert book.due(401) == []
    note(book, ConnectionUnstable("rabbitmq-publisher", 5, Text.of("reset")), 402)
    assert kinds(book.due(403)) == ["unstable"]
    assert kinds(book.due(4005)) == ["unstable"]


def test_a_short_pause_is_nobodys_business_and_a_long_one_is_told_with_its_end() -> None:
    book = a_book()
    note(book, paused("1c", "no connection", alert=False), 0)
    assert book.due(59) == []
    note(book, SystemResumed("1c"), 59)
    assert book.due(600) == []
    note(book, paused("1c", "no connection", alert=False), 1000)
    [down] = book.due(1060)
    assert "no connection" in down.text.ru
    assert book.due(5000) == []
    note(book, SystemResumed("1c"), 1000 + 7200)
    assert book.due(1000 + 7259) == [], "it may go down again at once"
    [back] = book.due(1000 + 7260)
    assert (back.kind, "120 min" in back.text.en) == ("up", True)


@pytest.mark.parametrize("alert", [True, False])
def test_a_system_whose_probe_succeeds_and_whose_work_fails_is_told_once(*, alert: bool) -> None:
    book, told = a_book(), []
    for second in range(3600):
        if second % 15 == 0:
            note(book, SystemResumed("email"), second)
        if second % 15 == 1:
            note(book, paused("email", "sender refused", alert=alert), second)
        told += book.due(second)
    assert kinds(told) == ["down"]
    note(book, SystemResumed("email"), 3600)
    assert kinds(book.due(3660)) == ["up"]


def test_a_reason_is_masked_before_it_is_cut_and_holds_nothing_that_a_mail_cannot() -> None:
    book = a_book(mask=lambda text: text.replace("SECRET-TOKEN", "***"))
    note(book, parked(reason="x" * (REASON_LIMIT - 6) + " SECRET-TOKEN"), 0)
    note(book, parked(code="b", reason="half \ud83d and \x07"), 0)
    cut, odd = book.due(0)
    assert "SECRET" not in cut.text.en
    assert "half ? and ?" in odd.text.en
    odd.text.ru.encode()


def test_a_matter_of_configuration_is_told_at_once() -> None:
    book = a_book()
    note(book, paused("1c", "401", alert=True), 0)
    assert kinds(book.due(0)) == ["down"]


def test_a_service_that_stays_down_is_told_once_and_anew_after_a_long_silence() -> None:
    book = a_book()
    note(book, part_down("python-services", "service disk", "no connection"), 0)
    assert book.due(500) == [], "one message met it, and no other"
    for moment in (10, 40, 70, 100):
        note(book, part_down("python-services", "service disk", "no connection"), 500 + moment)
    [alert] = book.due(601)
    assert (alert.kind, alert.system, "service disk" in alert.text.ru) == ("part", "python-services", True)
    assert "no connection" in alert.text.en
    note(book, part_down("python-services", "service disk", "no connection"), 700)
    assert book.due(701) == []
    later = 700 + PART_FORGOTTEN
    assert book.due(later) == []
    for moment in (0, 61):
        note(book, part_down("python-services", "service disk", "no connection"), later + moment)
    assert kinds(book.due(later + 61)) == ["part"]


def test_a_tracker_that_does_not_get_through_is_told_even_if_it_never_did() -> None:
    book = a_book()
    book.watch(["1c", "bitrix24"], 0)
    note(book, swept("bitrix24"), 100)
    note(book, swept("1c", "no connection"), 500)
    assert book.due(899) == []
    [stale] = book.due(900)
    assert (stale.kind, stale.system) == ("stale", "1c")
    assert "no connection" in stale.text.en
    assert kinds(book.due(1001)) == ["stale"], "bitrix24, whose tracker hangs"
    note(book, swept("1c"), 1200)
    [fresh] = book.due(1200)
    assert (fresh.kind, fresh.system) == ("fresh", "1c")


def test_messages_for_a_queue_that_nobody_here_consumes_are_told_once_per_queue() -> None:
    book = a_book()
    for queue in ("email.queue", "telegram.queue", "email.queue"):
        note(book, rerouted(queue, is_consumed=False), 0)
    note(book, rerouted("1c.queue", is_consumed=True), 0)
    assert kinds(book.due(0)) == ["unconsumed", "unconsumed"]


def test_a_long_reason_is_cut_and_a_broken_one_stays_on_its_line() -> None:
    book = a_book()
    note(book, parked(reason="x" * 5000), 0)
    note(book, parked(code="b", reason="a\nb"), 0)
    long, broken = book.due(0)
    assert len(long.text.en) < REASON_LIMIT + 150
    assert "a b" in broken.text.en


def test_of_a_long_reason_both_ends_are_told_for_the_last_words_say_what_to_do() -> None:
    book = a_book()
    note(book, parked(reason=f"1C refused it: {'x ' * 500}– give the rights to the user of ONEC_USERNAME"), 0)
    [told] = book.due(0)
    assert "1C refused it" in told.text.ru
    assert "ONEC_USERNAME" in told.text.ru


@pytest.mark.parametrize(
    "event",
    [
        made_events.parked("1c", "bad_value", "order", DATE),
        paused("1c", DATE, alert=True),
        part_down("1c", Text("part", "часть"), DATE),
        swept("1c", DATE),
        QueueUnusable("1c.queue", DATE),
        ConnectionUnstable("rabbitmq-consumer", 5, DATE),
    ],
    ids=lambda event: type(event).__name__,
)
def test_the_reason_is_told_in_the_reader_s_language(event: Event) -> None:
    book = a_book()
    for now in range(0, 2000, 100):
        note(book, event, now)
    told = {alert.text for now in (2000, 2100) for alert in book.due(now)}
    assert told
    for text in told:
        assert "no such date" in text.en
        assert "нет такой даты" not in text.en
        assert "нет такой даты" in text.ru
        assert "no such date" not in text.ru


EVENTS = st.one_of(
    st.builds(parked, st.sampled_from("abc"), st.sampled_from([None, "t"])),
    st.builds(paused, st.sampled_from("xy"), st.just("down"), alert=st.booleans()),
    st.builds(SystemResumed, st.sampled_from("xy")),
    st.builds(swept, st.just("1c"), st.sampled_from([None, "broken"])),
    st.builds(part_down, st.sampled_from("xy"), st.sampled_from("ab"), st.just("down")),
    st.builds(rerouted, st.sampled_from("pq"), is_consumed=st.booleans()),
)


@given(st.lists(st.tuples(st.floats(0, 2000), st.lists(EVENTS, max_size=5)), max_size=30))
def test_whatever_happens_each_end_follows_its_beginning_and_few_are_told(
    turns: list[tuple[float, list[Event]]],
) -> None:
    book, now, told = a_book(), 0.0, Counter[tuple[str, str]]()
    for pause, events in turns:
        now += pause
        for event in events:
            note(book, event, now)
        for alert in book.due(now):
            told[alert.kind, alert.system] += 1
            for system in "xy":
                assert told["down", system] - told["up", system] in (0, 1)
            assert told["stale", "1c"] - told["fresh", "1c"] in (0, 1)
    assert told["error", "default"] <= 6 * (1 + now // POLICY.repeat)
