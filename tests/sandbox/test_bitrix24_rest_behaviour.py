"""The eight traps of Bitrix24's REST API that decide the design; each springs in the sandbox as on a portal."""

from __future__ import annotations

import pytest

from consumers.bitrix.handler import BitrixTaskHandler
from consumers.bitrix.lookup import TaskLookup
from consumers.bitrix.tracker import BitrixTaskTracker
from core.errors import (
    AmbiguousError,
    ConfigurationError,
    OutageError,
    PermanentError,
)
from core.messages import TrackedTask
from core.results import Accepted, Done, Pending
from sandbox.bitrix24 import BARE_USER_FIELDS, BitrixSandbox, OperatingLimit, faults
from tests.systems.bitrix.support import client_for, duplicates, handler_for, message, outcomes, settings_for


def test_trap_1_a_portal_that_ignores_the_key_filter_is_not_worked_with() -> None:
    with BitrixSandbox(honours_key_filter=False) as portal:
        portal.create_task("Чужая задача")
        with pytest.raises(ConfigurationError, match="ignores the filter") as caught:
            handler_for(portal).handle(message())
        assert caught.value.code == "key_filter_ignored"
        assert len(portal.tasks) == 1


def test_trap_1_a_foreign_row_is_never_taken_for_the_task() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        handler.probe()
        portal.state.honours_key_filter = False
        portal.create_task("Чужая задача", UF_CAMUNDA_ID_EXTERNAL_TASK="другая")
        with pytest.raises(ConfigurationError):
            handler.handle(message(key="наша"))


def test_trap_1_of_a_page_of_strangers_only_the_own_task_is_taken() -> None:
    with BitrixSandbox(honours_key_filter=False) as portal:
        portal.create_task("Чужая задача", UF_CAMUNDA_ID_EXTERNAL_TASK="другая")
        ours = portal.create_task("Наша", UF_CAMUNDA_ID_EXTERNAL_TASK="наша")
        portal.create_task("Копия нашей", UF_CAMUNDA_ID_EXTERNAL_TASK="наша")
        task = TaskLookup(client_for(portal), "UF_CAMUNDA_ID_EXTERNAL_TASK").one("наша")
        assert task is not None
        assert task["id"] == str(ours)


def test_trap_2_a_webhook_that_cannot_read_the_tasks_of_others_is_refused_before_it_creates_any() -> None:
    with BitrixSandbox(admin=False) as portal:
        handler = handler_for(portal)
        with pytest.raises(ConfigurationError, match="administrator"):
            handler.handle(message(variables={"responsible_id": 2, "creator_id": 2}))
        with pytest.raises(ConfigurationError):
            handler.probe()
        assert portal.tasks == []


def test_trap_2_an_ordinary_employees_webhook_may_be_allowed_and_sees_the_tasks_it_created() -> None:
    with BitrixSandbox(admin=False) as portal:
        handler = handler_for(portal, require_admin=False)
        created = message()
        first, again = handler.handle(created), handler.handle(created)
        assert isinstance(first, Accepted)
        assert isinstance(again, Accepted)
        assert (first.duplicate, again.duplicate, first.external_id == again.external_id) == (False, True, True)
        assert len(portal.tasks) == 1


def test_trap_2_a_created_task_that_cannot_be_read_is_neither_lost_nor_created_again() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        handler.probe()
        portal.state.admin = False
        hidden = message(variables={"responsible_id": 2, "creator_id": 2})
        accepted = handler.handle(hidden)
        assert isinstance(accepted, Accepted)
        assert accepted.external_id is None
        assert len(portal.tasks) == 1

        with pytest.raises(ConfigurationError):  # nothing more is created blindly
            handler.handle(message())
        assert len(portal.tasks) == 1

        portal.state.admin = True
        handler.probe()
        again = handler.handle(hidden)
        assert isinstance(again, Accepted)
        assert (again.duplicate, again.external_id) == (True, str(portal.tasks[0]["ID"]))
        tracker = BitrixTaskTracker(settings_for(portal), client_for(portal))
        assert tracker.check([TrackedTask(hidden.task.task_id, None)]) == [Pending()]


def test_trap_3_a_batch_of_refusals_answers_200_and_every_message_gets_its_own_reason() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        messages = [message(variables={"responsible_id": 9000 + number}) for number in range(5)] + [message()]
        *refused, accepted = outcomes(handler, messages)
        assert [type(outcome) for outcome in refused] == [PermanentError] * 5
        assert isinstance(accepted, Accepted)
        assert len(portal.tasks) == 1


