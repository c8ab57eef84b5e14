"""From a delivery to a settlement, on a real broker: nothing is acked before it is durable elsewhere."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from pika.exceptions import ChannelClosedByBroker

from base_handler import BaseMessageHandler, HandlerOutcome
from core.errors import (
    AmbiguousError,
    BusinessError,
    ConfigurationError,
    OutageError,
    OutcomeError,
    PermanentError,
    TransientError,
)
from core.messages import IncomingMessage, Limits, OutgoingMessage
from core.results import Accepted, Acknowledged, Done, Result
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.proxy import TcpProxy
from sandbox.rabbitmq import RabbitNode
from testbench.harness import ERRORS, Bench, camunda_message, wait_until
from tests.support.queue_types import ON_CLASSIC

QUEUE = "bitrix24.queue"
SENT = "bitrix24.sent.queue"


class Handler(BaseMessageHandler):
    """Does what the test says, and remembers whom it created."""

    def __init__(self, act: Callable[[IncomingMessage], Result] | None = None) -> None:
        super().__init__("test")
        self.act = act or self.create
        self.seen: list[str] = []
        self.created: Counter[str] = Counter()
        self.down: OutcomeError | None = None
        self.probes = 0

    def create(self, message: IncomingMessage) -> Result:
        self.created[message.task.task_id] += 1
        external_id = str(len(self.created))
        return Accepted({"result": {"task": {"id": external_id}}, "success": True}, external_id)

    def handle(self, message: IncomingMessage) -> Result:
        self.seen.append(message.task.task_id)
        if self.down is not None:
            raise self.down
        return self.act(message)

    def probe(self) -> None:
        self.probes += 1
        if self.down is not None:
            raise self.down


@pytest.fixture
def queues(broker: Broker) -> Broker:
    """The input queue as Camunda's side has declared it."""
    broker.declare(QUEUE)
    return broker


def error_report(broker: Broker) -> dict[str, Any]:
    broker.wait_for_count(ERRORS, 1)
    [(_, body)] = broker.get_all(ERRORS)
    report: dict[str, Any] = json.loads(body)
    return report


def test_a_result_is_stored_in_the_contract_s_format(vhost: BrokerAddress, queues: Broker) -> None:
    original = camunda_message("task-1")
    queues.publish(QUEUE, original)
    bench = Bench(vhost)
    bench.add(QUEUE, Handler(), sent_queue=SENT)
    with bench.running():
        queues.wait_for_count(SENT, 1)

    [(properties, body)] = queues.get_all(SENT)
    sent = json.loads(body)
    assert list(sent) == [
        "timestamp",
        "original_queue",
        "original_message",
        "response_data",
        "processing_status",
        "processed_at",
    ]
    assert sent["original_message"] == json.loads(original)
    assert sent["timestamp"] == 1795416779220
    assert sent["original_queue"] == QUEUE
    assert sent["response_data"] == {"result": {"task": {"id": "1"}}, "success": True}
    assert sent["processing_status"] == "success"
    assert original in body  # byte for byte, Cyrillic unescaped
    assert properties.headers is not None
    assert properties.headers["task-creator-external-id"] == "1"
    assert queues.count(QUEUE) == 0


class OddError(OutcomeError):
    outcome = "odd"  # type: ignore[assignment]  # a system of somebody's own


def test_an_outcome_that_nobody_knows_goes_to_people_and_the_others_flow(vhost: BrokerAddress, queues: Broker) -> None:
    def act(message: IncomingMessage) -> Result:
        if message.task.task_id == "odd":
            raise OddError("the moon is full")
        return Accepted({"success": True}, "1")

    queues.publish_all(QUEUE, [camunda_message("odd"), camunda_message("good")])
    bench = Bench(vhost)
    bench.add(QUEUE, Handler(act), sent_queue=SENT)
    with bench.running():
        queues.wait_for_count(SENT, 1)
        report = error_report(queues)
    assert report["task_id"] == "odd"
    assert report["code"] == "unknown_outcome"
    assert report["error"] == "OddError has no outcome of core.outcomes: the moon is full"
    assert queues.count(QUEUE) == 0


