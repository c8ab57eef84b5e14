"""An answer of a service of any content costs one outcome or one verdict; what is done is neither repeated nor lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.python_services.handler import PythonServicesHandler
from consumers.python_services.tracker import PythonServicesTracker
from core.envelopes import Failure, SentMessage, encode_failed_task, encode_response, encode_sent
from core.errors import AmbiguousError, BusinessError, OutcomeError, PartialOutageError, PermanentError
from core.results import Accepted, Completed, Done, Pending, Rejected
from core.texts import Text
from sandbox.http_front import RawAnswer
from sandbox.python_services import ServicesSandbox, faults
from tests.support.any_json import ANY, objects, written
from tests.systems.python_services.support import Clock, handler_for, http, message, tracked, tracker_for

SENT = SentMessage({"original_message": {"task_id": "k"}}, "k", None)
CONTENT = objects("status", "result", "error", "task", "warnings") | ANY
ERRORS = objects("error", "message", "code", "status").map(lambda content: {**content}) | ANY
STATUSES = st.sampled_from([200, 201, 202, 303, 404, 409, 422, 500, 503])


@pytest.fixture(scope="module")
def outside() -> Iterator[ServicesSandbox]:
    with ServicesSandbox() as outside:
        yield outside


@pytest.fixture(scope="module")
def handler(outside: ServicesSandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PythonServicesHandler]:
    with handler_for(tmp_path_factory.mktemp("any"), {"echo": http(outside)}) as handler:
        yield handler


@pytest.fixture
def tracker(outside: ServicesSandbox, tmp_path: Path) -> PythonServicesTracker:
    outside.clear_faults()
    return tracker_for(tmp_path, {"report": http(outside, poll=POLL)}, Clock())


POLL = {"min": 0.001, "max": 0.001, "deadline": 86400}


def answered(outside: ServicesSandbox, call: str, body: bytes, status: int = 200, **how: Any) -> None:
    outside.clear_faults()
    outside.inject(faults.answer(RawAnswer(status, body, **how), after_execution=True), call)


def handled(handler: PythonServicesHandler) -> object:
    """What is stored or told must be something that a message can hold."""
    one = message()
    for health in vars(handler)["_health"].values():
        vars(health)["_down_until"] = None
    try:
        found = handler.handle(one)
    except OutcomeError as error:
        failure = Failure(error, one.queue, "python-services", attempts=1, first_seen=0.0, failed_at=0.0)
        encode_failed_task(one.task, failure)
        return error
    assert isinstance(found, Done | Accepted)
    encode_sent(one.task, one.queue, found, time.time())
    return found


@given(content=CONTENT | ERRORS, status=STATUSES, location=st.sampled_from(["", "/status/1", "http://[", "\xe4"]))
def test_any_answer_has_an_outcome(
    outside: ServicesSandbox, handler: PythonServicesHandler, content: Any, status: int, location: str
) -> None:
    answered(outside, "post *", written(content), status, headers={"Location": location} if location else {})
    assert isinstance(handled(handler), Done | Accepted | OutcomeError)


@given(body=st.binary(max_size=80), media_type=st.sampled_from(["application/json", "text/html", "x; charset=no"]))
def test_any_bytes_have_an_outcome(
    outside: ServicesSandbox, handler: PythonServicesHandler, body: bytes, media_type: str
) -> None:
    answered(outside, "post *", body, content_type=media_type)
    assert isinstance(handled(handler), Done | Accepted | OutcomeError)


@given(content=CONTENT | ERRORS, status=STATUSES)
def test_any_answer_about_a_job_is_its_verdict_and_no_others(
    outside: ServicesSandbox, tmp_path_factory: pytest.TempPathFactory, content: Any, status: int
) -> None:
    tracker = tracker_for(tmp_path_factory.getbasetemp() / "any", {"report": http(outside, poll=POLL)}, Clock())
    good = outside.put_job("good")
    outside.finish(good.number)
    strange = outside.put_job("strange")
    answered(outside, f"get status/{strange.number}", written(content), status)
    first, second = tracker.check([tracked(outside, "strange", strange.number), tracked(outside, "good", good.number)])
    assert isinstance(first, Pending | Completed | Rejected)
    assert isinstance(second, Completed)
    if isinstance(first, Completed):
        encode_response(SENT, first.response, status="x", echo_variables=True, now=time.time())


# -- what is read, and told ------------------------------------------------------------------------------------------

DONE = '{"status": "succeeded", "result": {"text": "готово"}}'
READABLE = [
    (DONE.replace("готово", "две\nстроки").encode(), "application/json", {"text": "две\nстроки"}, "control characters"),
    (DONE.encode("cp1251"), "application/json; charset=windows-1251", {"text": "готово"}, "cp1251"),
    (b"\xef\xbb\xbf" + DONE.encode() + b"\n", "application/json", {"text": "готово"}, None),
    (b'"{\\"status\\": \\"succeeded\\", \\"result\\": 7}"', "application/json", 7, "twice"),
]


@pytest.mark.parametrize(("body", "media_type", "result", "note"), READABLE)
def test_an_answer_with_one_reading_is_the_result_and_told(
    outside: ServicesSandbox,
    handler: PythonServicesHandler,
    tracker: PythonServicesTracker,
    body: bytes,
    media_type: str,
    result: Any,
    note: str | None,
) -> None:
    answered(outside, "post *", body, content_type=media_type)
    done = handled(handler)
    job = outside.put_job("k")
    answered(outside, "get status/*", body, content_type=media_type)
    [verdict] = tracker.check([tracked(outside, "k", job.number)])
    for found in (done, verdict):
        assert isinstance(found, Done | Completed)
        assert found.response["result"] == result
        told = found.response.get("warnings", [])
        assert len(told) == (note is not None)
        assert all(str(note) in each for each in told)


@pytest.mark.parametrize("body", [b"null", b"", b" \n"])
def test_no_result_is_a_result_of_a_call_but_not_of_a_job(
    outside: ServicesSandbox, handler: PythonServicesHandler, tracker: PythonServicesTracker, body: bytes
) -> None:
    """Frameworks write null for a function that returns nothing; a job is asked until it says that it has finished."""
    answered(outside, "post *", body)
    done = handled(handler)
    assert isinstance(done, Done)
    assert done.response["result"] == {}
    job = outside.put_job("k")
    answered(outside, "get status/*", body)
    assert tracker.check([tracked(outside, "k", job.number)]) == [Pending()]


# -- what is refused although it is done -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"sum": NaN}', "NaN"),
        (b'{"sum": 1e999}', "1e999"),
        (b'["x"]', "a list"),
        (b'"done"', "a text"),
        (b'{"sum": 1]', "not JSON"),
        (DONE.encode("cp1251"), "no other charset"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_and_not_sent_again(
    outside: ServicesSandbox, handler: PythonServicesHandler, body: bytes, problem: str
) -> None:
    answered(outside, "post *", body)
    error = handled(handler)
    assert isinstance(error, PermanentError)
    assert error.code == "bad_result"
    assert "Service echo" in error.reason
    assert "its work is done" in error.reason
    assert problem in error.reason


def test_a_job_that_runs_is_not_given_up_for_a_number_and_a_finished_one_is_told(
    outside: ServicesSandbox, tmp_path: Path
) -> None:
    clock = Clock()
    tracker = tracker_for(tmp_path, {"report": http(outside, poll={**POLL, "deadline": 100})}, clock)
    job = outside.put_job("k")
    task = tracked(outside, "k", job.number, expires=100)
    answered(outside, "get status/*", b'{"status": "running", "left": Infinity}')
    assert tracker.check([task]) == [Pending()]
    clock.now += 1
    answered(outside, "get status/*", b'{"status": "succeeded", "result": {"sum": NaN}}')
    [verdict] = tracker.check([task])
    assert isinstance(verdict, Rejected)
    assert (verdict.code, "NaN" in Text.of(verdict.reason).en) == ("bad_result", True)


def test_a_job_whose_answers_cannot_be_read_is_told_why_at_its_deadline(
    outside: ServicesSandbox, tmp_path: Path
) -> None:
    clock = Clock()
    tracker = tracker_for(tmp_path, {"report": http(outside, poll={**POLL, "deadline": 100})}, clock)
    task = tracked(outside, "k", outside.put_job("k").number, expires=100)
    outside.clear_faults()
    outside.inject(faults.answer(RawAnswer(200, b'{"status": "succee')), "get status/*", count=None)
    assert tracker.check([task]) == [Pending()]
    clock.now += 200
    [verdict] = tracker.check([task])
    assert isinstance(verdict, Rejected)
    assert (verdict.code, "it is not JSON" in Text.of(verdict.reason).en) == ("deadline", True)


def test_a_line_break_in_a_refusal_hides_no_code_of_the_process(
    outside: ServicesSandbox, handler: PythonServicesHandler
) -> None:
    body = '{"error": {"message": "две\nстроки", "bpmn_error": "NO_MONEY"}}'
    answered(outside, "post *", body.encode(), 422)
    error = handled(handler)
    assert isinstance(error, BusinessError)
    assert (error.code, "две\nстроки" in error.reason) == ("NO_MONEY", True)


# -- redirects, which are never followed -----------------------------------------------------------------------------


@pytest.mark.parametrize("location", ["http://[", "\xe4", "//", "http://no host/"])
def test_a_redirect_to_what_is_no_address_is_a_redirect(
    outside: ServicesSandbox, handler: PythonServicesHandler, location: str
) -> None:
    """requests 2.34 looks into Location, and raises, although it is told to follow none."""
    answered(outside, "post *", b"", 303, headers={"Location": location})
    error = handled(handler)
    assert isinstance(error, PartialOutageError)
    assert error.code == "redirect"


def test_a_redirect_whose_body_never_ends_does_not_hold_its_thread(outside: ServicesSandbox, tmp_path: Path) -> None:
    """requests 2.34 reads the body of a redirect whole, whatever it is asked for."""

    def drops() -> Iterator[bytes]:
        while True:
            time.sleep(0.05)
            yield b" "

    outside.clear_faults()
    with handler_for(tmp_path, {"echo": http(outside, timeout={"connect": 0.2, "read": 0.3})}) as impatient:
        outside.inject(faults.answer(RawAnswer(302, drops(), headers={"Location": "/x"})), "post *")
        assert isinstance(handled(impatient), AmbiguousError)
