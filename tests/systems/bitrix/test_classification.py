"""Whatever a portal answers, a call ends in an answer or in one outcome, and a write that may have happened is a doubt.

The real client against a real host on loopback that says what hypothesis draws.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from consumers.bitrix.batch import Answer, Command
from consumers.bitrix.client import BitrixClient
from consumers.bitrix.config import BitrixSettings
from consumers.bitrix.errors import QUERY_LIMIT_EXCEEDED, RULES
from consumers.bitrix.limiter import Limiter
from core.errors import AmbiguousError, ConfigurationError, OutageError, OutcomeError
from tests.support.answering_server import AnsweringServer, http_answer

METHOD = "tasks.task.add"
CLOSED_DOOR = {401, 403, 404}  # without a reason: the webhook's address itself is refused, no method was reached

# Numbers and texts on which conversions break.
nasty: st.SearchStrategy[Any] = st.sampled_from(
    [10**400, -1, 1e308, math.inf, "9" * 5000, "٣", "²", "nan", "", "\ud800", True, None, [], {}]
)
json_values = st.recursive(
    nasty | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
statuses = st.sampled_from([200, 201, 204, 301, 302, 400, 401, 403, 404, 405, 429, 500, 502, 503, 504]) | st.integers(
    200, 599
)
codes = st.sampled_from([*RULES, *(code.upper() for code in RULES)]) | json_values
TIMES = ("duration", "operating", "operating_reset_at", "finish", "date_start")
times = json_values | st.fixed_dictionaries({}, optional=dict.fromkeys(TIMES, json_values))
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "result": json_values,
        "next": json_values,
        "total": json_values,
        "time": times,
        "error": codes,
        "error_description": json_values,
    },
)
bodies = (envelopes | json_values).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)
lies = st.fixed_dictionaries(
    {},
    optional={
        "Content-Length": st.sampled_from(["0", "5", "999999", "-1", "x"]),
        "Content-Encoding": st.sampled_from(["gzip", "deflate", "br", "nonsense"]),
        "Transfer-Encoding": st.just("chunked"),
        "Location": st.sampled_from(["https://elsewhere.example/", "//", "\x7f", ""]),
        "Content-Type": st.sampled_from(["text/html", "application/json; charset=nonsense"]),
        "Retry-After": st.sampled_from(["5", "-1", "soon"]),
    },
)

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def portal() -> Iterator[AnsweringServer]:
    with AnsweringServer() as server:
        yield server


def client_of(portal: AnsweringServer) -> BitrixClient:
    """A new one each time: a refusal closes a method for minutes. It waits for the portal's bucket but an instant."""
    settings = BitrixSettings(webhook_url=SecretStr(f"{portal.address}/rest/1/{portal.secret}/"), request_timeout=5)
    limiter = Limiter(10_000, 10_000, operating_limit=480)
    return BitrixClient(settings, threading.Event(), limiter=limiter, first_pause=0.001, patience=0.05)


def called(portal: AnsweringServer, *, write: bool) -> Answer | OutcomeError:
    """Any exception that is no outcome is the test's failure."""
    try:
        return client_of(portal).call(METHOD, {"fields": {"TITLE": "Договор"}}, write=write)
    except OutcomeError as error:
        return error


def decoded(body: bytes) -> Any:
    """What a JSON reader makes of the body; None when it is none."""
    try:
        return json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


@relaxed
@given(st.none() | st.builds(http_answer, statuses, bodies, lies) | st.binary(max_size=80), st.booleans())
@example(http_answer(200, b"[" * 100_000), True)
@example(http_answer(200, b'{"result": 1, "next": "' + b"9" * 5000 + b'"}'), True)
@example(http_answer(200, b'{"result": 1, "time": {"operating": 1' + b"0" * 400 + b"}}"), True)
def test_whatever_comes_back_is_an_answer_or_one_outcome(
    portal: AnsweringServer, answer: bytes | None, write: bool
) -> None:
    portal.answer = answer
    outcome = called(portal, write=write)
    if answer is None and write:
        assert isinstance(outcome, AmbiguousError)
    elif answer is None:
        assert isinstance(outcome, OutageError)
    assert isinstance(outcome, Answer) or portal.secret not in outcome.reason


@relaxed
@given(statuses, bodies)
@example(500, b'{"error": "A_CODE_OF_TOMORROW"}')
@example(200, b"<html>log in</html>")
@example(502, b"")
@example(204, b"")
def test_a_write_counts_as_not_executed_only_when_the_portal_says_so(
    portal: AnsweringServer, status: int, body: bytes
) -> None:
    portal.answer = http_answer(status, body)
    outcome = called(portal, write=True)
    said = decoded(body) if status != 204 else None  # 204 has no body, whatever follows its head
    fields = said if isinstance(said, dict) else {}
    code = str(fields.get("error") if fields.get("error") is not None else "").lower()

    if isinstance(outcome, Answer):
        assert status == 200
        assert "error" not in fields
        assert outcome.result == fields["result"] or outcome.result != outcome.result
    elif 300 <= status < 400:
        assert isinstance(outcome, ConfigurationError)
    elif "error" not in fields:
        # No refusal that the documentation knows.
        assert isinstance(outcome, ConfigurationError if status in CLOSED_DOOR else AmbiguousError)
    elif code in RULES:
        documented = RULES[code].outcome
        expected = documented if documented is not None else AmbiguousError
        if not (code == "access_denied" and status == 400):  # of one object, not of the whole portal
            assert isinstance(outcome, expected)
    elif status >= 500:
        assert isinstance(outcome, AmbiguousError)


@relaxed
@given(statuses, bodies, st.lists(st.booleans(), min_size=1, max_size=4))
@example(200, b'{"result": {"result": []}, "time": {"duration": null}}', [True])
@example(200, b'{"result": {"result": []}, "time": {"duration": "long"}}', [False])
@example(200, b'{"result": []}', [True, False])
def test_a_batch_has_one_outcome_per_command_and_a_write_without_its_result_is_a_doubt(
    portal: AnsweringServer, status: int, body: bytes, writes: list[bool]
) -> None:
    portal.answer = http_answer(status, body)
    commands = [Command(METHOD if write else "tasks.task.list", {}, write=write) for write in writes]
    reply = client_of(portal).batch(commands)
    assert len(reply.outcomes) == len(commands)
    # The keys of the commands are unguessable: no drawn body holds a result or an error of one of them.
    assert not any(isinstance(outcome, Answer) for outcome in reply.outcomes)
    if status == 200 and isinstance(fields := decoded(body), dict) and "error" not in fields:
        for command, outcome in zip(commands, reply.outcomes, strict=True):
            assert isinstance(outcome, AmbiguousError) == command.write


def test_a_portal_that_refuses_for_its_rate_has_not_executed_and_is_asked_again(portal: AnsweringServer) -> None:
    portal.answer = http_answer(503, json.dumps({"error": QUERY_LIMIT_EXCEEDED.upper()}).encode())
    before = portal.requests
    outcome = called(portal, write=True)
    assert isinstance(outcome, OutageError)
    assert portal.requests > before + 1