BROKEN: dict[str, bytes] = {
    "not_json": b'{"task_id": "a", ',
    "not_utf8": '{"task_id": "задача"}'.encode("cp1251"),
    "not_an_object": b"[1, 2]",
    "missing_task_id": b'{"topic": "bitrix_create_task"}',
    "missing_topic": b'{"task_id": "a"}',
    "bad_task_id": b'{"task_id": 7, "topic": "t"}',
    "duplicate_key": b'{"task_id": "a", "task_id": "b", "topic": "t"}',
    "bad_number": b'{"task_id": "a", "topic": "t", "variables": {"x": NaN}}',
    "lone_surrogate": b'{"task_id": "a", "topic": "t", "variables": {"x": "\\ud800"}}',
    "message_too_deep": b'{"task_id": "a", "topic": "t", "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "message_too_large": b'{"task_id": "a", "topic": "t", "x": "' + b"x" * 200_000 + b'"}',
}


@pytest.mark.parametrize("code", BROKEN)
def test_bytes_that_are_no_task_reach_the_error_queue_unchanged(
    vhost: BrokerAddress, queues: Broker, code: str
) -> None:
    queues.publish(QUEUE, BROKEN[code])
    queues.publish(QUEUE, camunda_message("healthy"))
    bench = Bench(vhost)
    bench.add(QUEUE, Handler(), sent_queue=SENT, limits=Limits(max_bytes=100_000))
    with bench.running():
        report = error_report(queues)
        queues.wait_for_count(SENT, 1)

    assert report["code"] == code
    assert report["outcome"] == "permanent"
    assert report["source_queue"] == QUEUE
    assert base64.b64decode(report["original_body_base64"]) == BROKEN[code]
    assert queues.count(QUEUE) == 0


def test_a_message_too_large_to_be_wrapped_stays_the_body_of_its_error_report(
    vhost: BrokerAddress, queues: Broker
) -> None:
    large = b"{" + b" " * 5_000_000
    queues.publish(QUEUE, large)
    bench = Bench(vhost)
    bench.add(QUEUE, Handler(), sent_queue=SENT)
    with bench.running():
        queues.wait_for_count(ERRORS, 1)
    [(properties, body)] = queues.get_all(ERRORS)
    assert body == large
    assert properties.headers is not None
    assert json.loads(str(properties.headers["task-creator-error"]))["code"] == "not_json"


def test_a_transient_error_is_retried_and_then_parked_with_its_history(vhost: BrokerAddress, queues: Broker) -> None:
    attempts: list[int] = []

    def refuse(message: IncomingMessage) -> Result:
        attempts.append(message.attempt)
        raise TransientError("the row is locked", code="locked")

    original = camunda_message("task-1")
    queues.publish(QUEUE, original)
    bench = Bench(vhost)
    bench.add(QUEUE, Handler(refuse), sent_queue=SENT, attempts=3, delay=0.1)
    with bench.running():
        report = error_report(queues)

    assert attempts == [1, 2, 3, 4]
    assert report["attempts"] == 4
    assert (report["outcome"], report["code"], report["error"]) == ("transient", "locked", "the row is locked")
    assert report["original_message"] == json.loads(original)
    assert report["first_seen"] < report["last_seen"]
    assert report["type"] == "task_error"
    assert report["topic"] == "bitrix_create_task"


@pytest.mark.parametrize("error", [PermanentError("unknown user 99"), BusinessError("limit exceeded", code="LIMIT")])
def test_a_final_error_is_parked_at_once(vhost: BrokerAddress, queues: Broker, error: OutcomeError) -> None:
    def refuse(_message: IncomingMessage) -> Result:
        raise error

    queues.publish(QUEUE, camunda_message("task-1"))
    bench = Bench(vhost)
    handler = Handler(refuse)
    bench.add(QUEUE, handler, sent_queue=SENT)
    with bench.running():
        report = error_report(queues)
    assert (report["outcome"], report["code"], report["attempts"]) == (error.outcome, error.code, 1)
    assert handler.seen == ["task-1"]


