"""What people have finished in 1C, asked in bulk; nothing is called finished or deleted by mistake."""

from __future__ import annotations

import json
import time
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from base_tracker import Changes
from consumers.onec.changes import MOST_ROWS
from consumers.onec.creation import InfobaseObjects
from consumers.onec.tracker import OneCTracker
from core.errors import ConfigurationError, OutageError, OutcomeError, TransientError
from core.messages import TrackedTask
from core.results import Completed, Pending, Rejected, Verdict
from core.texts import Text
from sandbox.http_front import RawAnswer
from sandbox.onec import ENTITIES, OneCSandbox, faults
from tests.systems.onec.support import (
    FIRM,
    ORDER,
    PROCESS,
    TASK,
    TASKS,
    client_for,
    external_id,
    handler_for,
    mapping_file,
    message,
    outcome,
    tracker_for,
)

GUID = "0ad5415a-0000-4000-8000-000000000001"


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    """Tasks without processes: the one kind of object."""
    return mapping_file(tmp_path, TASKS)


def tasks(base: OneCSandbox, count: int, entity: str = TASK) -> list[TrackedTask]:
    tracked = []
    with base.store.lock:
        for number in range(count):
            made = base.store.create(entity, {"Description": f"Задача {number}"} if entity == TASK else {})
            tracked.append(TrackedTask(f"key-{number}", f"{entity}/{made['Ref_Key']}"))
    return tracked


def ids(*tracked: TrackedTask) -> list[str]:
    return sorted(str(task.external_id) for task in tracked)


def ref(task: TrackedTask) -> str:
    return str(task.external_id)


def task_of(verdict: Verdict) -> dict[str, Any]:
    assert isinstance(verdict, Completed), verdict
    task: dict[str, Any] = verdict.response["result"]["task"]
    return task


def status_mapping(tmp_path: Path, finish: str) -> Path:
    return mapping_file(tmp_path, f'[topics.order]\nkind = "document"\nentity = "{ORDER}"\n{finish}\n')


# -- what is finished ------------------------------------------------------------------------------------------------


def test_an_executed_task_is_completed_with_its_result(mapping: Path) -> None:
    with OneCSandbox(bom=True) as base:
        first, second = tasks(base, 2)
        base.finish(ref(first), "Согласовано")
        done, pending = tracker_for(base, mapping_file=mapping).check([first, second])
        task = task_of(done)
        assert (task["id"], task["title"], task["status"]) == (ref(first).partition("/")[2], "Задача 0", "executed")
        assert (task["onec_ref"], task["onec_number"], task["onec_result"]) == (ref(first), "000001", "Согласовано")
        assert task["onec_executed_at"] == base.rows(TASK)[0]["ДатаИсполнения"]
        assert pending == Pending()


def test_a_process_is_finished_when_its_task_is() -> None:
    with OneCSandbox() as base:
        made = external_id(outcome(handler_for(base), message(key="k", title="Согласовать")))
        tracker = tracker_for(base)
        assert tracker.check([TrackedTask("k", made)]) == [Pending()]
        [task] = base.rows(TASK)
        base.finish(f"{TASK}/{task['Ref_Key']}", "Да")
        [verdict] = tracker.check([TrackedTask("k", made)])
        assert (task_of(verdict)["status"], task_of(verdict)["onec_result"]) == ("completed", "Да")


def test_a_document_is_finished_when_it_is_posted() -> None:
    with OneCSandbox() as base:
        first, second = tasks(base, 2, ORDER)
        base.finish(ref(first))
        done, pending = tracker_for(base).check([first, second])
        assert task_of(done)["status"] == "posted"
        assert pending == Pending()


def test_a_status_of_ones_own_is_done_failed_or_open(tmp_path: Path) -> None:
    finish = 'finish = { when = "status", attribute = "Статус", done = ["Исполнен"], failed = ["Отклонен"] }'
    with OneCSandbox() as base:
        first, second, third = tasks(base, 3, ORDER)
        base.change(ref(first), {"Статус": "исполнен"})
        base.change(ref(second), {"Статус": "Отклонен"})
        done, failed, pending = tracker_for(base, mapping_file=status_mapping(tmp_path, finish)).check(
            [first, second, third]
        )
        assert task_of(done)["status"] == "исполнен"
        assert isinstance(failed, Rejected)
        assert (failed.code, "'Отклонен'" in Text.of(failed.reason).en) == ("task_failed", True)
        assert pending == Pending()


