"""The way of a message in stages: what was, where it stands, what keeps it, what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from broker.depths import Depth
from core.events.messages import (
    DeliveryLost,
    MessageParked,
    MessageReceived,
    MessageRerouted,
    RetryScheduled,
    TaskAccepted,
    TaskCompleted,
    TaskFound,
    TaskRejected,
)
from core.texts import Text
from journal.records import EventRecord, MessageRecord
from journal.states import KINDS, State
from operation.prospects import Prospect, Surroundings, prospects_of, standing_of
from operation.stages import STAGE_OF, Stage, ahead_of, steps_of

NOON = 1_796_000_000.0
FAILURE = {"code": "no_user", "reason": "user 17 is not there", "reason_ru": "пользователя 17 нет"}
MESSAGE = MessageRecord(
    id=1,
    cursor=1,
    name="8f6c1a52",
    process="a91e",
    business="ORD-118",
    topic="bitrix_create_task",
    system="bitrix24",
    queue="bitrix24.queue",
    title="Согласовать договор",
    external="48211",
    message_id=None,
    state=State.TRACKING,
    attempts=1,
    first=NOON,
    last=NOON,
    due=None,
    code=None,
    outcome=None,
    reason=None,
    reason_ru=None,
    error_group=None,
)
OK: dict[str, Any] = {
    "system": "bitrix24",
    "is_tracked": True,
    "state": "ok",
    "unused": None,
    "hold": None,
    "down": None,
    "tracker": {"trouble": None},
    "sweeps": {"begun": 3, "ended": 3, "next": NOON + 22},
}
DOWN = {
    **OK,
    "state": "down",
    "down": {"reason": {"en": "refused", "ru": "отказ"}, "next_probe": NOON + 5, "since": NOON},
}
AROUND = Surroundings(
    worker=OK,
    is_served=True,
    depths={"bitrix24.queue": Depth(3, 1), "camunda.responses.queue": Depth(0, 1)},
    sent_queue="bitrix24.sent.queue",
    responses_queue="camunda.responses.queue",
    errors_queue="errors.camunda_tasks.queue",
    now=NOON,
)


def paused(scope: str, until: float | None = None) -> dict[str, Any]:
    return {**OK, "hold": {"by": "ivanov", "reason": "портал", "scope": scope, "until": until, "since": NOON}}


def happened(*kinds: type[Any], **detail: Any) -> list[EventRecord]:
    return [EventRecord(NOON + number, kind.code or kind.__name__, detail) for number, kind in enumerate(kinds)]


def in_state(state: State, **changes: Any) -> MessageRecord:
    return replace(MESSAGE, state=state, **changes)


def said(prospects: Sequence[Prospect]) -> list[str]:
    return [each.said.en for each in prospects]


# -- what was ---------------------------------------------------------------------------------------------------------


def test_the_way_of_a_task_that_went_well_is_told_in_its_stages() -> None:
    events = happened(MessageReceived, TaskAccepted, TaskCompleted)
    steps = steps_of(in_state(State.DONE), events)
    assert [(each.stage, each.said.en) for each in steps] == [
        (Stage.RECEIVED, "taken from bitrix24.queue"),
        (Stage.PROCESSING, "attempt 1"),
        (Stage.CREATED, "bitrix24 has it as 48211"),
        (Stage.DONE, "answered to Camunda: 8f6c1a52:response"),
    ]
    assert not any(each.is_setback for each in steps)
    assert ahead_of(Stage.DONE, steps) == []


def test_an_open_task_has_two_stages_ahead() -> None:
    steps = steps_of(MESSAGE, happened(MessageReceived, TaskFound))
    assert [each.stage for each in steps][-2:] == [Stage.CREATED, Stage.TRACKING]
    assert "an earlier attempt had created it" in steps[-2].said.en
    assert ahead_of(Stage.TRACKING, steps) == [Stage.COMPLETING, Stage.DONE]


def test_a_message_that_was_just_taken_has_everything_ahead() -> None:
    steps = steps_of(in_state(State.PROCESSING), happened(MessageReceived))
    assert ahead_of(Stage.PROCESSING, steps) == [Stage.CREATED, Stage.TRACKING, Stage.COMPLETING, Stage.DONE]


def test_a_setback_is_told_with_its_reason_in_both_languages_and_its_code_once() -> None:
    steps = steps_of(in_state(State.RETRY_WAIT), happened(MessageReceived, RetryScheduled, **FAILURE))
    assert steps[-1].said == Text("user 17 is not there [no_user]", "пользователя 17 нет [no_user]")
    assert steps[-1].is_setback
    told = {**FAILURE, "reason": "refused [no_user]"}
    assert steps_of(MESSAGE, happened(MessageParked, **told))[0].said.en == "refused [no_user]"


@pytest.mark.parametrize(
    ("kind", "stage"), [(MessageParked, Stage.FAILED), (TaskRejected, Stage.REJECTED), (DeliveryLost, Stage.RECEIVED)]
)
def test_ends_and_detours_have_their_stages(kind: type[Any], stage: Stage) -> None:
    [step] = steps_of(MESSAGE, happened(kind, **FAILURE))
    assert (step.stage, step.is_setback) == (stage, True)


def test_the_first_queue_of_a_rerouted_message_is_not_guessed() -> None:
    steps = steps_of(MESSAGE, happened(MessageReceived, MessageRerouted, target="email.queue"))
    assert [each.said.en for each in steps] == ["taken from its queue", "attempt 1", "put into email.queue"]


def test_every_kind_of_event_and_every_state_has_words_in_both_languages() -> None:
    for kind in KINDS.values():
        for step in steps_of(MESSAGE, happened(kind, **FAILURE)):
            assert step.said.en
            assert step.said.ru
            assert "{" not in step.said.en + step.said.ru
    assert set(STAGE_OF) == set(State)
    for state in State:
        now = standing_of(in_state(state), AROUND)
        assert now.en != now.ru
        assert "{" not in now.en + now.ru


def test_a_reason_with_braces_is_shown_as_it_is() -> None:
    told = {**FAILURE, "reason": "{0} {name}", "reason_ru": "{0} {name}"}
    assert steps_of(MESSAGE, happened(MessageParked, **told))[0].said.en == "{0} {name} [no_user]"
    assert standing_of(in_state(State.FAILED, reason="{0}", reason_ru="{0}"), AROUND).en.endswith(": {0}")


# -- where it stands and what is next ---------------------------------------------------------------------------------


def test_a_tracked_task_waits_for_the_next_sweep() -> None:
    [next_] = prospects_of(MESSAGE, AROUND)
    assert next_ == Prospect(Text("the next sweep of the tracker", "следующий проход трекера"), NOON + 22)


def test_a_retry_tells_its_attempt_and_its_moment() -> None:
    waiting = in_state(State.RETRY_WAIT, due=NOON + 5, attempts=2, reason="busy", reason_ru="занято")
    assert standing_of(waiting, AROUND).en == "waits for its next attempt: busy"
    [next_] = prospects_of(waiting, AROUND)
    assert (next_.said.en, next_.at) == ("attempt 3", NOON + 5)


def test_a_retry_whose_time_is_over_is_back_in_its_queue() -> None:
    over = in_state(State.RETRY_WAIT, due=NOON - 1)
    assert standing_of(over, AROUND).en == "is back in bitrix24.queue"
    assert said(prospects_of(over, AROUND)) == ["the worker takes it from bitrix24.queue: 3 wait"]


@pytest.mark.parametrize("state", [State.WAITING, State.PROCESSING, State.RETRY_WAIT])
def test_a_system_that_is_down_holds_up_what_is_to_be_created(state: State) -> None:
    around = replace(AROUND, worker=DOWN)
    [obstacle] = prospects_of(in_state(state, due=NOON - 1), around)
    assert obstacle.is_obstacle
    assert (obstacle.said.en, obstacle.at) == ("bitrix24 is down: refused; tried again", NOON + 5)
    assert "bitrix24.queue" in standing_of(in_state(state, due=NOON - 1), around).en


def test_a_system_that_is_down_holds_up_no_sweep_by_itself() -> None:
    assert said(prospects_of(MESSAGE, replace(AROUND, worker=DOWN))) == ["the next sweep of the tracker"]


@pytest.mark.parametrize(
    ("state", "scope", "is_held"),
    [
        (State.WAITING, "create", True),
        (State.WAITING, "track", False),
        (State.WAITING, "all", True),
        (State.TRACKING, "create", False),
        (State.TRACKING, "track", True),
        (State.TRACKING, "all", True),
        (State.DONE, "all", False),
    ],
)
def test_a_person_s_pause_is_an_obstacle_for_its_part_of_the_work(state: State, scope: str, is_held: bool) -> None:
    prospects = prospects_of(in_state(state), replace(AROUND, worker=paused(scope, NOON + 60)))
    assert any(each.is_obstacle for each in prospects) is is_held
    if is_held:
        assert prospects[0].said == Text(
            "bitrix24 is paused by ivanov: портал; until", "bitrix24 на паузе (ivanov): портал; до"
        )
        assert prospects[0].at == NOON + 60
        assert len(prospects) == 1, "nothing else happens meanwhile"


def test_a_pause_without_an_end_says_how_it_is_lifted() -> None:
    [pause] = prospects_of(MESSAGE, replace(AROUND, worker=paused("all")))
    assert pause.said.en.endswith("main.py resume bitrix24")
    assert pause.at is None


def test_without_a_worker_nothing_happens_and_it_says_so() -> None:
    around = replace(AROUND, worker=None, is_served=False)
    assert said(prospects_of(MESSAGE, around)) == ["no worker runs: main.py starts one"]
    assert standing_of(in_state(State.PROCESSING), around).en == "is back in bitrix24.queue"


def test_a_worker_elsewhere_is_no_missing_worker() -> None:
    around = replace(AROUND, worker=None)
    [elsewhere] = prospects_of(MESSAGE, around)  # nothing is said of sweeps that are not known
    assert not elsewhere.is_obstacle
    assert standing_of(in_state(State.PROCESSING), around).en == "bitrix24 is asked to do it"


def test_a_sweep_that_failed_is_told_beside_the_next_one() -> None:
    around = replace(AROUND, worker={**OK, "tracker": {"trouble": "connection refused"}})
    assert said(prospects_of(MESSAGE, around)) == [
        "the last sweep did not get through: connection refused",
        "the next sweep of the tracker",
    ]


def test_what_nobody_tracks_stands_still() -> None:
    [obstacle] = prospects_of(MESSAGE, replace(AROUND, worker={**OK, "is_tracked": False, "sweeps": None}))
    assert (obstacle.said.en, obstacle.is_obstacle) == ("nobody tracks bitrix24.sent.queue", True)


def test_a_system_without_settings_is_an_obstacle() -> None:
    unused = {**OK, "unused": {"en": "BITRIX_WEBHOOK_URL is not set", "ru": "BITRIX_WEBHOOK_URL не задана"}}
    [obstacle] = prospects_of(in_state(State.WAITING), replace(AROUND, worker=unused))
    assert obstacle.said.ru == "bitrix24 не используется: BITRIX_WEBHOOK_URL не задана"


def test_what_is_in_the_error_queue_needs_a_person_with_these_commands() -> None:
    for state in (State.FAILED, State.REJECTED):
        [act] = prospects_of(in_state(state), replace(AROUND, worker=None, is_served=False))
        assert act.said.en == "a person must act: main.py errors show 8f6c1a52, main.py errors retry 8f6c1a52"


def test_what_was_dropped_can_be_brought_back() -> None:
    assert said(prospects_of(in_state(State.DROPPED), AROUND)) == ["main.py errors restore 8f6c1a52"]


def test_a_finished_task_says_whether_camunda_s_side_has_its_response() -> None:
    assert said(prospects_of(in_state(State.DONE), AROUND)) == [
        "camunda.responses.queue is empty: Camunda's side has it"
    ]
    waiting = replace(AROUND, depths={"camunda.responses.queue": Depth(7, 0)})
    assert said(prospects_of(in_state(State.DONE), waiting)) == [
        "Camunda's side takes it from camunda.responses.queue: 7 wait there, 0 readers"
    ]
    assert prospects_of(in_state(State.DONE), replace(AROUND, depths={})) == [], "RabbitMQ could not be asked"