@pytest.mark.parametrize("mistake", [ZeroDivisionError("division by zero"), SystemExit(1)])
def test_a_handler_with_a_mistake_in_it_loses_nothing(
    vhost: BrokerAddress, queues: Broker, mistake: BaseException
) -> None:
    def crash(message: IncomingMessage) -> Result:
        if message.task.task_id == "unlucky":
            raise mistake
        return Accepted({})

    queues.publish_all(QUEUE, [camunda_message("unlucky"), camunda_message("lucky")])
    bench = Bench(vhost)
    bench.add(QUEUE, Handler(crash), sent_queue=SENT, attempts=1)
    with bench.running():
        report = error_report(queues)
        queues.wait_for_count(SENT, 1)
    assert report["task_id"] == "unlucky"
    assert type(mistake).__name__ in report["error"]


@pytest.mark.parametrize("response", [{"x": float("nan")}, {"x": "\ud800"}])
def test_a_result_that_is_no_json_is_told_to_people(
    vhost: BrokerAddress, queues: Broker, response: dict[str, Any]
) -> None:
    queues.publish(QUEUE, camunda_message("task-1"))
    bench = Bench(vhost)
    bench.add(QUEUE, Handler(lambda _: Accepted(response)), sent_queue=SENT)
    with bench.running():
        report = error_report(queues)
    assert report["code"] == "bad_result"


@pytest.mark.parametrize("error", [OutageError("connection refused"), ConfigurationError("webhook revoked")])
def test_an_outage_of_any_length_spends_no_attempts(vhost: BrokerAddress, queues: Broker, error: OutcomeError) -> None:
    handler = Handler()
    handler.down = error
    queues.publish_all(QUEUE, [camunda_message(f"task-{number}") for number in range(100)])
    bench = Bench(vhost)
    bench.add(QUEUE, handler, sent_queue=SENT, attempts=0, probe_interval=0.05)
    with bench.running():
        wait_until(lambda: handler.probes >= 10, what="the tenth probe")
        assert queues.count(ERRORS) == 0
        assert len(handler.seen) < 10, "a paused system is asked by probes, not by messages"
        handler.down = None
        queues.wait_for_count(SENT, 100)
    assert queues.count(ERRORS) == 0
    assert queues.count(QUEUE) == 0
    assert set(handler.created.values()) == {1}
    for properties, _ in queues.get_all(SENT):
        assert properties.message_id is not None
    stats = bench.statistics.snapshot(0.0)
    assert stats["failed_messages"] == stats["systems"]["bitrix24"]["failed"] == 0, "nothing is wrong with a message"
    assert stats["postponed_messages"] == stats["systems"]["bitrix24"]["postponed"] == len(handler.seen) - 100
    assert stats["total_messages"] == len(handler.seen)


def test_a_message_that_only_looks_like_an_outage_does_not_hold_up_the_others(
    vhost: BrokerAddress, queues: Broker
) -> None:
    def poison(message: IncomingMessage) -> Result:
        if message.task.task_id == "poison":
            raise OutageError("503 Service Unavailable", code="http_503")
        return Accepted({})

    bench = Bench(vhost)
    bench.add(QUEUE, Handler(poison), sent_queue=SENT, attempts=1, probe_interval=0.05)
    with bench.running():
        queues.publish(QUEUE, camunda_message("poison"))
        published = 0
        while queues.count(ERRORS) == 0:  # one message alone cannot be told from an outage
            queues.publish(QUEUE, camunda_message(f"task-{published}"))
            published += 1
            queues.wait_for_count(SENT, published)
        report = error_report(queues)
    assert report["task_id"] == "poison"


def test_an_ambiguous_request_costs_no_attempt_but_does_not_circulate_for_ever(
    vhost: BrokerAddress, queues: Broker
) -> None:
    attempts: list[int] = []

    def doubt(message: IncomingMessage) -> Result:
        attempts.append(message.attempt)
        raise AmbiguousError("no answer", retry_after=0.0)

    queues.publish(QUEUE, camunda_message("task-1"))
    bench = Bench(vhost)
    bench.add(QUEUE, Handler(doubt), sent_queue=SENT)
    with bench.running():
        report = error_report(queues)
    assert report["outcome"] == "ambiguous"
    assert attempts == [1] * 21