def test_a_status_may_be_a_reference(tmp_path: Path) -> None:
    finish = f'finish = {{ when = "status", attribute = "Состояние", done = ["{GUID.upper()}"] }}'
    with OneCSandbox() as base:
        first, second = tasks(base, 2, ORDER)
        base.change(ref(first), {"Состояние_Key": GUID})
        done, pending = tracker_for(base, mapping_file=status_mapping(tmp_path, finish)).check([first, second])
        assert isinstance(done, Completed)
        assert pending == Pending()


def test_a_result_may_stand_for_an_answer(tmp_path: Path) -> None:
    answers = 'finish = { when = "executed", answers = { "согласовано" = "ДА", "отклонено" = "НЕТ" } }'
    path = mapping_file(tmp_path, TASKS.replace("[topics.task.fields]", f"{answers}\n[topics.task.fields]"))
    with OneCSandbox() as base:
        yes, no, silent = tracked = tasks(base, 3)
        for task, result in ((yes, "Согласовано"), (no, "Отклонено"), (silent, "")):
            base.finish(ref(task), result)
        verdicts = tracker_for(base, mapping_file=path).check(tracked)
        assert [task_of(each).get("ufResultAnswer_text") for each in verdicts] == ["ДА", "НЕТ", None]


def test_one_that_was_opened_again_is_open(mapping: Path) -> None:
    with OneCSandbox() as base:
        [task] = tasks(base, 1)
        base.finish(ref(task))
        base.change(ref(task), {"Executed": False})
        assert tracker_for(base, mapping_file=mapping).check([task]) == [Pending()]


def test_objects_that_the_mapping_does_not_name_any_more_are_followed_by_their_kind(mapping: Path) -> None:
    with OneCSandbox() as base:
        document, other = tasks(base, 2, ORDER)
        base.finish(ref(document))
        verdicts = tracker_for(base, mapping_file=mapping).check([document, other])
        assert [type(each) for each in verdicts] == [Completed, Pending]


@pytest.mark.parametrize("entity", ["Document_Нет", "ExchangePlan_Обмен", "Catalog_Нет"])
def test_one_of_a_kind_that_nobody_knows_does_not_stop_the_others(mapping: Path, entity: str) -> None:
    with OneCSandbox() as base:
        [task] = tasks(base, 1)
        base.finish(ref(task))
        tracker = tracker_for(base, mapping_file=mapping)
        looks = [tracker.check([TrackedTask("strange", f"{entity}/{GUID}"), task]) for _ in range(3)]
        assert [type(each) for each, _ in looks] == [Pending, Pending, Rejected]
        assert all(isinstance(each, Completed) for _, each in looks)


def test_many_of_a_kind_that_nobody_knows_are_a_matter_of_the_mapping_and_delete_nothing(mapping: Path) -> None:
    with OneCSandbox() as base:
        tracker = tracker_for(base, mapping_file=mapping)
        known = tasks(base, 1)
        lost = [TrackedTask(f"lost-{number}", f"Document_Old/{GUID[:-2]}{number:02}") for number in range(20)]
        for _ in range(4):
            assert tracker.check([*known, *lost]) == [Pending()] * 21
        with pytest.raises(ConfigurationError):
            tracker.check(lost)


def test_a_kind_that_1c_does_not_offer_holds_up_its_own_tasks_only(tmp_path: Path) -> None:
    with OneCSandbox(entities=[each for each in ENTITIES if each.name != ORDER]) as base:
        tracker = tracker_for(base)  # the shipped mapping names documents, too
        [task] = tasks(base, 1)
        base.finish(ref(task))
        document = TrackedTask("document", f"{ORDER}/{GUID}")
        done, waiting = tracker.check([task, document])
        assert isinstance(done, Completed)
        assert waiting == Pending()
        assert tracker.changes(None) is not None, "the kinds that are there are asked about"


@pytest.mark.parametrize("text", [None, "", "42", "Заказ/42", GUID])
def test_a_sent_message_that_names_no_object_is_told(mapping: Path, text: str | None) -> None:
    with OneCSandbox() as base:
        [verdict] = tracker_for(base, mapping_file=mapping).check([TrackedTask("k", text)])
        assert isinstance(verdict, Rejected)
        assert verdict.code == "no_external_id"


# -- what it costs ---------------------------------------------------------------------------------------------------


