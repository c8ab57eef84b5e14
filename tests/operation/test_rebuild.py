"""A journal that is younger than the queues learns what is in them, and they notice nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pika
import pytest

from broker.topology import Topology, wait_queue_name
from core.copies import encode_copy
from core.envelopes import encode_sent
from core.messages import HEADER_DUE, Limits, OutgoingMessage, decode_task
from core.policy import Tries
from core.results import Accepted, Done
from journal.states import State
from operation.desk import Desk
from operation.rebuild import rebuild
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from testbench.harness import ERRORS, camunda_message, ensure, rabbitmq_settings, wait_until
from tests.operation.support import INPUT, SENT, desk_of, put, report
from tests.operation.test_error_queue import COUNTED_NONE, LIMITED, LOOKS
from tests.support.queue_types import CLASSIC_AND_QUORUM

DELAY = 20.0  # seconds: a step of the wait queues
WAITING = wait_queue_name(INPUT, DELAY)


@pytest.fixture
def desk(vhost: BrokerAddress, broker: Broker, queue_type: str, tmp_path: Path) -> Iterator[Desk]:
    for queue in (INPUT, SENT, ERRORS):
        broker.declare(queue, arguments=LIMITED if queue_type == "quorum" else None)
    ensure(vhost, [WAITING])
    with desk_of(vhost, tmp_path) as desk:
        yield desk


def sent(task_id: str, at: float, *, done: bool = False) -> OutgoingMessage:
    task = decode_task(camunda_message(task_id, business_key=f"BK-{task_id}"), Limits())
    result = Done({"result": {}}) if done else Accepted({"result": {"task": {"id": "42"}}}, "42")
    return encode_sent(task, INPUT, result, at)


def waiting(task_id: str, due: float | None) -> OutgoingMessage:
    """A copy for a second try, as the worker puts it into a wait queue."""
    body, first_seen = camunda_message(task_id), time.time() - 100
    copy = encode_copy(body, f"{task_id}:task", {}, tries=Tries(2), first_seen=first_seen, error="503")
    return copy if due is None else replace(copy, headers={**copy.headers, HEADER_DUE: f"{due:.3f}"})


def held(broker: Broker, queue: str) -> list[tuple[bytes, str | None, dict[str, Any]]]:
    found = []
    for properties, body in broker.get_all(queue):
        headers = {name: value for name, value in (properties.headers or {}).items() if (name, value) != COUNTED_NONE}
        found.append((body, properties.message_id, headers))
    return found


def of(*messages: OutgoingMessage) -> list[tuple[bytes, str | None, dict[str, Any]]]:
    return [(each.body, each.message_id, dict(each.headers)) for each in messages]


@CLASSIC_AND_QUORUM
def test_a_new_journal_knows_where_everything_stands_and_no_queue_has_changed(desk: Desk, broker: Broker) -> None:
    at = time.time() - 3600
    open_tasks = [sent(f"open-{number}", at + number) for number in range(520)]
    done, failed = sent("done", at, done=True), report("failed")
    due = time.time() + 3600
    late = waiting("waiting", due)
    put(broker, SENT, *open_tasks, done)
    put(broker, ERRORS, failed)
    put(broker, WAITING, late)
    result = rebuild(desk, "Ирина")
    assert result.added == {SENT: 521, ERRORS: 1, WAITING: 1}
    assert desk.journal is not None
    known = desk.journal.named(["open-3", "done", "failed", "waiting"])
    assert {name: each.state for name, each in known.items()} == {
        "open-3": State.TRACKING,
        "done": State.COMPLETING,
        "failed": State.FAILED,
        "waiting": State.RETRY_WAIT,
    }
    opened = known["open-3"]
    assert (opened.external, opened.business, opened.title) == ("42", "BK-open-3", "Согласовать договор")
    assert opened.first == pytest.approx(at + 3, abs=0.01)
    assert (known["failed"].code, known["waiting"].reason) == ("unknown_user", "503")
    assert known["waiting"].due == pytest.approx(due, abs=0.01)
    for _ in range(LOOKS):
        assert sum(rebuild(desk, "Ирина").added.values()) == 0, "it was told something that it knew"
    assert held(broker, SENT) == of(*open_tasks, done)
    assert held(broker, ERRORS) == of(failed)
    assert held(broker, WAITING) == of(late)


def test_what_the_journal_knows_of_later_stays(desk: Desk, broker: Broker) -> None:
    put(broker, SENT, sent("task-1", time.time() - 3600))
    rebuild(desk, "Ирина")
    put(broker, ERRORS, report("task-1"))
    rebuild(desk, "Ирина")
    assert desk.journal is not None
    assert desk.journal.named(["task-1"])["task-1"].state is State.FAILED, "the report is the later news"
    assert sum(rebuild(desk, "Ирина").added.values()) == 0


def test_what_waits_comes_when_it_would_have_come(desk: Desk, broker: Broker) -> None:
    soon, began = time.time() + 4, time.time()
    put(broker, WAITING, waiting("soon", soon), waiting("later", began + DELAY))
    rebuild(desk, "Ирина")
    wait_until(lambda: broker.count(INPUT) == 1, timeout=15)
    assert soon - 1 < time.time(), "it came before its time"
    assert [json.loads(body)["task_id"] for _, body in broker.get_all(INPUT)] == ["soon"]
    [(properties, _)] = broker.get_all(WAITING)
    assert int(properties.expiration or "") <= DELAY * 1000


def test_what_an_earlier_version_has_put_there_is_read_and_returned(desk: Desk, broker: Broker) -> None:
    old = waiting("old", None)
    put(broker, WAITING, old)
    assert rebuild(desk, "Ирина").added == {WAITING: 1}
    wait_until(lambda: broker.count(WAITING) == 1)
    [(properties, body)] = broker.get_all(WAITING)
    assert (body, properties.expiration) == (old.body, None)


def test_what_cannot_be_read_is_counted_and_stays(desk: Desk, broker: Broker) -> None:
    broker.publish(SENT, b"what is this?")
    result = rebuild(desk, "Ирина")
    assert (result.unreadable, result.added, broker.count(SENT)) == (1, {SENT: 0}, 1)


def test_a_rebuild_creates_no_queue(vhost: BrokerAddress, tmp_path: Path) -> None:
    with desk_of(vhost, tmp_path) as desk:
        assert rebuild(desk, "Ирина").looked_at == {}
        names = [ERRORS, Topology(rabbitmq_settings(vhost)).archive_queue, SENT]
        with desk.broker("test") as connection:
            for name in names:
                with pytest.raises(pika.exceptions.ChannelClosedByBroker):
                    connection.channel().queue_declare(name, passive=True)
