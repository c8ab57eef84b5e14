"""The sandbox of services against a foreign client: the standard library's, with what the protocol says written out."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.python_services import ServicesSandbox, faults


@pytest.fixture
def outside() -> Iterator[ServicesSandbox]:
    with ServicesSandbox() as outside:
        yield outside


def ask(
    server: ServicesSandbox, method: str, path: str, body: Any = None, key: str | None = None
) -> tuple[int, Any, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None, answer.headers
    finally:
        connection.close()


def test_the_same_key_gives_the_same_answer_and_is_executed_once(outside: ServicesSandbox) -> None:
    answers = [ask(outside, "POST", "/sync/echo", {"task_id": "7"}, '"7"')[:2] for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert outside.by_key() == {"7": [1]}


def test_a_key_with_another_payload_is_422_and_a_missing_one_400(outside: ServicesSandbox) -> None:
    ask(outside, "POST", "/sync/echo", {"task_id": "7"}, '"7"')
    assert ask(outside, "POST", "/sync/echo", {"task_id": "8"}, '"7"')[0] == 422
    assert ask(outside, "POST", "/sync/echo", {"task_id": "8"})[0] == 400
    assert ask(outside, "POST", "/sync/echo", {"task_id": "8"}, "unquoted")[0] == 400
    assert outside.by_key() == {"7": [1]}


def test_a_key_in_work_is_409(outside: ServicesSandbox) -> None:
    outside.work = 600
    first = threading.Thread(target=_ignoring_errors, args=(outside, "/sync/echo", {"task_id": "7"}, '"7"'))
    first.start()
    status = 0
    while status != 409:
        status, _, _ = ask(outside, "POST", "/sync/echo", {"task_id": "7"}, '"7"') if _in_work(outside) else (0, 0, 0)
    outside.go_down()
    first.join()
    outside.work = 0
    outside.come_back()
    assert ask(outside, "POST", "/sync/echo", {"task_id": "7"}, '"7"')[0] == 200, "what died in work frees its key"
    assert outside.by_key() == {"7": [1]}


def _in_work(server: ServicesSandbox) -> bool:
    return bool(vars(server)["_state"].keys)


def _ignoring_errors(server: ServicesSandbox, path: str, body: Any, key: str) -> None:
    try:
        ask(server, "POST", path, body, key)
    except (OSError, http.client.HTTPException):
        return


def test_a_service_without_keys_executes_everything() -> None:
    with ServicesSandbox(keyed=False) as outside:
        for _ in range(2):
            ask(outside, "POST", "/sync/echo", {"task_id": "7"}, '"7"')
        assert outside.by_key() == {"7": [1, 2]}


@pytest.mark.parametrize("style", ["status", "redirect"])
def test_a_job_runs_until_somebody_finishes_it(style: str) -> None:
    with ServicesSandbox(style=style, retry_after=5) as outside:
        status, _, headers = ask(outside, "POST", "/jobs/report", {"task_id": "7"}, '"7"')
        assert (status, headers["Location"], headers["Retry-After"]) == (202, "/status/1", "5")
        status, told, headers = ask(outside, "GET", "/status/1")
        assert (status, headers["Retry-After"]) == (200 if style == "status" else 202, "5")
        assert outside.job_of("7").status == "running"
        outside.finish(1, {"pages": 3})
        status, told, headers = ask(outside, "GET", "/status/1")
        if style == "redirect":
            assert (status, headers["Location"]) == (303, "/result/1")
            status, told, _ = ask(outside, "GET", "/result/1")
            assert (status, told) == (200, {"pages": 3})
        else:
            assert (status, told) == (200, {"status": "succeeded", "result": {"pages": 3}})


def test_a_job_may_fail_or_get_lost(outside: ServicesSandbox) -> None:
    ask(outside, "POST", "/jobs/report", {"task_id": "7"}, '"7"')
    outside.fail(1, code="no")
    assert ask(outside, "GET", "/status/1")[1] == {"status": "failed", "error": {"code": "no"}}
    outside.lose(1)
    assert ask(outside, "GET", "/status/1")[0] == 404
    assert ask(outside, "GET", "/status/99")[0] == 404


def test_people_finish_what_appears(outside: ServicesSandbox) -> None:
    outside.people(auto_finish_after=0.01)
    for key in ("7", "8"):
        ask(outside, "POST", "/jobs/report", {"task_id": key}, f'"{key}"')
    outside.wait_until(lambda server: all(job.status == "succeeded" for job in server.jobs))


def test_faults_strike_before_or_after_the_work(outside: ServicesSandbox) -> None:
    outside.inject(faults.refusal(503, retry_after=3), "post sync/*")
    status, _, headers = ask(outside, "POST", "/sync/echo", {"task_id": "7"}, '"7"')
    assert (status, headers["Retry-After"], outside.by_key()) == (503, "3", {})
    outside.inject(faults.refusal(500, after_execution=True), "post sync/*")
    assert ask(outside, "POST", "/sync/echo", {"task_id": "7"}, '"7"')[0] == 500
    assert ask(outside, "POST", "/sync/echo", {"task_id": "7"}, '"7"')[0] == 200
    assert outside.by_key() == {"7": [1]}


def test_who_is_not_known_gets_nothing() -> None:
    with ServicesSandbox(authorized=lambda _request: False) as outside:
        assert ask(outside, "POST", "/sync/echo", {"task_id": "7"}, '"7"')[0] == 401
        assert outside.by_key() == {}


def test_what_is_no_object_or_no_service_is_refused(outside: ServicesSandbox) -> None:
    assert ask(outside, "POST", "/sync/echo", [1], '"7"')[0] == 400
    assert ask(outside, "POST", "/nothing", {"task_id": "7"}, '"8"')[0] == 404