def test_ten_thousand_open_ones_cost_four_hundred_requests_and_a_quiet_cycle_one(
    mapping: Path, ten_thousand: int
) -> None:
    with OneCSandbox() as base:
        open_ones = tasks(base, ten_thousand)
        tracker = tracker_for(base, mapping_file=mapping)
        mark = tracker.changes(None)
        assert mark is not None
        before = base.requests
        verdicts = [
            verdict
            for start in range(0, ten_thousand, OneCTracker.chunk_size)
            for verdict in tracker.check(open_ones[start : start + OneCTracker.chunk_size])
        ]
        assert verdicts == [Pending()] * ten_thousand
        assert base.requests - before == 400
        assert max(len(each.query) for each in base.log) < 2048, "what IIS takes by default"
        quiet = tracker.changes(mark.mark)
        assert quiet is not None
        assert (quiet.tasks, base.requests - before) == ([], 401)


def test_a_hundred_keys_at_once_where_the_web_server_takes_them(mapping: Path) -> None:
    with OneCSandbox(longest_query=8190) as base:
        open_ones = tasks(base, 1000)
        for task in open_ones[::10]:
            base.finish(ref(task))
        verdicts = tracker_for(base, mapping_file=mapping, keys_per_query=100).check(open_ones)
        assert sum(isinstance(each, Completed) for each in verdicts) == 100
        assert base.requests == 1 + 10 + 1  # $metadata, the look, and the hundred whole


def test_a_web_server_that_finds_the_questions_too_long_deletes_nothing(mapping: Path) -> None:
    with OneCSandbox() as base:
        open_ones = tasks(base, 100)
        with pytest.raises(ConfigurationError, match="ONEC_KEYS_PER_QUERY"):
            tracker_for(base, mapping_file=mapping, keys_per_query=100).check(open_ones)


# -- what is gone ----------------------------------------------------------------------------------------------------


def test_marked_deleted_and_hidden_ones_are_told_after_three_looks(mapping: Path) -> None:
    with OneCSandbox() as base:
        open_ones = tasks(base, 60)
        base.change(ref(open_ones[7]), {"DeletionMark": True})
        base.delete(ref(open_ones[30]))
        base.store.hidden.add(ref(open_ones[59]).partition("/")[2])
        base.finish(ref(open_ones[8]))
        tracker = tracker_for(base, mapping_file=mapping)
        looks = [tracker.check(open_ones) for _ in range(3)]
        for verdicts in looks[:2]:
            assert sum(isinstance(each, Completed) for each in verdicts) == 1
            assert not any(isinstance(each, Rejected) for each in verdicts)
        rejected = {task.task_id for task, each in zip(open_ones, looks[2], strict=True) if isinstance(each, Rejected)}
        assert rejected == {"key-7", "key-30", "key-59"}


def test_a_mark_that_is_taken_away_again_deletes_nothing(mapping: Path) -> None:
    with OneCSandbox() as base:
        task, other = tasks(base, 2)
        tracker = tracker_for(base, mapping_file=mapping)
        for marked in (True, True, False, True, True):
            base.change(ref(task), {"DeletionMark": marked})
            assert tracker.check([task, other]) == [Pending(), Pending()]


def test_a_user_who_sees_nothing_any_more_deletes_nothing(mapping: Path) -> None:
    with OneCSandbox() as base:
        open_ones = tasks(base, 20)
        base.store.hidden |= {ref(task).partition("/")[2] for task in open_ones}
        tracker = tracker_for(base, mapping_file=mapping)
        for _ in range(4):
            with pytest.raises(ConfigurationError, match="lost the right"):
                tracker.check(open_ones)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.locked(), OutageError),
        (faults.html(502), OutageError),
        (faults.html(404), ConfigurationError),
        (faults.odata(400, 10, "Свойство не найдено"), ConfigurationError),
        (faults.odata(404, 9, "Экземпляр не найден"), ConfigurationError),
        (faults.odata(500, -1, "Конфликт блокировок"), TransientError),
        (faults.broken_json(), OutageError),
        (faults.answer(RawAnswer(200, b"{}")), OutageError),
        (faults.answer(RawAnswer(200, b'{"value": null}')), OutageError),
        (faults.reset(), OutageError),
    ],
)
def test_what_goes_wrong_is_no_verdict(mapping: Path, fault: faults.Fault, kind: type[OutcomeError]) -> None:
    with OneCSandbox() as base:
        [task] = tasks(base, 1)
        tracker = tracker_for(base, mapping_file=mapping)
        tracker.check([task])
        base.inject(fault, "GET Task_*", count=None)
        for ask in (lambda: tracker.check([task]), lambda: tracker.changes(None)):
            with pytest.raises(OutcomeError) as caught:
                ask()
            assert type(caught.value) is kind
        base.clear_faults()
        assert tracker.check([task]) == [Pending()]


