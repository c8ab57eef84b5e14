"""Which tasks are finished, asked in bulk; nothing is called finished, deleted or declined by mistake."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from base_tracker import ChangedTask, Changes
from consumers.bitrix.changes import MOST_ROWS
from consumers.bitrix.tracker import BitrixTaskTracker
from core.errors import ConfigurationError, NotConfiguredError, OutageError, OutcomeError
from core.messages import TrackedTask
from core.results import Completed, Pending, Rejected, Verdict
from core.texts import Text
from sandbox.bitrix24 import BARE_USER_FIELDS, BitrixSandbox, UserField, faults
from tests.systems.bitrix.support import client_for, settings_for


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
        assert str(gone.external_id) in Text.of(rejected.reason).en
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


# -- changes ---------------------------------------------------------------------------------------------------------


def told(changes: Changes | None) -> set[str | None]:
    """The Bitrix ids of the changed tasks."""
    assert changes is not None, "the portal cannot tell"
    return {task.external_id for task in changes.tasks}


def mark_of(changes: Changes | None) -> Any:
    assert changes is not None, "the portal cannot tell"
    return changes.mark


def test_finished_and_declined_tasks_are_told_once_with_their_keys() -> None:
    with BitrixSandbox() as portal:
        finished, controlled, declined, edited, untouched = tasks(portal, 5)
        tracker = tracker_for(portal)
        first = tracker.changes(None)
        assert told(first) == set()
        portal.finish(bitrix_id(finished))
        portal.set_status(bitrix_id(controlled), 4)
        portal.decline(bitrix_id(declined))
        portal.change(bitrix_id(edited), TITLE="Новое имя")
        second = tracker.changes(mark_of(first))
        assert second is not None
        assert set(second.tasks) == {
            ChangedTask(each.external_id, each.task_id) for each in (finished, controlled, declined)
        }
        assert told(tracker.changes(second.mark)) == set(), "the overlap is not told again"
        portal.finish(bitrix_id(untouched))
        assert told(tracker.changes(second.mark)) == {untouched.external_id}
        assert portal.requests.http == 4, "one request a question"


def test_after_a_failed_sweep_the_same_mark_tells_the_same() -> None:
    with BitrixSandbox() as portal:
        [task] = tasks(portal, 1)
        tracker = tracker_for(portal)
        mark = mark_of(tracker.changes(None))
        portal.finish(bitrix_id(task))
        for _ in range(3):
            assert told(tracker.changes(mark)) == {task.external_id}


def test_a_persons_own_task_is_told_without_a_key() -> None:
    with BitrixSandbox() as portal:
        tracker = tracker_for(portal)
        mark = mark_of(tracker.changes(None))
        own = portal.create_task("Купить цветы")
        portal.finish(own)
        changes = tracker.changes(mark)
        assert changes is not None
        assert list(changes.tasks) == [ChangedTask(str(own), None)]


def test_a_task_that_is_taken_up_again_and_finished_again_is_told_again() -> None:
    with BitrixSandbox() as portal:
        [task] = tasks(portal, 1)
        tracker = tracker_for(portal)
        mark = mark_of(tracker.changes(None))
        portal.finish(bitrix_id(task))
        again = tracker.changes(mark)
        assert told(again) == {task.external_id}
        portal.set_status(bitrix_id(task), 3)
        open_again = tracker.changes(mark_of(again))
        assert told(open_again) == set()
        portal.state.clock.offset += 1  # the portal counts whole seconds
        portal.finish(bitrix_id(task))
        assert told(tracker.changes(mark_of(open_again))) == {task.external_id}


def test_a_change_that_becomes_visible_late_is_told() -> None:
    with BitrixSandbox() as portal:
        [task] = tasks(portal, 1)
        tracker = tracker_for(portal)
        mark = mark_of(tracker.changes(None))
        with portal.state.lock:  # committed now, by a transaction that had begun a minute ago
            stored = portal.state.tasks.get(int(bitrix_id(task)))
            assert stored is not None
            portal.state.tasks.update(stored, {"STATUS": 5}, by=1, moment=portal.state.moment() - 60)
        assert told(tracker.changes(mark)) == {task.external_id}


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_portal_whose_clock_is_wrong_misses_nothing(hours: int) -> None:
    with BitrixSandbox() as portal:
        portal.state.clock.offset = hours * 3600.0
        before, after = tasks(portal, 2)
        tracker = tracker_for(portal)
        portal.finish(bitrix_id(before))
        portal.state.clock.offset += 600
        mark = mark_of(tracker.changes(None))
        portal.finish(bitrix_id(after))
        assert told(tracker.changes(mark)) == {after.external_id}


def test_a_portal_whose_clock_goes_back_cannot_tell_until_it_is_asked_anew() -> None:
    with BitrixSandbox() as portal:
        first, second = tasks(portal, 2)
        tracker = tracker_for(portal)
        mark = mark_of(tracker.changes(None))
        portal.state.clock.offset = -3600
        portal.finish(bitrix_id(first))
        assert tracker.changes(mark) is None
        mark = mark_of(tracker.changes(None))
        portal.finish(bitrix_id(second))
        assert second.external_id in told(tracker.changes(mark))


@pytest.mark.parametrize("count", [50, 51, 120])
def test_many_changes_take_two_requests(count: int) -> None:
    with BitrixSandbox() as portal:
        tracked = tasks(portal, count)
        tracker = tracker_for(portal)
        mark = mark_of(tracker.changes(None))
        for task in tracked:
            portal.finish(bitrix_id(task))
        before = portal.requests.http
        assert told(tracker.changes(mark)) == {task.external_id for task in tracked}
        assert portal.requests.http == before + (1 if count <= 50 else 2)


def test_more_changes_than_one_batch_can_tell_are_a_matter_for_a_full_sweep() -> None:
    with BitrixSandbox() as portal:
        tracked = tasks(portal, MOST_ROWS + 1)
        tracker = tracker_for(portal)
        mark = mark_of(tracker.changes(None))
        for task in tracked[:-1]:
            portal.finish(bitrix_id(task))
        assert len(told(tracker.changes(mark))) == MOST_ROWS
        portal.finish(bitrix_id(tracked[-1]))
        assert tracker.changes(mark) is None


def test_a_task_that_leaves_the_list_while_its_pages_are_turned_hides_no_other() -> None:
    with BitrixSandbox() as portal, ThreadPoolExecutor(1) as pool:
        tracked = tasks(portal, 60)
        tracker = tracker_for(portal)
        mark = mark_of(tracker.changes(None))
        for task in tracked:
            portal.finish(bitrix_id(task))
        turning = portal.inject(faults.delay(0.5), "batch")
        changes = pool.submit(tracker.changes, mark)
        assert turning.wait(10)
        portal.set_status(bitrix_id(tracked[0]), 3)  # the task at place 51 moves to place 50, a page that was read
        assert changes.result() is None


@pytest.mark.parametrize("field", ["CHANGED_DATE", "REAL_STATUS"])
def test_a_portal_that_ignores_the_filter_is_noticed_and_said_once(
    field: str, caplog: pytest.LogCaptureFixture
) -> None:
    with BitrixSandbox() as portal:
        finished, edited = tasks(portal, 2)
        tracker = tracker_for(portal)
        portal.finish(bitrix_id(finished))
        portal.state.clock.offset = 3600
        mark = mark_of(tracker.changes(None))
        portal.change(bitrix_id(edited), TITLE="Новое имя")
        assert told(tracker.changes(mark)) == set(), "neither is an answer: one is old, the other open"
        portal.state.ignored_filters = frozenset({field})
        for _ in range(3):
            assert tracker.changes(mark) is None
        portal.state.ignored_filters = frozenset()
        assert told(tracker.changes(mark)) == set()
    assert [getattr(record, "event", "") for record in caplog.records].count("tracker.blind") == 1


def test_a_portal_that_cannot_be_asked_for_changes_raises_its_outcome() -> None:
    with BitrixSandbox() as portal:
        tracker = tracker_for(portal)
        portal.inject(faults.html(502), "tasks.task.list")
        with pytest.raises(OutageError):
            tracker.changes(None)


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
