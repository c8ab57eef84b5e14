"""Whatever stands in an answer of the portal: an outcome, never an exception, and one bad row costs one verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from base_handler import HandlerOutcome
from consumers.bitrix.crm_kinds import CREATE_TOPICS, UPDATE_TOPICS
from consumers.bitrix.handler import SUPPORTED_TOPICS
from consumers.bitrix.rows import id_of, rows_of
from consumers.bitrix.tracker import BitrixTaskTracker
from core.errors import OutcomeError, TransientError
from core.messages import IncomingMessage, TrackedTask
from core.results import Accepted, Completed, Done, Pending, Rejected, Result
from sandbox.bitrix24 import CrmField
from tests.systems.bitrix.spoilt import SpoiltPortal, answers, anything, results
from tests.systems.bitrix.support import client_for, duplicates, handler_for, message, outcomes, settings_for
from toolkit.watermark import Mark

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def tracker_for(portal: SpoiltPortal) -> BitrixTaskTracker:
    return BitrixTaskTracker(settings_for(portal), client_for(portal))


def every_topic() -> Iterator[IncomingMessage]:
    checklists = [{"name": "Шаги", "items": ["первый"]}]
    for topic in SUPPORTED_TOPICS:
        variables: dict[str, Any] = {"title": "Договор", "checklists": checklists, "phone": "+7 999", "UF_CRM_X": "1"}
        if topic in UPDATE_TOPICS:
            variables[UPDATE_TOPICS[topic].id_names[0]] = 1
        yield message(topic, variables=variables)
    yield message("bitrix_update_task", variables={"title": "x", "bitrix_task_id": "a-key"})
    yield message("bitrix_update_deal", variables={"title": "x", "deal_id": "a-key"})


def assert_outcomes(handled: list[HandlerOutcome]) -> None:
    for outcome in handled:
        assert isinstance(outcome, Result | OutcomeError)


# -- anything at all -------------------------------------------------------------------------------------------------


@SLOW
@given(st.lists(results, min_size=1, max_size=6))
def test_any_result_of_any_method_gives_every_message_an_outcome(documents: list[Any]) -> None:
    with SpoiltPortal(crm_fields={2: [CrmField("UF_CRM_X", "string")]}) as portal:
        handler = handler_for(portal)
        portal.spoil = lambda method, result: portal.by_turns(documents)
        assert_outcomes(outcomes(handler, list(every_topic())))


@SLOW
@given(st.lists(results, min_size=1, max_size=6))
def test_any_result_after_the_portal_was_looked_at_gives_every_message_an_outcome(documents: list[Any]) -> None:
    """The fields are told as they should be: what follows is spoilt."""
    with SpoiltPortal(crm_fields={2: [CrmField("UF_CRM_X", "string")]}) as portal:
        handler = handler_for(portal)
        described = {"task.item.userfield.getlist", "profile", "crm.item.fields"}
        handler.probe()

        def spoil(method: str, result: Any) -> Any:
            return result if method in described else portal.by_turns(documents)

        portal.spoil = spoil
        assert_outcomes(outcomes(handler, list(every_topic())))


@SLOW
@given(st.lists(answers, min_size=1, max_size=6))
@example([{"result": {"result": []}}, {"result": {"result": {"x": None}, "result_error": {"x": 5}}}])
def test_any_json_object_as_the_whole_answer_gives_every_message_an_outcome(documents: list[Any]) -> None:
    with SpoiltPortal() as portal:
        handler = handler_for(portal)
        portal.instead = documents
        assert_outcomes(outcomes(handler, list(every_topic())))


@SLOW
@given(st.lists(results | answers, min_size=1, max_size=6), st.booleans())
def test_any_answer_leaves_the_tracker_with_verdicts_or_an_outcome(documents: list[Any], whole: bool) -> None:
    with SpoiltPortal() as portal:
        tracker = tracker_for(portal)
        tracked = [TrackedTask("a", "1"), TrackedTask("b", "2"), TrackedTask("c", None)]
        if whole:
            portal.instead = documents
        else:
            portal.spoil = lambda method, result: portal.by_turns(documents)
        for _ in range(4):
            try:
                verdicts = tracker.check(tracked)
            except OutcomeError:
                continue
            assert [type(each) in {Pending, Completed, Rejected} for each in verdicts] == [True] * 3
        mark: Any = None
        for _ in range(4):
            try:
                changes = tracker.changes(mark)
            except OutcomeError:
                continue
            if changes is not None:
                mark = changes.mark
                assert mark is None or isinstance(mark, Mark)


def five_tasks(portal: SpoiltPortal) -> list[str]:
    return [
        str(portal.create_task(f"Задача {number}", UF_CAMUNDA_ID_EXTERNAL_TASK=f"key-{number}")) for number in range(5)
    ]


# -- one bad row -----------------------------------------------------------------------------------------------------


@SLOW
@given(st.dictionaries(st.integers(0, 4), anything, min_size=1, max_size=3), st.booleans(), st.booleans())
@example({1: None}, True, True)
@example({0: {"id": "1"}}, True, False)
@example({0: {"id": "1", "status": None}}, True, True)
@example({4: {"status": "5"}}, False, True)
def test_a_row_that_is_none_costs_the_verdict_of_its_own_task(spoilt: dict[int, Any], listed: bool, read: bool) -> None:
    """It raised out of the tracker: no task of the portal was completed any more, in any later sweep either."""
    with SpoiltPortal() as portal:
        ids = five_tasks(portal)
        for task_id in ids:
            portal.finish(task_id, answer="ДА")
        junk = {ids[number]: row if id_of(row) not in ids else None for number, row in spoilt.items()}

        def spoil(method: str, result: Any) -> Any:
            if method == "tasks.task.list" and listed:
                return {"tasks": [junk.get(task["id"], task) for task in result["tasks"]]}
            if method == "tasks.task.get" and read and result["task"]["id"] in junk:
                return {"task": junk[result["task"]["id"]]}
            return result

        portal.spoil = spoil
        tracker = tracker_for(portal)
        for _ in range(2):
            verdicts = tracker.check([TrackedTask(f"key-{number}", ids[number]) for number in range(5)])
            for number, verdict in enumerate(verdicts):
                if number not in spoilt:
                    assert isinstance(verdict, Completed)
                    assert verdict.response["result"]["task"]["ufResultAnswer_text"] == "ДА"
                elif listed and read:
                    assert verdict == Pending()


@SLOW
@given(st.dictionaries(st.integers(0, 4), anything, min_size=1, max_size=2))
@example({1: None})
@example({2: {"ufCamundaIdExternalTask": "key-2"}})
@example({0: {"ufCamundaIdExternalTask": None}})
@example({0: {"title": "чужая"}, 1: None})
@example({3: {"id": "77", "ufCamundaIdExternalTask": "another"}})
def test_a_row_that_is_none_costs_the_message_that_it_belongs_to_and_nothing_is_created_twice(
    spoilt: dict[int, Any],
) -> None:
    """Of an answer that cannot be read nobody knows whether the task is there: it was read as "not there"."""
    with SpoiltPortal() as portal:
        five_tasks(portal)
        handler = handler_for(portal)
        handler.probe()

        def spoil(method: str, result: Any) -> Any:
            if method != "tasks.task.list":
                return result
            return {"tasks": [spoilt.get(int(task["id"]) - 1, task) for task in result["tasks"]]}

        portal.spoil = spoil
        handled = outcomes(handler, [message(key=f"key-{number}") for number in range(5)])
        for number, outcome in enumerate(handled):
            if number in spoilt:
                assert isinstance(outcome, OutcomeError)
            else:
                assert isinstance(outcome, Accepted)
                assert (outcome.external_id, outcome.duplicate) == (str(number + 1), True)
        portal.spoil = lambda method, result: result
        assert duplicates(portal) == {}
        assert portal.task_count == 5


@pytest.mark.parametrize("result", [[], {"tasks": None}, {"tasks": "x"}, None, 5, "x", [{}]])
def test_an_answer_without_rows_is_not_read_as_nothing_there(result: Any) -> None:
    with SpoiltPortal() as portal:
        handler = handler_for(portal)
        handler.probe()
        done = handler.handle(message(key="key-1"))
        assert isinstance(done, Accepted)
        portal.spoil = lambda method, told: result if method in {"tasks.task.list", "crm.item.list"} else told
        assert_outcomes(outcomes(handler, [message(key="key-1")]))
        assert portal.task_count == 1
        with pytest.raises(OutcomeError):
            handler.handle(message("bitrix_create_deal", key="key-1"))
        assert portal.crm_items(2) == []


@SLOW
@given(anything)
@example({"originId": "key-1", "originatorId": "camunda"})
@example({"originId": "another", "originatorId": "camunda", "id": 7})
def test_a_row_of_items_that_cannot_be_read_makes_no_second_item(row: Any) -> None:
    with SpoiltPortal() as portal:
        handler = handler_for(portal)
        for topic, kind in CREATE_TOPICS.items():
            assert isinstance(handler.handle(message(topic, key="key-1")), Done)
            portal.spoil = lambda method, told: {"items": [row]} if method == "crm.item.list" else told
            with pytest.raises(TransientError):
                handler.handle(message(topic, key="key-1"))
            portal.spoil = lambda method, told: told
            assert len(portal.crm_items(kind.entity_type_id)) == 1


@SLOW
@given(st.lists(anything, max_size=3))
@example([None])
@example([{"FIELD_NAME": "UF_X", "USER_TYPE_ID": "enumeration", "LIST": [None, {"VALUE": "x"}, {"ID": 5}]}])
def test_a_user_field_that_cannot_be_read_is_no_user_field_and_the_others_are(rows: list[Any]) -> None:
    with SpoiltPortal() as portal:
        handler = handler_for(portal)

        def spoil(method: str, result: Any) -> Any:
            return [*rows, *result] if method == "task.item.userfield.getlist" else result

        portal.spoil = spoil
        accepted = handler.handle(message(extensions={"UF_RESULT_QUESTION": "Согласны?"}))
        assert isinstance(accepted, Accepted)
        assert portal.task(str(accepted.external_id))["UF_RESULT_QUESTION"] == "Согласны?"


@SLOW
@given(anything | st.lists(anything, max_size=3))
@example([])
@example([{"PARENT_ID": 0, "TITLE": "Шаги"}])
def test_checklists_that_cannot_be_read_get_nothing_twice(rows: Any) -> None:
    with SpoiltPortal() as portal:
        handler = handler_for(portal)
        wanted = [{"name": "Шаги", "items": ["первый"]}]
        assert isinstance(handler.handle(message(key="k", variables={"checklists": wanted})), Accepted)
        portal.spoil = lambda method, told: rows if method == "task.checklistitem.getlist" else told
        told = rows_of(rows)
        is_readable = told is not None and all(id_of(row, "ID") for row in told)
        assert_outcomes(outcomes(handler, [message(key="k", variables={"checklists": wanted})]))
        if not is_readable:
            assert len(portal.checklists(1)) == 2
