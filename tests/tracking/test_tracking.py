"""A sweep answers what is finished, once, and puts everything else back where it was."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from pika import BasicProperties
from pika.exceptions import AMQPError

from base_tracker import BaseTracker
from core.envelopes import SentMessage, encode_sent
from core.errors import OutageError
from core.messages import Limits, TrackedTask, decode_task
from core.results import Accepted, Completed, Done, Pending, Rejected, Verdict
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.rabbitmq import RabbitNode
from testbench.harness import ERRORS, RESPONSES, Bench, camunda_message
from tests.support.any_json import ANY
from tests.support.queue_types import ON_CLASSIC
from tracking.responses import age_of
from tracking.tracked_queue import SweepResult

SENT = "bitrix24.sent.queue"


class Tracker(BaseTracker):
    """Knows which tasks people have finished, and how often it was asked."""

    chunk_size = 10

    def __init__(self) -> None:
        super().__init__("test")
        self.finished: set[str] = set()
        self.deleted: set[str] = set()
        self.down = False
        self.asked: list[list[TrackedTask]] = []

    def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
        self.asked.append(list(tasks))
        if self.down:
            raise OutageError("connection refused")
        return [self._verdict(task) for task in tasks]

    def _verdict(self, task: TrackedTask) -> Verdict:
        if task.task_id in self.finished:
            return Completed({"result": {"task": {"id": task.external_id, "status": "5"}}})
        if task.task_id in self.deleted:
            return Rejected("somebody has deleted the task", "task_deleted")
        return Pending()


def put_sent(broker: Broker, task_ids: Sequence[str], result: Accepted | Done | None = None, **fields: Any) -> None:
    with broker.channel() as channel:
        channel.confirm_delivery()
        for task_id in task_ids:
            task = decode_task(camunda_message(task_id, **fields), Limits())
            stored = result or Accepted({"result": {"task": {"id": f"ext-{task_id}"}}}, f"ext-{task_id}")
            message = encode_sent(task, "bitrix24.queue", stored, now=1.0)
            properties = BasicProperties(delivery_mode=2, message_id=message.message_id, headers=dict(message.headers))
            channel.basic_publish("", SENT, message.body, properties)


def ids(broker: Broker, queue: str) -> list[str]:
    return [json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(queue)]


def sweep(vhost: BrokerAddress, tracker: Tracker, times: int = 1, **options: Any) -> list[SweepResult]:
    bench = Bench(vhost)
    results = []
    with bench.running():
        sweeper = bench.sweeper(SENT, tracker, **options)
        for _ in range(times):
            result = SweepResult()
            sweeper.sweep(result)
            results.append(result)
    return results


@ON_CLASSIC
def test_what_is_finished_is_answered_and_the_rest_stays_in_its_order(vhost: BrokerAddress, sent: Broker) -> None:
    tracker = Tracker()
    tracker.finished = {"task-3", "task-17", "task-24"}
    put_sent(sent, [f"task-{number}" for number in range(25)])
    [result] = sweep(vhost, tracker)

    assert (result.checked, result.completed, result.moved, result.errors) == (25, 3, 3, 0)
    assert sorted(ids(sent, RESPONSES)) == ["task-17", "task-24", "task-3"]
    left = ids(sent, SENT)
    assert left == [f"task-{number}" for number in range(25) if f"task-{number}" not in tracker.finished]
    assert [len(tasks) for tasks in tracker.asked] == [10, 10, 5], "asked in bulk"
    assert (result.found, result.left, result.calls) == (25, 22, 4), "what has changed is asked once"


def test_every_open_task_is_looked_at_in_every_sweep(vhost: BrokerAddress, sent: Broker) -> None:
    tracker = Tracker()
    put_sent(sent, [f"task-{number}" for number in range(120)])
    sweep(vhost, tracker, times=3)
    assert Counter(task.task_id for tasks in tracker.asked for task in tasks) == Counter(
        {f"task-{number}": 3 for number in range(120)}
    )


def test_the_response_is_what_camunda_s_worker_reads(vhost: BrokerAddress, sent: Broker) -> None:
    tracker = Tracker()
    tracker.finished = {"task-1"}
    variables = {"projectId": "123", "Activity_1": "ok", "Activity_1_Q1_b": True, "Activity_10": "kept"}
    put_sent(sent, ["task-1"], variables=variables)
    sweep(vhost, tracker)

    [(properties, body)] = sent.get_all(RESPONSES)
    response = json.loads(body)
    assert response["processing_status"] == "completed_by_tracker"
    assert response["response_data"] == {"result": {"task": {"id": "ext-task-1", "status": "5"}}}
    assert response["original_queue"] == "bitrix24.queue"
    assert response["original_message"]["task_id"] == "task-1"
    # The answer of an earlier pass of a rework loop would win over the new one.
    assert response["original_message"]["variables"] == {"projectId": "123", "Activity_10": "kept"}
    assert response["processed_at"] > 1.0
    assert properties.message_id == "task-1:response"
    assert properties.delivery_mode == 2


def test_the_echo_of_variables_can_be_switched_off(vhost: BrokerAddress, sent: Broker) -> None:
    tracker = Tracker()
    tracker.finished = {"task-1"}
    put_sent(sent, ["task-1"])
    sweep(vhost, tracker, echo_variables=False)
    [(_, body)] = sent.get_all(RESPONSES)
    assert json.loads(body)["original_message"]["variables"] == {}


def test_a_task_done_at_once_is_forwarded_without_asking(vhost: BrokerAddress, sent: Broker) -> None:
    tracker = Tracker()
    put_sent(sent, ["task-1"], Done({"result": {"item": {"id": 7}}}))
    sweep(vhost, tracker)
    [(_, body)] = sent.get_all(RESPONSES)
    response = json.loads(body)
    assert response["processing_status"] == "completed"
    assert response["response_data"] == {"result": {"item": {"id": 7}}}
    assert tracker.asked == []


def test_a_deleted_task_is_reported_to_people_and_never_to_camunda(vhost: BrokerAddress, sent: Broker) -> None:
    tracker = Tracker()
    tracker.deleted = {"task-1"}
    put_sent(sent, ["task-1", "task-2"])
    [result] = sweep(vhost, tracker)
    assert result.errors == 1
    [(_, body)] = sent.get_all(ERRORS)
    report = json.loads(body)
    assert (report["code"], report["outcome"], report["external_id"]) == ("task_deleted", "business", "ext-task-1")
    assert report["original_message"]["task_id"] == "task-1"
    assert sent.count(RESPONSES) == 0
    assert ids(sent, SENT) == ["task-2"]


def test_a_second_copy_of_a_sent_message_gets_no_second_answer(vhost: BrokerAddress, sent: Broker) -> None:
    tracker = Tracker()
    tracker.finished = {"task-1"}
    put_sent(sent, ["task-1", "task-1", *(f"open-{number}" for number in range(20)), "task-1"])
    sweep(vhost, tracker)
    assert ids(sent, RESPONSES) == ["task-1"]
    assert "task-1" not in ids(sent, SENT)


@ON_CLASSIC
def test_an_unreachable_system_leaves_every_task_where_it_is(vhost: BrokerAddress, sent: Broker) -> None:
    tracker = Tracker()
    tracker.down = True
    put_sent(sent, [f"task-{number}" for number in range(30)])
    with pytest.raises(OutageError):
        sweep(vhost, tracker)
    assert ids(sent, SENT) == [f"task-{number}" for number in range(30)]


@pytest.mark.parametrize("answer", ["cut \ud800", float("nan")])
def test_an_answer_that_is_no_json_does_not_hold_up_its_neighbours(
    vhost: BrokerAddress, sent: Broker, answer: object
) -> None:
    class Odd(Tracker):
        def _verdict(self, task: TrackedTask) -> Verdict:
            response = {"result": {"task": {"answer": answer if task.task_id == "odd" else "fine"}}}
            return Completed(response)

    put_sent(sent, ["task-1", "odd", "task-2"])
    sweep(vhost, Odd())
    assert sorted(ids(sent, RESPONSES)) == ["task-1", "task-2"]
    [(_, body)] = sent.get_all(ERRORS)
    report = json.loads(body)
    assert (report["task_id"], report["code"], report["external_id"]) == ("odd", "bad_result", "ext-odd")
    assert sent.count(SENT) == 0


def test_garbage_in_the_sent_queue_is_set_aside_and_the_others_are_checked(vhost: BrokerAddress, sent: Broker) -> None:
    tracker = Tracker()
    tracker.finished = {"task-1"}
    sent.publish_all(SENT, [b"\xff\xfe", b"{}", b'{"original_message": {"task_id": ""}}'])
    put_sent(sent, ["task-1"])
    sweep(vhost, tracker)
    assert sent.count(ERRORS) == 3
    assert ids(sent, RESPONSES) == ["task-1"]
    assert sent.count(SENT) == 0


def test_sent_messages_of_the_origin_without_headers_are_tracked(vhost: BrokerAddress, sent: Broker) -> None:
    tracker = Tracker()
    tracker.finished = {"task-1"}
    original = json.loads(camunda_message("task-1"))
    body = {
        "timestamp": 1.0,
        "original_queue": "bitrix24.queue",
        "original_message": original,
        "response_data": {"result": {"task": {"id": "4711"}}},
        "processing_status": "success",
        "processed_at": 2.0,
    }
    sent.publish(SENT, json.dumps(body))
    sweep(vhost, tracker)
    assert tracker.asked == [[TrackedTask("task-1", "4711")]]
    assert sent.count(RESPONSES) == 1


def test_on_a_quorum_queue_no_return_is_counted_against_an_open_task(vhost: BrokerAddress, broker: Broker) -> None:
    # RabbitMQ 4.0 drops a message of a quorum queue after 20 returns; here the limit is 3.
    broker.declare(SENT, arguments={"x-queue-type": "quorum", "x-delivery-limit": 3})
    tracker = Tracker()
    put_sent(broker, [f"task-{number}" for number in range(12)])
    sweep(vhost, tracker, times=10)
    assert sorted(ids(broker, SENT)) == sorted(f"task-{number}" for number in range(12))


# A quorum queue that is younger than two seconds when its node is killed comes back empty (3.10.8, 4.0.5, 4.3.6).
@ON_CLASSIC
def test_a_broker_killed_during_a_sweep_loses_no_tracked_task(
    destructive_node: RabbitNode, destructive_broker: Broker
) -> None:
    destructive_broker.declare(SENT)
    put_sent(destructive_broker, [f"task-{number}" for number in range(40)])

    back = threading.Event()

    class Killer(Tracker):
        def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
            if len(self.asked) == 2 and not back.is_set():
                destructive_node.kill()
                destructive_node.start()
                back.set()
            return super().check(tasks)

    tracker = Killer()
    tracker.finished = {f"task-{number}" for number in range(40)}
    bench = Bench(destructive_broker.address)
    with bench.running():
        sweeper = bench.sweeper(SENT, tracker)
        with pytest.raises(AMQPError):
            sweeper.sweep(SweepResult())
        assert back.wait(60)
        sweeper.sweep(SweepResult())
    answered = Counter(ids(destructive_broker, RESPONSES))
    assert set(answered) == tracker.finished
    assert destructive_broker.count(SENT) == 0


@given(ANY)
@example(10**400)
@example(-(10**400))
@example(True)
def test_a_sent_message_of_others_may_say_anything_about_its_time(stored: Any) -> None:
    age = age_of(SentMessage({"processed_at": stored}, "task-1", None), 1000.0)
    assert age is None or 0 <= age <= 1000
    if type(stored) is float and 0 <= stored <= 1000:
        assert age == 1000 - stored
