"""Which tasks are finished, asked in bulk; nothing is called finished, deleted or declined by mistake."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from consumers.bitrix.tracker import BitrixTaskTracker
from core.errors import ConfigurationError, NotConfiguredError, OutageError, OutcomeError
from core.messages import TrackedTask
from core.results import Completed, Pending, Rejected, Verdict
from sandbox.bitrix24 import BARE_USER_FIELDS, BitrixSandbox, UserField, faults
from tests.bitrix_support import client_for, settings_for


def tracker_for(portal: BitrixSandbox, **changes: Any) -> BitrixTaskTracker:
    return BitrixTaskTracker(settings_for(portal, **changes), client_for(portal, **changes))


def tasks(portal: BitrixSandbox, count: int) -> list[TrackedTask]:
    tracked = []
    for number in range(count):
        key = f"key-{number}"
        tracked.append(TrackedTask(key, str(portal.create_task(f"Задача {number}", UF_CAMUNDA_ID_EXTERNAL_TASK=key))))
    return tracked


def bitrix_id(task: TrackedTask) -> str:
    assert task.external_id is not None
    return task.external_id


def task_of(verdict: Verdict) -> dict[str, Any]:
    assert isinstance(verdict, Completed), verdict
    task: dict[str, Any] = verdict.response["result"]["task"]
    return task


def test_a_finished_task_is_completed_with_its_data_and_its_answer_in_words() -> None:
    with BitrixSandbox() as portal:
        first, second = tasks(portal, 2)
        portal.change(bitrix_id(first), UF_RESULT_EXPECTED=True, UF_RESULT_QUESTION="Согласны?", TITLE="Новое имя")
        portal.finish(bitrix_id(first), answer="ДА")
        completed, pending = tracker_for(portal).check([first, second])
        task = task_of(completed)
        assert (task["id"], task["title"], task["status"]) == (first.external_id, "Новое имя", "5")
        assert (task["ufResultExpected"], task["ufResultAnswer"], task["ufResultAnswer_text"]) == ("1", "26", "ДА")
        assert (task["ufResultQuestion"], task["ufCamundaIdExternalTask"]) == ("Согласны?", first.task_id)
        assert pending == Pending()


@pytest.mark.parametrize(("status", "finished"), [(1, False), (2, False), (3, False), (4, True), (5, True), (6, False)])
def test_awaiting_control_and_completed_finish_a_task(status: int, finished: bool) -> None:
    with BitrixSandbox() as portal:
        [task] = tasks(portal, 1)
        portal.set_status(bitrix_id(task), status)
        [verdict] = tracker_for(portal).check([task])
        assert isinstance(verdict, Completed) is finished


def test_which_statuses_finish_is_configurable() -> None:
    with BitrixSandbox() as portal:
        awaiting, declined = tasks(portal, 2)
        portal.set_status(bitrix_id(awaiting), 4)
        portal.decline(bitrix_id(declined))
        verdicts = tracker_for(portal, finished_statuses={5, 7}).check([awaiting, declined])
        assert [type(verdict) for verdict in verdicts] == [Pending, Completed]


def test_a_declined_task_is_reported() -> None:
    with BitrixSandbox() as portal:
        [task] = tasks(portal, 1)
        portal.decline(bitrix_id(task))
        [verdict] = tracker_for(portal).check([task])
        assert isinstance(verdict, Rejected)
        assert verdict.code == "task_declined"


def test_a_deleted_task_is_reported_after_three_looks() -> None:
    with BitrixSandbox() as portal:
        gone, open_ = tasks(portal, 2)
        portal.delete(bitrix_id(gone))
        tracker = tracker_for(portal)
        looks = [tracker.check([gone, open_]) for _ in range(3)]
        assert [type(look[0]) for look in looks] == [Pending, Pending, Rejected]
        assert [look[1] for look in looks] == [Pending()] * 3
        [rejected, _] = looks[2]
        assert isinstance(rejected, Rejected)
        assert rejected.code == "task_deleted"
        assert str(gone.external_id) in rejected.reason
        assert tracker.get_stats()["unseen"] == 0


def test_a_task_that_is_seen_again_is_not_deleted() -> None:
    with BitrixSandbox(webhook_user=4) as portal:
        [task, *_] = tasks(portal, 2)
        tracker = tracker_for(portal)
        for _ in range(3):
            portal.state.admin = False
            tracker.check([task])
            tracker.check([task])
            portal.state.admin = True
            assert list(tracker.check([task])) == [Pending()]


def test_a_webhook_that_lost_its_rights_rejects_no_task() -> None:
    with BitrixSandbox(webhook_user=4) as portal:
        tracked = tasks(portal, 12)
        tracker = tracker_for(portal)
        portal.state.admin = False
        for _ in range(4):
            with pytest.raises(ConfigurationError, match="administrator"):
                tracker.check(tracked)


def test_a_task_whose_id_was_never_told_is_found_by_its_key() -> None:
    with BitrixSandbox() as portal:
        known, nameless = tasks(portal, 2)
        portal.finish(bitrix_id(nameless))
        tracker = tracker_for(portal)
        verdicts = tracker.check([known, TrackedTask(nameless.task_id, None), TrackedTask("no-such-key", None)])
        assert [type(verdict) for verdict in verdicts] == [Pending, Completed, Pending]
        assert task_of(verdicts[1])["id"] == nameless.external_id


@pytest.mark.parametrize("external_id", ["not-a-number", "0", ""])
def test_an_id_that_is_none_holds_up_nobody(external_id: str) -> None:
    with BitrixSandbox() as portal:
        [finished] = tasks(portal, 1)
        portal.finish(bitrix_id(finished))
        verdicts = tracker_for(portal).check([TrackedTask("odd", external_id), finished])
        assert [type(verdict) for verdict in verdicts] == [Pending, Completed]


def test_the_statuses_of_2500_open_tasks_cost_one_request() -> None:
    with BitrixSandbox() as portal:
        tracked = tasks(portal, 2500)
        assert set(tracker_for(portal).check(tracked)) == {Pending()}
        assert portal.requests.http == 1


def test_only_finished_tasks_are_read_in_full() -> None:
    with BitrixSandbox() as portal:
        tracked = tasks(portal, 500)
        for task in tracked[:50]:
            portal.finish(bitrix_id(task))
        verdicts = tracker_for(portal).check(tracked)
        assert [type(verdict) for verdict in verdicts] == [Completed] * 50 + [Pending] * 450
        assert portal.requests.methods["tasks.task.get"] == 50
        assert portal.requests.http == 3  # the statuses, the user fields, the finished tasks


def test_a_task_taken_up_again_while_it_is_read_stays_open() -> None:
    with BitrixSandbox() as portal, ThreadPoolExecutor(1) as pool:
        [task] = tasks(portal, 1)
        portal.finish(bitrix_id(task))
        reading = portal.inject(faults.delay(0.5), "tasks.task.get")
        verdicts = pool.submit(tracker_for(portal).check, [task])
        assert reading.wait(10)
        portal.set_status(bitrix_id(task), 3)
        assert list(verdicts.result()) == [Pending()]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (faults.html(502), OutageError),
        (faults.reset(), OutageError),
        (faults.error("NO_AUTH_FOUND"), ConfigurationError),
    ],
)
@pytest.mark.parametrize("method", ["batch", "tasks.task.list", "tasks.task.get", "task.item.userfield.getlist"])
def test_a_portal_that_cannot_be_asked_leaves_every_task_where_it_is(
    method: str, fault: faults.Fault, outcome: type[OutcomeError]
) -> None:
    with BitrixSandbox() as portal:
        tracked = tasks(portal, 3)
        portal.finish(bitrix_id(tracked[0]))
        tracker = tracker_for(portal)
        injection = portal.inject(fault, method, count=None)
        with pytest.raises(outcome):
            tracker.check(tracked)
        injection.remove()
        assert isinstance(tracker.check(tracked)[0], Completed)


# -- answers ---------------------------------------------------------------------------------------------------------


def answer_of(portal: BitrixSandbox, tracker: BitrixTaskTracker, **stored: Any) -> str | None:
    task_id = portal.create_task("Вопрос", **stored)
    portal.finish(task_id)
    [verdict] = tracker.check([TrackedTask(f"key-{task_id}", str(task_id))])
    return task_of(verdict).get("ufResultAnswer_text")


def answer_field(**options: str) -> list[UserField]:
    return [UserField("UF_RESULT_ANSWER", "enumeration", options={int(key[1:]): text for key, text in options.items()})]


def test_the_portals_own_choices_win_over_the_configured_ones() -> None:
    with BitrixSandbox(user_fields=answer_field(_26="НЕТ", _41="ДА")) as portal:
        tracker = tracker_for(portal)
        assert answer_of(portal, tracker, UF_RESULT_ANSWER=26) == "НЕТ"
        assert answer_of(portal, tracker, UF_RESULT_ANSWER=41) == "ДА"
        assert answer_of(portal, tracker) is None


def test_a_choice_added_later_is_read_and_an_unknown_one_falls_back_to_the_configuration() -> None:
    with BitrixSandbox(user_fields=answer_field(_1="ДА")) as portal:
        tracker = tracker_for(portal, answer_texts={"27": "НЕТ"})
        assert answer_of(portal, tracker, UF_RESULT_ANSWER=1) == "ДА"
        assert answer_of(portal, tracker, UF_RESULT_ANSWER=27) == "НЕТ"
        assert answer_of(portal, tracker, UF_RESULT_ANSWER=99) == "99"
        [later] = answer_field(_1="ДА", _99="ПОЗЖЕ")
        portal.state.user_fields._by_name["UF_RESULT_ANSWER"] = later
        soon = time.monotonic() + 100  # more than a minute, less than the cache's hour
        tracker._answers._clock = lambda: soon
        assert answer_of(portal, tracker, UF_RESULT_ANSWER=99) == "ПОЗЖЕ"


def test_a_text_field_is_its_own_answer_and_a_portal_without_one_completes_without() -> None:
    with BitrixSandbox(user_fields=[UserField("UF_RESULT_ANSWER", "string")]) as portal:
        assert answer_of(portal, tracker_for(portal), UF_RESULT_ANSWER="Согласен") == "Согласен"
    with BitrixSandbox(user_fields=BARE_USER_FIELDS) as portal:
        assert answer_of(portal, tracker_for(portal)) is None


def test_without_a_webhook_nothing_is_tracked() -> None:
    with BitrixSandbox() as portal:
        settings = settings_for(portal, webhook_url=None)
        with pytest.raises(NotConfiguredError):
            BitrixTaskTracker.from_settings(settings, threading.Event())