def test_an_infobase_that_ignores_the_question_deletes_nothing(mapping: Path) -> None:
    with OneCSandbox() as base:
        tracker = tracker_for(base, mapping_file=mapping)
        body = json.dumps({"value": [{"Ref_Key": GUID, "DeletionMark": True, "Executed": True}]})
        base.inject(faults.answer(RawAnswer(200, body.encode())), "GET Task_*", count=None)
        with pytest.raises(ConfigurationError, match="ignores the filter"):
            tracker.check(tasks(base, 2))


def test_a_status_that_the_object_does_not_have_is_a_matter_of_the_mapping(tmp_path: Path) -> None:
    finish = 'finish = { when = "status", attribute = "Статусс", done = ["x"] }'
    with OneCSandbox() as base:
        tracker = tracker_for(base, mapping_file=status_mapping(tmp_path, finish))
        with pytest.raises(ConfigurationError, match="Статус"):
            tracker.check(tasks(base, 1, ORDER))


def test_a_kind_that_was_not_exposed_is_followed_once_it_is(mapping: Path) -> None:
    with OneCSandbox() as base:
        [task] = tasks(base, 1)
        base.finish(ref(task))
        hidden = base.store.entities.pop(TASK)
        tracker = tracker_for(base, mapping_file=mapping)
        with pytest.raises(ConfigurationError, match=TASK):
            tracker.check([task])
        base.store.entities[TASK] = hidden
        tracker._publication._clock = lambda: time.monotonic() + 61
        [verdict] = tracker.check([task])
        assert isinstance(verdict, Completed)


# -- what has changed ------------------------------------------------------------------------------------------------


def told(changes: Changes | None) -> list[str]:
    assert changes is not None
    return sorted(str(each.external_id) for each in changes.tasks)


def test_what_has_a_key_of_ours_is_told_as_ours(mapping: Path) -> None:
    with OneCSandbox() as base:
        [foreign] = tasks(base, 1)
        key = InfobaseObjects(client_for(base), str(uuid.uuid4())).key_of(TASK, "task-1")
        with base.store.lock:
            base.store.create(TASK, {"Description": "Наша", "Ref_Key": key})
        tracker = tracker_for(base, mapping_file=mapping)
        start = tracker.changes(None)
        assert start is not None
        for each in (ref(foreign), f"{TASK}/{key}"):
            base.finish(each)
        found = tracker.changes(start.mark)
        assert found is not None
        assert {each.external_id: each.is_ours for each in found.tasks} == {ref(foreign): False, f"{TASK}/{key}": True}


def test_only_what_was_finished_since_is_told_and_only_once(mapping: Path) -> None:
    with OneCSandbox() as base:
        first, second, third = tasks(base, 3)
        base.finish(ref(first))
        base.store.clock_offset = timedelta(hours=2)
        base.finish(ref(second))
        tracker = tracker_for(base, mapping_file=mapping)
        start = tracker.changes(None)
        assert told(start) == []
        assert start is not None
        base.finish(ref(third))
        found = tracker.changes(start.mark)
        assert set(told(found)) >= set(ids(third)), "those of the last hour may be told once more"
        assert ids(first)[0] not in told(found)
        assert found is not None
        assert told(tracker.changes(found.mark)) == []


def test_each_kind_of_object_has_its_own_mark_and_costs_one_request(tmp_path: Path) -> None:
    text = f'{TASKS}\n[topics.process]\nkind = "business_process"\nentity = "{PROCESS}"\naction = "Start"\n'
    with OneCSandbox() as base:
        path = mapping_file(tmp_path, text)
        process = external_id(outcome(handler_for(base, mapping_file=path), message("process", key="p")))
        [task] = tasks(base, 1)
        tracker = tracker_for(base, mapping_file=path)
        start = tracker.changes(None)
        assert start is not None
        base.finish(process)
        base.finish(ref(task))
        before = base.requests
        changes = tracker.changes(start.mark)
        assert base.requests - before == 2
        assert set(told(changes)) > {process, ref(task)}, "and the task that the process has made"


def test_a_commit_that_comes_late_is_caught_by_the_overlap(mapping: Path) -> None:
    with OneCSandbox() as base:
        early, late = tasks(base, 2)
        base.finish(ref(early))
        tracker = tracker_for(base, mapping_file=mapping)
        start = tracker.changes(None)
        assert start is not None
        base.finish(ref(late))
        before = datetime.now() - timedelta(minutes=50)  # noqa: DTZ005 - 1C knows no zones
        base.change(ref(late), {"ДатаИсполнения": before.isoformat(timespec="seconds")})
        assert ref(late) in told(tracker.changes(start.mark))


