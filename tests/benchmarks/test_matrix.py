"""The judge of the fault matrix can say "guilty": each verdict on evidence made by hand; then a few real rows."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.faults import commands
from benchmarks.faults.account import Account, Allowed, Evidence, Found, PortalTask, Published, make_account
from benchmarks.faults.expectations import MUTATIONS
from benchmarks.faults.killpoints import POINTS, POINTS_OF_SYSTEMS
from benchmarks.faults.lanes import Lane, open_lanes, play_all
from benchmarks.faults.removals import REMOVALS
from benchmarks.faults.report import matrix, mutation_table
from benchmarks.faults.row import Row
from benchmarks.faults.rows import all_rows, matching
from benchmarks.faults.runner import Orders, Result
from benchmarks.faults.soak import judge_growth
from benchmarks.faults.stage import Stage, StageInterruptedError
from benchmarks.faults.tasks import INPUT_QUEUE, SENT_QUEUE, task
from benchmarks.measure import Usage
from sandbox.camunda import ERRORS_QUEUE, RESPONSES_QUEUE
from sandbox.process import ROOT
from sandbox.rabbitmq_server import Server

ONE = task(1)
WITH_CHECKLIST = task(5)


def answer(key: str, message_id: str | None = None, *, bitrix_id: str = "7", text: str | None = "ДА") -> Found:
    """A response as docs/contract.md describes it."""
    body = {
        "original_message": {"task_id": key},
        "response_data": {"result": {"task": {"id": bitrix_id, "ufResultAnswer_text": text}}},
    }
    return Found(RESPONSES_QUEUE, message_id or f"{key}:response", json.dumps(body).encode())


def error(key: str | None, **fields: Any) -> Found:
    return Found(ERRORS_QUEUE, f"{key}:error", json.dumps({"task_id": key, "error": "no", **fields}).encode())


def created(*ids: str, checklist: tuple[str, ...] = ()) -> list[PortalTask]:
    return [PortalTask(each, "ДА", checklist) for each in ids]


def account(*messages: Found, published: Published = ONE, tasks: list[PortalTask] | None = None) -> Account:
    return make_account(Evidence([published], messages, {published.key: created("7") if tasks is None else tasks}))


# -- the judge ----------------------------------------------------------------------------------------------------


def test_a_task_created_and_answered_once_is_in_order() -> None:
    found = account(answer(ONE.key))
    assert found.violations(Allowed()) == []
    assert (found.published, found.answered, found.parked) == (1, 1, 0)


def test_a_task_that_is_nowhere_is_lost() -> None:
    assert account().lost == [ONE.key]
    assert account().violations(Allowed(answered_twice=True)) == [f"1 lost: {ONE.key}"]


def test_a_task_that_only_the_portal_knows_is_lost() -> None:
    assert account(tasks=created("7")).lost == [ONE.key]


def test_two_tasks_under_one_key_are_created_twice() -> None:
    found = account(answer(ONE.key), tasks=created("7", "8"))
    assert found.created_twice == [ONE.key]
    assert found.violations(Allowed(answered_twice=True))


def test_two_answers_with_one_message_id_are_allowed_only_where_the_row_says_so() -> None:
    found = account(answer(ONE.key), answer(ONE.key))
    assert found.answered_twice == [ONE.key]
    assert found.violations(Allowed(answered_twice=True)) == []
    assert found.violations(Allowed()) == [f"1 answered twice: {ONE.key}"]


def test_two_answers_with_different_message_ids_are_never_allowed() -> None:
    found = account(answer(ONE.key), answer(ONE.key, "another"))
    assert found.contradicted == [ONE.key]
    assert found.violations(Allowed(answered_twice=True))


def test_an_answer_beside_an_error_report_is_a_contradiction() -> None:
    assert account(answer(ONE.key), error(ONE.key)).contradicted == [ONE.key]


def test_a_second_answer_is_excused_when_the_driver_may_have_published_twice() -> None:
    found = account(answer(ONE.key), answer(ONE.key), published=replace(ONE, maybe_more=True))
    assert found.violations(Allowed()) == []


@pytest.mark.parametrize("queue", [INPUT_QUEUE, SENT_QUEUE, f"{INPUT_QUEUE}.retry.1000ms", "default.queue"])
def test_a_task_left_in_any_other_queue_is_stuck(queue: str) -> None:
    body = ONE.body if queue != SENT_QUEUE else json.dumps({"original_message": {"task_id": ONE.key}}).encode()
    found = account(Found(queue, None, body))
    assert found.stuck == [f"{ONE.key} in {queue}"]
    assert found.lost == []


def test_a_copy_left_behind_is_stuck_although_its_task_was_answered() -> None:
    assert account(answer(ONE.key), Found(INPUT_QUEUE, None, ONE.body)).stuck == [f"{ONE.key} in {INPUT_QUEUE}"]


def test_a_parked_task_is_in_the_wrong_queue_unless_it_belongs_there() -> None:
    assert account(error(ONE.key)).misrouted == [f"{ONE.key} (None)"]
    belongs = account(error(ONE.key), published=replace(ONE, ends="parked"), tasks=[])
    assert belongs.violations(Allowed()) == []
    assert belongs.parked == 1


def test_a_task_parked_as_deadly_is_allowed_only_where_the_row_says_so() -> None:
    found = account(error(ONE.key, code="kills_worker"))
    assert (found.suspected, found.misrouted) == ([ONE.key], [])
    assert found.violations(Allowed(answered_twice=True)) == [f"1 parked as deadly: {ONE.key}"]
    assert found.violations(Allowed(answered_twice=True, suspected=True)) == []


def test_an_answered_task_that_should_be_parked_is_in_the_wrong_queue() -> None:
    assert account(answer(ONE.key), published=replace(ONE, ends="parked")).misrouted == [ONE.key]


@pytest.mark.parametrize(
    "wrong", [answer(ONE.key, bitrix_id="8"), answer(ONE.key, text="НЕТ"), answer(ONE.key, text=None)]
)
def test_an_answer_that_is_not_what_the_person_said_is_wrong(wrong: Found) -> None:
    assert account(wrong).wrong == [ONE.key]


def test_an_answer_for_a_task_that_was_never_created_is_wrong() -> None:
    assert account(answer(ONE.key), tasks=[]).wrong == [ONE.key]


@pytest.mark.parametrize("titles", [(), ("a", "b", "c"), ("a", "b", "c", "d", "e"), ("a", "b", "c", "c")])
def test_a_checklist_with_too_little_or_too_much_is_wrong(titles: tuple[str, ...]) -> None:
    found = account(answer(WITH_CHECKLIST.key), published=WITH_CHECKLIST, tasks=created("7", checklist=titles))
    assert found.wrong == [WITH_CHECKLIST.key]


def test_messages_and_tasks_that_stand_for_nothing_published_are_of_unknown_origin() -> None:
    strange = [answer("who"), Found(ERRORS_QUEUE, None, b"\xff"), error(None, original_body_base64="AAAA")]
    found = make_account(Evidence([], strange, {"made up": created("9")}))
    assert len(found.unknown) == 4
    assert found.violations(Allowed(answered_twice=True))


def test_bytes_that_are_no_task_are_known_by_themselves() -> None:
    garbage = Published("garbage", b"\xff{", ends="parked")
    embedded = error(None, original_body_base64=base64.b64encode(garbage.body).decode())
    beside = Found(ERRORS_QUEUE, None, garbage.body)
    for report in (embedded, beside):
        assert account(report, published=garbage, tasks=[]).violations(Allowed()) == []


# -- growth -------------------------------------------------------------------------------------------------------


def samples(memory: Callable[[int], float], threads: Callable[[int], int] = lambda _: 12) -> list[Usage]:
    return [Usage(0.0, round(memory(number) * 2**20), 0, threads(number), 20) for number in range(100)]


def test_a_steady_worker_does_not_grow() -> None:
    chance = random.Random(1)
    assert judge_growth(samples(lambda _: 60 + chance.uniform(-3, 3)))[1] == []


def test_a_worker_that_fills_up_while_it_warms_up_does_not_grow() -> None:
    assert judge_growth(samples(lambda number: min(60, 40 + number)))[1] == []


def test_a_leak_of_memory_or_threads_is_seen() -> None:
    assert "memory" in judge_growth(samples(lambda number: 60 + number / 3))[1][0]
    assert "threads" in judge_growth(samples(lambda _: 60, lambda number: 12 + number // 20))[1][0]


def test_a_soak_that_is_too_short_is_not_green() -> None:
    assert judge_growth(samples(lambda _: 60)[:4])[1] != []


# -- the command --------------------------------------------------------------------------------------------------


def test_rows_are_chosen_by_name_and_group_with_wildcards() -> None:
    rows = all_rows()
    assert {row.group for row in matching(rows, ["broker"])} == {"broker"}
    assert [row.name for row in matching(rows, ["link-c?t"])] == ["link-cut"]
    assert matching(rows, []) == rows


@pytest.mark.parametrize(
    "arguments", [["--only", "nothing"], ["--rounds", "0"], ["--soak", "soon"], ["--jobs", "x"], ["--bad"]]
)
def test_wrong_arguments_are_refused_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = commands.main(arguments)
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert arguments[-1] in capsys.readouterr().err


def test_the_list_names_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert [row.name for row in all_rows() if f" {row.name} " not in listed] == []


def test_names_are_unique_and_every_reference_between_rows_points_and_removals_holds() -> None:
    names = [row.name for row in all_rows()]
    assert len(set(names)) == len(names)
    assert {row.kill_at for row in all_rows() if row.kill_at} == POINTS.keys() | POINTS_OF_SYSTEMS.keys(), (
        "no point without a row"
    )
    assert {name for mutation in MUTATIONS for name in mutation.rows} <= set(names)
    assert [mutation.name for mutation in MUTATIONS] == list(REMOVALS), "no removal without its check"


def test_every_removal_and_every_kill_point_fits_the_code_as_it_is() -> None:
    # In a process of their own: what they patch is patched for good.
    code = (
        "import contextlib\n"
        "from benchmarks.faults import clock, killpoints, removals\n"
        "from benchmarks.faults.systems import SYSTEMS\n"
        "for remove in removals.REMOVALS.values(): remove()\n"
        "for point in killpoints.POINTS: killpoints.install(point, 1, '')\n"
        "for point in killpoints.POINTS_OF_SYSTEMS:\n"
        "    for system in SYSTEMS:\n"
        "        with contextlib.suppress(KeyError): killpoints.install(point, 1, system)\n"
        "killpoints.install_poison('word')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_mutation_that_no_row_notices_is_red() -> None:
    mutation = MUTATIONS[0]
    row = all_rows()[0]
    blind, seen = Result(row), Result(row, complaints=["1 lost: task-1"])
    broken = Result(row, complaints=["a traceback in the log: TypeError"], tracebacks=["TypeError"])
    assert mutation_table([(mutation, [blind, seen])]).red == set()
    assert mutation_table([(mutation, [blind])]).red == {0}
    assert mutation_table([(mutation, [broken])]).red == {0}, "a mutant that is broken by itself proves nothing"


def test_a_red_row_is_red_in_the_table() -> None:
    row = all_rows()[0]
    assert matrix([Result(row), Result(row, complaints=["1 lost: task-1"])]).red == {1}


# -- real rows ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lane(server: Server) -> Iterator[Lane]:
    with open_lanes(1, server) as [lane]:
        yield lane


def test_a_worker_killed_in_the_middle_leaves_every_task_answered_once(lane: Lane) -> None:
    [row] = matching(all_rows(), ["worker-killed"])
    result = lane.play(row, Orders(rounds=1, scale=0.1), threading.Event())
    assert result.complaints == []
    assert (result.account.published, result.account.answered) == (30, 30)


def test_a_row_that_loses_tasks_is_red(lane: Lane) -> None:
    def thief(stage: Stage, _chance: random.Random) -> None:
        stage.quiesce()
        assert stage.queues.take(RESPONSES_QUEUE), "somebody reads the answers and tells nobody"

    row = Row("thief", "test", "", strike=thief, tasks=20, rounds=1)
    result = lane.play(row, Orders(patience=15), threading.Event())
    assert len(result.account.lost) == 10
    assert not result.is_green


def test_ctrl_c_ends_the_rows_that_are_played(lane: Lane) -> None:
    interrupted, striking = threading.Event(), threading.Event()

    def wait_for_ever(stage: Stage, _chance: random.Random) -> None:
        striking.set()
        stage.pause(3600)

    def interrupt() -> None:
        striking.wait(60)
        interrupted.set()

    row = Row("endless", "test", "", strike=wait_for_ever, tasks=4, rounds=1)
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(StageInterruptedError):
        play_all([(row, Orders())], [lane], interrupted, lambda _result, _orders: None)
