"""Any message, any history, any chance: what is refused can be told, what is accepted can be answered, and all ends."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.copies import decode_history, encode_copy
from core.envelopes import (
    EMBED_LIMIT,
    Failure,
    decode_sent,
    encode_failed_task,
    encode_failed_tracking,
    encode_response,
    encode_sent,
    encode_unreadable,
)
from core.errors import AmbiguousError, InvalidMessageError, OutcomeError, PermanentError, TransientError
from core.messages import CamundaTask, Limits, decode_task
from core.policy import AMBIGUOUS_LIMIT, WAIT_STEPS, Park, RetryLater, RetryPolicy, Tries, decide
from core.results import Accepted, Done
from tests.core.test_messages import identifiers, json_values, texts

NOW = 1_795_462_718.66
COUNTS = ("task-creator-attempt", "task-creator-ambiguous", "task-creator-first-seen", "task-creator-last-error")

reasons = st.text(st.characters(), max_size=30)  # half surrogates included: foreign texts hold them
policies = st.builds(RetryPolicy, st.integers(0, 20), base_delay=st.floats(0.001, 1e6), max_delay=st.floats(0.001, 1e6))
jitters = st.floats(0, 1, exclude_max=True)
retry_afters = st.none() | st.floats() | st.sampled_from([math.inf, math.nan, -1.0, 10**400])

# What RabbitMQ can carry in a header table, and what another program may have put under our names.
header_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=20) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
foreign_headers = st.dictionaries(st.sampled_from(COUNTS) | st.text(max_size=12), header_values, max_size=8)


@st.composite
def tasks(draw: st.DrawFn) -> CamundaTask:
    fields = draw(st.dictionaries(texts, json_values, max_size=5))
    variables: st.SearchStrategy[Any] = st.sampled_from([None, []]) | st.dictionaries(texts, json_values, max_size=3)
    named = draw(
        st.fixed_dictionaries(
            {}, optional={"activity_id": json_values, "timestamp": json_values, "variables": variables}
        )
    )
    message = {**fields, **named, "task_id": draw(identifiers), "topic": draw(identifiers)}
    ascii_only, indent = draw(st.booleans()), draw(st.sampled_from([None, 0, 3]))
    return decode_task(json.dumps(message, ensure_ascii=ascii_only, indent=indent).encode(), Limits())


def refusal(body: bytes, limits: Limits) -> InvalidMessageError | None:
    """None when the message is accepted; any other exception is the test's failure."""
    try:
        decode_task(body, limits)
    except InvalidMessageError as error:
        return error
    return None


def failure(error: OutcomeError, attempts: int = 1) -> Failure:
    return Failure(error, "bitrix24.queue", "bitrix24", attempts, first_seen=NOW - 60, failed_at=NOW)


class TestEveryTaskCanBeAnswered:
    @settings(deadline=None)
    @given(tasks(), json_values, st.sampled_from([Accepted, Done]), st.none() | identifiers, st.booleans())
    def test_from_the_handler_s_result_to_the_response(
        self, task: CamundaTask, response: Any, kind: type[Accepted | Done], external_id: str | None, echo: bool
    ) -> None:
        stored = encode_sent(task, "bitrix24.queue", kind({"result": response}, external_id), NOW)
        sent = decode_sent(stored.body)
        answer = json.loads(
            encode_response(sent, {"done": response}, status="completed", echo_variables=echo, now=NOW).body
        )
        assert task.body in stored.body
        assert (sent.task_id, sent.original) == (task.task_id, task.fields)
        assert answer["response_data"] == {"done": response}
        assert {name: value for name, value in answer["original_message"].items() if name != "variables"} == {
            name: value for name, value in task.fields.items() if name != "variables"
        }

    @settings(deadline=None)
    @given(tasks(), reasons, st.none() | reasons, st.integers(1, 100))
    def test_a_failed_task_s_report_holds_it_byte_for_byte_and_can_be_read(
        self, task: CamundaTask, reason: str, code: str | None, attempts: int
    ) -> None:
        message = encode_failed_task(task, failure(PermanentError(reason, code=code), attempts))
        report = json.loads(message.body)
        assert task.body in message.body
        assert report["original_message"] == task.fields
        assert (report["task_id"], report["attempts"], report["outcome"]) == (task.task_id, attempts, "permanent")
        assert decode_task(task.body, Limits()) == task, "put back into its queue, it is the same task"

    @settings(deadline=None)
    @given(tasks(), reasons, json_values)
    def test_a_task_that_was_created_and_lost_outside_is_reported_whole(
        self, task: CamundaTask, reason: str, response: Any
    ) -> None:
        sent = decode_sent(encode_sent(task, "bitrix24.queue", Accepted({"result": response}), NOW).body)
        report = json.loads(encode_failed_tracking(sent, failure(PermanentError(reason))).body)
        assert (report["original_message"], report["response_data"]) == (task.fields, {"result": response})


