"""A publish is done when the broker has confirmed it, and not before."""

from __future__ import annotations

import time
from concurrent.futures import wait
from typing import ClassVar, cast

import pika
import pytest
from pika import spec
from pika.channel import Channel
from pika.frame import Method

from broker.connection_thread import ConnectionThread
from broker.errors import MessageTooLargeError, PublisherClosedError
from broker.publishing_channel import Publication, PublishingChannel
from broker.topology import wait_queue_name
from core.messages import OutgoingMessage
from rabbitmq_publisher import GROWTH
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.proxy import TcpProxy
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_server import Server
from testbench.harness import Bench, wait_until
from tests.support.queue_types import ON_CLASSIC


def message(number: int) -> OutgoingMessage:
    return OutgoingMessage(f'{{"number": {number}}}'.encode(), f"message-{number}")


def test_a_confirmed_message_is_persistent_and_in_its_queue(vhost: BrokerAddress, broker: Broker) -> None:
    with Bench(vhost).running() as bench:
        bench.publisher.publish("bitrix24.sent.queue", message(1)).result(20)

    [(properties, body)] = broker.get_all("bitrix24.sent.queue")
    assert body == b'{"number": 1}'
    assert properties.delivery_mode == 2
    assert properties.message_id == "message-1"
    assert properties.content_type == "application/json"
    assert properties.content_encoding == "utf-8"


@ON_CLASSIC
def test_a_missing_queue_is_created_and_the_message_gets_there(vhost: BrokerAddress, broker: Broker) -> None:
    with Bench(vhost).running() as bench:
        bench.publisher.publish("camunda.responses.queue", message(1)).result(20)
        with broker.channel() as channel:
            channel.queue_delete("camunda.responses.queue")
        bench.publisher.publish("camunda.responses.queue", message(2)).result(20)

    assert [body for _, body in broker.get_all("camunda.responses.queue")] == [b'{"number": 2}']
    with broker.channel() as channel:  # created as Camunda's side declares it, or this would be refused
        channel.queue_declare("camunda.responses.queue", durable=True)
        channel.basic_publish("camunda.task.responses", "camunda.responses.queue", b"{}")
    broker.wait_for_count("camunda.responses.queue", 1)


def test_of_two_messages_with_one_id_none_is_taken_for_stored_because_the_other_is() -> None:
    # "unreadable:task" and whatever id a client gives to all its messages. A return names no delivery tag, and the
    # confirm of an earlier publish may come after it: the queue was deleted between the two.
    class Fates:
        stored: ClassVar[list[Publication]] = []
        returned: ClassVar[list[Publication]] = []

        def on_change(self) -> None: ...

        def on_stored(self, publications: list[Publication]) -> None:
            self.stored.extend(publications)

        def on_refused(self, publication: Publication) -> None: ...

        def on_returned(self, publication: Publication) -> None:
            self.returned.append(publication)

        def on_closed(self, unconfirmed: list[Publication]) -> None: ...

    channel = PublishingChannel("1c.queue", cast(ConnectionThread, None), Fates(), longest=1.0)
    both = [Publication("1c.queue", OutgoingMessage(body, "one-id")) for body in (b"first", b"second")]
    channel._unconfirmed = dict(enumerate(both, start=1))
    returned = spec.Basic.Return(reply_code=312, exchange="", routing_key="1c.queue")
    channel._on_returned(None, returned, pika.BasicProperties(message_id="one-id"), b"second")  # type: ignore[arg-type]
    channel._on_confirm(cast(Channel, None), Method(1, spec.Basic.Ack(2, multiple=True)))
    assert Fates.returned == both
    assert Fates.stored == []


