"""A delivery is ours as long as RabbitMQ has lately said so: nothing is written to a system, or told, beyond that."""

from __future__ import annotations

import threading
import time

import pytest

from base_handler import BaseMessageHandler
from core.errors import LostError
from core.messages import IncomingMessage
from core.policy import LONGEST_LEASE, lease_for
from core.results import Accepted, Result
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.proxy import TcpProxy
from testbench.harness import ERRORS, Bench, camunda_message, wait_until
from tests.support.answering_server import AnsweringServer
from toolkit.http import HttpClient

QUEUE = "bitrix24.queue"
LEASE = 1.0  # seconds


class PatientHandler(BaseMessageHandler):
    """Writes when it is told to, once for a message, and asks before."""

    def __init__(self) -> None:
        super().__init__("test")
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.written: list[str] = []
        self.refused: list[str] = []
        self.messages: list[IncomingMessage] = []

    def handle(self, message: IncomingMessage) -> Result:
        self.begun.release()
        self.go_on.wait(60)
        try:
            message.ensure_ours()
        except LostError:
            self.refused.append(message.task.task_id)
            raise
        self.written.append(message.task.task_id)
        return Accepted({}, external_id="1")

    def _get_original_queue_name(self) -> str:
        return QUEUE


class SlowToAnswer(PatientHandler):
    """Has written before it is told to go on."""

    def handle(self, message: IncomingMessage) -> Result:
        self.messages.append(message)
        message.ensure_ours()
        self.written.append(message.task.task_id)
        self.begun.release()
        self.go_on.wait(60)
        return Accepted({}, external_id="1")


@pytest.fixture
def queues(broker: Broker) -> Broker:
    for queue in (QUEUE, "sent", ERRORS):
        broker.declare(queue)
    return broker


def test_a_link_that_is_silent_for_longer_than_the_lease_ends_the_writing(
    vhost: BrokerAddress, queues: Broker, proxy: TcpProxy
) -> None:
    bench, handler = Bench(vhost.through(proxy.port), lease=LEASE), PatientHandler()
    bench.add(QUEUE, handler, threads=1)
    with bench.running():
        queues.publish_all(QUEUE, [camunda_message("task-0"), camunda_message("task-1")])
        assert handler.begun.acquire(timeout=30)
        proxy.stall()
        wait_until(lambda: not bench.consumer.is_proved(QUEUE), what="the end of the lease")
        handler.go_on.set()
        wait_until(lambda: handler.refused == ["task-0"], what="the refusal")
        time.sleep(LEASE)  # the second one is not even begun
        assert (handler.written, queues.count("sent")) == ([], 0)
        proxy.restore()
        wait_until(lambda: queues.count("sent") == 2, what="both results when the link is back")
    assert sorted(handler.written) == ["task-0", "task-1"]
    assert handler.refused == ["task-0"]
    assert queues.count(ERRORS) == 0


def test_a_link_that_is_only_slow_takes_nothing_from_anybody(
    vhost: BrokerAddress, queues: Broker, proxy: TcpProxy
) -> None:
    bench, handler = Bench(vhost.through(proxy.port), lease=LEASE), PatientHandler()
    handler.go_on.set()
    bench.add(QUEUE, handler)
    proxy.delay(0.2)
    with bench.running():
        queues.publish_all(QUEUE, [camunda_message(f"task-{number}") for number in range(20)])
        queues.wait_for_count("sent", 20)
    assert (len(handler.written), handler.refused) == (20, [])


def test_a_result_whose_delivery_was_lost_is_told_once_and_by_the_next_one_to_get_it(
    vhost: BrokerAddress, queues: Broker, proxy: TcpProxy
) -> None:
    bench, handler = Bench(vhost.through(proxy.port), lease=LEASE), SlowToAnswer()
    bench.add(QUEUE, handler, threads=1)
    with bench.running():
        queues.publish(QUEUE, camunda_message("task-0"))
        assert handler.begun.acquire(timeout=30)
        proxy.cut()
        wait_until(lambda: not handler.messages[0].is_ours(), what="the loss")
        wait_until(lambda: bench.consumer.is_proved(QUEUE), what="the next connection")
        handler.go_on.set()
        queues.wait_for_count("sent", 1)
        wait_until(lambda: queues.count(QUEUE) == 0, what="an empty queue")
        time.sleep(0.5)
    assert handler.written == ["task-0"], "what was done is remembered until it comes again"
    assert queues.count("sent") == 1, "the result of the lost delivery is not told beside it"


def test_an_answer_proves_nothing_about_the_time_after_its_question(
    vhost: BrokerAddress, queues: Broker, proxy: TcpProxy
) -> None:
    """A process that was frozen finds what RabbitMQ said before it gave the connection up."""
    bench, handler = Bench(vhost.through(proxy.port), lease=LEASE), PatientHandler()
    bench.add(QUEUE, handler)
    with bench.running():
        wait_until(lambda: bench.consumer.is_proved(QUEUE), what="a first proof")
        proxy.delay(0.75 * LEASE)  # each way
        wait_until(lambda: not bench.consumer.is_proved(QUEUE), what="the end of the lease")
        late_answers = time.monotonic() + 3 * LEASE
        while time.monotonic() < late_answers:
            assert not bench.consumer.is_proved(QUEUE)
            time.sleep(0.01)
        proxy.restore()
        wait_until(lambda: bench.consumer.is_proved(QUEUE), what="a fresh proof")


@pytest.mark.parametrize(("heartbeat", "seconds"), [(0, LONGEST_LEASE), (2, 3), (5, 7.5), (30, 10), (600, 10)])
def test_a_lease_ends_before_rabbitmq_can_have_given_up_the_connection(heartbeat: int, seconds: float) -> None:
    assert lease_for(heartbeat) == seconds
    assert heartbeat == 0 or lease_for(heartbeat) < 2 * heartbeat


def test_a_request_is_not_sent_when_its_guard_says_no_although_the_connection_is_open() -> None:
    def refuse() -> None:
        raise LostError("another worker's")

    with AnsweringServer() as server:
        http = HttpClient("test", connect_timeout=5, read_timeout=5)
        with pytest.raises(LostError):
            http.post_json(server.address, {"a": 1}, write=True, guard=refuse)
        with pytest.raises(LostError):
            http.send("DELETE", server.address, write=True, guard=refuse)
    assert server.requests == 0
