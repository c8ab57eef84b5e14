"""Load of any shape: memory stays bounded, and a slow way out holds up the way in without losing anything."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.load.fairness import worker_variables
from benchmarks.load.memory import Case, large_task, measure_one
from benchmarks.load.traffic import task
from benchmarks.measure import MIB, usage
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_server import Server
from testbench.daemon import Daemon
from testbench.harness import ERRORS, wait_until
from tests.support.model_worker import LEFT_BY_PIKA, PREFETCH, ModelWorker
from tests.support.model_world import Act, ModelHandler, OutsideSystem
from tests.support.queue_types import ON_CLASSIC

pytestmark = LEFT_BY_PIKA

QUEUE, SENT = "shape.queue", "shape.sent.queue"
BACKLOG = 300


def task_ids(broker: Broker, queue: str) -> Counter[str]:
    return Counter(json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(queue))


@pytest.mark.parametrize("wide", [False, True], ids=["latin text", "text with an emoji"])
def test_a_backlog_of_large_messages_needs_no_more_memory_than_its_prefetch(vhost: BrokerAddress, wide: bool) -> None:
    measured = measure_one(vhost, Case("1 MiB", 120, MIB, prefetch=20, wide=wide))
    assert measured.peak <= measured.bound
    assert measured.bound < measured.idle + 120 * MIB * 2, "the backlog itself would not fit into this bound"


def test_a_message_eight_times_over_the_limit_comes_back_byte_for_byte_while_others_flow(
    server: Server, tmp_path: Path
) -> None:
    huge = large_task("huge", 64 * MIB)
    # RabbitMQ 4 takes 16 MiB when nobody tells it otherwise (4.0.5, 4.3.6), 3.10 eight times as much.
    with RabbitNode(server, {"max_message_size": str(128 * MIB)}) as node:
        broker = Broker(node.address)
        broker.declare(QUEUE)
        broker.publish_all(QUEUE, [task("before"), huge, task("after")])
        with Daemon(node.address, tmp_path, worker_variables({QUEUE: "QuickHandler"})) as daemon:
            broker.wait_for_count(SENT, 2)
            broker.wait_for_count(ERRORS, 1)
            assert daemon.stop() == 0
        [(properties, body)] = broker.get_all(ERRORS)
        assert body == huge
        assert json.loads(str((properties.headers or {})["task-creator-error"]))["code"] == "message_too_large"
        assert task_ids(broker, SENT) == Counter({"before": 1, "after": 1})


class Backlog:
    """More tasks than may be in flight, and one worker, ready to work, whose two connections can be damaged."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.outside = OutsideSystem(unique=False)
        self.outside.acts = {f"task-{number}": Act.ACCEPT for number in range(BACKLOG)}
        broker.declare(QUEUE)
        broker.declare(SENT)
        self.worker = ModelWorker(broker.address, QUEUE, ModelHandler(self.outside, exclusive=True))
        wait_until(self.worker.publisher.is_ready, what="the publisher")
        wait_until(self.worker.consumer.is_consuming, what="the consumer")

    def publish(self) -> None:
        self.broker.publish_all(QUEUE, [task(task_id) for task_id in self.outside.acts])

    def in_flight(self) -> int:
        return BACKLOG - self.broker.count(QUEUE) - self.broker.count(SENT)

    def wait_until_held_up(self) -> None:
        """Everything that may be in flight waits for its confirm."""
        wait_until(lambda: self.worker.publisher.unconfirmed() == PREFETCH, 45, "a full prefetch without confirms")

    def finish(self) -> None:
        self.broker.wait_for_count(SENT, BACKLOG, 90)
        self.worker.stop_orderly()
        assert task_ids(self.broker, SENT) == Counter(self.outside.acts.keys())
        assert self.outside.created == Counter(self.outside.acts.keys())
        assert (self.broker.count(QUEUE), self.broker.count(ERRORS)) == (0, 0)


@pytest.fixture
def backlog(broker: Broker) -> Iterator[Backlog]:
    backlog = Backlog(broker)
    yield backlog
    backlog.worker.kill()


def test_a_way_out_that_stands_still_stops_the_way_in_after_one_prefetch(backlog: Backlog) -> None:
    backlog.worker.outlet.stall()
    backlog.publish()
    backlog.wait_until_held_up()
    assert backlog.in_flight() == PREFETCH
    assert sum(backlog.outside.created.values()) == PREFETCH
    backlog.worker.outlet.stall(False)
    backlog.finish()


def test_a_slow_way_out_never_has_more_in_flight_than_one_prefetch(backlog: Backlog) -> None:
    backlog.worker.outlet.delay(0.05)
    backlog.publish()
    seen = []
    while backlog.broker.count(SENT) < BACKLOG:
        seen.append(backlog.worker.publisher.unconfirmed())
    assert max(seen) <= PREFETCH
    backlog.finish()


@ON_CLASSIC  # what a quorum queue has seen returned waits for its copy, not for a thread
def test_reconnections_while_the_way_out_is_closed_pile_up_nothing(backlog: Backlog) -> None:
    # Each new channel delivers a prefetch again, while that of the old one waits for threads that have to wait.
    worker = backlog.worker
    worker.outlet.refuse()
    worker.outlet.cut()
    wait_until(lambda: not worker.publisher.is_ready(), what="a lost publisher")
    backlog.publish()
    [processor] = worker.processors
    for _ in range(10):
        wait_until(worker.consumer.is_consuming, what="the consumer")
        wait_until(lambda: processor._deliveries.qsize() > 0, what="deliveries")
        worker.intake.cut()
        wait_until(lambda: not worker.consumer.is_consuming(), what="a lost consumer")
    wait_until(worker.consumer.is_consuming, what="the consumer")
    assert processor._deliveries.qsize() <= PREFETCH
    worker.outlet.restore()
    backlog.finish()


def test_a_memory_alarm_makes_the_worker_wait_and_not_grow(
    destructive_node: RabbitNode, destructive_broker: Broker, tmp_path: Path
) -> None:
    broker = destructive_broker
    broker.declare(QUEUE)
    broker.declare(SENT)
    broker.publish_all(QUEUE, [large_task(f"task-{number}", MIB // 4) for number in range(BACKLOG)])
    variables = worker_variables({QUEUE: "QuickHandler"}, PREFETCH="20")
    destructive_node.set_memory_alarm(True)
    with Daemon(broker.address, tmp_path, variables) as daemon:
        wait_until(lambda: "publisher.blocked" in daemon.output(), what="connection.blocked")
        wait_until(lambda: BACKLOG - broker.count(QUEUE) - broker.count(SENT) == 20, what="a full prefetch")
        blocked = usage(daemon.pid)
        destructive_node.set_memory_alarm(False)
        broker.wait_for_count(SENT, BACKLOG, 90)
        assert daemon.stop() == 0
    assert blocked.peak_memory < 120 * MIB
    assert task_ids(broker, SENT) == Counter(f"task-{number}" for number in range(BACKLOG))
