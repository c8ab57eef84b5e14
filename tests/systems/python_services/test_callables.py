"""Functions in processes of their own: results, mistakes, and that none is called twice that must not be."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from consumers.python_services import refusals
from consumers.python_services.callable_service import MAY_HAVE_RUN
from consumers.python_services.handler import PythonServicesHandler
from consumers.python_services.processes import CallableProcess, DeadlineError, EndedError, ProcessPool, UnusableError
from core.errors import BusinessError, BusyError, OutcomeError, PartialOutageError, PermanentError, TransientError
from core.results import Done
from core.texts import Text
from testbench.harness import wait_until
from tests.systems.python_services.support import handler_for, message, python
from toolkit.send_journal import SendJournal

HERE = "tests.support.services_callables"


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def outcome_of(handler: PythonServicesHandler, task: Any) -> Any:
    try:
        return handler.handle(task)
    except OutcomeError as error:
        return error


def result_of(handler: PythonServicesHandler, **variables: Any) -> Any:
    done = handler.handle(message("call", **variables))
    assert isinstance(done, Done)
    assert (done.response["kind"], done.response["state"]) == ("python", "done")
    return done.response["result"]


# -- results -------------------------------------------------------------------------------------------------------


def test_a_function_is_given_the_task_and_its_dict_is_the_result(tmp_path: Path) -> None:
    with handler_for(tmp_path, {"f": python(f"{HERE}:echo")}) as handler:
        first, second = result_of(handler, text="я" * 200_000), result_of(handler)
    assert first["got"] == {"text": "я" * 200_000}
    assert first["pid"] == second["pid"], "one process is used again"
    assert first["pid"] != os.getpid()
    wait_until(lambda: not is_running(first["pid"]), 10, "its end")


@pytest.mark.parametrize(
    ("told", "result"),
    [
        ({"status": "succeeded", "result": {"pages": 3}}, {"pages": 3}),
        ({"status": "sent"}, {"status": "sent"}),
        ({}, {}),
    ],
)
def test_a_result_may_come_in_the_envelope_of_services(told: Any, result: Any, tmp_path: Path) -> None:
    with handler_for(tmp_path, {"f": python(f"{HERE}:envelope")}) as handler:
        assert result_of(handler, told=told) == result


def test_none_is_an_empty_result(tmp_path: Path) -> None:
    with handler_for(tmp_path, {"f": python(f"{HERE}:nothing")}) as handler:
        assert result_of(handler) == {}


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("a_list", "returned list"),
        ("not_json", "JSON cannot hold"),
        ("huge", "2097164 bytes, 1048576 are allowed"),
    ],
)
def test_a_result_that_cannot_be_stored_is_refused_for_good(
    function: str, reason: str, idempotent: bool, tmp_path: Path
) -> None:
    with handler_for(tmp_path, {"f": python(f"{HERE}:{function}", idempotent=idempotent)}) as handler:
        with pytest.raises(PermanentError, match=reason) as caught:
            handler.handle(message("call"))
        assert caught.value.code == "bad_result"


def test_only_a_service_over_http_can_be_running(tmp_path: Path) -> None:
    with handler_for(tmp_path, {"f": python(f"{HERE}:envelope")}) as handler, pytest.raises(PermanentError):
        handler.handle(message("call", told={"status": "running"}))


def test_what_it_prints_breaks_nothing_and_stands_in_the_log_shortened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with handler_for(tmp_path, {"f": python(f"{HERE}:chatters")}) as handler:
        for _ in range(3):
            assert result_of(handler) == {"quiet": False}
    printed = [each for each in caplog.records if getattr(each, "event", "") == "service.output"]
    assert any("a line of the callable" in each.getMessage() for each in printed)
    assert sum(len(each.getMessage()) for each in printed) < 3 * 70_000


# -- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "idempotent", "outcome", "code"),
    [
        ("PermanentError", True, PermanentError, "callable_refused"),
        ("ValueError", True, PermanentError, "callable_refused"),
        ("KeyError", True, TransientError, "callable_failed"),
        ("TransientError", True, TransientError, "callable_failed"),
        ("BusinessError", True, BusinessError, "NO_MONEY"),
        ("PermanentError", False, PermanentError, "callable_refused"),
        ("ValueError", False, PermanentError, "callable_refused"),
        ("TransientError", False, TransientError, "callable_failed"),
        ("BusinessError", False, BusinessError, "NO_MONEY"),
        ("KeyError", False, PermanentError, MAY_HAVE_RUN),
    ],
)
def test_an_exception_is_an_outcome_by_its_name(
    kind: str, idempotent: bool, outcome: type[OutcomeError], code: str, tmp_path: Path
) -> None:
    with handler_for(tmp_path, {"f": python(f"{HERE}:raises", idempotent=idempotent)}) as handler:
        error = outcome_of(handler, message("call", kind=kind, text="мало места"))
        assert isinstance(error, outcome)
        assert error.code == code
        assert "мало места" in error.reason
        assert error.retry_after == (7.0 if kind == "TransientError" else None)


def test_a_failure_in_the_envelope_is_an_outcome_too(tmp_path: Path) -> None:
    error = {"code": "no_space", "message": "мало места", "bpmn_error": "FULL"}
    with handler_for(tmp_path, {"f": python(f"{HERE}:envelope")}) as handler:
        told = outcome_of(handler, message("call", told={"status": "failed", "error": error}))
    assert isinstance(told, BusinessError)
    assert told.code == "FULL"


@pytest.mark.parametrize(
    ("function", "reason"),
    [("vanishes", "exit code 3"), ("is_killed", "signal 9")],
)
def test_a_crash_costs_its_process_and_nothing_else(function: str, reason: str, tmp_path: Path) -> None:
    services = {
        "f": python(f"{HERE}:{function}", idempotent=True),
        "good": python(f"{HERE}:echo", "good"),
    }
    with handler_for(tmp_path, services) as handler:
        for _ in range(2):
            error = outcome_of(handler, message("call"))
            assert type(error) is TransientError
            assert reason in error.reason
        assert isinstance(handler.handle(message("good")), Done)


def test_sys_exit_is_an_exception_like_any_other(tmp_path: Path) -> None:
    with handler_for(tmp_path, {"f": python(f"{HERE}:leaves", idempotent=True)}) as handler:
        assert "SystemExit: 3" in outcome_of(handler, message("call")).reason


def test_a_call_that_hangs_is_ended_at_its_deadline_with_what_it_has_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with handler_for(tmp_path, {"f": python(f"{HERE}:hangs", timeout=1.5, idempotent=True)}) as handler:
        error = outcome_of(handler, message("call", pids=str(pids)))
    assert type(error) is TransientError
    assert "did not answer within 1.5 s" in error.reason
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda pid=pid: not is_running(pid), 10, "the end of both")  # type: ignore[misc]


def test_a_process_that_dies_by_itself_leaves_no_child_behind(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with handler_for(tmp_path, {"f": python(f"{HERE}:dies_with_a_child", timeout=20, idempotent=True)}) as handler:
        error = outcome_of(handler, message("call", pids=str(pids)))
    assert type(error) is TransientError
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda pid=pid: not is_running(pid), 10, "the end of both")  # type: ignore[misc]


def test_an_import_that_fails_later_makes_the_service_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "services_changing.py"
    module.write_text("def f(task):\n    return {}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    with handler_for(tmp_path, {"f": python("services_changing:f")}) as handler:
        module.write_text("1 / 0")
        error = outcome_of(handler, message("call"))
        assert isinstance(error, PartialOutageError)
        assert "ZeroDivisionError" in error.reason
        assert SendJournal(tmp_path / "state", "python-services").parts("x") == {}


# -- never twice ---------------------------------------------------------------------------------------------------


def once(**changes: Any) -> dict[str, Any]:
    return {"f": python(f"{HERE}:count_and", **changes)}


def calls(tmp_path: Path) -> list[str]:
    path = tmp_path / "calls"
    return path.read_text().splitlines() if path.exists() else []


def counting(tmp_path: Path, then: str = "nothing", **changes: Any) -> Any:
    return message("call", key="task-7", into=str(tmp_path / "calls"), then=then, kind="KeyError", **changes)


def redelivered(task: Any) -> Any:
    return type(task)(task.task, task.queue, task.attempt, redelivered=True)


@pytest.mark.parametrize("then", ["vanishes", "is_killed", "raises"])
def test_what_has_begun_and_not_finished_goes_to_people(then: str, tmp_path: Path) -> None:
    task = counting(tmp_path, then)
    with handler_for(tmp_path, once()) as handler:
        for attempt in (task, redelivered(task), redelivered(task)):
            error = outcome_of(handler, attempt)
            assert isinstance(error, PermanentError)
            assert error.code == MAY_HAVE_RUN
            assert "may have run already" in error.reason
    assert calls(tmp_path) == ["task-7"]


def test_people_may_put_it_back_and_then_it_is_called_once_more(tmp_path: Path) -> None:
    with handler_for(tmp_path, once()) as handler:
        assert isinstance(outcome_of(handler, counting(tmp_path, "vanishes")), PermanentError)
        assert isinstance(outcome_of(handler, counting(tmp_path)), Done)
    assert calls(tmp_path) == ["task-7", "task-7"]


def test_a_worker_that_died_in_a_call_leaves_it_to_people(tmp_path: Path) -> None:
    earlier = SendJournal(tmp_path / "state", "python-services")
    earlier.begin("task-7", "call")
    with handler_for(tmp_path, once()) as handler:
        assert isinstance(outcome_of(handler, redelivered(counting(tmp_path))), BusyError), "it lives, and is at work"
    earlier.close()
    for task in (counting(tmp_path), redelivered(counting(tmp_path))):
        with handler_for(tmp_path, once()) as handler:
            assert outcome_of(handler, redelivered(task)).code == MAY_HAVE_RUN
    assert calls(tmp_path) == []


def test_a_result_whose_ack_was_lost_is_given_again_without_a_call(tmp_path: Path) -> None:
    with handler_for(tmp_path, once()) as handler:
        first = handler.handle(counting(tmp_path, "echo"))
    with handler_for(tmp_path, once()) as handler:
        again = handler.handle(redelivered(counting(tmp_path, "echo")))
    assert isinstance(first, Done)
    assert isinstance(again, Done)
    assert again.response == first.response
    assert (first.duplicate, again.duplicate) == (False, True)
    assert calls(tmp_path) == ["task-7"]


def test_a_redelivered_message_that_was_never_begun_is_called(tmp_path: Path) -> None:
    with handler_for(tmp_path, once()) as handler:
        assert isinstance(handler.handle(redelivered(counting(tmp_path))), Done)
    assert calls(tmp_path) == ["task-7"]


@pytest.mark.parametrize("function", ["a_list", "huge"])
def test_a_refusal_is_told_again_in_both_languages(function: str, tmp_path: Path) -> None:
    task = message("call", key="task-7")
    texts = set()
    for _ in range(2):
        with handler_for(tmp_path, {"f": python(f"{HERE}:{function}")}) as handler:
            texts.add(outcome_of(handler, redelivered(task)).text)
    [text] = texts
    assert f"Service f ({HERE}:{function}): it returned" in text.en
    assert f"Сервис f, функция {HERE}:{function}: она вернула" in text.ru


@pytest.mark.parametrize("business", [True, False])
def test_a_refusal_that_an_earlier_version_has_written_is_told(business: bool) -> None:
    told = json.dumps({"reason": "no", "code": "E1", "business": business})
    error = refusals.read(told, MAY_HAVE_RUN)
    assert (type(error) is BusinessError, error.text, error.code) == (business, Text("no", "no"), "E1")
    error = refusals.read("no", MAY_HAVE_RUN)
    assert (type(error), error.text, error.code) == (PermanentError, Text("no", "no"), MAY_HAVE_RUN)


def test_a_function_that_says_so_itself_may_be_called_again(tmp_path: Path) -> None:
    task = message("call", key="task-7", into=str(tmp_path / "calls"), then="raises", kind="TransientError")
    with handler_for(tmp_path, once()) as handler:
        for _ in range(2):
            assert type(outcome_of(handler, task)) is TransientError
    assert calls(tmp_path) == ["task-7", "task-7"]


def test_an_idempotent_one_is_simply_called_again(tmp_path: Path) -> None:
    with handler_for(tmp_path, once(idempotent=True)) as handler:
        for _ in range(2):
            assert type(outcome_of(handler, counting(tmp_path, "vanishes"))) is TransientError
        assert isinstance(handler.handle(redelivered(counting(tmp_path))), Done)
    assert calls(tmp_path) == ["task-7"] * 3


def test_without_its_journal_nothing_is_called(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    with handler_for(tmp_path, once()) as handler:
        assert isinstance(outcome_of(handler, counting(tmp_path)), PartialOutageError)
    assert calls(tmp_path) == []


# -- the process ---------------------------------------------------------------------------------------------------


def test_a_process_that_died_while_idle_is_replaced(tmp_path: Path) -> None:
    with handler_for(tmp_path, {"f": python(f"{HERE}:echo")}) as handler:
        for is_seen_dead in (True, False):
            first = result_of(handler)["pid"]
            os.kill(first, signal.SIGKILL)
            if is_seen_dead:
                wait_until(lambda pid=first: not is_running(pid), 10, "its end")  # type: ignore[misc]
            assert result_of(handler)["pid"] != first


def test_as_many_processes_as_the_file_says_work_side_by_side(tmp_path: Path) -> None:
    pids = [tmp_path / f"pids-{number}" for number in range(3)]
    entry = python(f"{HERE}:hangs", at_once=2, timeout=600, idempotent=True)
    with handler_for(tmp_path, {"f": entry}) as handler, ThreadPoolExecutor(2) as threads:
        running = [threads.submit(outcome_of, handler, message("call", pids=str(path))) for path in pids[:2]]
        wait_until(lambda: all(path.exists() for path in pids[:2]), 20, "both calls")
        assert outcome_of(handler, message("call", pids=str(pids[2]))).code == "service_busy"
        for path in pids[:2]:
            worker, child = map(int, path.read_text().split())
            os.kill(worker, signal.SIGKILL)
            os.kill(child, signal.SIGKILL)
        assert {type(each.result()) for each in running} == {TransientError}


def test_the_end_of_the_daemon_is_the_end_of_a_running_call(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    process = CallableProcess(f"{HERE}:hangs", 20, lambda _line: None)
    ended: list[BaseException] = []

    def call() -> None:
        try:
            process.call({"variables": {"pids": str(pids)}}, 600)
        except EndedError as error:
            ended.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    wait_until(pids.exists, 20, "the call")
    vars(process)["_process"].stdin.close()  # as the kernel does it for a daemon that was killed
    thread.join(20)
    assert ended
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda pid=pid: not is_running(pid), 10, "the end of both")  # type: ignore[misc]


def test_a_process_that_writes_into_our_channel_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "services_vandal.py").write_text(
        "import os\n"
        "def f(task):\n"
        "    for fd in range(3, 20):\n"
        "        try:\n"
        "            os.write(fd, b'\\xff' * 100)\n"
        "        except OSError:\n"
        "            pass\n"
        "    return {}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    process = CallableProcess("services_vandal:f", 20, lambda _line: None)
    with pytest.raises(EndedError, match="own channel"):
        process.call({}, 20)
    assert not is_running(process.pid)


def test_a_call_that_holds_the_interpreter_is_ended_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A regular expression with catastrophic backtracking never lets another thread run.
    (tmp_path / "services_greedy.py").write_text("import re\ndef f(task):\n    re.match('(a+)+$', 'a' * 64 + 'b')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    process = CallableProcess("services_greedy:f", 20, lambda _line: None)
    with pytest.raises(DeadlineError):
        process.call({}, 1)
    assert not is_running(process.pid)


def test_a_pool_gives_what_cannot_be_imported_no_process() -> None:
    pool = ProcessPool("no.such.module:f", 20, lambda _line: None)
    with pytest.raises(UnusableError):
        pool.take()
    pool.close()
