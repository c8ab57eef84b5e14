"""One task, one request, one job: what a service is sent, and what becomes of its answer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.python_services.client import request_body
from consumers.python_services.handler import MOST_THREADS, PythonServicesHandler
from consumers.python_services.jobs import Job, job_of
from core.envelopes import EXTERNAL_ID_LIMIT
from core.errors import BusyError, OutcomeError, PartialOutageError, PermanentError, StoppingError
from core.messages import Limits, decode_task
from core.results import Accepted, Done
from core.values import header_string
from sandbox.http_front import HttpRequest
from sandbox.python_services import ServicesSandbox, faults
from testbench.harness import camunda_message, wait_until
from tests.systems.python_services.support import handler_for, http, message, settings_for

TOKEN = "t0ken-of-the-service"
KEY = "whsec_" + base64.b64encode(b"a key of 24 bytes length").decode()


@pytest.fixture
def outside() -> Iterator[ServicesSandbox]:
    with ServicesSandbox() as outside:
        yield outside


# -- the request ---------------------------------------------------------------------------------------------------


def test_a_service_is_sent_the_task_in_plain_values_with_its_key(outside: ServicesSandbox, tmp_path: Path) -> None:
    entry = http(outside, headers={"X-Source": "camunda"})
    with handler_for(tmp_path, {"echo": entry}) as handler:
        handler.handle(message(key="task-7", a={"value": 1, "type": "Integer"}, b="я"))
    [asked] = outside.asked("POST")
    sent = json.loads(asked.body)
    assert set(sent) == {
        *("task_id", "topic", "business_key", "process_instance_id", "activity_id", "variables", "metadata")
    }
    assert (sent["task_id"], sent["topic"], sent["business_key"]) == ("task-7", "echo", "BK-1")
    assert sent["variables"] == {"a": 1, "b": "я"}
    assert sent["metadata"]["activityInfo"]["name"] == "Построить отчёт"
    headers = asked.headers
    assert headers["idempotency-key"] == '"task-7"'
    assert (headers["x-request-id"], headers["x-source"]) == ("task-7", "camunda")
    assert headers["content-type"] == "application/json"


def test_the_same_message_is_the_same_request_so_that_its_key_is_recognised(
    outside: ServicesSandbox, tmp_path: Path
) -> None:
    with handler_for(tmp_path, {"echo": http(outside)}) as handler:
        for redelivered in (False, True):
            handler.handle(message(key="task-7", redelivered=redelivered, attempt=1 + redelivered))
    one, other = outside.asked("POST")
    assert one.body == other.body
    assert outside.by_key() == {"task-7": [1]}


@given(st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_any_task_id_has_a_key_that_a_header_can_carry(task_id: str) -> None:
    key = header_string(task_id)
    assert key.isascii()
    assert key[0] == key[-1] == '"'
    assert '"' not in key[1:-1]
    assert unquote(key[1:-1]) == task_id, "two tasks never share a key"


def test_a_strange_task_id_reaches_the_service(outside: ServicesSandbox, tmp_path: Path) -> None:
    with handler_for(tmp_path, {"echo": http(outside)}) as handler:
        for task_id in ("задача 1", 'a "quoted" \\ one', "%D0"):
            handler.handle(message(key=task_id))
    assert set(outside.by_key()) == {"задача 1", 'a "quoted" \\ one', "%D0"}


def test_placeholders_are_filled_from_the_message_and_stay_one_part_of_the_path(
    outside: ServicesSandbox, tmp_path: Path
) -> None:
    entry = http(outside, "/sync/{folder}?for={task_id}", method="PUT")
    with handler_for(tmp_path, {"echo": entry}) as handler:
        handler.handle(message(key="task-7", folder="a/../b?c#d e", task_id="somebody's"))
        with pytest.raises(PermanentError) as caught:
            handler.handle(message(folder=".."))
        assert caught.value.code == "bad_value"
    [asked] = outside.asked("PUT")
    assert (asked.path, asked.query) == ("/sync/a%2F..%2Fb%3Fc%23d%20e", "for=task-7")


AUTHS: list[tuple[dict[str, str], dict[str, str], dict[str, str]]] = [
    (
        {"type": "basic", "username": "worker", "password_env": "SVC_SECRET"},
        {"SVC_SECRET": TOKEN},
        {"authorization": "Basic " + base64.b64encode(f"worker:{TOKEN}".encode()).decode()},
    ),
    ({"type": "bearer", "token_env": "SVC_SECRET"}, {"SVC_SECRET": TOKEN}, {"authorization": f"Bearer {TOKEN}"}),
    (
        {"type": "header", "header": "X-API-Key", "value_env": "SVC_SECRET"},
        {"SVC_SECRET": TOKEN},
        {"x-api-key": TOKEN},
    ),
    ({"type": "none"}, {}, {}),
]


@pytest.mark.parametrize(("auth", "secrets", "headers"), AUTHS)
def test_the_service_knows_us(
    auth: dict[str, str], secrets: dict[str, str], headers: dict[str, str], tmp_path: Path
) -> None:
    def authorized(request: HttpRequest) -> bool:
        return all(request.headers.get(name) == value for name, value in headers.items())

    with ServicesSandbox(authorized=authorized) as outside:
        with handler_for(tmp_path, {"echo": http(outside, auth=auth)}, secrets=secrets) as handler:
            assert isinstance(handler.handle(message()), Done)
        if not secrets:
            return
        wrong = dict.fromkeys(secrets, "something-else")
        with handler_for(tmp_path, {"echo": http(outside, auth=auth)}, secrets=wrong) as handler:
            assert isinstance(refused := _outcome(handler, message()), PartialOutageError)
            assert "401" in refused.reason


def is_signed(request: HttpRequest) -> bool:
    """As a receiver of Standard Webhooks checks it, by its own means."""
    identifier, stamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    content = b".".join([identifier.encode(), stamp.encode(), request.body])
    digest = hmac.digest(base64.b64decode(KEY[len("whsec_") :]), content, hashlib.sha256)
    return request.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def test_a_request_is_signed_as_standard_webhooks_want_it(tmp_path: Path) -> None:
    auth = {"type": "hmac", "secret_env": "SVC_SECRET"}
    with ServicesSandbox(authorized=is_signed) as outside:
        with handler_for(tmp_path, {"echo": http(outside, auth=auth)}, secrets={"SVC_SECRET": KEY}) as handler:
            assert isinstance(handler.handle(message(key="task-7")), Done)
        assert outside.asked("POST")[0].headers["webhook-id"] == "task-7"


def test_the_published_example_of_standard_webhooks_is_signed_alike() -> None:
    from consumers.python_services.client import signed  # the example stands in the specification's README

    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    wanted = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body) == wanted


def test_a_service_that_repeats_our_secret_brings_it_nowhere(tmp_path: Path) -> None:
    auth = {"type": "bearer", "token_env": "SVC_SECRET"}
    with (
        ServicesSandbox() as outside,
        handler_for(tmp_path, {"echo": http(outside, auth=auth)}, secrets={"SVC_SECRET": TOKEN}) as handler,
    ):
        outside.inject(faults.told(200, {"you": f"Bearer {TOKEN}"}), "post *")
        result = handler.handle(message())
        assert isinstance(result, Done)
        assert TOKEN not in json.dumps(result.response)
        outside.inject(faults.refusal(422, message=f"wrong {TOKEN}", code=TOKEN), "post *")
        with pytest.raises(PermanentError) as caught:
            handler.handle(message())
        assert TOKEN not in caught.value.reason + caught.value.code
        outside.inject(faults.told(202, Location=f"/status/1?key={TOKEN}"), "post *")
        with pytest.raises(PermanentError) as caught:
            handler.handle(message())
        assert TOKEN not in caught.value.reason


# -- the answer ----------------------------------------------------------------------------------------------------


def test_an_object_is_the_result(outside: ServicesSandbox, tmp_path: Path) -> None:
    with handler_for(tmp_path, {"echo": http(outside)}) as handler:
        result = handler.handle(message(key="task-7", a=1))
    wanted = {"task": "task-7", "service": "echo", "got": {"a": 1}}
    assert result == Done({"kind": "http", "service": "echo", "state": "done", "result": wanted})


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, {"status": "succeeded", "result": {"pages": 3}}, {"pages": 3}),
        (200, {"status": "Succeeded", "result": 7}, 7),
        (201, {"status": "succeeded", "pages": 3}, {"status": "succeeded", "pages": 3}),
        (200, {"status": "shipped"}, {"status": "shipped"}),
        (200, {"status": None, "a": 1}, {"status": None, "a": 1}),
        (202, {"status": "succeeded", "result": {}}, {}),
        (204, None, {}),
        (200, None, {}),
    ],
)
def test_what_counts_as_finished_at_once(
    status: int, body: Any, result: Any, outside: ServicesSandbox, tmp_path: Path
) -> None:
    with handler_for(tmp_path, {"echo": http(outside)}) as handler:
        outside.inject(faults.told(status, body), "post *")
        done = handler.handle(message())
        assert isinstance(done, Done)
        assert done.response["result"] == result


def test_words_and_places_of_a_service_are_its_own(outside: ServicesSandbox, tmp_path: Path) -> None:
    poll = {"status": "$.job.state", "done": ["ok"], "failed": ["ko"], "running": ["wip"], "result": "$.job.out"}
    with handler_for(tmp_path, {"echo": http(outside, poll=poll)}) as handler:
        outside.inject(faults.told(200, {"job": {"state": "ok", "out": [1]}}), "post *")
        done = handler.handle(message())
        assert isinstance(done, Done)
        assert done.response["result"] == [1]
        outside.inject(faults.told(200, {"job": {"state": "ko"}}), "post *")
        with pytest.raises(PermanentError):
            handler.handle(message())
        outside.inject(faults.told(200, {"job": {"state": "wip"}}, Location="/status/1"), "post *")
        assert isinstance(handler.handle(message()), Accepted)


def test_a_job_is_accepted_with_all_that_the_tracker_must_know(outside: ServicesSandbox, tmp_path: Path) -> None:
    poll = {"min": 5, "max": 60, "deadline": 3600}
    outside.retry_after = 30
    with handler_for(tmp_path, {"report": http(outside, "/jobs/report", poll=poll)}) as handler:
        result = handler.handle(message())
    assert isinstance(result, Accepted)
    job = job_of(result.external_id)
    assert job is not None
    assert (job.service, job.url) == ("report", outside.status_url(1))
    assert job.expires - job.begins == 3600 - 30
    assert result.response["status_url"] == outside.status_url(1)
    assert (result.response["not_before"], result.response["deadline"]) == (job.begins, job.expires)


@pytest.mark.parametrize(("status", "body"), [(202, None), (202, {"id": 7}), (200, {"status": "running"})])
def test_a_job_without_an_address_is_told_to_people(
    status: int, body: Any, outside: ServicesSandbox, tmp_path: Path
) -> None:
    with handler_for(tmp_path, {"echo": http(outside)}) as handler:
        outside.inject(faults.told(status, body), "post *")
        with pytest.raises(PermanentError, match="Location") as caught:
            handler.handle(message())
        assert caught.value.code == "no_status_address"


def test_a_job_on_a_foreign_host_is_never_asked(outside: ServicesSandbox, tmp_path: Path) -> None:
    with ServicesSandbox() as other, handler_for(tmp_path, {"echo": http(outside)}) as handler:
        outside.inject(faults.told(202, {}, Location=f"{other.base_url}/status/1"), "post *")
        with pytest.raises(PermanentError, match=f"127.0.0.1:{other.port}") as caught:
            handler.handle(message())
        assert caught.value.code == "status_host"
        assert other.requests == 0
        entry = http(outside, status_hosts=[other.address])
        with handler_for(tmp_path, {"echo": entry}) as allowing:
            outside.inject(faults.told(202, {}, Location=f"{other.base_url}/status/1"), "post *")
            assert isinstance(allowing.handle(message()), Accepted)


def test_an_address_that_no_header_can_hold_is_told_to_people(outside: ServicesSandbox, tmp_path: Path) -> None:
    with handler_for(tmp_path, {"echo": http(outside)}) as handler:
        outside.inject(faults.told(202, {}, Location="/" + "x" * EXTERNAL_ID_LIMIT), "post *")
        with pytest.raises(PermanentError, match="has been started"):
            handler.handle(message())


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
    st.integers(0, 4_000_000_000),
    st.integers(0, 4_000_000_000),
    st.from_regex(r"https?://[a-z.]{1,20}/[!-~]{0,40}", fullmatch=True),
)
def test_a_job_is_read_as_it_was_written(service: str, begins: int, expires: int, url: str) -> None:
    job = Job(service, begins, expires, url)
    assert job_of(job.external_id()) == job


@given(st.text() | st.none())
def test_any_other_text_is_no_job(text: str | None) -> None:
    assert job_of(text) is None


def test_a_redirect_is_not_followed(outside: ServicesSandbox, tmp_path: Path) -> None:
    with ServicesSandbox() as other, handler_for(tmp_path, {"echo": http(outside)}) as handler:
        outside.inject(faults.redirect(other.base_url + "/sync/echo"), "post *")
        with pytest.raises(PartialOutageError, match="redirect"):
            handler.handle(message())
        assert other.requests == 0


# -- many at once --------------------------------------------------------------------------------------------------


def test_a_service_is_given_no_more_at_once_than_the_file_says_and_the_rest_waits(tmp_path: Path) -> None:
    with ServicesSandbox(work=600) as outside, ServicesSandbox() as other:
        services = {"slow": http(outside, "/sync/slow", "slow", at_once=2), "echo": http(other)}
        with handler_for(tmp_path, services) as handler, ThreadPoolExecutor(2) as threads:
            hanging = [threads.submit(_outcome, handler, message("slow")) for _ in range(2)]
            health = vars(handler)["_health"]["slow"]
            wait_until(lambda: not vars(vars(health)["_slots"])["_value"], 10, "both requests under way")
            with pytest.raises(PartialOutageError) as caught:
                handler.handle(message("slow"))
            assert caught.value.code == "service_busy"
            assert isinstance(handler.handle(message()), Done), "another service is not held up"
            outside.go_down()
            for each in hanging:
                assert isinstance(each.result(), OutcomeError)


def _outcome(handler: PythonServicesHandler, task: Any) -> Any:
    try:
        return handler.handle(task)
    except OutcomeError as error:
        return error


def test_there_are_threads_for_every_service_but_not_without_end(outside: ServicesSandbox, tmp_path: Path) -> None:
    for count, wanted in ((1, 4), (3, 12), (40, MOST_THREADS)):
        services = {f"s{number}": http(outside, "/sync/x", f"t{number}") for number in range(count)}
        with handler_for(tmp_path, services) as handler:
            assert handler.prepare_for(2) == wanted
            assert handler.prepare_for(100) == 100


def test_two_messages_of_one_task_are_not_in_work_at_the_same_time(tmp_path: Path) -> None:
    with (
        ServicesSandbox(work=600) as outside,
        handler_for(tmp_path, {"echo": http(outside)}) as handler,
        ThreadPoolExecutor(1) as threads,
    ):
        first = threads.submit(_outcome, handler, message(key="task-7"))
        wait_until(lambda: bool(vars(vars(handler)["_claims"])["_keys"]), 10, "the first one in work")
        with pytest.raises(BusyError) as caught:
            handler.handle(message(key="task-7"))
        assert caught.value.code == "key_in_use"
        outside.go_down()
        assert isinstance(first.result(), OutcomeError)


def test_a_request_that_is_still_in_work_at_the_service_is_waited_for(tmp_path: Path) -> None:
    with ServicesSandbox(work=600) as outside:
        entry = http(outside, timeout={"connect": 1, "read": 0.2})
        with handler_for(tmp_path, {"echo": entry}, ambiguous_wait=9) as handler:
            kinds = [_outcome(handler, message(key="task-7")) for _ in range(3)]
        assert [each.code for each in kinds] == ["timeout", "in_progress", "in_progress"]
        assert {each.retry_after for each in kinds} == {9}


def test_a_key_with_another_payload_is_refused_for_good(outside: ServicesSandbox, tmp_path: Path) -> None:
    with handler_for(tmp_path, {"echo": http(outside)}) as handler:
        handler.handle(message(key="task-7", a=1))
        with pytest.raises(PermanentError) as caught:
            handler.handle(message(key="task-7", a=2))
        assert caught.value.code == "key_reused"


def test_a_topic_without_a_service_is_told_with_those_that_there_are(outside: ServicesSandbox, tmp_path: Path) -> None:
    services = {"echo": http(outside, "/sync/echo", "echo", "yandex_*")}
    with handler_for(tmp_path, services) as handler, pytest.raises(PermanentError, match=r"echo, yandex_\*") as caught:
        handler.handle(message("other"))
    assert caught.value.code == "unknown_topic"


def test_a_stopping_daemon_begins_nothing(outside: ServicesSandbox, tmp_path: Path) -> None:
    stop = threading.Event()
    handler = PythonServicesHandler.from_settings(settings_for(tmp_path, {"echo": http(outside)}), stop)
    stop.set()
    with pytest.raises(StoppingError):
        handler.handle(message())
    assert outside.requests == 0
    handler.close()


def test_a_live_message_is_handed_on_whole() -> None:
    task = decode_task(camunda_message("task-7", business_key="BK-1", metadata={}), Limits())
    order = request_body(task)
    assert (order["business_key"], order["metadata"]) == ("BK-1", {})
    assert order["variables"] == {"projectId": "123"}
