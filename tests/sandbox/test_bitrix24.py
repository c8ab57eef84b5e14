"""The sandbox behaves as Bitrix24 does, traps included: a client that is wrong must fail here, not in production."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.bitrix24 import (
    BARE_USER_FIELDS,
    DEFAULT_USER_FIELDS,
    BitrixSandbox,
    UserField,
)
from sandbox.bitrix24.portal import Portal
from sandbox.bitrix24.taskquery import list_page
from tests.sandbox.bitrix24_client import Rest
from tests.sandbox.bitrix24_fixtures import portal, rest

KEY = "UF_CAMUNDA_ID_EXTERNAL_TASK"

__all__ = ["portal", "rest"]  # the fixtures are used by name


class TestFilters:
    def test_an_unknown_filter_key_returns_every_task(self, rest: Rest) -> None:
        created = [rest.add() for _ in range(3)]
        assert rest.ids(filter={"UF_CAMUNDA_TASK": "key-1"}) == created
        assert rest.ids(filter={KEY: ""}) == created

    def test_the_key_filter_finds_many_keys_at_once(self, rest: Rest) -> None:
        created = [rest.add(**{KEY: f"key-{number}"}) for number in range(4)]
        assert rest.ids(filter={KEY: ["key-1", "key-3", "key-9"]}) == [created[1], created[3]]
        rest.call("tasks.task.update", taskId=created[0], fields={"XML_ID": "x-1"})
        assert rest.ids(filter={"XML_ID": "x-1"}) == [created[0]]

    def test_a_portal_may_ignore_the_key_filter(self) -> None:
        with BitrixSandbox(honours_key_filter=False) as portal, Rest(portal) as rest:
            created = [rest.add(**{KEY: "key-1"}), rest.add(**{KEY: "key-2"})]
            assert rest.ids(filter={KEY: "nobody has this"}) == created
            assert rest.ids(filter={"XML_ID": "nobody has this"}) == created

    @pytest.mark.parametrize(
        ("filter_", "expected"),
        [
            ({"ID": [1, "3"]}, [1, 3]),
            ({"@ID": [1, 3]}, [1, 3]),
            ({"!ID": 1}, [2, 3, 4]),
            ({">ID": 2}, [3, 4]),
            ({">=ID": 2, "<ID": 4}, [2, 3]),
            ({"REAL_STATUS": [5]}, [2]),
            ({"!REAL_STATUS": 5}, [1, 3, 4]),
            ({"%TITLE": "ДОГОВОР"}, [1, 2]),
            ({"!%TITLE": "договор"}, [3, 4]),
            ({"TITLE": "счёт%"}, [3]),
            ({"RESPONSIBLE_ID": 3}, [2]),
            ({"TAG": "срочно"}, [3]),
            ({"ACCOMPLICE": 4}, [3]),
            ({"<DEADLINE": "2026-06-01T00:00:00+03:00"}, [4]),
            ({"><ID": [2, 3]}, [2, 3]),
            ({"PARENT_ID": 1}, [4]),
            ({"ONLY_ROOT_TASKS": "Y"}, [1, 2, 3]),
            ({"STATUS": -1}, [4]),
        ],
    )
    def test_operators_and_fields(self, rest: Rest, filter_: dict[str, Any], expected: list[int]) -> None:
        rest.add("Договор аренды")
        rest.add("Подписать договор", 3)
        rest.add("Счёт на оплату", TAGS=["срочно"], ACCOMPLICES=[4, 5])
        rest.add("Позвонить", PARENT_ID=1, DEADLINE="2026-05-31T12:00:00+03:00")
        rest.call("tasks.task.complete", taskId=2)
        assert rest.ids(filter=filter_) == expected

    def test_pages_hold_50_and_tell_where_the_next_begins(self, portal: BitrixSandbox, rest: Rest) -> None:
        ids = [portal.create_task(f"task {number}") for number in range(120)]
        first = rest.answer("tasks.task.list", order={"ID": "asc"}, select=["ID"])
        assert (len(first["result"]["tasks"]), first["next"], first["total"]) == (50, 50, 120)
        last = rest.answer("tasks.task.list", order={"ID": "asc"}, select=["ID"], start=100)
        assert [int(task["id"]) for task in last["result"]["tasks"]] == ids[100:]
        assert "next" not in last

    def test_start_minus_one_counts_nothing(self, portal: BitrixSandbox, rest: Rest) -> None:
        ids = [portal.create_task(f"task {number}") for number in range(60)]
        page = rest.answer("tasks.task.list", order={"ID": "asc"}, filter={">ID": ids[4]}, start=-1)
        assert [int(task["id"]) for task in page["result"]["tasks"]] == ids[5:55]
        assert page["total"] == 0
        assert "next" not in page

    def test_the_newest_task_comes_first_by_default(self, rest: Rest) -> None:
        created = [rest.add(), rest.add()]
        assert rest.ids(order={}) == created[::-1]

    def test_an_unknown_order_key_is_refused(self, rest: Rest) -> None:
        assert rest.refusal("tasks.task.list", order={"NONSENSE": "asc"})[:2] == (400, "0")

    @settings(max_examples=60, deadline=None)
    @given(
        tasks=st.lists(st.tuples(st.sampled_from([2, 3, 5]), st.sampled_from("abc"), st.booleans()), max_size=12),
        statuses=st.sets(st.sampled_from([2, 3, 5]), min_size=1),
        keys=st.sets(st.sampled_from("abcd"), min_size=1),
        after=st.integers(0, 12),
    )
    def test_indexes_change_the_cost_of_a_query_and_never_its_rows(
        self, tasks: list[tuple[int, str, bool]], statuses: set[int], keys: set[str], after: int
    ) -> None:
        state = Portal()
        for status, key, is_deleted in tasks:
            task = state.tasks.add({"TITLE": key, "RESPONSIBLE_ID": 1, KEY: key}, by=1, moment=100)
            state.tasks.update(task, {"STATUS": status}, by=1, moment=100 + status)
            if is_deleted:
                state.delete_task(task)
        filter_ = {"REAL_STATUS": sorted(statuses), KEY: sorted(keys), ">ID": after}
        expected = [
            number
            for number, (status, key, is_deleted) in enumerate(tasks, start=1)
            if not is_deleted and status in statuses and key in keys and number > after
        ]
        page = list_page(state, filter_, {"ID": "asc"}, 0)
        assert [task["ID"] for task in page.tasks] == expected
        assert page.total == len(expected)
        by_title = list_page(state, filter_, {"TITLE": "asc", "ID": "asc"}, 0)
        assert [task["ID"] for task in by_title.tasks] == sorted(expected, key=lambda number: tasks[number - 1][1])


class TestRights:
    def test_a_created_task_may_be_unreadable_to_its_creator_webhook(self) -> None:
        with BitrixSandbox(admin=False, webhook_user=3) as portal, Rest(portal) as rest:
            fields = {"TITLE": "Чужая задача", "RESPONSIBLE_ID": 2, "CREATED_BY": 2, KEY: "key-1"}
            assert rest.call("tasks.task.add", fields=fields) == []
            assert portal.tasks_by_key() == {"key-1": [1]}
            assert rest.ids(filter={KEY: "key-1"}) == []

    def test_missing_and_forbidden_tasks_look_alike(self) -> None:
        with BitrixSandbox(admin=False, webhook_user=3) as portal, Rest(portal) as rest:
            forbidden = portal.create_task("Чужая задача", responsible=2)
            assert rest.call("tasks.task.get", taskId=forbidden) == []
            assert rest.call("tasks.task.get", taskId=999) == []
            assert rest.refusal("tasks.task.complete", taskId=forbidden) == rest.refusal(
                "tasks.task.complete", taskId=999
            )

    def test_only_an_administrator_creates_user_fields(self) -> None:
        wanted = {"USER_TYPE_ID": "string", "FIELD_NAME": "UF_NEW"}
        with BitrixSandbox(admin=False) as portal, Rest(portal) as rest:
            assert rest.refusal("task.item.userfield.add", PARAMS=wanted)[:2] == (400, "ERROR_CORE")


class TestTaskFields:
    def test_an_answer_speaks_camel_case_strings_and_empty_lists(self, rest: Rest) -> None:
        task = rest.call("tasks.task.add", fields={"TITLE": "Договор", "RESPONSIBLE_ID": "2"})["task"]
        assert task["id"] == "1"
        assert task["status"] == "2"
        assert task["groupId"] == "0"
        assert (task["xmlId"], task["deadline"], task["closedDate"]) == (None, None, None)
        assert (task["group"], task["checklist"], task["auditorsData"]) == ([], [], [])
        assert task["responsible"]["id"] == "2"
        assert task["createdDate"].endswith("+03:00")

    def test_user_fields_come_only_by_name(self, rest: Rest) -> None:
        task_id = rest.add(**{KEY: "key-1", "UF_ELEMENT_ID": "step"})

        def read(*select: str) -> Any:
            return rest.call("tasks.task.get", taskId=task_id, select=select)["task"]

        assert "ufElementId" not in read()
        assert "ufElementId" not in read("*")
        assert "ufElementId" not in read("ID", "UF_*")
        assert read("ID", "UF_ELEMENT_ID")["ufElementId"] == "step"
        assert read("*", "UF_*")["ufCamundaIdExternalTask"] == "key-1"
        assert {"ufCrmTask", "ufTaskWebdavFiles", "ufMailMessage"} <= set(read("UF_CRM_TASK"))

    @pytest.mark.parametrize(
        ("written", "read"),
        [("N", "1"), ("Y", "1"), ("False", "1"), (1, "1"), (True, "1"), ("0", "0"), (0, "0"), ("", "0"), (False, "0")],
    )
    def test_every_non_empty_text_is_true_in_a_boolean_field(self, rest: Rest, written: Any, read: str) -> None:
        task_id = rest.add(UF_RESULT_EXPECTED=written)
        task = rest.call("tasks.task.get", taskId=task_id, select=["UF_RESULT_EXPECTED"])["task"]
        assert task["ufResultExpected"] == read

    def test_an_answer_of_people_reads_as_the_id_of_the_enumeration(self, portal: BitrixSandbox, rest: Rest) -> None:
        task_id = rest.add()
        portal.finish(task_id, answer="НЕТ")
        task = rest.call("tasks.task.get", taskId=task_id, select=["STATUS", "UF_RESULT_ANSWER", "CLOSED_DATE"])["task"]
        assert (task["status"], task["ufResultAnswer"]) == ("5", "27")
        assert task["closedDate"] is not None
        [field] = rest.call("task.item.userfield.getlist", ORDER={}, FILTER={"FIELD_NAME": "UF_RESULT_ANSWER"})
        assert {option["ID"]: option["VALUE"] for option in field["LIST"]} == {"26": "ДА", "27": "НЕТ"}

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"RESPONSIBLE_ID": 2}, "название"),
            ({"TITLE": "Договор"}, "исполнитель"),
            ({"TITLE": "Договор", "RESPONSIBLE_ID": 777}, "не найден"),
            ({"TITLE": "Договор", "RESPONSIBLE_ID": 2, "PARENT_ID": 999}, "Базовая"),
            ({"TITLE": "Договор", "RESPONSIBLE_ID": 2, "STATUS": 9}, "статус"),
            ({"TITLE": "Договор", "RESPONSIBLE_ID": 2, "UF_RESULT_ANSWER": 99}, "Ответ"),
            (
                {
                    "TITLE": "Договор",
                    "RESPONSIBLE_ID": 2,
                    "START_DATE_PLAN": "2026-02-02T10:00:00+03:00",
                    "END_DATE_PLAN": "2026-02-01T10:00:00+03:00",
                },
                "завершение",
            ),
        ],
    )
    def test_every_refusal_of_add_is_the_same_code_with_a_localised_text(
        self, portal: BitrixSandbox, rest: Rest, fields: dict[str, Any], text: str
    ) -> None:
        status, code, description = rest.refusal("tasks.task.add", fields=fields)
        assert (status, code) == (400, "ERROR_CORE")
        assert text in description
        assert description.endswith("<br>")
        assert portal.task_count == 0

    def test_fields_must_be_given(self, rest: Rest) -> None:
        assert rest.refusal("tasks.task.add")[:2] == (400, "100")
        assert rest.refusal("tasks.task.add", fields={})[:2] == (400, "100")
        assert rest.refusal("tasks.task.get")[:2] == (400, "100")
        assert rest.refusal("tasks.task.get", taskId="abc")[:2] == (400, "0")

    def test_a_mandatory_user_field_is_asked_for_in_the_portals_language(self) -> None:
        mandatory = UserField("UF_COST_CENTRE", "string", "Cost centre", mandatory=True)
        with (
            BitrixSandbox(user_fields=[*DEFAULT_USER_FIELDS, mandatory], language="en") as portal,
            Rest(portal) as rest,
        ):
            fields = {"TITLE": "Invoice", "RESPONSIBLE_ID": 2}
            _, code, text = rest.refusal("tasks.task.add", fields=fields)
            assert (code, text) == ("ERROR_CORE", 'Required field "Cost centre" is empty<br>')
            rest.call("tasks.task.add", fields={**fields, "UF_COST_CENTRE": "4711"})

    @pytest.mark.parametrize(
        ("deadline", "stored"),
        [
            ("2026-03-31T18:00:00+05:00", "2026-03-31T16:00:00+03:00"),
            ("2026-03-31T13:00:00Z", "2026-03-31T16:00:00+03:00"),
            ("2026-03-31 16:00:00", "2026-03-31T16:00:00+03:00"),
            ("31.03.2026 16:00:00", "2026-03-31T16:00:00+03:00"),
        ],
    )
    def test_a_deadline_without_offset_is_read_in_the_servers_zone(
        self, rest: Rest, deadline: str, stored: str
    ) -> None:
        task_id = rest.add(DEADLINE=deadline)
        assert rest.call("tasks.task.get", taskId=task_id, select=["DEADLINE"])["task"]["deadline"] == stored

    def test_a_task_cannot_become_its_own_ancestor(self, rest: Rest) -> None:
        parent = rest.add()
        child = rest.add(PARENT_ID=parent)
        assert rest.refusal("tasks.task.update", taskId=parent, fields={"PARENT_ID": child})[1] == "ERROR_CORE"
        assert rest.refusal("tasks.task.update", taskId=parent, fields={"PARENT_ID": parent})[1] == "ERROR_CORE"

    def test_the_field_list_tells_user_fields_and_their_types(self, rest: Rest) -> None:
        fields = rest.call("tasks.task.getFields")["fields"]
        assert fields["UF_RESULT_EXPECTED"]["type"] == "boolean"
        assert fields["PRIORITY"]["values"].keys() == {"0", "1", "2"}

    def test_a_bare_portal_gets_its_key_field_by_rest(self) -> None:
        with BitrixSandbox(user_fields=BARE_USER_FIELDS) as portal, Rest(portal) as rest:
            assert KEY not in rest.call("tasks.task.getFields")["fields"]
            rest.add(**{KEY: "lost"})
            assert portal.tasks_by_key() == {}
            wanted = {"USER_TYPE_ID": "string", "FIELD_NAME": KEY, "LABEL": "Camunda"}
            field_id = rest.call("task.item.userfield.add", PARAMS=wanted)
            assert rest.call("task.item.userfield.get", ID=field_id)["FIELD_NAME"] == KEY
            assert rest.refusal("task.item.userfield.add", PARAMS=wanted)[1] == "ERROR_CORE"
            assert rest.ids(filter={KEY: "key-2"}) == []
            found = rest.add(**{KEY: "key-2"})
            assert rest.ids(filter={KEY: "key-2"}) == [found]

    def test_rest_creates_no_enumerations(self, rest: Rest) -> None:
        wanted = {"USER_TYPE_ID": "enumeration", "FIELD_NAME": "UF_CHOICE"}
        assert rest.refusal("task.item.userfield.add", PARAMS=wanted)[1] == "ERROR_CORE"


class TestUniqueness:
    def test_two_simultaneous_adds_of_one_key_make_two_tasks(self, portal: BitrixSandbox) -> None:
        """Nothing on a portal forbids a second task with the same key: that is the client's business."""
        together = threading.Barrier(2)

        def add() -> None:
            with Rest(portal) as rest:
                assert rest.ids(filter={KEY: "key-1"}) == []
                together.wait(10)
                rest.add(**{KEY: "key-1"})

        threads = [threading.Thread(target=add) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert portal.tasks_by_key() == {"key-1": [1, 2]}


class TestStatuses:
    def test_a_task_goes_through_its_states(self, rest: Rest) -> None:
        task_id = rest.add()
        for method, status in [("start", "3"), ("pause", "2"), ("defer", "6"), ("renew", "2"), ("complete", "5")]:
            assert rest.call(f"tasks.task.{method}", taskId=task_id)["task"]["status"] == status
        assert rest.refusal("tasks.task.complete", taskId=task_id)[:2] == (400, "0")

    def test_a_controlled_task_waits_for_its_creator(self, rest: Rest) -> None:
        task_id = rest.add(TASK_CONTROL="Y", CREATED_BY=5)
        assert rest.call("tasks.task.complete", taskId=task_id)["task"]["status"] == "4"
        assert rest.call("tasks.task.disapprove", taskId=task_id)["task"]["status"] == "2"
        assert rest.refusal("tasks.task.approve", taskId=task_id)[:2] == (400, "1048582")
        rest.call("tasks.task.complete", taskId=task_id)
        assert rest.call("tasks.task.approve", taskId=task_id)["task"]["status"] == "5"

    def test_history_tells_who_closed_the_task(self, portal: BitrixSandbox, rest: Rest) -> None:
        task_id = rest.add(responsible=4)
        portal.finish(task_id)
        [entry] = rest.call("tasks.task.history.list", taskId=task_id, filter={"FIELD": "STATUS"})["list"]
        assert entry["value"] == {"from": "2", "to": "5"}
        assert entry["user"]["id"] == 4
        assert rest.call("tasks.task.history.list", taskId=999) == {"list": []}

    def test_a_deleted_task_is_gone_without_a_trace(self, portal: BitrixSandbox, rest: Rest) -> None:
        kept, deleted = rest.add(**{KEY: "same"}), rest.add(**{KEY: "same"})
        assert rest.call("tasks.task.delete", taskId=deleted) == {"task": True}
        assert rest.call("tasks.task.get", taskId=deleted) == []
        assert rest.refusal("tasks.task.delete", taskId=deleted)[:2] == (400, "1048582")
        assert portal.tasks_by_key() == {"same": [kept]}

    def test_people_finish_and_decline_tasks_and_changes_can_be_polled(self, portal: BitrixSandbox, rest: Rest) -> None:
        declined, finished = rest.add(), rest.add()
        portal.decline(declined)
        with portal.people(auto_finish_after=0, answers=("НЕТ",)):
            portal.wait_until(lambda desk: desk.task(finished)["STATUS"] == 5)
        since = rest.call("tasks.task.get", taskId=finished, select=["CHANGED_DATE"])["task"]["changedDate"]
        assert finished in rest.ids(filter={">=CHANGED_DATE": since, "REAL_STATUS": [4, 5]})
        assert portal.task(finished)["UF_RESULT_ANSWER"] == 27

    def test_people_answer_in_turn_and_finish_only_their_share(self, portal: BitrixSandbox) -> None:
        ids = [portal.create_task(f"task {number}") for number in range(200)]
        with portal.people(auto_finish_after=0, answers=("ДА", "НЕТ"), share=0.5):
            last = portal.create_task("the last one")
            portal.wait_until(lambda desk: sum(task["STATUS"] == 5 for task in desk.tasks) >= 60)
        answers = [portal.task(task_id).get("UF_RESULT_ANSWER") for task_id in (*ids, last)]
        assert 60 <= len([answer for answer in answers if answer]) <= 140
        assert abs(answers.count(26) - answers.count(27)) <= 1

    def test_an_answer_that_the_enumeration_does_not_know_fails_at_once(self, portal: BitrixSandbox) -> None:
        with pytest.raises(LookupError, match="МОЖЕТ БЫТЬ"):
            portal.people(answers=("МОЖЕТ БЫТЬ",))


class TestOldMethods:
    def test_parameters_count_by_position(self, portal: BitrixSandbox, rest: Rest) -> None:
        task_id = rest.add()
        item = rest.call("task.checklistitem.add", TASKID=task_id, FIELDS={"TITLE": "Паспорт"})
        assert [row["TITLE"] for row in portal.checklists(task_id)] == ["BX_CHECKLIST_1", "Паспорт"]
        assert rest.post("task.checklistitem.add", [task_id, {"TITLE": "ИНН"}]).json()["result"] == item + 1
        _, code, text = rest.refusal("task.checklistitem.add", FIELDS={"TITLE": "x"}, TASKID=task_id)
        assert code == "ERROR_CORE"
        assert text.startswith("TASKS_ERROR_EXCEPTION_#256;")

    def test_an_unknown_parent_makes_a_new_checklist(self, rest: Rest) -> None:
        task_id = rest.add()
        rest.call("task.checklistitem.add", TASKID=task_id, FIELDS={"TITLE": "Документы", "PARENT_ID": 4711})
        [row] = rest.call("task.checklistitem.getlist", TASKID=task_id)
        assert row["PARENT_ID"] == 0

    def test_a_checklist_of_a_missing_task_is_refused(self, rest: Rest) -> None:
        _, code, text = rest.refusal("task.checklistitem.add", TASKID=999, FIELDS={"TITLE": "x"})
        assert (code, text.split(";")[0]) == ("ERROR_CORE", "TASKS_ERROR_EXCEPTION_#8")


class TestUsers:
    def test_users_are_found_by_operators_and_departments_by_head(self, rest: Rest) -> None:
        emails = ["kozlova@example.com", "volkov@example.com", "nobody@example.com"]
        users = rest.call("user.get", FILTER={"@EMAIL": emails, "ACTIVE": True}, select=["ID", "EMAIL"])
        assert users == [{"ID": "3", "EMAIL": emails[0]}, {"ID": "6", "EMAIL": emails[1]}]
        assert [user["ID"] for user in rest.call("user.get", filter={"%LAST_NAME": "ков"})] == ["4", "6"]
        [department] = rest.call("department.get", UF_HEAD=5)
        assert department["NAME"] == "Бухгалтерия"
