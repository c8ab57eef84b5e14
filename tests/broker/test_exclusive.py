"""Of several workers one consumes a queue that was asked for exclusively: on every type of queue."""

from __future__ import annotations

import pytest

from base_handler import BaseMessageHandler
from core.messages import IncomingMessage
from core.results import Accepted, Result
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from testbench.harness import Bench, camunda_message, wait_until

QUEUE = "bitrix24.queue"


class LonelyHandler(BaseMessageHandler):
    """Notes what it gets."""

    exclusive = True

    def __init__(self) -> None:
        super().__init__("test")
        self.seen: list[str] = []

    def handle(self, message: IncomingMessage) -> Result:
        self.seen.append(message.task.task_id)
        return Accepted({}, external_id="1")

    def _get_original_queue_name(self) -> str:
        return QUEUE


@pytest.fixture(params=["classic", "quorum"])
def queue_type(request: pytest.FixtureRequest, broker: Broker) -> str:
    broker.declare(QUEUE, arguments={"x-queue-type": request.param})
    return str(request.param)


@pytest.mark.usefixtures("queue_type")
def test_a_second_worker_gets_nothing_until_the_first_one_has_ended(vhost: BrokerAddress, broker: Broker) -> None:
    first, second = LonelyHandler(), LonelyHandler()
    benches = Bench(vhost), Bench(vhost)
    for bench, handler in zip(benches, (first, second), strict=True):
        bench.add(QUEUE, handler)
    with benches[0].running():
        wait_until(benches[0].consumer.is_consuming, what="the first worker's consumer")
        broker.publish(QUEUE, camunda_message("before"))
        wait_until(lambda: bool(first.seen), what="the first message")
        with benches[1].running():
            wait_until(benches[1].consumer.is_consuming, what="the second worker, standing by")
            broker.publish_all(QUEUE, [camunda_message(f"task-{number}") for number in range(20)])
            broker.wait_for_count("sent", 21)
            assert (len(first.seen), second.seen) == (21, [])
            benches[0].shut_down()
            broker.publish(QUEUE, camunda_message("after"))
            wait_until(lambda: second.seen == ["after"], what="the second worker's turn")
