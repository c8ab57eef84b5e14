"""All systems on the stage of the fault matrix: what each may excuse, results as files, and a few rows for real."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from benchmarks.faults import commands, results
from benchmarks.faults.account import Account, Allowed, Evidence, Found, PortalTask, Published, make_account
from benchmarks.faults.executed import FILE_VARIABLE, SECONDS_VARIABLE, execute, executed
from benchmarks.faults.expectations import MUTATIONS
from benchmarks.faults.lanes import Lane, open_lanes
from benchmarks.faults.queues import Queues
from benchmarks.faults.report import matrix, mutation_table, series
from benchmarks.faults.results import Results, ResultsError
from benchmarks.faults.row import Row
from benchmarks.faults.rows import all_rows, by_name, matching
from benchmarks.faults.rows.properties import UNREADABLE
from benchmarks.faults.runner import Orders, Result
from benchmarks.faults.stage import Stage
from benchmarks.faults.systems import SYSTEMS
from benchmarks.faults.systems.messages import Email
from config import QUEUE_HANDLERS, SENT_QUEUES
from sandbox.address import BrokerAddress
from sandbox.camunda import ERRORS_QUEUE, RESPONSES_QUEUE
from sandbox.rabbitmq_server import Server

ROWS = all_rows()
MAIL = Email.task(1)
ONCE, TWICE = [PortalTask("<1@example.com>")], [PortalTask("<1@example.com>")] * 2


def answered(published: Published, message_id: str = "1:response") -> Found:
    body = {"original_message": {"task_id": published.key}, "response_data": {"email_message_id": "<1@example.com>"}}
    return Found(RESPONSES_QUEUE, message_id, json.dumps(body).encode())


def told(published: Published, code: str) -> Found:
    return Found(ERRORS_QUEUE, "1:error", json.dumps({"task_id": published.key, "code": code}).encode())


def account(*messages: Found, tasks: list[PortalTask]) -> Account:
    return make_account(Evidence([MAIL], messages, {MAIL.key: tasks}, Email.read))


# -- the judge ----------------------------------------------------------------------------------------------------


def test_a_mail_that_came_twice_is_excused_by_what_was_on_its_way_and_by_nothing_else() -> None:
    found = account(answered(MAIL), tasks=TWICE)
    assert (found.created_twice, found.copies) == ([MAIL.key], 1)
    assert found.violations(Allowed(in_doubt=1)) == []
    assert found.violations(Allowed(answered_twice=True)) == [f"1 created twice: {MAIL.key}"]


def test_each_further_copy_needs_an_excuse_of_its_own() -> None:
    found = account(answered(MAIL), tasks=[*TWICE, *ONCE])
    assert found.copies == 2
    assert found.violations(Allowed(in_doubt=1))


@pytest.mark.parametrize("code", ["may_have_run", "may_be_delivered"])
def test_a_doubt_that_is_told_to_people_is_bounded_by_what_was_on_its_way(code: str) -> None:
    found = account(told(MAIL, code), tasks=ONCE)
    assert (found.in_doubt, found.misrouted) == ([MAIL.key], [])
    assert found.violations(Allowed(in_doubt=1)) == []
    assert found.violations(Allowed()) == [f"1 in doubt: {MAIL.key}"]


def test_a_mail_that_is_answered_and_told_to_be_in_doubt_is_a_contradiction() -> None:
    found = account(answered(MAIL), told(MAIL, "may_be_delivered"), tasks=ONCE)
    assert found.contradicted == [MAIL.key]
    assert found.violations(Allowed(answered_twice=True, in_doubt=9))


def test_another_report_is_no_doubt_and_its_code_is_told() -> None:
    assert account(told(MAIL, "no_handler"), tasks=[]).misrouted == [f"{MAIL.key} (no_handler)"]


# -- rows ---------------------------------------------------------------------------------------------------------


def test_every_system_of_the_daemon_is_played() -> None:
    """Functions and services share a queue."""
    played = {target.queue: target.sent_queue for target in SYSTEMS.values()}
    assert played == {queue: SENT_QUEUES[queue] for queue in QUEUE_HANDLERS}


def test_a_row_of_another_system_says_so_in_its_name() -> None:
    assert [row.name for row in ROWS if "@" in row.name and row.name.partition("@")[2] != row.system] == []
    assert {row.name for row in ROWS if "@" not in row.name and row.system != "bitrix24"} == {
        "callable-once-two-workers"
    }


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_meets_the_faults_that_are_everybodys(system: str) -> None:
    names = {row.name.partition("@")[0] for row in ROWS if row.system == system}
    assert names >= {"undisturbed", "worker-killed-created", "worker-partitioned", "broker-killed", "link-cut"}


def test_every_exclusive_system_meets_a_partition_a_slow_one_and_a_long_freeze() -> None:
    exclusive = ("", "@openproject", "@email", "@telegram")
    names = ("worker-partitioned", "worker-partitioned-slow-portal", "worker-frozen-long")
    wanted = {f"{name}{system}" for name in names for system in exclusive}
    assert wanted <= {row.name for row in ROWS}


def test_rows_are_chosen_by_system() -> None:
    assert {row.system for row in matching(ROWS, ["worker-killed*"], ["email", "1c"])} == {"email", "1c"}
    with pytest.raises(LookupError):
        matching(ROWS, ["portal-500"], ["email"])


@pytest.mark.parametrize("system", SYSTEMS)
def test_tasks_of_a_system_are_known_by_their_keys(system: str) -> None:
    tasks = [SYSTEMS[system].task(number) for number in range(20)]
    assert len({task.key for task in tasks}) == len({task.body for task in tasks}) == 20
    assert all(json.loads(task.body)["task_id"] == task.key for task in tasks)


def test_the_calls_of_a_function_are_counted_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "executed"))
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    assert executed(tmp_path / "executed") == []
    for key in ("a", "b", "a"):
        assert execute({"task_id": key}) == {"done": key}
    assert executed(tmp_path / "executed") == ["a", "b", "a"]


# -- results ------------------------------------------------------------------------------------------------------


def result(name: str, **changes: Any) -> Result:
    found = Account(published=3, answered=2, parked=1, created_twice=["task-1"], copies=1, in_doubt=["task-2"])
    return Result(by_name(name), 2, found, in_flight=8, seconds=1.5, **changes)


def kept(path: Path, *of: Result, rabbitmq: str = "4.3.6") -> Path:
    results.write(path, Results(rabbitmq, {"date": "2026-11-29"}, of))
    return path


def test_results_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    played = [result("worker-killed@email", complaints=["held"], first=0.5), result("link-cut")]
    found = results.read(kept(tmp_path / "a.json", *played), ROWS)
    assert list(found.results) == played
    assert (found.rabbitmq, found.green) == ("4.3.6", {"link-cut"})


def test_of_a_row_that_was_played_twice_the_later_result_counts_and_the_rows_order_stays(tmp_path: Path) -> None:
    red, green = result("link-cut", complaints=["held"]), result("link-cut")
    first = results.read(kept(tmp_path / "a.json", result("link-slow"), red), ROWS)
    second = results.read(kept(tmp_path / "b.json", green), ROWS)
    found = results.merged([first, second], ROWS)
    assert [each.row.name for each in found.results] == ["link-cut", "link-slow"]
    assert found.results[0].is_green


def test_results_of_different_versions_make_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    versions = ("3.10.8", "4.3.6")
    paths = [kept(tmp_path / f"{version}.json", result("link-cut"), rabbitmq=version) for version in versions]
    assert commands.main([part for path in paths for part in ("--merge", str(path))]) == commands.EXIT_WRONG
    assert "3.10.8, 4.3.6" in capsys.readouterr().err
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(ResultsError):
        results.read(tmp_path / "none.json", ROWS)


@pytest.mark.parametrize(("complaints", "code"), [([], commands.EXIT_OK), (["held"], commands.EXIT_RED)])
def test_a_merge_shows_the_table_and_is_red_if_a_row_is(
    complaints: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = kept(tmp_path / "a.json", result("link-cut"), result("worker-killed@email", complaints=complaints))
    assert commands.main(["--merge", str(path)]) == code
    assert f"{2 - code} of 2 rows are green" in capsys.readouterr().out


def test_the_table_says_what_a_system_promises_and_tells_each_story_once() -> None:
    names = ("worker-killed", "worker-killed@email", "worker-killed@1c")
    table = matrix([result(name) for name in names], with_stories=True)
    assert [row[1] for row in table.rows] == ["kill -9 at random times", "", ""]
    assert [row[2] for row in table.rows] == ["once", "perhaps twice", "once by key"]
    assert [row[6] for row in table.rows] == ["1", "1, 1 told (of 8)", "1"]


def test_who_tells_people_of_a_doubt_promises_to_send_nothing_twice() -> None:
    table = matrix([result("portal-reset-told@email")])
    assert table.rows[0][1] == "at most once"
    assert by_name("portal-reset-told@email").settings["EMAIL_ON_AMBIGUOUS"] == "fail"
    assert not by_name("portal-reset@email").settings.get("EMAIL_ON_AMBIGUOUS")


def test_each_version_has_a_table_of_its_own() -> None:
    assert [series(version) for version in ("3.10.8", "4.0.5", "4.3.6")] == ["3.10", "4.0", "4.3"]


# -- for real -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lane(server: Server) -> Iterator[Lane]:
    with open_lanes(1, server) as [lane]:
        yield lane


@pytest.mark.parametrize("name", ["worker-killed-created@email", "worker-killed-on-the-wire@openproject"])
def test_the_row_is_green(lane: Lane, name: str) -> None:
    played = lane.play(by_name(name), Orders(rounds=1, scale=0.3, short=True), threading.Event())
    assert played.complaints == []


def test_a_row_that_cannot_be_played_is_red_proves_nothing_and_ends_no_other(lane: Lane) -> None:
    def break_down(_stage: Stage) -> None:
        raise ZeroDivisionError("the row's own mistake")

    row = Row("broken", "test", "", strike=lambda _stage, _chance: None, prepare=break_down)
    played = lane.play(row, Orders(), threading.Event())
    assert "ZeroDivisionError: the row's own mistake" in played.complaints[0]
    assert mutation_table([(MUTATIONS[0], [played])]).red == {0}
    lane.play(by_name("undisturbed@default"), Orders(rounds=1, scale=0.1, short=True), threading.Event())


@pytest.mark.parametrize("headers", UNREADABLE)
def test_the_judge_reads_what_its_client_library_cannot(vhost: BrokerAddress, headers: dict[Any, Any]) -> None:
    queues = Queues(vhost.amqp_parameters())
    queues.declare("odd.queue")
    with pika.BlockingConnection(vhost.amqp_parameters()) as connection:
        for given in (headers, {}):
            properties = pika.BasicProperties(message_id="7", headers=given)
            connection.channel().basic_publish("", "odd.queue", b"body", properties)
    found = queues.take("odd.queue")
    queues.close()
    assert [each.body for each in found] == [b"body", b"body"]
    assert found[1].message_id == "7"