def test_a_sweep_that_failed_may_ask_again_from_the_same_mark(mapping: Path) -> None:
    with OneCSandbox() as base:
        [task] = tasks(base, 1)
        tracker = tracker_for(base, mapping_file=mapping)
        start = tracker.changes(None)
        assert start is not None
        base.finish(ref(task))
        assert told(tracker.changes(start.mark)) == told(tracker.changes(start.mark)) == ids(task)


def test_a_date_in_the_far_future_does_not_hide_what_comes_after_it(mapping: Path) -> None:
    with OneCSandbox() as base:
        wrong, right, last = tasks(base, 3)
        base.finish(ref(wrong))
        base.change(ref(wrong), {"ДатаИсполнения": "2226-01-01T00:00:00"})
        tracker = tracker_for(base, mapping_file=mapping)
        mark: Any = None
        for task in (right, last):
            found = tracker.changes(mark)
            assert found is not None
            mark = found.mark
            base.finish(ref(task))
        found = tracker.changes(mark)
        assert ref(last) in told(found)
        assert found is not None
        assert told(tracker.changes(found.mark)) == []


@pytest.mark.parametrize(("counted_pages", "requests"), [(True, 3), (False, 1)])
def test_pages_are_turned_until_all_is_told(mapping: Path, *, counted_pages: bool, requests: int) -> None:
    """Developer guide 8.3.27, 17.4.6.2: beside $inlinecount $skip and $top are ignored. Nobody here has seen it."""
    with OneCSandbox(counted_pages=counted_pages) as base:
        finished = tasks(base, 25)
        tracker = tracker_for(base, mapping_file=mapping, page_size=10)
        start = tracker.changes(None)
        assert start is not None
        for task in finished:
            base.finish(ref(task))
        before = base.requests
        assert told(tracker.changes(start.mark)) == ids(*finished)
        assert base.requests - before == requests


def test_too_many_changes_ask_for_a_full_look(mapping: Path) -> None:
    with OneCSandbox() as base:
        open_ones = tasks(base, MOST_ROWS + 1)
        tracker = tracker_for(base, mapping_file=mapping)
        start = tracker.changes(None)
        assert start is not None
        for task in open_ones:
            base.finish(ref(task))
        assert tracker.changes(start.mark) is None


def test_an_ignored_filter_is_not_believed(mapping: Path) -> None:
    with OneCSandbox() as base:
        [task] = tasks(base, 1)
        base.finish(ref(task))
        tracker = tracker_for(base, mapping_file=mapping)
        start = tracker.changes(None)
        assert start is not None
        for rows in ([{"Ref_Key": GUID, "ДатаИсполнения": "2001-01-01T00:00:00"}], [{"Ref_Key": GUID}], [{"x": 1}]):
            base.inject(faults.answer(RawAnswer(200, json.dumps({"value": rows}).encode())), "GET Task_*")
            assert tracker.changes(start.mark) is None


def test_a_row_that_slips_past_while_pages_are_turned_asks_for_a_full_look(mapping: Path) -> None:
    with OneCSandbox() as base:
        tracker = tracker_for(base, mapping_file=mapping)
        start = tracker.changes(None)
        assert start is not None
        body = {"odata.count": "2", "value": [{"Ref_Key": GUID, "ДатаИсполнения": "2100-01-01T00:00:00"}]}
        base.inject(faults.answer(RawAnswer(200, json.dumps(body).encode())), "GET Task_*")
        assert tracker.changes(start.mark) is None


def test_documents_that_bear_no_date_of_their_end_are_looked_at_one_and_all(tmp_path: Path) -> None:
    with OneCSandbox() as base:
        assert tracker_for(base, mapping_file=status_mapping(tmp_path, "")).changes(None) is None
        dated = status_mapping(tmp_path, 'finish = { when = "posted", moment = "ДатаСогласования" }')
        assert tracker_for(base, mapping_file=dated).changes(None) is not None
        undated_beside_dated = tracker_for(base)  # the shipped mapping: documents and processes
        start = undated_beside_dated.changes(None)
        assert start is not None
        assert set(start.mark) == {PROCESS}


def test_with_nothing_to_follow_nothing_is_asked(tmp_path: Path) -> None:
    path = mapping_file(tmp_path, f'[topics.firm]\nkind = "catalog"\nentity = "{FIRM}"\n')
    with OneCSandbox() as base:
        assert tracker_for(base, mapping_file=path).changes(None) is None
        assert base.requests == 0