class TestEveryOtherMessageCanBeTold:
    @settings(deadline=None)
    @given(st.binary(max_size=200) | st.builds(lambda text: text.encode("utf-16"), st.text(max_size=40)))
    def test_what_is_refused_comes_back_from_its_report_unchanged(self, body: bytes) -> None:
        if error := refusal(body, Limits()):
            report = json.loads(encode_unreadable(body, "some-id", failure(error)).body)
            assert base64.b64decode(report["original_body_base64"]) == body
            assert report["code"] == error.code

    @settings(deadline=None)
    @given(tasks(), st.integers(-3, 3))
    def test_the_size_limit_is_exact_and_is_met_before_anything_is_read(self, task: CamundaTask, spare: int) -> None:
        limits = Limits(max_bytes=len(task.body) + spare)
        too_large = spare < 0
        for body in (task.body, b"\xff" * len(task.body)):
            error = refusal(body, limits)
            assert too_large == (error is not None and error.code == "message_too_large")
            assert error is not None or body == task.body

    @settings(deadline=None)
    @given(st.integers(1, 120), st.integers(1, 120), st.lists(st.booleans(), min_size=120, max_size=120))
    def test_the_depth_limit_is_exact(self, depth: int, limit: int, lists: list[bool]) -> None:
        value: Any = 1
        for is_list in lists[: depth - 1]:
            value = [value] if is_list else {"x": value}
        body = json.dumps({"task_id": "a", "topic": "t", "x": value}).encode()
        error = refusal(body, Limits(max_depth=limit))
        assert (error.code if error else None) == ("message_too_deep" if depth > limit else None)

    @settings(deadline=None, max_examples=10)
    @given(st.binary(min_size=1, max_size=50), st.integers(-1, 1))
    def test_around_the_size_that_is_wrapped_the_bytes_are_the_same(self, pattern: bytes, beyond: int) -> None:
        size = EMBED_LIMIT + beyond
        body = (pattern * (size // len(pattern) + 1))[:size]
        message = encode_unreadable(body, "some-id", failure(PermanentError("large")))
        wrapped = len(body) <= EMBED_LIMIT
        assert wrapped == (message.content_type == "application/json")
        told = base64.b64decode(json.loads(message.body)["original_body_base64"]) if wrapped else message.body
        assert told == body


class TestEveryMessageEnds:
    @settings(deadline=None)
    @given(foreign_headers, policies, st.data())
    def test_whatever_history_a_message_brings_its_tries_and_waits_are_bounded(
        self, headers: dict[str, Any], policy: RetryPolicy, data: st.DataObject
    ) -> None:
        """Through the real headers, as RabbitMQ would carry them, until it is parked."""
        rounds, waited = 0, 0.0
        while True:
            tries, first_seen = decode_history(headers, NOW)
            kind = data.draw(st.sampled_from([TransientError, AmbiguousError]))
            error = kind(data.draw(reasons), retry_after=data.draw(retry_afters))
            decision = decide(error, tries, policy, data.draw(jitters))
            if isinstance(decision, Park):
                break
            assert isinstance(decision, RetryLater)
            rounds, waited = rounds + 1, waited + decision.delay
            assert rounds <= policy.attempts + AMBIGUOUS_LIMIT
            copy = encode_copy(b"{}", "id", headers, tries=decision.tries, first_seen=first_seen, error=error.reason)
            headers = dict(copy.headers)
        assert waited <= (policy.attempts + AMBIGUOUS_LIMIT) * WAIT_STEPS[-1]

    @settings(deadline=None)
    @given(st.lists(st.sampled_from([TransientError, AmbiguousError]), max_size=60), policies)
    def test_doubts_spend_no_attempts_and_attempts_no_doubts(
        self, kinds: list[type[OutcomeError]], policy: RetryPolicy
    ) -> None:
        tries = Tries()
        for number, kind in enumerate(kinds):
            decision = decide(kind("x"), tries, policy, 0.5)
            if isinstance(decision, Park):
                spent = tries.attempt - 1 if kind is TransientError else tries.ambiguous
                assert spent == (policy.attempts if kind is TransientError else AMBIGUOUS_LIMIT)
                return
            assert isinstance(decision, RetryLater)
            tries = decision.tries
            assert tries.attempt == 1 + kinds[: number + 1].count(TransientError)
            assert tries.ambiguous == kinds[: number + 1].count(AmbiguousError)

    @settings(deadline=None)
    @given(foreign_headers, st.integers(1, 10**5), st.integers(0, AMBIGUOUS_LIMIT), reasons)
    def test_a_copy_keeps_what_is_foreign_and_its_counts_are_the_ones_that_are_read(
        self, headers: dict[str, Any], attempt: int, ambiguous: int, reason: str
    ) -> None:
        tries = Tries(attempt, ambiguous)
        copy = encode_copy(b"{}", "id", headers, tries=tries, first_seen=NOW - 5, error=reason)
        assert decode_history(copy.headers, NOW) == (tries, NOW - 5)
        foreign = {name: value for name, value in headers.items() if name not in COUNTS and not name.startswith("x-")}
        kept = {name: value for name, value in copy.headers.items() if name not in COUNTS}
        assert repr(sorted(kept)) == repr(sorted(foreign))