# A quorum queue takes one more than its length allows (3.10.8, 4.0.5, 4.3.6).
@ON_CLASSIC
def test_a_full_queue_is_waited_for(vhost: BrokerAddress, broker: Broker) -> None:
    broker.declare("full.sent.queue", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    with Bench(vhost).running() as bench:
        bench.publisher.publish("full.sent.queue", message(1)).result(20)
        second = bench.publisher.publish("full.sent.queue", message(2))
        wait_until(lambda: bench.statistics.snapshot(0)["publisher"]["failed"] > 0, what="a refused publish")
        assert not second.done()
        broker.get_all("full.sent.queue")
        second.result(20)

    assert [body for _, body in broker.get_all("full.sent.queue")] == [b'{"number": 2}']


def test_cut_connections_lose_no_message(vhost: BrokerAddress, proxy: TcpProxy, broker: Broker) -> None:
    bench = Bench(vhost.through(proxy.port))
    with bench.running():
        futures = []
        for number in range(3000):
            futures.append(bench.publisher.publish("bitrix24.sent.queue", message(number)))
            if number % 600 == 300:
                wait(futures[:number])
                proxy.cut()
        done, _ = wait(futures, timeout=60)
        assert len(done) == 3000

    ids = {properties.message_id for properties, _ in broker.get_all("bitrix24.sent.queue")}
    assert len(ids) == 3000, f"lost: {3000 - len(ids)}"


def test_a_message_that_the_broker_finds_too_large_fails_alone(server: Server) -> None:
    limit = 1_000_000
    # In the configuration: RabbitMQ 4 reads it once, at its start (4.0.5, 4.3.6: application:set_env has no effect).
    with RabbitNode(server, {"max_message_size": str(limit)}) as node, Bench(node.address).running() as bench:
        before = bench.publisher.publish("a.sent.queue", message(1))
        large = bench.publisher.publish("a.sent.queue", OutgoingMessage(b"x" * (limit + 1), "large"))
        after = bench.publisher.publish("a.sent.queue", message(2))
        before.result(20)
        after.result(20)
        with pytest.raises(MessageTooLargeError, match="1000001 bytes"):
            large.result(20)


def test_a_memory_alarm_holds_messages_back_and_ends_by_itself(
    destructive_node: RabbitNode, destructive_broker: Broker
) -> None:
    with Bench(destructive_broker.address).running() as bench:
        bench.publisher.publish("a.sent.queue", message(0)).result(20)
        destructive_node.set_memory_alarm(True)
        waiting = [bench.publisher.publish("a.sent.queue", message(number)) for number in range(1, 50)]
        wait_until(lambda: not bench.publisher.is_ready(), what="connection.blocked")
        assert not waiting[-1].done()
        destructive_node.set_memory_alarm(False)
        for future in waiting:
            future.result(30)
        assert bench.publisher.is_ready()
    assert destructive_broker.count("a.sent.queue") == 50


def test_a_broker_killed_in_the_middle_loses_no_confirmed_message(
    destructive_node: RabbitNode, destructive_broker: Broker
) -> None:
    destructive_broker.declare("a.sent.queue")
    destructive_node.stop()  # RabbitMQ writes a new queue's name to disk late, unlike a confirmed message
    destructive_node.start()
    with Bench(destructive_broker.address).running() as bench:
        futures = [bench.publisher.publish("a.sent.queue", message(number)) for number in range(500)]
        futures[0].result(20)
        destructive_node.kill()
        futures += [bench.publisher.publish("a.sent.queue", message(number)) for number in range(500, 600)]
        destructive_node.start()
        for future in futures:
            future.result(60)
    ids = {properties.message_id for properties, _ in destructive_broker.get_all("a.sent.queue")}
    assert len(ids) == 600


def test_what_is_confirmed_in_a_queue_of_ours_outlives_a_kill_at_any_moment(
    destructive_node: RabbitNode, destructive_broker: Broker
) -> None:
    # RabbitMQ forgets a quorum queue that is younger than a second: 20 of 20 confirmed messages on 3.10.8 and 4.0.5.
    time.sleep(2)  # the node itself and its virtual host are old
    queue = wait_queue_name("bitrix24.queue", 3600)
    with Bench(destructive_broker.address, growth=GROWTH).running() as bench:
        for future in [bench.publisher.publish(queue, message(number)) for number in range(20)]:
            future.result(30)
        destructive_node.kill()
        destructive_node.start()
        wait_until(lambda: destructive_broker.count(queue) == 20, 30, "every message")


def test_with_fewer_channels_than_queues_every_message_is_stored(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with RabbitNode(server, {"channel_max": "3"}) as node, Bench(node.address).running() as bench:
        futures = [bench.publisher.publish(f"{number % 12}.sent.queue", message(number)) for number in range(600)]
        done, _ = wait(futures, timeout=60)
        assert len(done) == 600
        assert sum(node.list_queues().values()) == 600
    assert "RabbitMQ allows 3 channels on a connection" in caplog.text


def test_a_queue_that_is_seldom_written_to_keeps_no_channel_open(
    node: RabbitNode, vhost: BrokerAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rabbitmq_publisher.SILENCE", 0.2)

    def channels() -> int:
        return node.ctl("list_channels", "vhost").split().count(vhost.vhost)

    with Bench(vhost).running() as bench:
        wait_until(bench.publisher.is_ready, what="the connection")
        before = channels()
        for again in range(2):
            futures = [bench.publisher.publish(f"{number}.sent.queue", message(again)) for number in range(30)]
            assert len(wait(futures, timeout=60).done) == 30
            wait_until(lambda: channels() == before, 20, "idle channels closed")


def test_after_close_nothing_pretends_to_be_stored(vhost: BrokerAddress) -> None:
    bench = Bench(vhost)
    unsent = bench.publisher.publish("a.sent.queue", message(1))  # never started
    bench.publisher.close(1)
    with pytest.raises(PublisherClosedError):
        unsent.result(1)
    with pytest.raises(PublisherClosedError):
        bench.publisher.publish("a.sent.queue", message(2)).result(1)
