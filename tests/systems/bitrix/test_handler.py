"""One task per Camunda task, whatever breaks; and few requests for many."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from consumers.bitrix.creation import next_group_size
from consumers.bitrix.handler import SUPPORTED_TOPICS, BitrixTaskHandler
from core.errors import (
    AmbiguousError,
    ConfigurationError,
    NotConfiguredError,
    OutageError,
    OutcomeError,
    PermanentError,
    StoppingError,
    TransientError,
)
from core.messages import IncomingMessage
from core.results import Accepted, Done, Result
from sandbox.bitrix24 import BitrixSandbox, UserField, faults
from sandbox.bitrix24.userfields import DEFAULT_USER_FIELDS
from tests.systems.bitrix.support import (
    at_once,
    client_for,
    duplicates,
    handler_for,
    message,
    outcomes,
    redelivered,
    settings_for,
)

CHECKLISTS = '[{"name": "Шаги", "items": ["первый", "второй"]}, {"name": "Итог", "items": ["отчёт"]}]'


def accepted(outcome: object) -> Accepted:
    assert isinstance(outcome, Accepted), outcome
    return outcome


def titles(portal: BitrixSandbox, task_id: str | None) -> Counter[str]:
    return Counter(item["TITLE"] for item in portal.checklists(str(task_id)))


# -- many with few requests ------------------------------------------------------------------------------------------


def test_five_hundred_messages_cost_at_most_thirteen_requests() -> None:
    with BitrixSandbox() as portal:
        messages = [message() for _ in range(500)]
        results = [accepted(outcome) for outcome in outcomes(handler_for(portal), messages)]
        assert portal.requests.http <= 13
        by_key = portal.tasks_by_key()
        assert len(by_key) == len(portal.tasks) == 500
        for sent, result in zip(messages, results, strict=True):
            assert by_key[sent.task.task_id] == [int(str(result.external_id))]
            assert not result.duplicate


def test_a_second_delivery_of_five_hundred_creates_nothing() -> None:
    with BitrixSandbox() as portal:
        messages = [message() for _ in range(500)]
        first = [accepted(outcome).external_id for outcome in outcomes(handler_for(portal), messages)]
        before = portal.requests.http
        again = [accepted(outcome) for outcome in outcomes(handler_for(portal), [redelivered(m) for m in messages])]
        assert [result.external_id for result in again] == first
        assert all(result.duplicate for result in again)
        assert portal.requests.http - before <= 13
        assert len(portal.tasks) == 500


def test_a_result_is_handed_out_as_soon_as_its_request_is_answered() -> None:
    with BitrixSandbox() as portal:
        stream = handler_for(portal).handle_batch([message() for _ in range(200)])
        next(stream)
        assert len(portal.tasks) == 49, "the first group only"


@pytest.mark.parametrize(
    ("size", "seconds", "following"), [(49, 21.0, 24), (1, 99.0, 1), (24, 10.0, 24), (24, 1.0, 48), (48, 1.0, 49)]
)
def test_groups_shrink_before_the_portals_sixty_seconds_are_reached(size: int, seconds: float, following: int) -> None:
    assert next_group_size(size, seconds, 49) == following


def test_the_same_key_twice_in_one_batch_is_created_once() -> None:
    with BitrixSandbox() as portal:
        messages = [message(key="eins"), message(key="zwei"), message(key="eins"), message(key="eins")]
        results = [accepted(outcome) for outcome in outcomes(handler_for(portal), messages)]
        assert [result.duplicate for result in results] == [False, False, True, True]
        assert len({result.external_id for result in results}) == len(portal.tasks) == 2


def test_threads_with_the_same_messages_create_each_task_once() -> None:
    with BitrixSandbox(latency=0.01) as portal:
        handler = handler_for(portal, ambiguous_wait=0.01)
        messages = [message() for _ in range(60)]

        def work(index: int) -> list[Accepted | Result | OutcomeError]:
            return outcomes(handler, messages)

        for results in at_once(4, work):
            for outcome in results:
                # A key in another thread's hands comes back later; anything else found or created the task.
                assert isinstance(outcome, Accepted) or outcome.code == "key_in_use"
        assert all(isinstance(outcome, Accepted) for outcome in outcomes(handler, messages))
        assert duplicates(portal) == {}
        assert len(portal.tasks) == 60


# -- lost answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        faults.reset(after_execution=True),
        faults.broken_json(after_execution=True),
        faults.html(502, after_execution=True),
        faults.error("INTERNAL_SERVER_ERROR", after_execution=True),
    ],
)
def test_an_answer_lost_after_execution_creates_no_second_task(fault: faults.Fault) -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal, ambiguous_wait=0.001)  # the loop below does not wait
        messages = [message() for _ in range(20)]
        portal.inject(fault, "tasks.task.add")
        for _ in range(3):
            messages = [
                each
                for each, outcome in zip(messages, outcomes(handler, messages), strict=True)
                if isinstance(outcome, OutcomeError)
            ]
        assert messages == []
        assert duplicates(portal) == {}
        assert len(portal.tasks) == 20


def test_a_time_out_after_execution_creates_no_second_task() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal, request_timeout=0.3)
        handler.probe()
        portal.inject(faults.delay(30, after_execution=True), "tasks.task.add")
        result = accepted(handler.handle(message(key="k")))
        assert portal.tasks_by_key() == {"k": [int(str(result.external_id))]}


def test_a_request_that_is_still_running_is_not_repeated_before_it_can_have_ended() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal, request_timeout=0.3, ambiguous_wait=45)
        handler.probe()
        slow = portal.inject(faults.delay(0.6), "tasks.task.add")
        sent = message(key="k")
        with pytest.raises(AmbiguousError) as doubt:
            handler.handle(sent)
        assert doubt.value.retry_after == 45
        assert slow.hits == 1
        portal.wait_until(lambda desk: desk.task_count == 1)  # the portal has finished what we gave up on
        assert accepted(handler.handle(sent)).duplicate
        assert len(portal.tasks) == 1


def test_a_failed_write_that_the_portal_has_finished_is_transient_and_not_a_doubt() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        portal.inject(faults.error("INTERNAL_SERVER_ERROR"), "tasks.task.add")
        with pytest.raises(TransientError):
            handler.handle(message())
        assert portal.tasks == []


def test_a_killed_worker_creates_no_second_task() -> None:
    """A redelivered message may have its first request on the wire still, so nothing is created at once."""
    with BitrixSandbox() as portal:
        handler = handler_for(portal, ambiguous_wait=45)
        sent = message(key="k")
        with pytest.raises(AmbiguousError) as doubt:
            handler.handle(redelivered(sent))
        assert (doubt.value.code, doubt.value.retry_after) == ("redelivered", 45)
        assert portal.tasks == []
        with pytest.raises(AmbiguousError):
            handler.handle(message(key="k"))  # the same task published once more: it bears no mark, and waits, too
        assert portal.tasks == []
        later = handler_for(portal)  # the copy comes back when nobody is in doubt any more, and is no redelivery
        accepted(later.handle(sent))
        assert accepted(handler.handle(redelivered(sent))).duplicate
        assert len(portal.tasks) == 1


@pytest.mark.parametrize("seed", range(3))
def test_one_fault_in_ten_calls_neither_loses_nor_doubles_a_task(seed: int) -> None:
    with BitrixSandbox(seed=seed) as portal:
        handler = handler_for(portal, ambiguous_wait=0.001)  # the loop below does not wait
        for fault in (
            faults.error("INTERNAL_SERVER_ERROR"),
            faults.error("INTERNAL_SERVER_ERROR", after_execution=True),
            faults.reset(),
            faults.reset(after_execution=True),
            faults.html(504, after_execution=True),
        ):
            portal.inject(fault, "tasks.*", count=None, probability=0.02)
            portal.inject(fault, "batch", count=None, probability=0.02)
        waiting = [message(extensions={"checklists": CHECKLISTS} if n % 10 == 0 else {}) for n in range(300)]
        everything = {each.task.task_id for each in waiting}
        for _ in range(200):
            again: list[IncomingMessage] = []
            for each, outcome in zip(waiting, outcomes(handler, waiting), strict=True):
                assert not isinstance(outcome, PermanentError | ConfigurationError), outcome
                if isinstance(outcome, OutcomeError):
                    again.append(each)
            waiting = again
            if not waiting:
                break
        portal.clear_faults()
        assert waiting == []
        assert duplicates(portal) == {}
        assert set(portal.tasks_by_key()) == everything


def test_an_outage_of_any_length_spends_no_attempt_and_ends_by_itself() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        messages = [message() for _ in range(3)]
        portal.go_down()
        for _ in range(3):
            assert [type(outcome) for outcome in outcomes(handler, messages)] == [OutageError] * 3
            with pytest.raises(OutageError):
                handler.probe()
        portal.come_back()
        handler.probe()
        assert all(isinstance(outcome, Accepted) for outcome in outcomes(handler, messages))


def test_a_dead_portal_is_asked_once_for_a_whole_batch() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        portal.inject(faults.html(503), "batch", count=None)
        assert {type(outcome) for outcome in outcomes(handler, [message() for _ in range(500)])} == {OutageError}
        assert portal.requests.http == 1


def test_a_stop_gives_the_messages_back_untouched() -> None:
    with BitrixSandbox() as portal:
        stop = threading.Event()
        handler = BitrixTaskHandler(settings_for(portal), client_for(portal, stop))
        stop.set()
        with pytest.raises(StoppingError):
            list(handler.handle_batch([message()]))
        assert portal.tasks == []


# -- checklists ------------------------------------------------------------------------------------------------------


def test_checklists_are_built_in_order() -> None:
    with BitrixSandbox() as portal:
        result = accepted(handler_for(portal).handle(message(extensions={"checklists": CHECKLISTS})))
        rows = portal.checklists(str(result.external_id))
        names = {row["ID"]: row["TITLE"] for row in rows if row["PARENT_ID"] == 0}
        tree = [(names[str(row["PARENT_ID"])], row["TITLE"]) for row in rows if row["PARENT_ID"] != 0]
        assert list(names.values()) == ["Шаги", "Итог"]
        assert tree == [("Шаги", "первый"), ("Шаги", "второй"), ("Итог", "отчёт")]


def test_an_interrupted_checklist_is_completed_without_a_second_task_or_item() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        sent = message(extensions={"checklists": CHECKLISTS})
        portal.inject(
            faults.reset(after_execution=True),
            "task.checklistitem.add",
            match=lambda params: "второй" in str(params),
        )
        with pytest.raises(AmbiguousError):
            handler.handle(sent)
        result = accepted(handler.handle(sent))
        assert result.duplicate
        assert titles(portal, result.external_id) == Counter(["Шаги", "первый", "второй", "Итог", "отчёт"])
        assert len(portal.tasks) == 1


def test_an_adopted_task_gets_the_checklists_that_its_creator_did_not_reach() -> None:
    with BitrixSandbox() as portal:
        task_id = portal.create_task("Создана раньше", UF_CAMUNDA_ID_EXTERNAL_TASK="k")
        result = accepted(handler_for(portal).handle(message(key="k", extensions={"checklists": CHECKLISTS})))
        assert (result.external_id, result.duplicate) == (str(task_id), True)
        assert sum(titles(portal, result.external_id).values()) == 5


def test_a_refused_checklist_does_not_lose_the_task_and_is_told() -> None:
    with BitrixSandbox() as portal:
        portal.inject(faults.error("ERROR_CORE", "нет прав<br>"), "task.checklistitem.add")
        result = accepted(handler_for(portal).handle(message(extensions={"checklists": CHECKLISTS})))
        [warning] = result.response["warnings"]
        assert "нет прав" in warning
        assert titles(portal, result.external_id) == Counter(["Итог", "отчёт"])


def test_a_checklist_that_keeps_failing_does_not_hold_up_the_process_for_ever() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        portal.inject(faults.error("INTERNAL_SERVER_ERROR"), "task.checklistitem.getlist", count=None)
        portal.create_task("Создана раньше", UF_CAMUNDA_ID_EXTERNAL_TASK="k")
        with pytest.raises(TransientError):
            handler.handle(message(key="k", extensions={"checklists": CHECKLISTS}, attempt=2))
        result = accepted(handler.handle(message(key="k", extensions={"checklists": CHECKLISTS}, attempt=3)))
        assert result.response["warnings"]


# -- one bad message -------------------------------------------------------------------------------------------------


def test_bad_messages_in_a_batch_disturb_no_good_one() -> None:
    with BitrixSandbox() as portal:
        good = [message() for _ in range(60)]
        bad = [
            message(variables={"deadline": "завтра"}),
            message(extensions={"UF_MISSPELT": "x"}),
            message(extensions={"assigneeId": "director"}),
            message(variables={"responsible_id": 424242}),
            message(extensions={"checklists": "[{"}),
            message("bitrix_delete_everything"),
        ]
        results = outcomes(handler_for(portal), bad[:3] + good + bad[3:])
        assert all(isinstance(each, PermanentError) for each in results[:3] + results[-3:])
        assert all(isinstance(each, Accepted) for each in results[3:-3])
        assert len(portal.tasks) == 60


def test_an_unknown_topic_names_the_supported_ones() -> None:
    with BitrixSandbox() as portal, pytest.raises(PermanentError) as caught:
        handler_for(portal).handle(message("bitrix24"))
    assert caught.value.code == "unknown_topic"
    for topic in SUPPORTED_TOPICS:
        assert topic in caught.value.reason


def test_a_field_created_a_moment_ago_is_known_without_a_restart() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        handler.handle(message())
        portal.state.user_fields.add(UserField("UF_NEW", "string"))
        later = time.monotonic() + 100  # more than a minute, less than the cache's hour
        handler._portal._clock = lambda: later
        result = accepted(handler.handle(message(extensions={"UF_NEW": "значение"})))
        assert portal.task(str(result.external_id))["UF_NEW"] == "значение"


def test_a_mandatory_field_of_the_portal_that_is_missing_is_told_with_the_portals_words() -> None:
    mandatory = [*DEFAULT_USER_FIELDS, UserField("UF_COST_CENTRE", "string", "Центр затрат", mandatory=True)]
    with BitrixSandbox(user_fields=mandatory) as portal:
        handler = handler_for(portal)
        with pytest.raises(PermanentError):
            handler.handle(message())
        accepted(handler.handle(message(extensions={"UF_COST_CENTRE": "12"})))


def test_the_key_field_must_be_a_text() -> None:
    odd = [UserField("UF_CAMUNDA_ID_EXTERNAL_TASK", "double"), *DEFAULT_USER_FIELDS[1:]]
    with BitrixSandbox(user_fields=odd) as portal, pytest.raises(ConfigurationError, match="type double"):
        handler_for(portal).probe()


def test_roles_come_from_the_file_and_an_unknown_one_goes_to_the_error_queue(tmp_path: Path) -> None:
    roles = tmp_path / "roles.yaml"
    roles.write_text(
        "mappings:\n  бухгалтер: {bitrix_responsible_id: 2}\n  boss: 3\n  nobody: null\n", encoding="utf-8"
    )
    with BitrixSandbox() as portal:
        handler = handler_for(portal, roles_file=roles)
        for role, user in (("бухгалтер", 2), ("boss", 3)):
            result = accepted(handler.handle(message(extensions={"assigneeId": role})))
            assert portal.task(str(result.external_id))["RESPONSIBLE_ID"] == user
        with pytest.raises(PermanentError, match="nobody"):
            handler.handle(message(extensions={"assigneeId": "nobody"}))


# -- updates, start --------------------------------------------------------------------------------------------------


def test_an_update_by_id_or_by_key_is_finished_at_once() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        created = accepted(handler.handle(message(key="creating-task")))
        for reference in (created.external_id, "creating-task"):
            done = handler.handle(
                message("bitrix_update_task", variables={"bitrix_task_id": reference, "priority": "high"})
            )
            assert isinstance(done, Done)
            assert done.external_id == created.external_id
            assert done.response["result"]["task"]["id"] == created.external_id
        assert portal.task(str(created.external_id))["PRIORITY"] == 2
        assert len(portal.tasks) == 1


def test_an_update_adds_the_checklists_that_are_missing() -> None:
    """They were ignored without a word."""
    lists = [{"name": "Документы", "items": ["Паспорт", "ИНН"]}]
    more = [{"name": "Документы", "items": ["Паспорт", "ИНН", "СНИЛС"]}, {"name": "Доступы", "items": ["Почта"]}]
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        created = accepted(handler.handle(message(variables={"checklists": lists})))
        for variables in ({"title": "Новое имя"}, {}, {}):
            update = {"bitrix_task_id": created.external_id, "checklists": more, **variables}
            done = handler.handle(message("bitrix_update_task", variables=update))
            assert isinstance(done, Done)
            assert "warnings" not in done.response
        titles = [item["TITLE"] for item in portal.checklists(str(created.external_id))]
        assert sorted(titles) == sorted(["Документы", "Паспорт", "ИНН", "СНИЛС", "Доступы", "Почта"])
        assert portal.tasks[0]["TITLE"] == "Новое имя"


def test_a_refused_checklist_of_an_update_is_told() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        created = accepted(handler.handle(message()))
        portal.inject(faults.error("ERROR_CORE", "нет доступа"), "task.checklistitem.add", count=None)
        variables = {"bitrix_task_id": created.external_id, "checklists": [{"name": "Шаги", "items": ["1"]}]}
        done = handler.handle(message("bitrix_update_task", variables=variables))
        assert isinstance(done, Done)
        assert "нет доступа" in done.response["warnings"][0]


def test_what_was_not_used_of_a_new_task_is_told_in_its_result() -> None:
    with BitrixSandbox() as portal:
        sent = message(variables={"title": "я" * 300, "UF_NO_SUCH": 1}, extensions={"phone": "+7"})
        assert accepted(handler_for(portal).handle(sent)).response["warnings"] == [
            "UF_NO_SUCH was not used: the portal has no such user field for tasks",
            "The title has 300 characters and was cut to 255",
            "bitrix_create_task has no use for phone",
        ]


def test_an_update_of_a_task_of_the_same_batch_finds_it() -> None:
    with BitrixSandbox() as portal:
        update = message("bitrix_update_task", variables={"task_id": "k", "title": "Новое имя"})
        results = outcomes(handler_for(portal), [update, message(key="k")])
        assert [type(each) for each in results] == [Done, Accepted]
        assert portal.tasks[0]["TITLE"] == "Новое имя"


def test_an_update_of_nothing_is_permanent() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        with pytest.raises(PermanentError, match="bitrix_task_id"):
            handler.handle(message("bitrix_update_task", variables={"title": "x"}))
        with pytest.raises(PermanentError):
            handler.handle(message("bitrix_update_task", variables={"title": "x", "task_id": "424242"}))


def test_without_a_webhook_the_system_is_not_in_use() -> None:
    with BitrixSandbox() as portal:
        settings = settings_for(portal, webhook_url=None)
        with pytest.raises(NotConfiguredError):
            BitrixTaskHandler.from_settings(settings, threading.Event())
        assert isinstance(BitrixTaskHandler.from_settings(settings_for(portal), threading.Event()), BitrixTaskHandler)