def test_a_slow_system_does_not_delay_another(vhost: BrokerAddress, queues: Broker) -> None:
    release = threading.Event()
    entered = threading.Event()

    def hang(_message: IncomingMessage) -> Result:
        entered.set()
        release.wait(60)
        return Accepted({})

    queues.declare("1c.queue")
    queues.publish_all(QUEUE, [camunda_message(f"slow-{number}") for number in range(30)])
    bench = Bench(vhost)
    bench.add(QUEUE, Handler(hang), sent_queue=SENT)
    bench.add("1c.queue", Handler(), sent_queue="1c.sent.queue")
    with bench.running():
        assert entered.wait(20)
        queues.publish_all("1c.queue", [camunda_message(f"fast-{number}") for number in range(200)])
        queues.wait_for_count("1c.sent.queue", 200)
        assert queues.count(SENT) == 0
        release.set()
        queues.wait_for_count(SENT, 30)


@pytest.mark.parametrize(
    ("result", "code", "line"),
    [
        (Accepted({}, "48211"), "task.accepted", "task created as 48211"),
        (Accepted({}), "task.accepted", "task created"),
        (Done({}, "<1@example.com>"), "task.done", "task done"),
        (Accepted({}, "48211", duplicate=True), "task.found", "task had been created as 48211"),
        (Done({}, duplicate=True), "task.found", "task had been done"),
        (Acknowledged(), "task.done", "task done; its handler keeps no result"),
    ],
)
def test_the_log_says_created_of_what_is_open_and_done_of_what_is_done(
    vhost: BrokerAddress, queues: Broker, caplog: pytest.LogCaptureFixture, result: Result, code: str, line: str
) -> None:
    caplog.set_level("INFO")
    queues.publish(QUEUE, camunda_message("task-1"))
    bench = Bench(vhost)
    bench.add(QUEUE, Handler(lambda _message: result), sent_queue=SENT)

    def told() -> list[tuple[str, str]]:
        about = [record for record in caplog.records if getattr(record, "task_id", None) == "task-1"]
        return [(vars(record)["event"], record.getMessage()) for record in about]

    with bench.running():
        wait_until(lambda: bool(told()), what="the line")
    assert told() == [(code, line)]


def test_done_wakes_the_tracker_after_the_result_is_stored(vhost: BrokerAddress, queues: Broker) -> None:
    queues.publish(QUEUE, camunda_message("task-1"))
    bench = Bench(vhost)
    bench.add(QUEUE, Handler(lambda _: Done({"result": True})), sent_queue=SENT)
    with bench.running():
        wait_until(lambda: bench.woken == [SENT], what="the wake-up")
        assert queues.count(SENT) == 1


class BatchHandler(Handler):
    """Takes many at once, fails some, forgets one."""

    batch_size = 50

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def handle_batch(self, messages: Sequence[IncomingMessage]) -> Iterator[tuple[IncomingMessage, HandlerOutcome]]:
        self.sizes.append(len(messages))
        for message in messages:
            number = int(message.task.task_id)
            if message.attempt == 1 and number % 10 == 3:
                yield message, TransientError("locked")
            elif message.attempt == 1 and number % 10 == 7:
                continue
            else:
                yield message, self.create(message)


def test_a_backlog_is_handed_over_in_batches_and_each_message_gets_its_own_outcome(
    vhost: BrokerAddress, queues: Broker
) -> None:
    queues.publish_all(QUEUE, [camunda_message(str(number)) for number in range(200)])
    handler = BatchHandler()
    bench = Bench(vhost)
    bench.add(QUEUE, handler, sent_queue=SENT, prefetch=100, threads=1)
    with bench.running():
        queues.wait_for_count(SENT, 200)
    assert max(handler.sizes) == 50
    assert handler.created == Counter({str(number): 1 for number in range(200)})


def test_a_cut_connection_loses_nothing_and_acks_nothing_stale(
    vhost: BrokerAddress, queues: Broker, proxy: TcpProxy
) -> None:
    handler = Handler()
    queues.publish_all(QUEUE, [camunda_message(f"task-{number}") for number in range(1000)])
    bench = Bench(vhost.through(proxy.port))
    bench.add(QUEUE, handler, sent_queue=SENT)
    with bench.running():
        for enough in (100, 300, 600):
            wait_until(partial(_has_created, handler, enough), what=f"{enough} tasks")
            proxy.cut()
        wait_until(lambda: queues.count(QUEUE) == 0 and len(handler.created) == 1000, 60, "an empty queue")
        wait_until(lambda: bench.publisher.unconfirmed() == 0, what="all confirms")
    stored = Counter(json.loads(body)["original_message"]["task_id"] for _, body in queues.get_all(SENT))
    assert len(stored) == 1000
    assert queues.count(QUEUE) == 0
    assert queues.count(ERRORS) == 0


