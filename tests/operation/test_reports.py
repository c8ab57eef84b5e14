"""Whatever lies in the error queue is read as far as it can be read, and its original is what came, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.properties import ReceivedProperties
from core.envelopes import EMBED_LIMIT, encode_failed_task, encode_unreadable, unreadable_name
from core.errors import PermanentError
from core.messages import Limits, OutgoingMessage, decode_task
from core.texts import Text
from journal.groups import group_of
from operation.reports import Report, report_of
from testbench.harness import camunda_message
from tests.operation.support import INPUT, SENT, failure, rejected, report, unreadable

INPUT_QUEUE_OF = {SENT: INPUT}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def received(message: OutgoingMessage | None = None, **properties: Any) -> ReceivedProperties:
    found = ReceivedProperties()
    if message is not None:
        properties = {"message_id": message.message_id, "headers": dict(message.headers), **properties}
    for name, value in properties.items():
        setattr(found, name, value)
    return found


def read(message: OutgoingMessage, **properties: Any) -> Report:
    return report_of(message.body, received(message, **properties), INPUT_QUEUE_OF)


def test_a_failed_task_goes_back_where_it_came_from_byte_for_byte() -> None:
    odd = camunda_message("task-1", variables={"n": 1.0, "big": 10**30, "е": "ё"}).replace(b'"n": 1.0', b'"n":  1.00e0')
    found = read(encode_failed_task(decode_task(odd, Limits()), failure()))
    assert (found.kind, found.target, found.original) == ("task", INPUT, odd)
    assert (found.name, found.system, found.code, found.outcome) == ("task-1", "bitrix24", "unknown_user", "permanent")
    assert found.title == "Согласовать договор"


def test_a_report_belongs_to_the_group_that_the_journal_gives_it() -> None:
    found = read(report("task-1"))
    assert found.group == group_of("bitrix24", "unknown_user", "responsible_id: user 77 not found")


def test_an_original_beside_its_report_is_what_goes_back() -> None:
    large = camunda_message("task-1", variables={"text": "я" * EMBED_LIMIT})
    found = read(encode_failed_task(decode_task(large, Limits(1 << 30)), failure()))
    assert (found.kind, found.original, found.target) == ("task", large, INPUT)


def test_a_created_task_that_was_deleted_is_created_anew() -> None:
    found = read(rejected("task-1"))
    assert (found.kind, found.target, found.external_id, found.code) == ("tracking", INPUT, "42", "task_deleted")
    assert json.loads(found.original or b"")["task_id"] == "task-1"


@pytest.mark.parametrize("body", [b"\xff\xfe\x00garbage", b'{"task_id": "x"', b""])
def test_bytes_that_are_no_task_go_back_as_they_came(body: bytes) -> None:
    found = read(unreadable(body))
    assert (found.kind, found.original, found.target, found.name) == ("unreadable", body, INPUT, unreadable_name(body))


def test_unreadable_bytes_of_a_sent_queue_go_back_into_it() -> None:
    found = read(encode_unreadable(b"garbage", "unreadable:sent", failure(source=SENT)))
    assert (found.kind, found.target, found.original) == ("unreadable", SENT, b"garbage")


def test_a_response_that_camunda_could_not_apply_goes_back_to_camunda() -> None:
    response = {"original_message": json.loads(camunda_message("task-1")), "response_data": {"result": {}}}
    body = json.dumps(
        {
            "error_info": {"type": "timeout_error", "message": "timed out", "source_queue": "camunda.responses.queue"},
            "original_message": response,
            "task_id": "task-1",
            "activity_id": "Activity_1",
            "error_timestamp": 1795416779220,
        }
    ).encode()
    found = report_of(body, received(headers={"source": "response_processing"}), INPUT_QUEUE_OF)
    assert (found.kind, found.target, found.code, found.at) == (
        *("camunda_response", "camunda.responses.queue", "timeout_error"),
        1795416779.22,
    )
    assert json.loads(found.original or b"") == response


def test_what_camunda_could_not_read_is_shown_and_not_given_to_it_again() -> None:
    body = {"error_info": {"type": "json_parse_error", "message": "?"}, "original_message": {"raw_body": "{"}}
    found = report_of(json.dumps(body).encode(), received(), INPUT_QUEUE_OF)
    assert (found.kind, found.target) == ("camunda_response", None)
    assert found.not_retried is not None


def test_a_task_that_camunda_could_not_publish_has_nothing_to_repeat() -> None:
    body = {"task_id": "t", "topic": "x", "error": "boom", "timestamp": 1795416779220, "type": "task_error"}
    found = report_of(json.dumps(body).encode(), received(), INPUT_QUEUE_OF)
    assert (found.kind, found.name, found.reason, found.target) == ("camunda_task", "t", Text.of("boom"), None)
    assert found.not_retried is not None


def test_a_dead_letter_of_a_known_queue_finds_its_way_back() -> None:
    task = camunda_message("task-1")
    found = report_of(task, received(headers={"x-first-death-queue": INPUT}), INPUT_QUEUE_OF)
    assert (found.kind, found.name, found.target, found.original) == ("foreign", "task-1", INPUT, task)
    nowhere = report_of(task, received(headers={"x-first-death-queue": "somebody.else"}), INPUT_QUEUE_OF)
    assert (nowhere.target, nowhere.not_retried is not None) == (None, True)


@given(JSON, st.dictionaries(st.text(), JSON, max_size=3))
def test_no_shape_is_refused(body: Any, headers: dict[str, Any]) -> None:
    found = report_of(json.dumps(body).encode(), received(headers=headers), INPUT_QUEUE_OF)
    assert found.name
    assert (found.target is None) == (found.not_retried is not None)


@given(st.binary(max_size=200))
def test_no_bytes_are_refused(body: bytes) -> None:
    for headers in ({}, {"task-creator-error": body.decode("latin-1")}, {"source": "task-creator"}):
        found = report_of(body, received(headers=headers), INPUT_QUEUE_OF)
        assert (found.target is None) == (found.not_retried is not None)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_the_original_is_found_whatever_stands_in_it(variables: dict[str, Any]) -> None:
    body = camunda_message("task-1", variables=variables, original_message={"original_message": variables})
    try:
        task = decode_task(body, Limits())
    except Exception:  # noqa: BLE001 - what the worker refuses is no task
        return
    error = PermanentError('it said "original_message": {"a": 1}', code="x")
    assert read(encode_failed_task(task, failure(error))).original == body
