"""What the journal keeps of each event, whole and without secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from core.events.base import Event, Identity, MessageEvent
from core.events.messages import (
    DeliveryLost,
    MessageFailed,
    MessageHandedBack,
    MessageParked,
    MessageReceived,
    MessageRenewed,
    MessageRerouted,
    MessageStuck,
    PartDown,
    ResultNotStored,
    ResultStored,
    SentMessageUnreadable,
    TaskDone,
    TaskFound,
    TaskRejected,
)
from core.events.queues import QueueStandby
from core.events.systems import SystemPaused, SystemResumed
from core.events.worker import Heartbeat
from core.outcomes import Outcome
from core.texts import Text
from journal.entries import Batch, MessageRow, wants
from journal.groups import group_of
from journal.states import KINDS, State
from tests.journal.support import NOON, answered, batch, created, parked, received, retried, task
from tools.documents import event_classes

REASON = Text("deleted", "удалена")


def row_after(*events: Event) -> MessageRow:
    [row] = batch(*events).messages.values()
    return row


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([received(1)], State.PROCESSING),
        ([received(1), created(1)], State.TRACKING),
        ([received(1), TaskFound(task(1), created=True, stored=True)], State.TRACKING),
        ([received(1), TaskDone(task(1), created=False, stored=True)], State.COMPLETING),
        ([received(1), TaskDone(task(1), created=False, stored=False)], State.DONE),
        ([created(1), answered(1)], State.DONE),
        ([received(1), retried(1)], State.RETRY_WAIT),
        ([retried(1), received(1, attempt=2)], State.PROCESSING),
        ([received(1), parked(1)], State.FAILED),
        ([created(1), TaskRejected(task(1), REASON, "deleted")], State.REJECTED),
        ([created(1), SentMessageUnreadable(task(1), REASON, "bad_json")], State.FAILED),
        ([received(1), MessageRerouted(task(1), "1c.queue", is_consumed=True)], State.WAITING),
        ([received(1), DeliveryLost(task(1), is_done=True)], State.WAITING),
        ([received(1), MessageRenewed(task(1), "returned", "x")], State.WAITING),
        ([received(1), PartDown(task(1), Text.of("reports"), REASON)], State.WAITING),
        ([received(1), MessageHandedBack(task(1), REASON, "http_503")], State.WAITING),
        ([received(1), MessageStuck(task(1), "unroutable")], State.STUCK),
    ],
)
def test_a_message_stands_where_its_last_event_has_brought_it(events: list[Event], state: State) -> None:
    assert row_after(*events).state is state


def test_what_people_search_by_is_kept() -> None:
    row = row_after(received(7), created(7))
    assert (row.name, row.process, row.business) == (task(7).task_id, task(7).process_instance_id, "ORD-7")
    assert (row.title, row.external, row.topic) == ("Согласовать договор №7", "48007", "bitrix_create_task")
    assert (row.system, row.queue, row.attempts) == ("bitrix24", "bitrix24.queue", 1)


def test_a_retry_says_when_and_why_it_comes() -> None:
    row = row_after(received(1), retried(1))
    assert row.due == int((NOON + 1 + 5) * 1e6)
    assert (row.code, row.reason, row.reason_ru) == ("http_503", "busy", "занят")


def test_a_message_of_a_paused_system_waits_and_says_why() -> None:
    row = row_after(received(1), MessageHandedBack(task(1), Text("refused", "отказано"), "connection_refused"))
    assert (row.code, row.reason, row.reason_ru) == ("connection_refused", "refused", "отказано")


def test_an_error_is_over_when_the_message_goes_on() -> None:
    row = row_after(received(1), retried(1), received(1, attempt=2))
    assert (row.due, row.code, row.reason, row.reason_ru, row.attempts) == (None, None, None, None, 2)


def test_events_of_one_moment_keep_their_order() -> None:
    made = Batch()
    for event in (received(1), created(1), answered(1)):
        made.add(NOON, event)
    [row] = made.messages.values()
    moments = [at for at, _, _ in row.events]
    assert moments == sorted(set(moments))


def test_two_unreadable_messages_are_two() -> None:
    def unreadable(name: str) -> list[MessageEvent]:
        about = Identity("bitrix24.queue", "bitrix24", attempt=1, message_id=name)
        return [MessageReceived(about, redelivered=False), MessageParked(about, REASON, "bad_json", Outcome.PERMANENT)]

    made = batch(*unreadable("unreadable:01"), *unreadable("unreadable:02"))
    assert sorted(made.messages) == ["unreadable:01", "unreadable:02"]
    assert {row.state for row in made.messages.values()} == {State.FAILED}


def test_failures_that_differ_in_numbers_and_names_only_are_one_group() -> None:
    first = row_after(parked(1, "user 17 ('Иванов') of https://a.example/rest/1 is not there"))
    second = row_after(parked(2, "user 4711 ('Petrov') of https://b.example/rest/2 is not there"))
    other = row_after(parked(3, "the project is not there"))
    assert first.error_group == second.error_group != other.error_group


def test_two_systems_and_two_codes_are_never_one_group() -> None:
    groups = {group_of(system, code, "gone") for system in ("1c", "bitrix24", None) for code in ("a", "b")}
    assert len(groups) == 6


def test_long_reasons_that_begin_alike_are_two_groups() -> None:
    begin = "the same beginning " * 20
    assert group_of("1c", "x", f"{begin} one end") != group_of("1c", "x", f"{begin} another end")


@pytest.mark.parametrize("reason", ["", "\ud800", "'" * 3000, "1" * 5000, "«" * 3000])
def test_any_reason_has_a_group(reason: str) -> None:
    assert len(group_of("1c", "x", reason)) == 10


def test_secrets_are_masked_in_all_that_others_have_written() -> None:
    secret = "hunter2-hunter2"
    made = Batch()
    about = task(1)
    for event in (
        MessageReceived(about, False, f"title {secret}", f"key {secret}"),
        MessageStuck(about, f"stuck {secret}"),
        MessageParked(about, Text.of(f"parked {secret}"), "x", Outcome.PERMANENT),
        SystemPaused("1c", Text.of(f"paused {secret}"), "outage", secret, is_alert=False, probe_in=15.0),
    ):
        made.add(NOON, event)
    for number in range(2, 200):
        made.add(NOON, received(number))
    made.hide(lambda text: text.replace(secret, "***"))
    assert secret not in repr(made)
    assert repr(made).count("***") > 6
    assert "Согласовать договор №199" in repr(made)


@pytest.mark.parametrize("text", ["\ud800", "a\0b"])
def test_what_no_database_can_keep_is_replaced(text: str) -> None:
    row = row_after(MessageReceived(task(1), False, text, text))
    for kept in (row.title, row.business):
        assert kept is not None
        assert "\0" not in kept
        kept.encode()


def test_what_happens_to_a_system_stands_by_itself() -> None:
    [pause, back] = batch(
        SystemPaused("1c", Text.of("down"), "outage", "timeout", is_alert=False, probe_in=15.0), SystemResumed("1c")
    ).occurrences
    assert (pause.code, pause.system, pause.level) == ("system.paused", "1c", 30)
    assert json.loads(pause.fields or "") == {"outcome": "outage", "code": "timeout"}
    assert (back.code, back.at - pause.at) == ("system.resumed", 1_000_000)


def test_every_event_of_a_message_that_stands_in_the_log_is_kept() -> None:
    left_out = {kind for kind in event_classes() if not wants(kind)}
    assert left_out == {Heartbeat}
    assert not any(wants(kind) for kind in (MessageFailed, ResultStored, ResultNotStored))
    assert wants(QueueStandby)


def test_a_number_of_a_kind_is_never_used_for_another() -> None:
    """Journals of years ago hold these numbers: a line may be added, none may be changed."""
    names: dict[int, Any] = {number: kind.__name__ for number, kind in KINDS.items()}
    assert names == {
        1: "MessageReceived",
        2: "TaskAccepted",
        3: "TaskFound",
        4: "TaskCompleted",
        5: "RetryScheduled",
        6: "MessageParked",
        7: "TaskRejected",
        8: "MessageRerouted",
        9: "MessageStuck",
        10: "DeliveryLost",
        11: "LateOutcomeTold",
        12: "MessageRenewed",
        13: "PartDown",
        14: "SentMessageUnreadable",
        15: "MessageRetried",
        16: "MessageDropped",
        17: "MessageSeen",
        18: "TaskDone",
        19: "MessageHandedBack",
    }
    assert [(state.value, state.name) for state in State] == [
        (1, "WAITING"),
        (2, "PROCESSING"),
        (3, "RETRY_WAIT"),
        (4, "TRACKING"),
        (5, "COMPLETING"),
        (6, "DONE"),
        (7, "FAILED"),
        (8, "REJECTED"),
        (9, "STUCK"),
        (10, "DROPPED"),
    ]


def test_a_batch_knows_how_much_is_in_it() -> None:
    made = batch(received(1), created(1), received(2), SystemResumed("1c"))
    assert len(made) == 3
    assert replace(made.occurrences[0], at=0).line == "1c is usable again"