@pytest.mark.parametrize(
    "title", ["Счёт $result[0][task][title]", "$result[c1][tasks][0][title]", "$RESULT[x]", "$error[a] $next[b]"]
)
def test_trap_3_a_text_from_camunda_pulls_no_other_tasks_data(title: str) -> None:
    with BitrixSandbox() as portal:
        messages = [message(variables={"title": "секрет"}), message(variables={"title": title}), message()]
        assert all(isinstance(outcome, Accepted) for outcome in outcomes(handler_for(portal), messages))
        titles = {ids[0]: key for key, ids in portal.tasks_by_key("TITLE").items()}
        assert sorted(titles.values()) == sorted(["секрет", title, "Согласовать договор"])
        alone = [call for call in portal.request_log if call.method == "tasks.task.add" and not call.in_batch]
        assert len(alone) == 1


def test_trap_4_no_is_stored_as_no() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        for expected, given in ((False, "N"), (False, "нет"), (True, "да"), (True, "1")):
            accepted = handler.handle(message(extensions={"UF_RESULT_EXPECTED": given}))
            assert portal.task(str(accepted.external_id))["UF_RESULT_EXPECTED"] is expected  # type: ignore[union-attr]


def test_trap_5_a_localised_refusal_is_shown_to_people_without_its_tags() -> None:
    with BitrixSandbox(language="ru") as portal:
        with pytest.raises(PermanentError) as caught:
            handler_for(portal).handle(message(variables={"responsible_id": 424242}))
        assert caught.value.code == "ERROR_CORE"
        assert "<" not in caught.value.reason
        assert any("а" <= letter <= "я" for letter in caught.value.reason)


def test_trap_6_the_three_limits_are_three_different_outcomes() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal)
        handler.probe()
        portal.inject(faults.error("QUERY_LIMIT_EXCEEDED"), "batch", count=2)
        assert isinstance(handler.handle(message()), Accepted)  # waited out, no attempt spent

        portal.inject(faults.error("OVERLOAD_LIMIT"), "tasks.task.add")
        with pytest.raises(ConfigurationError) as blocked:
            handler.handle(message())
        assert blocked.value.retry_after == 900
        assert len(portal.tasks) == 1


def test_trap_6_running_time_near_its_limit_pauses_before_the_portal_refuses() -> None:
    costly = OperatingLimit(seconds=100, costs={"tasks.task.add": 30.0})
    with BitrixSandbox(operating=costly) as portal:
        handler = handler_for(portal, operating_limit_seconds=100)
        for _ in range(3):  # 90 of 100 seconds: beyond the share of 80 %
            handler.handle(message())
        with pytest.raises(OutageError) as paused:
            handler.handle(message())
        assert (len(portal.tasks), portal.requests.methods["tasks.task.add"]) == (3, 3)
        assert paused.value.retry_after is not None
        assert 500 < paused.value.retry_after <= 601
        with pytest.raises(OutageError):
            handler.probe()


def test_trap_7_the_code_is_read_before_the_status_and_ids_are_texts() -> None:
    with BitrixSandbox() as portal:
        accepted = handler_for(portal).handle(message())
        assert isinstance(accepted, Accepted)
        assert accepted.external_id == accepted.response["result"]["task"]["id"] == "1"
        assert accepted.response["success"] is True
        assert accepted.response["result"]["task"]["auditorsData"] == [], "an empty map of the portal is a list"


def test_trap_8_crm_items_go_by_the_universal_methods_and_bear_the_key() -> None:
    with BitrixSandbox() as portal:
        done = handler_for(portal).handle(message("bitrix_create_deal", key="key-8"))
        assert isinstance(done, Done)
        [deal] = portal.crm_items(2)
        assert (deal["originatorId"], deal["originId"]) == ("camunda", "key-8")
        assert not [call for call in portal.request_log if call.method.startswith("crm.deal")]


def test_a_portal_without_the_key_field_says_how_to_get_it_and_xml_id_needs_none() -> None:
    with BitrixSandbox(user_fields=BARE_USER_FIELDS) as portal:
        with pytest.raises(ConfigurationError, match=r"init-fields.*BITRIX_KEY_FIELD=XML_ID"):
            handler_for(portal).handle(message())
        by_xml_id: BitrixTaskHandler = handler_for(portal, key_field="XML_ID")
        twice = message()
        assert [by_xml_id.handle(twice).duplicate for _ in range(2)] == [False, True]  # type: ignore[union-attr]
        assert duplicates(portal, "XML_ID") == {}


def test_a_request_without_an_answer_is_looked_up() -> None:
    with BitrixSandbox() as portal:
        handler = handler_for(portal, request_timeout=0.3)
        handler.probe()
        portal.inject(faults.delay(30, after_execution=True), "tasks.task.add")
        assert isinstance(handler.handle(message()), Accepted)
        portal.inject(faults.delay(30), "tasks.task.add")  # not executed, but nobody can know
        with pytest.raises(AmbiguousError):
            handler.handle(message())
