"""What each signal of a service means for the message: the table of errors, on real sockets."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.python_services.client import title
from consumers.python_services.health import IN_A_ROW
from consumers.python_services.outcomes import ServerFailedError, StillRunningError, at, failure, read
from consumers.python_services.registry import Poll
from core.errors import (
    AmbiguousError,
    BusinessError,
    OutcomeError,
    PartialOutageError,
    PermanentError,
    TransientError,
)
from core.policy import RetryLater, RetryPolicy, Tries, decide
from core.results import Done
from sandbox.http_front import RawAnswer
from sandbox.python_services import ServicesSandbox, faults
from tests.systems.python_services.support import handler_for, http, message

SIGNALS: list[tuple[int, type[OutcomeError]]] = [
    (400, PermanentError),
    (404, PermanentError),
    (405, PermanentError),
    (410, PermanentError),
    (413, PermanentError),
    (415, PermanentError),
    (422, PermanentError),
    (501, PermanentError),
    (418, PermanentError),
    (401, PartialOutageError),
    (403, PartialOutageError),
    (407, PartialOutageError),
    (302, PartialOutageError),
    (303, PartialOutageError),
    (429, PartialOutageError),
    (502, PartialOutageError),
    (503, PartialOutageError),
    (504, PartialOutageError),
    (408, TransientError),
    (423, TransientError),
    (425, TransientError),
    (409, StillRunningError),
    (500, ServerFailedError),
    (507, ServerFailedError),
    (508, ServerFailedError),
]


@pytest.mark.parametrize(("status", "outcome"), SIGNALS)
def test_a_refusal_with_a_reason(status: int, outcome: type[OutcomeError], tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}) as handler:
        server.inject(faults.refusal(status, code="E1", message="Так нельзя", retry_after=9), "post *")
        with pytest.raises(OutcomeError) as caught:
            handler.handle(message())
        assert caught.type is outcome
        assert f"HTTP {status}" in caught.value.reason
        if status not in (302, 303):
            assert caught.value.retry_after == 9.0
            assert "Так нельзя" in caught.value.reason
            assert caught.value.code == "E1"


@pytest.mark.parametrize(("status", "outcome"), SIGNALS)
def test_a_page_of_something_in_between(status: int, outcome: type[OutcomeError], tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}) as handler:
        server.inject(faults.html(status), "post *")
        with pytest.raises(OutcomeError) as caught:
            handler.handle(message())
        assert caught.type is outcome
        assert caught.value.code == ("redirect" if 300 <= status < 400 else f"http_{status}")


@pytest.mark.parametrize("status", [200, 201, 400, 409, 422, 500, 503])
def test_an_error_for_the_process_comes_with_its_code(status: int, tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}) as handler:
        error = {"message": "нет денег", "bpmn_error": "NO_MONEY"}
        server.inject(faults.told(status, {"status": "failed", "error": error}), "post *")
        with pytest.raises(BusinessError, match="нет денег") as caught:
            handler.handle(message())
        assert caught.value.code == "NO_MONEY"


def test_a_status_may_stand_for_an_error_of_the_process(tmp_path: Path) -> None:
    with ServicesSandbox() as server:
        entry = http(server, bpmn_errors={422: "VALIDATION_ERROR", 503: "CLOSED"})
        with handler_for(tmp_path, {"echo": entry}) as handler:
            for status, code in ((422, "VALIDATION_ERROR"), (503, "CLOSED")):
                server.inject(faults.html(status), "post *")
                with pytest.raises(BusinessError) as caught:
                    handler.handle(message())
                assert caught.value.code == code


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        ({"code": "no_space", "message": "мало места", "retryable": False}, PermanentError, "no_space"),
        ({"code": "busy", "message": "мало места", "retryable": True}, TransientError, "busy"),
        ({"message": "мало места"}, PermanentError, "service_failed"),
        ({"message": "мало места", "retryable": True, "bpmn_error": "FULL"}, BusinessError, "FULL"),
        ("мало места", PermanentError, "service_failed"),
        ({"message": {"a": "мало места"}, "code": 7, "bpmn_error": 8}, PermanentError, "7"),
    ],
)
@pytest.mark.parametrize("word", ["failed", "FAILED", "cancelled"])
def test_a_failure_in_the_body(error: Any, word: str, outcome: type[OutcomeError], code: str, tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}) as handler:
        server.inject(faults.told(200, {"status": word, "error": error}), "post *")
        with pytest.raises(OutcomeError, match="мало места") as caught:
            handler.handle(message())
        assert (caught.type, caught.value.code) == (outcome, code)


def test_a_refusal_may_call_itself_retryable(tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}) as handler:
        server.inject(faults.refusal(422, retryable=True), "post *")
        with pytest.raises(TransientError):
            handler.handle(message())


# -- what is no answer ---------------------------------------------------------------------------------------------


def test_no_answer_in_time_is_sent_again_with_the_same_key_and_executed_once(tmp_path: Path) -> None:
    with ServicesSandbox() as server:
        entry = http(server, timeout={"connect": 1, "read": 0.3})
        with handler_for(tmp_path, {"echo": entry}, ambiguous_wait=7) as handler:
            server.inject(faults.delay(600, after_execution=True), "post *")
            task = message()
            with pytest.raises(AmbiguousError) as caught:
                handler.handle(task)
            assert caught.value.retry_after == 7
            assert isinstance(handler.handle(task), Done)
            assert list(server.by_key().values()) == [[1]]


@pytest.mark.parametrize("after", [False, True])
def test_a_dropped_connection_is_in_doubt_and_then_executed_once(after: bool, tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}) as handler:
        server.inject(faults.reset(after_execution=after), "post *")
        task = message()
        with pytest.raises(AmbiguousError):
            handler.handle(task)
        handler.handle(task)
        assert list(server.by_key().values()) == [[1]]


@pytest.mark.parametrize("trouble", ["refused", "unknown name", "certificate", "ca"])
def test_what_is_certainly_not_executed_makes_the_service_wait(trouble: str, tmp_path: Path) -> None:
    with ServicesSandbox(tls=trouble == "certificate") as server:
        entry = http(server)
        if trouble == "unknown name":
            entry["url"] = "http://no-such-host.invalid/"
        if trouble == "refused":
            server.go_down()
        if trouble == "ca":
            entry = {**entry, "url": "https://127.0.0.1:1/", "ca_file": str(tmp_path / "ca.pem")}
            (tmp_path / "ca.pem").write_text("no certificate")
        with handler_for(tmp_path, {"echo": entry}) as handler:
            with pytest.raises(PartialOutageError) as caught:
                handler.handle(message())
            assert caught.value.retry_after == 1.0
            assert handler.get_stats() == {"down": ["echo"]}


def test_a_certificate_of_our_own_authority_is_trusted(tmp_path: Path) -> None:
    with (
        ServicesSandbox(tls=True) as server,
        handler_for(tmp_path, {"echo": http(server, ca_file=str(server.ca_file))}) as handler,
    ):
        assert isinstance(handler.handle(message()), Done)


@pytest.mark.parametrize("body", [b"[1]", b"7", b'{"a"}', b"\xff"])
def test_json_that_is_no_object_is_refused_for_good(body: bytes, tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}) as handler:
        server.inject(faults.answer(RawAnswer(200, body)), "post *")
        with pytest.raises(PermanentError) as caught:
            handler.handle(message())
        assert caught.value.code == "bad_result"


def test_a_page_with_status_200_may_be_a_proxys_and_is_asked_again(tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}) as handler:
        server.inject(faults.html(200), "post *")
        task = message()
        with pytest.raises(AmbiguousError):
            handler.handle(task)
        assert isinstance(handler.handle(task), Done)


@pytest.mark.parametrize("make", [faults.huge_body, faults.gzip_bomb])
def test_an_answer_over_a_mebibyte_is_refused_for_good(make: Any, tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}) as handler:
        server.inject(make(), "post *")
        with pytest.raises(PermanentError) as caught:
            handler.handle(message())
        assert caught.value.code == "result_too_large"


def test_an_endless_answer_is_in_doubt(tmp_path: Path) -> None:
    with ServicesSandbox() as server:
        entry = http(server, timeout={"connect": 0.2, "read": 0.3})
        with handler_for(tmp_path, {"echo": entry}) as handler:
            server.inject(faults.trickle(), "post *")
            with pytest.raises(AmbiguousError):
                handler.handle(message())


# -- a service that is down ------------------------------------------------------------------------------------------


def outcome_of(handler: Any, task: Any) -> Any:
    try:
        return handler.handle(task)
    except OutcomeError as error:
        return error


def test_several_failures_in_a_row_are_the_services_and_one_is_the_messages(tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}) as handler:
        server.inject(faults.refusal(500), "post *", count=None)
        outcomes = [outcome_of(handler, message()) for _ in range(IN_A_ROW + 3)]
        kinds = [type(each) for each in outcomes]
        assert kinds == [ServerFailedError] * (IN_A_ROW - 1) + [PartialOutageError] * 4
        assert server.requests == IN_A_ROW, "a service that is down is not asked for every message"


def test_an_answer_in_between_forgives_the_failures(tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}) as handler:
        for _ in range(5):
            server.inject(faults.refusal(500), "post *", count=IN_A_ROW - 1)
            for _ in range(IN_A_ROW - 1):
                assert type(outcome_of(handler, message())) is ServerFailedError
            server.inject(faults.refusal(422), "post *")
            assert type(outcome_of(handler, message())) is PermanentError
        assert handler.get_stats() == {"down": []}


def test_one_message_finds_out_whether_the_service_is_back_and_then_all_flow(tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}, outage_wait=0.01) as handler:
        server.go_down()
        waiting = [message() for _ in range(5)]
        assert {type(outcome_of(handler, each)) for each in waiting} == {PartialOutageError}
        server.come_back()
        health = vars(handler)["_health"]["echo"]
        vars(health)["_down_until"] = 0.0
        assert {type(outcome_of(handler, each)) for each in waiting} == {Done}
        assert handler.get_stats() == {"down": []}


def test_an_outage_of_any_length_spends_nothing_of_any_message(tmp_path: Path) -> None:
    policy, tries = RetryPolicy(attempts=0, base_delay=1.0, max_delay=1.0), Tries()
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}, outage_wait=0.001) as handler:
        server.go_down()
        task = message()
        for _ in range(200):
            decision = decide(outcome_of(handler, task), tries, policy, 0.5)
            assert isinstance(decision, RetryLater)
            assert decision.tries == Tries(), "an attempt was spent"


def test_a_service_says_how_long_to_wait(tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}) as handler:
        server.inject(faults.refusal(503, retry_after=120), "post *", count=None)
        waits = [outcome_of(handler, message()).retry_after for _ in range(2)]
        assert waits[0] == 120
        assert 100 < waits[1] <= 120
        assert server.requests == 1


@pytest.mark.parametrize("told", ["9999999999999", "-5", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "999999999"])
def test_an_absurd_wait_is_not_kept(told: str, tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}) as handler:
        server.inject(faults.refusal(503, retry_after=told), "post *")
        assert 0 < outcome_of(handler, message()).retry_after <= 3600


def test_a_message_that_alone_meets_the_outage_spends_its_attempts(tmp_path: Path) -> None:
    with ServicesSandbox() as server, handler_for(tmp_path, {"echo": http(server)}, outage_wait=0.001) as handler:
        health = vars(handler)["_health"]["echo"]
        poison = message(key="poison")
        server.inject(faults.refusal(503), "post *", count=None, match=lambda body: body["task_id"] == "poison")
        kinds = []
        for _ in range(6):
            vars(health)["_down_until"] = None
            kinds.append(type(outcome_of(handler, poison)))
            vars(health)["_down_until"] = None
            assert isinstance(handler.handle(message()), Done)
        assert kinds == [PartialOutageError] * 3 + [TransientError] * 3


# -- reading of bodies ---------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["status", "error", "a"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["status", "error", "result", "message"]), JSON))
def test_any_object_is_read_and_any_failure_told(body: dict[str, Any]) -> None:
    assert read(body, Poll()) is not None
    error = failure(title("x"), body)
    assert isinstance(error, PermanentError | TransientError | BusinessError)
    assert 0 < len(error.code) <= 200


@pytest.mark.parametrize(
    ("path", "found"), [("$.a.b", 1), ("$.a", {"b": 1}), ("$.x", None), ("$.a.b.c", None), ("$.l.0", None)]
)
def test_a_path_leads_through_objects_only(path: str, found: Any) -> None:
    assert at({"a": {"b": 1}, "l": [7]}, path) == found


def test_every_status_has_an_outcome() -> None:
    statuses = {status for status, _ in SIGNALS}
    rows = itertools.chain([400, 404, 405, 410, 413, 415, 422, 501], [401, 403, 407], [408, 409, 423, 425, 429, 500])
    assert statuses >= {*rows, 502, 503, 504}, "a row of the table has no test"


def test_a_message_that_needs_no_request_says_nothing_about_the_service(tmp_path: Path) -> None:
    with ServicesSandbox() as server:
        entry = http(server, "/sync/{folder}")
        with handler_for(tmp_path, {"echo": entry}) as handler:
            server.go_down()
            assert type(outcome_of(handler, message(folder="a"))) is PartialOutageError
            assert type(outcome_of(handler, message())) is PermanentError
            assert handler.get_stats() == {"down": ["echo"]}
