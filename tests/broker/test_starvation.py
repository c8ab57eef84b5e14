"""A consumer that RabbitMQ has forgotten: noticed by asking, healed by a new channel, told in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from broker.connection import connection_parameters
from broker.deliveries import Delivery
from broker.topology import Topology
from core.policy import LONGEST_LEASE
from rabbitmq_consumer import RabbitMQConsumer
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.proxy import TcpProxy
from sandbox.rabbitmq import RabbitNode
from testbench.harness import rabbitmq_settings, wait_until

QUEUE = "starving.queue"
# RabbitMQ gives everything of such a queue to its first consumer: the second gets nothing although messages are ready.
SINGLE = {"x-single-active-consumer": True}


@contextmanager
def consuming(vhost: BrokerAddress, patience: float, lease: float = LONGEST_LEASE) -> Iterator[list[Delivery]]:
    settings = rabbitmq_settings(vhost)
    consumer = RabbitMQConsumer(
        connection_parameters(settings, "test"),
        Topology(settings),
        reconnect_max_delay=1,
        lease=lease,
        patience=patience,
    )
    taken: list[Delivery] = []
    consumer.subscribe(QUEUE, 10, taken.append)
    consumer.start()
    try:
        wait_until(consumer.is_consuming, 30, "a consumer")
        yield taken
    finally:
        consumer.close(10)


def test_a_queue_whose_ready_messages_do_not_come_is_consumed_anew(
    vhost: BrokerAddress, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broker.declare(QUEUE, arguments=SINGLE)
    with broker.channel() as first:
        first.basic_qos(prefetch_count=1)
        first.basic_consume(QUEUE, lambda *_delivery: None)
        broker.publish_all(QUEUE, [b"a", b"b", b"c"])
        with consuming(vhost, 0.2) as taken:
            wait_until(lambda: starved(caplog) >= 2, 30, "two new channels")
            assert not taken
            first.connection.close()
            wait_until(lambda: len(taken) == 3, 30, "the messages")
    assert "2 messages are ready" in caplog.text


def test_one_that_is_empty_or_slow_or_paused_is_left_alone(
    vhost: BrokerAddress, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broker.declare(QUEUE)
    with consuming(vhost, 0.1) as taken:
        time.sleep(1)  # several looks at an empty queue
        broker.publish_all(QUEUE, [b"x"] * 15)
        wait_until(lambda: len(taken) == 10, 30, "a prefetch of messages that nobody settles")
        time.sleep(1)
    assert starved(caplog) == 0


def test_a_channel_that_gives_no_answer_costs_the_connection_and_not_the_queue(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    # Its process is suspended, while the connection's own goes on with the heartbeats.
    caplog.set_level(logging.INFO)
    broker.declare(QUEUE)
    with consuming(vhost, 1.0, lease=1.0) as taken:
        of_ours = f'proplists:get_value(vhost, rabbit_channel:info(C, [vhost])) =:= <<"{vhost.vhost}">>'
        node.eval(f"[sys:suspend(C) || C <- rabbit_channel:list(), {of_ours}]")
        broker.publish_all(QUEUE, [b"a", b"b"])
        wait_until(lambda: "no answer on the channel of starving.queue" in caplog.text, 30, "a line about it")
        wait_until(lambda: len(taken) == 2, 30, "the messages")


def starved(caplog: pytest.LogCaptureFixture) -> int:
    return sum(getattr(record, "event", "") == "consumer.starved" for record in caplog.records)


def test_an_answer_that_waits_behind_a_message_on_a_narrow_link_is_waited_for(
    vhost: BrokerAddress, broker: Broker, proxy: TcpProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broker.declare(QUEUE)
    with consuming(vhost.through(proxy.port), patience=1.5, lease=0.5) as taken:
        proxy.trickle(1 / 2000)
        broker.publish_all(QUEUE, [b"x" * 12_000])  # six seconds long, four times as long as is waited for an answer
        wait_until(lambda: len(taken) == 1, 60, "the message")
        proxy.restore()
    assert not taken[0].redelivered
    assert "no answer on the channel" not in caplog.text
    assert "rabbitmq.disconnected" not in [getattr(record, "event", "") for record in caplog.records]
