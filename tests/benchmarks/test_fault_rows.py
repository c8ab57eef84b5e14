"""Rows of the groups portal, people, input and host: what the judge must see in them, then a few for real."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.faults.account import Account, Allowed, Evidence, Found, PortalTask, Published, make_account
from benchmarks.faults.bad_input import BAD_BODIES, bad_message, unknown_topic, with_byte_order_mark
from benchmarks.faults.lanes import Lane, open_lanes
from benchmarks.faults.rows import GROUPS, all_rows, matching
from benchmarks.faults.rows.input import good_or_bad, twice
from benchmarks.faults.runner import Orders
from core.errors import InvalidMessageError
from core.messages import Limits, decode_task
from sandbox.camunda import ERRORS_QUEUE
from sandbox.rabbitmq_server import Server

KINDS = range(len(BAD_BODIES))
BAD = bad_message(3)


def report(published: Published, **fields: Any) -> Found:
    """An error report as docs/contract.md describes it, for bytes that are no task."""
    original = base64.b64encode(published.body).decode()
    body = {"task_id": None, "code": published.code, "original_body_base64": original, **fields}
    return Found(ERRORS_QUEUE, "unreadable", json.dumps(body).encode())


def account(published: Published, *messages: Found, tasks: tuple[PortalTask, ...] = ()) -> Account:
    return make_account(Evidence([published], messages, {published.key: tasks}))


# -- the rows -----------------------------------------------------------------------------------------------------


def test_every_row_has_a_name_of_its_own_its_group_and_a_story() -> None:
    rows = all_rows()
    assert len({row.name for row in rows}) == len(rows)
    assert [row.name for row in rows if not row.story] == []
    groups = {row.group for row in rows}
    assert {group.__name__.rpartition(".")[2] for group in GROUPS} <= groups


def test_every_bad_message_has_bytes_of_its_own_by_which_it_is_known() -> None:
    messages = [good_or_bad(number) for number in range(1000)]
    assert len({each.body for each in messages}) == len({each.key for each in messages}) == len(messages)


@pytest.mark.parametrize("number", KINDS)
def test_the_reason_that_a_bad_message_must_get_is_the_one_that_the_contract_names(number: int) -> None:
    with pytest.raises(InvalidMessageError) as refused:
        decode_task(bad_message(number + 10 * len(KINDS)).body, Limits())
    assert refused.value.code == bad_message(number).code


def test_an_unknown_topic_and_a_byte_order_mark_are_readable() -> None:
    assert decode_task(unknown_topic(7).body, Limits()).topic == "bitrix_dance"
    assert decode_task(with_byte_order_mark(7).body, Limits()).task_id == with_byte_order_mark(7).key


# -- the judge ----------------------------------------------------------------------------------------------------


def test_a_report_with_the_reason_and_the_bytes_is_in_order() -> None:
    assert account(BAD, report(BAD)).violations(Allowed()) == []


def test_a_report_with_another_reason_is_wrong() -> None:
    assert account(BAD, report(BAD, code="not_json_at_all")).wrong == [BAD.key]


def test_a_report_without_the_original_bytes_is_wrong_unless_the_task_was_created() -> None:
    topic = unknown_topic(1)
    changed = Found(ERRORS_QUEUE, None, json.dumps({"task_id": topic.key, "code": topic.code}).encode())
    assert account(topic, changed).wrong == [topic.key]
    assert account(topic, changed, tasks=(PortalTask("7"),)).wrong == []


def test_a_message_that_is_reported_more_often_than_it_was_published_is_seen() -> None:
    found = account(BAD, report(BAD), report(BAD))
    assert found.violations(Allowed()) == [f"1 reported twice: {BAD.key}"]
    assert found.violations(Allowed(answered_twice=True)) == []


def test_each_copy_of_a_bad_message_needs_its_report() -> None:
    copied = next(twice(number) for number in range(10) if twice(number).ends == "parked")
    assert account(copied, report(copied)).lost == [copied.key]
    assert account(copied, report(copied), report(copied)).violations(Allowed()) == []


# -- real rows ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lane(server: Server) -> Iterator[Lane]:
    with open_lanes(1, server) as [lane]:
        yield lane


@pytest.mark.parametrize("name", ["portal-webhook-revoked", "task-reopened", "input-malformed", "clock-jumps"])
def test_the_row_is_green(lane: Lane, name: str) -> None:
    [row] = matching(all_rows(), [name])
    result = lane.play(row, Orders(rounds=1, scale=0.2, short=True), threading.Event())
    assert result.complaints == []


def test_tasks_that_come_twice_are_created_twice_when_nobody_looks_up(lane: Lane) -> None:
    [row] = matching(all_rows(), ["input-twice"])
    orders = Orders(rounds=1, scale=0.1, short=True, without="look-up", patience=10)
    assert lane.play(row, orders, threading.Event()).account.created_twice
