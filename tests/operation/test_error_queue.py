"""A person looks into the error queue, puts messages back and away: what he does not mean is not touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from broker.topology import ARCHIVE_QUEUE
from core.messages import OutgoingMessage
from journal.states import State
from operation.choosing import Choice
from operation.desk import Desk
from operation.error_groups import grouped, overview
from operation.error_queue import ErrorQueue
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.process import ROOT
from testbench.harness import ERRORS, camunda_message, wait_until
from tests.operation.support import INPUT, NO_ACCESS, SENT, desk_of, put, rejected, report, unreadable
from tests.support.queue_types import CLASSIC_AND_QUORUM

LIMITED = {"x-queue-type": "quorum", "x-delivery-limit": 3}
LOOKS = 5  # more than the limit allows
COUNTED_NONE = ("x-delivery-count", 0)  # what a quorum queue of 3.10 tells of a message that was never returned


@pytest.fixture
def desk(vhost: BrokerAddress, tmp_path: Path) -> Iterator[Desk]:
    with desk_of(vhost, tmp_path) as desk:
        yield desk


@pytest.fixture
def errors(desk: Desk, broker: Broker, queue_type: str) -> ErrorQueue:
    arguments = LIMITED if queue_type == "quorum" else None
    broker.declare(ERRORS, arguments=arguments)
    for queue in (INPUT, SENT):
        broker.declare(queue)
    return ErrorQueue(desk, "Ирина")


def seen(properties: Any, body: bytes) -> tuple[Any, ...]:
    """Everything of a message that a reader can see; a count of returns only where it is none any more."""
    headers = {name: value for name, value in (properties.headers or {}).items() if (name, value) != COUNTED_NONE}
    return (
        *(body, properties.message_id, headers, properties.content_type),
        *(properties.timestamp, properties.type, properties.correlation_id),
    )


def of(*messages: OutgoingMessage) -> list[tuple[Any, ...]]:
    """The same of messages that were not sent yet."""
    return [
        seen(
            pika.BasicProperties(
                message_id=each.message_id,
                headers=dict(each.headers),
                content_type=each.content_type,
                **each.properties,
            ),
            each.body,
        )
        for each in messages
    ]


def lying_in(broker: Broker, queue: str) -> list[tuple[Any, ...]]:
    return [seen(properties, body) for properties, body in broker.get_all(queue)]


def dropped(properties: pika.BasicProperties) -> str:
    return str((properties.headers or {}).get("task-creator-dropped"))


def six() -> list[OutgoingMessage]:
    foreign = {"timestamp": 1795416779, "type": "?", "correlation_id": "c"}
    return [
        report("task-1"),
        report("task-2", NO_ACCESS),
        unreadable(b"\xff garbage"),
        report("task-3"),
        rejected("task-4"),
        OutgoingMessage(b"what is this", "7", {"who": "knows", "n": 1, "large": "x" * 50_000}, properties=foreign),
    ]


@CLASSIC_AND_QUORUM
def test_looking_changes_nothing_however_often_somebody_looks(errors: ErrorQueue, broker: Broker) -> None:
    messages = six()
    put(broker, ERRORS, *messages)
    for _ in range(LOOKS):
        assert [each.kind for each in errors.look(Choice())] == [
            *("task", "task", "unreadable", "task", "tracking", "foreign")
        ]
    assert next(errors.look(Choice(code="no_access"))).name == "task-2", "and who has seen enough goes"
    assert lying_in(broker, ERRORS) == of(*messages)


@CLASSIC_AND_QUORUM
def test_only_what_is_meant_is_put_back_and_the_rest_stays_in_its_place(errors: ErrorQueue, broker: Broker) -> None:
    messages = six()
    put(broker, ERRORS, *messages)
    outcome = errors.retry(Choice(code="unknown_user"))
    assert [each.name for each in outcome.moved] == ["task-1", "task-3"]
    back = broker.get_all(INPUT)
    assert [body for _, body in back] == [camunda_message("task-1"), camunda_message("task-3")]
    assert [properties.message_id for properties, _ in back] == ["task-1:task", "task-3:task"]
    assert lying_in(broker, ERRORS) == of(messages[1], messages[2], messages[4], messages[5])


@CLASSIC_AND_QUORUM
def test_whatever_can_go_back_goes_back_and_what_cannot_is_named(errors: ErrorQueue, broker: Broker) -> None:
    messages = six()
    put(broker, ERRORS, *messages)
    outcome = errors.retry(Choice())
    assert len(outcome.moved) == 5
    assert [(each.kind, why.en) for each, why in outcome.left] == [("foreign", "nothing says which queue it came from")]
    assert sorted(body[:9] for _, body in broker.get_all(INPUT)) == sorted([b'{"task_id'] * 4 + [b"\xff garbage"])
    assert lying_in(broker, ERRORS) == of(messages[5])


@CLASSIC_AND_QUORUM
def test_what_was_dropped_comes_back_from_the_archive_as_it_was(errors: ErrorQueue, broker: Broker) -> None:
    messages = six()
    put(broker, ERRORS, *messages)
    assert len(errors.drop(Choice(group=group_of_first(errors)), "a test").moved) == 2
    assert broker.count(ERRORS) == 4
    archived = broker.peek(ARCHIVE_QUEUE)
    assert all("Ирина: a test" in dropped(properties) for properties, _ in archived)
    assert [each.name for each in errors.look(Choice(), archive=True)] == ["task-1", "task-3"]
    assert len(errors.drop(Choice(), "").moved) == 4
    assert errors.depth() == 0
    assert len(errors.restore(Choice(ids=["task-3", "7"])).moved) == 2
    assert lying_in(broker, ERRORS) == of(messages[3], messages[5])
    assert broker.count(ARCHIVE_QUEUE) == 4


def group_of_first(errors: ErrorQueue) -> str:
    return next(errors.look(Choice())).group


@pytest.mark.parametrize("size", [0, 5 * 1024 * 1024], ids=["embedded", "beside its report"])
def test_what_goes_back_is_a_first_try_of_the_same_message(errors: ErrorQueue, broker: Broker, size: int) -> None:
    body = camunda_message("task-1", variables={"x": "я" * (size // 2)})
    put(broker, ERRORS, report("task-1", variables={"x": "я" * (size // 2)}))
    errors.retry(Choice(ids=["task-1"]))
    [(properties, found)] = broker.get_all(INPUT)
    assert found == body
    assert (properties.content_type, properties.delivery_mode, properties.headers or {}) == ("application/json", 2, {})


def test_a_message_whose_queue_is_missing_stays(vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
    broker.declare(ERRORS)
    put(broker, ERRORS, report("task-1"))
    with desk_of(vhost, tmp_path) as desk:
        outcome = ErrorQueue(desk, "Ирина").retry(Choice())
    assert [why.en for _, why in outcome.left] == [f"there is no queue {INPUT}"]
    assert (broker.count(ERRORS), broker.count(INPUT)) == (1, 0)


def test_what_fails_again_while_a_command_runs_is_not_taken_once_more(errors: ErrorQueue, broker: Broker) -> None:
    put(broker, ERRORS, report("old"))
    began = time.time() - 3600
    put(broker, ERRORS, report("new"))
    assert [each.name for each in errors.retry(Choice(before=began)).moved] == []
    assert len(errors.retry(Choice(before=time.time())).moved) == 2


def test_a_rate_is_kept_and_nothing_is_left_behind(errors: ErrorQueue, broker: Broker) -> None:
    put(broker, ERRORS, *(report(f"task-{number}") for number in range(12)))
    outcome = errors.retry(Choice(), rate=6)
    moments = [each.at for each in outcome.moved]
    assert len(moments) == 12
    assert moments[-1] - moments[0] > 0.9, "twelve at six a second take longer than a second"


def test_an_edited_message_goes_and_its_original_lies_in_the_archive(errors: ErrorQueue, broker: Broker) -> None:
    original = report("task-1")
    put(broker, ERRORS, original)
    changed = camunda_message("task-1", variables={"responsible_id": "1"})
    errors.retry(Choice(ids=["task-1"]), edit=lambda _report: changed)
    assert [body for _, body in broker.get_all(INPUT)] == [changed]
    [(properties, body)] = broker.get_all(ARCHIVE_QUEUE)
    assert (body, broker.count(ERRORS)) == (original.body, 0)
    assert "edited" in dropped(properties)


def test_every_way_to_name_a_message_finds_it(errors: ErrorQueue, broker: Broker) -> None:
    put(broker, ERRORS, report("task-1", business_key="ORD-118"), rejected("task-2"))
    for name in ("task-1", "ORD-118"):
        assert [each.task_id for each in errors.look(Choice(ids=[name]))] == ["task-1"]
    assert [each.task_id for each in errors.look(Choice(ids=["42"]))] == ["task-2"]
    assert [each.task_id for each in errors.look(Choice(text="USER 77"))] == ["task-1"]
    assert [each.task_id for each in errors.look(Choice(topic="bitrix_create_task", since=time.time() - 90))] == [
        *("task-1", "task-2")
    ]
    assert list(errors.look(Choice(since=time.time()))) == []


def test_the_journal_knows_what_a_person_has_done(errors: ErrorQueue, desk: Desk, broker: Broker) -> None:
    put(broker, ERRORS, report("task-1"), report("task-2"), report("task-3"))
    errors.retry(Choice(ids=["task-1"]))
    errors.drop(Choice(ids=["task-2", "task-3"]), "a test")
    errors.restore(Choice(ids=["task-3"]))
    assert desk.journal is not None
    found = desk.journal.named(["task-1", "task-2", "task-3"])
    assert [found[name].state for name in sorted(found)] == [State.WAITING, State.DROPPED, State.FAILED]
    assert [event.code for event in desk.journal.events(found["task-3"])] == ["operator.dropped", "operator.seen"]
    acts = [each.fields["what"] for each in desk.journal.occurrences(code="operator.acted")]
    assert acts == ["errors restore", "errors drop", "errors retry"]


def test_a_journal_that_does_not_know_all_is_no_source_of_a_list(
    errors: ErrorQueue, desk: Desk, broker: Broker
) -> None:
    put(broker, ERRORS, report("task-1"), report("task-2"), report("task-3", NO_ACCESS))
    told = overview(desk, errors, Choice())
    assert (told.source, [each.count for each in told.groups], told.in_queue) == ("queue", [2, 1], 3)
    errors.drop(Choice(), "")
    errors.restore(Choice())
    again = overview(desk, errors, Choice())
    assert (again.source, [each.count for each in again.groups], again.in_queue) == ("journal", [2, 1], 3)
    assert [each.group for each in again.groups] == [each.group for each in grouped(errors.look(Choice()))]


RETRYING = """
import os, sys
from pathlib import Path
from operation.choosing import Choice
from operation.error_queue import ErrorQueue
from tests.operation.support import desk_of
from sandbox.address import BrokerAddress
with desk_of(BrokerAddress(*eval(sys.argv[1])), Path(sys.argv[2])) as desk:
    print("ready", flush=True)
    ErrorQueue(desk, "x").retry(Choice(), rate=200)
"""


@CLASSIC_AND_QUORUM
def test_a_killed_command_loses_no_message_and_doubles_only_what_it_had_just_sent(
    errors: ErrorQueue, vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    names = [f"task-{number}" for number in range(600)]
    put(broker, ERRORS, *(report(name) for name in names))
    for kill in range(3):
        address = (vhost.host, vhost.port, vhost.username, vhost.password, vhost.vhost)
        command = subprocess.Popen(
            [sys.executable, "-c", RETRYING, repr(address), str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert command.stdout is not None
        assert command.stdout.readline()
        broker.wait_for_at_least(INPUT, 200 * kill + 1)
        os.kill(command.pid, signal.SIGKILL)
        command.wait()
        command.stdout.close()
    wait_until(lambda: broker.count(ERRORS) + broker.count(INPUT) >= len(names))
    back = [json.loads(body)["task_id"] for _, body in broker.get_all(INPUT)]
    wait_until(lambda: len({*back, *(each.name for each in errors.look(Choice()))}) == len(names))
    left = [each.name for each in errors.look(Choice())]
    assert sorted({*back, *left}) == sorted(names)
    assert len(back) + len(left) - len(names) <= 3 * 200, "more is there twice than a portion for each kill"