def test_a_deleted_queue_comes_back_and_is_consumed_again(vhost: BrokerAddress, queues: Broker) -> None:
    handler = Handler()
    bench = Bench(vhost)
    bench.add(QUEUE, handler, sent_queue=SENT)
    with bench.running():
        wait_until(bench.consumer.is_consuming, what="the consumer")
        with queues.channel() as channel:
            channel.queue_delete(QUEUE)
        queues.wait_for_count(QUEUE, 0)
        wait_until(lambda: _exists(queues, QUEUE), what="the queue")
        queues.publish(QUEUE, camunda_message("task-1"))
        queues.wait_for_count(SENT, 1)


def test_a_queue_that_cannot_be_had_does_not_stop_the_others(vhost: BrokerAddress, queues: Broker) -> None:
    handler = Handler()
    bench = Bench(vhost)
    bench.add("amq.forbidden.queue", Handler())  # the broker reserves names with amq.
    bench.add(QUEUE, handler, sent_queue=SENT)
    queues.publish(QUEUE, camunda_message("task-1"))
    with bench.running():
        queues.wait_for_count(SENT, 1)
        assert not bench.consumer.is_consuming()


# A quorum queue that is younger than two seconds when its node is killed comes back empty (3.10.8, 4.0.5, 4.3.6).
@ON_CLASSIC
def test_a_broker_killed_and_started_again_while_working_loses_nothing(
    destructive_node: RabbitNode, destructive_broker: Broker
) -> None:
    handler = Handler()
    destructive_broker.declare(QUEUE)
    destructive_broker.publish_all(QUEUE, [camunda_message(f"task-{number}") for number in range(1500)])
    bench = Bench(destructive_broker.address)
    bench.add(QUEUE, handler, sent_queue=SENT)
    with bench.running():
        wait_until(lambda: len(handler.created) > 300, what="300 tasks")
        destructive_node.kill()
        destructive_node.start()
        wait_until(lambda: len(handler.created) == 1500, 60, "all tasks")
        wait_until(lambda: destructive_broker.count(QUEUE) == 0, what="an empty queue")
        wait_until(lambda: bench.publisher.unconfirmed() == 0, what="all confirms")
    stored = {json.loads(body)["original_message"]["task_id"] for _, body in destructive_broker.get_all(SENT)}
    assert len(stored) == 1500


def test_a_blocked_broker_stops_the_creation_of_tasks_whose_result_could_not_be_stored(
    destructive_node: RabbitNode, destructive_broker: Broker
) -> None:
    handler = Handler()
    destructive_broker.declare(QUEUE)
    bench = Bench(destructive_broker.address)
    bench.add(QUEUE, handler, sent_queue=SENT, prefetch=5, threads=1)
    with bench.running():
        destructive_broker.publish(QUEUE, camunda_message("first"))
        destructive_broker.wait_for_count(SENT, 1)
        destructive_broker.publish_all(QUEUE, [camunda_message(f"task-{number}") for number in range(50)])
        destructive_broker.wait_for_count(SENT, 51)
        bench.publisher.publish("other.sent.queue", _plain("a")).result(20)
        destructive_node.set_memory_alarm(True)
        bench.publisher.publish("other.sent.queue", _plain("b"))
        wait_until(lambda: not bench.publisher.is_ready(), what="connection.blocked")
        created_before = len(handler.created)
        destructive_node.set_memory_alarm(False)
        destructive_broker.publish_all(QUEUE, [camunda_message(f"more-{number}") for number in range(50)])
        destructive_broker.wait_for_count(SENT, 101)
    assert created_before == 51


def _plain(name: str) -> OutgoingMessage:
    return OutgoingMessage(b"{}", name)


def _has_created(handler: Handler, count: int) -> bool:
    return len(handler.created) > count


def _exists(broker: Broker, queue: str) -> bool:
    try:
        with broker.channel() as channel:
            channel.queue_declare(queue, passive=True)
    except ChannelClosedByBroker:
        return False
    return True
