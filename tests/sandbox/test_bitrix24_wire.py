"""The sandbox on the wire: batches, bodies, limits, and everything that can go wrong between a client and a portal."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.bitrix24 import (
    STANDARD_RATE,
    BitrixSandbox,
    OperatingLimit,
    faults,
    php,
)
from tests.sandbox.bitrix24_client import Rest, command
from tests.sandbox.bitrix24_fixtures import portal, rest

KEY = "UF_CAMUNDA_ID_EXTERNAL_TASK"

__all__ = ["portal", "rest"]  # the fixtures are used by name


class TestBatch:
    def test_a_batch_answers_200_when_every_command_failed(self, rest: Rest) -> None:
        answer = rest.batch({"a": "tasks.task.add", "b": "no.such.method"})
        assert {key: error["error"] for key, error in answer["result_error"].items()} == {
            "a": "100",
            "b": "ERROR_METHOD_NOT_FOUND",
        }
        assert (answer["result"], answer["result_total"], answer["result_next"], answer["result_time"]) == ([],) * 4

    def test_halt_leaves_later_commands_in_no_part(self, portal: BitrixSandbox, rest: Rest) -> None:
        good = command("tasks.task.add", **{"fields[TITLE]": "Договор", "fields[RESPONSIBLE_ID]": "2"})
        answer = rest.batch({"first": good, "bad": "tasks.task.add", "never": good}, halt=1)
        assert set(answer["result"]) == {"first"}
        assert set(answer["result_error"]) == {"bad"}
        assert portal.task_count == 1

    def test_the_51st_command_is_refused_and_the_others_run(self, portal: BitrixSandbox, rest: Rest) -> None:
        good = command("tasks.task.add", **{"fields[TITLE]": "Договор", "fields[RESPONSIBLE_ID]": "2"})
        answer = rest.batch({f"k{number}": good for number in range(51)})
        assert answer["result_error"] == {
            "k50": {"error": "ERROR_BATCH_LENGTH_EXCEEDED", "error_description": "Max batch length exceeded"}
        }
        assert portal.task_count == len(answer["result"]) == 50

    def test_a_batch_carries_no_batch(self, rest: Rest) -> None:
        answer = rest.batch({"inner": "batch?cmd[a]=server.time"})
        assert answer["result_error"]["inner"]["error"] == "ERROR_BATCH_METHOD_NOT_ALLOWED"

    def test_a_list_of_commands_gives_lists(self, rest: Rest) -> None:
        rest.add()
        answer = rest.batch(["tasks.task.list?select[]=ID", "server.time"])
        assert isinstance(answer["result"], list)
        assert answer["result_total"] == [1]

    def test_later_commands_use_earlier_results(self, portal: BitrixSandbox, rest: Rest) -> None:
        """A whole checklist in one request, as the daemon builds it."""
        rest.batch(
            {
                "task": command("tasks.task.add", **{"fields[TITLE]": "Приём", "fields[RESPONSIBLE_ID]": "2"}),
                "root": command(
                    "task.checklistitem.add",
                    **{"TASKID": "$result[task][task][id]", "FIELDS[TITLE]": "Документы", "FIELDS[PARENT_ID]": "0"},
                ),
                "item": command(
                    "task.checklistitem.add",
                    **{
                        "TASKID": "$result[task][task][id]",
                        "FIELDS[TITLE]": "Паспорт",
                        "FIELDS[PARENT_ID]": "$result[root]",
                    },
                ),
            }
        )
        root, item = portal.checklists(1)
        assert (root["PARENT_ID"], root["TITLE"]) == (0, "Документы")
        assert (item["PARENT_ID"], item["TITLE"]) == (root["ID"], "Паспорт")

    def test_a_text_with_a_reference_pulls_another_tasks_data(self, portal: BitrixSandbox, rest: Rest) -> None:
        secret = rest.add("Оклад директора")
        rest.batch(
            {
                "read": command("tasks.task.get", taskId=str(secret)),
                "add": command(
                    "tasks.task.add",
                    **{"fields[TITLE]": "Видно: $result[read][task][title] !", "fields[RESPONSIBLE_ID]": "2"},
                ),
            }
        )
        assert portal.task(2)["TITLE"] == "Видно: Оклад директора !"

    def test_a_text_whose_key_exists_nowhere_stays_as_it_is(self, portal: BitrixSandbox, rest: Rest) -> None:
        title = "Сумма $result[read][task] и $total, 100% & #1 + x"
        rest.batch({"k1": command("tasks.task.add", **{"fields[TITLE]": title, "fields[RESPONSIBLE_ID]": "2"})})
        assert portal.task(1)["TITLE"] == title

    def test_a_text_that_is_nothing_but_a_reference_becomes_an_array(self, rest: Rest) -> None:
        """The walk stops at the first missing key, so the value is all results so far."""
        add = command("tasks.task.add", **{"fields[TITLE]": "$result[nobody]", "fields[RESPONSIBLE_ID]": "2"})
        answer = rest.batch({"time": "server.time", "add": add})
        assert answer["result_error"]["add"]["error"] == "0"

    def test_unencoded_text_is_cut_at_its_special_characters(self, portal: BitrixSandbox, rest: Rest) -> None:
        rest.batch({"k1": "tasks.task.add?fields[RESPONSIBLE_ID]=2&fields[TITLE]=Иванов+Ко & сын #1"})
        assert portal.task(1)["TITLE"] == "Иванов Ко "

    def test_commands_are_counted_by_their_own_names(self, portal: BitrixSandbox, rest: Rest) -> None:
        rest.batch({"a": "server.time", "b": "server.time"})
        requests_ = portal.requests
        assert requests_.http == 1
        assert requests_.methods == {"batch": 1, "server.time": 2}
        assert requests_.commands == {"server.time": 2}
        assert [call.in_batch for call in portal.request_log] == [True, True, False]


class TestTransport:
    def test_json_forms_and_queries_mean_the_same(self, portal: BitrixSandbox, rest: Rest) -> None:
        url = portal.webhook_url + "tasks.task.add"
        form = {"fields[TITLE]": "Договор", "fields[RESPONSIBLE_ID]": "2", "fields[TAGS][]": ["a", "b"]}
        rest.call("tasks.task.add.json", fields={"TITLE": "Договор", "RESPONSIBLE_ID": 2, "TAGS": ["a", "b"]})
        for response in (
            rest.session.post(url, data=form, timeout=10),
            rest.session.get(url + ".json", params=form, timeout=10),
            rest.session.post(url, params=form, timeout=10),
        ):
            assert response.status_code == 200
        seen = [(task["TITLE"], task["RESPONSIBLE_ID"], task["TAGS"]) for task in portal.tasks]
        assert seen == [("Договор", 2, ("a", "b"))] * 4

    def test_a_body_that_is_no_json_counts_as_empty(self, portal: BitrixSandbox, rest: Rest) -> None:
        headers = {"Content-Type": "application/json"}
        response = rest.session.post(
            portal.webhook_url + "tasks.task.add", data=b'{"fields":', headers=headers, timeout=10
        )
        assert response.json()["error"] == "100"

    def test_an_unknown_method_is_404_and_a_missing_scope_403(self) -> None:
        with BitrixSandbox(scopes=("task",)) as portal, Rest(portal) as rest:
            assert rest.refusal("tasks.task.fly")[:2] == (404, "ERROR_METHOD_NOT_FOUND")
            assert rest.refusal("crm.item.list", entityTypeId=2)[:2] == (403, "insufficient_scope")
            assert rest.call("scope") == ["task"]

    @pytest.mark.parametrize(
        ("code", "status"), [("NO_AUTH_FOUND", 401), ("expired_token", 401), ("INVALID_CREDENTIALS", 403)]
    )
    def test_a_revoked_webhook_is_refused_until_it_is_restored(
        self, portal: BitrixSandbox, rest: Rest, code: str, status: int
    ) -> None:
        portal.revoke_webhook(code)
        assert rest.refusal("server.time")[:2] == (status, code)
        portal.restore_webhook()
        rest.call("server.time")

    def test_a_wrong_secret_is_401(self, portal: BitrixSandbox, rest: Rest) -> None:
        url = portal.webhook_url.replace(portal.webhook_token, "1/wrong")
        assert rest.session.post(url + "server.time", timeout=10).json()["error"] == "NO_AUTH_FOUND"

    def test_a_portal_that_was_down_comes_back_on_its_port_with_its_tasks(
        self, portal: BitrixSandbox, rest: Rest
    ) -> None:
        rest.add()
        portal.go_down()
        with pytest.raises(requests.ConnectionError):
            rest.call("server.time")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", portal.port), timeout=5)
        portal.come_back()
        assert rest.ids() == [1]

    def test_a_portal_that_goes_down_cuts_the_call_it_is_working_on(self, portal: BitrixSandbox, rest: Rest) -> None:
        slow = portal.inject(faults.delay(600), "server.time")

        def go_down_in_the_middle() -> None:
            slow.wait(10)
            portal.go_down()

        down = threading.Thread(target=go_down_in_the_middle)
        down.start()
        with pytest.raises(requests.ConnectionError):
            rest.call("server.time")
        down.join()

    def test_the_command_line_portal_prints_its_address_and_stops_on_a_signal(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.bitrix24", "--secret", "s3cret"], stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.endswith("/rest/1/s3cret/")
            response = requests.post(url + "profile", timeout=10)
            assert response.json()["result"]["ADMIN"] is True
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=10) == 0


class TestLimits:
    def test_the_51st_request_of_a_burst_is_refused(self) -> None:
        with BitrixSandbox(rate=STANDARD_RATE, time_scale=0.001) as portal, Rest(portal) as rest:
            statuses = [rest.post("server.time").status_code for _ in range(60)]
            assert statuses == [200] * 50 + [503] * 10
            assert portal.requests.limited == 10
            assert rest.refusal("server.time")[:2] == (503, "QUERY_LIMIT_EXCEEDED")

    def test_the_bucket_drains_by_its_rate(self) -> None:
        with BitrixSandbox(rate=STANDARD_RATE, time_scale=1000) as portal, Rest(portal) as rest:
            for _ in range(200):  # a millisecond here is a second there: two requests drain away
                rest.call("server.time")
            assert portal.requests.limited == 0

    def test_a_batch_is_one_request_for_the_bucket(self) -> None:
        with BitrixSandbox(rate=STANDARD_RATE) as portal, Rest(portal) as rest:
            for _ in range(3):
                rest.batch([f"server.time?n={number}" for number in range(50)])
            assert (portal.requests.http, portal.requests.limited) == (3, 0)

    def test_operating_time_blocks_one_method_until_its_oldest_minute_leaves(self) -> None:
        limit = OperatingLimit(seconds=480, costs={"tasks.task.list": 200})
        with BitrixSandbox(operating=limit, time_scale=1) as portal, Rest(portal) as rest:
            times = [rest.answer("tasks.task.list")["time"] for _ in range(3)]
            assert [block["operating"] for block in times] == [200, 400, 600]
            assert times[-1]["operating_reset_at"] == pytest.approx(time.time() + 600, abs=60)
            assert rest.refusal("tasks.task.list")[:2] == (429, "OPERATION_TIME_LIMIT")
            rest.call("server.time")
            inner = rest.batch({"blocked": "tasks.task.list", "free": "server.time"})
            assert inner["result_error"]["blocked"]["error"] == "OPERATION_TIME_LIMIT"
            assert "free" in inner["result"]

    def test_a_blocked_method_is_free_again_after_operating_reset_at(self) -> None:
        limit = OperatingLimit(seconds=100, costs={"tasks.task.list": 200})
        with BitrixSandbox(operating=limit, time_scale=3000) as portal, Rest(portal) as rest:
            reset_at = rest.answer("tasks.task.list")["time"]["operating_reset_at"]
            assert reset_at <= time.time() + 1  # ten minutes are 0.2 s here
            deadline = time.monotonic() + 10
            while rest.post("tasks.task.list").status_code == 429:
                assert time.monotonic() < deadline
            assert portal.requests.methods["tasks.task.list"] >= 2


class TestFaults:
    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("INTERNAL_SERVER_ERROR", 500),
            ("QUERY_LIMIT_EXCEEDED", 503),
            ("OVERLOAD_LIMIT", 503),
            ("OPERATION_TIME_LIMIT", 429),
            ("NO_AUTH_FOUND", 401),
            ("INVALID_CREDENTIALS", 403),
            ("PORTAL_DELETED", 500),
        ],
    )
    def test_documented_errors_come_with_their_status_and_only_so_often(
        self, portal: BitrixSandbox, rest: Rest, code: str, status: int
    ) -> None:
        portal.inject(faults.error(code, retry_after=7), "server.*", count=2)
        response = rest.post("server.time")
        assert (response.status_code, response.json()["error"]) == (status, code)
        assert response.headers["Retry-After"] == "7"
        rest.refusal("server.time")
        rest.call("server.time")

    def test_a_task_may_exist_although_the_answer_says_500(self, portal: BitrixSandbox, rest: Rest) -> None:
        portal.inject(faults.error("INTERNAL_SERVER_ERROR", after_execution=True), "tasks.task.add")
        fields = {"TITLE": "Договор", "RESPONSIBLE_ID": 2, KEY: "key-1"}
        assert rest.refusal("tasks.task.add", fields=fields)[0] == 500
        assert portal.tasks_by_key() == {"key-1": [1]}

    @pytest.mark.parametrize("after_execution", [False, True])
    def test_a_reset_leaves_open_whether_the_call_was_executed(
        self, portal: BitrixSandbox, rest: Rest, after_execution: bool
    ) -> None:
        struck = portal.inject(faults.reset(after_execution=after_execution), "tasks.task.add")
        with pytest.raises(requests.ConnectionError):
            rest.add()
        assert struck.hits == 1
        assert portal.task_count == int(after_execution)

    def test_a_client_may_time_out_after_the_execution(self, portal: BitrixSandbox) -> None:
        struck = portal.inject(faults.delay(600, after_execution=True), "tasks.task.add")
        with Rest(portal, timeout=0.2) as rest, pytest.raises(requests.ReadTimeout):
            rest.add()
        assert struck.wait(10)
        assert portal.task_count == 1

    def test_foreign_answers_take_the_portals_place(self, portal: BitrixSandbox, rest: Rest) -> None:
        portal.inject(faults.html(), "profile")
        portal.inject(faults.html(502), "scope")
        portal.inject(faults.broken_json(), "server.time")
        portal.inject(faults.redirect("https://new-name.example.com/"), "methods")
        assert rest.post("profile").headers["Content-Type"].startswith("text/html")
        assert rest.post("scope").status_code == 502
        with pytest.raises(requests.JSONDecodeError):
            rest.post("server.time").json()
        moved = rest.session.post(portal.webhook_url + "methods", allow_redirects=False, timeout=10)
        assert (moved.status_code, moved.headers["Location"]) == (302, "https://new-name.example.com/")

    def test_a_huge_body_is_announced_and_really_sent(self, portal: BitrixSandbox, rest: Rest) -> None:
        portal.inject(faults.huge_body(), "server.time")
        url = portal.webhook_url + "server.time"
        with rest.session.post(url, stream=True, timeout=10) as response:
            assert response.headers["Content-Length"] == str(100 * faults.MEBIBYTE)
            assert sum(len(chunk) for chunk in response.iter_content(faults.MEBIBYTE)) == 100 * faults.MEBIBYTE

    def test_a_trickle_outlives_every_read_time_out(self, portal: BitrixSandbox) -> None:
        portal.inject(faults.trickle(interval=0.001), "server.time")
        with Rest(portal, timeout=1.0) as rest:
            url = portal.webhook_url + "server.time"
            with rest.session.post(url, stream=True, timeout=1.0) as response:
                chunks = response.iter_content(1)
                assert b"".join(next(chunks) for _ in range(50)) == b" " * 50

    def test_one_command_of_a_batch_may_fail(self, portal: BitrixSandbox, rest: Rest) -> None:
        portal.inject(
            faults.error("INTERNAL_SERVER_ERROR"),
            "tasks.task.add",
            match=lambda params: params["fields"]["TITLE"] == "b",
        )
        adds = {
            title: command("tasks.task.add", **{"fields[TITLE]": title, "fields[RESPONSIBLE_ID]": "2"})
            for title in "abc"
        }
        answer = rest.batch(adds)
        assert set(answer["result_error"]) == {"b"}
        assert [task["TITLE"] for task in portal.tasks] == ["a", "c"]

    def test_a_reset_inside_a_batch_keeps_what_was_done_before(self, portal: BitrixSandbox, rest: Rest) -> None:
        portal.inject(faults.reset(), "server.time")
        add = command("tasks.task.add", **{"fields[TITLE]": "a", "fields[RESPONSIBLE_ID]": "2"})
        with pytest.raises(requests.ConnectionError):
            rest.batch({"first": add, "middle": "server.time", "last": add})
        assert portal.task_count == 1

    def test_chance_is_seeded(self) -> None:
        def draw(seed: int) -> list[int]:
            with BitrixSandbox(seed=seed) as portal, Rest(portal) as rest:
                portal.inject(faults.error("QUERY_LIMIT_EXCEEDED"), "server.time", count=None, probability=0.5)
                return [rest.post("server.time").status_code for _ in range(40)]

        assert draw(1) == draw(1) != draw(2)
        assert set(draw(1)) == {200, 503}


_PARAMS = st.recursive(
    st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.text("ABC<>=!_", min_size=1, max_size=4), inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)


def _php_pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    else:
        for key, item in php.items(value):
            yield from _php_pairs(f"{name}[{key}]", item)


class TestPhp:
    @settings(deadline=None)
    @given(value=_PARAMS)
    def test_nested_parameters_survive_a_form(self, value: Any) -> None:
        query = "&".join(
            f"{requests.compat.quote_plus(key)}={requests.compat.quote_plus(text)}"
            for key, text in _php_pairs("fields", value)
        )
        assert php.parse_query(query) == {"fields": value}

    @pytest.mark.parametrize(
        ("query", "parsed"),
        [
            ("a[]=1&a[]=2", {"a": ["1", "2"]}),
            ("a[5]=x&a[]=y", {"a": {"5": "x", "6": "y"}}),
            ("a=1&a=2", {"a": "2"}),
            ("a.b=1&c d=2", {"a_b": "1", "c_d": "2"}),
            ("a[b=1", {"a_b": "1"}),
            ("=1&&x", {"x": ""}),
            ("0=13&1[TITLE]=x", {"0": "13", "1": {"TITLE": "x"}}),
        ],
    )
    def test_names_are_read_as_php_reads_them(self, query: str, parsed: dict[str, Any]) -> None:
        assert php.parse_query(query) == parsed

    def test_an_empty_map_is_an_empty_list_in_json(self) -> None:
        assert json.dumps([php.array({}), php.array({"0": 1}), php.array({"1": 1})]) == '[[], [1], {"1": 1}]'
