"""How many messages are in the queues is known, or it is not known and said so; nothing waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import pika
import pytest

from broker.connection import connection_parameters
from broker.errors import BROKER_ERRORS
from broker.nodes import Nodes
from broker.queue_depths import QueueDepth, QueueDepths
from broker.queue_look import QueueLook
from core.events.base import Event, EventStream, Identity
from core.events.messages import MessageReceived, RetryScheduled
from core.events.queues import DepthsUnknown
from core.texts import Text
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.proxy import TcpProxy
from sandbox.rabbitmq import RabbitNode
from testbench.harness import rabbitmq_settings, wait_until
from tests.broker.test_connecting import MuteServer, begin_amqp, hosts
from tests.support.queue_types import ON_CLASSIC

QUEUE = "bitrix24.queue"
SENT = "bitrix24.sent.queue"
ERRORS = "errors.camunda_tasks.queue"
WAIT = f"{QUEUE}.retry.5000ms"


class Looks:
    """Depths that are looked at again and again, and what is told about them."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.stop = threading.Event()
        self.depths: QueueDepths | None = None
        self.shards: dict[str, tuple[str, ...]] = {}

    def _shards_of(self, queue: str) -> tuple[str, ...]:
        return self.shards.get(queue, ())

    def begin(
        self,
        parameters: list[pika.ConnectionParameters] | Nodes,
        *queues: str,
        interval: float = 0.05,
        limit: float = 5.0,
        is_ready: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.time,
    ) -> QueueDepths:
        self.depths = QueueDepths(
            parameters, interval=interval, is_ready=is_ready, stop=self.stop, limit=limit, clock=clock
        )
        self.depths.watch(queues, tracked=[SENT], shards_of=self._shards_of, events=EventStream([self.told.append]))
        self.depths.start()
        return self.depths

    def end(self) -> None:
        self.stop.set()
        assert self.depths is None or self.depths.finish(20)


@pytest.fixture
def looks() -> Iterator[Looks]:
    looks = Looks()
    yield looks
    looks.end()


def over(address: BrokerAddress) -> list[pika.ConnectionParameters]:
    return connection_parameters(rabbitmq_settings(address), "test")


def count(depths: QueueDepths, queue: str) -> int | None:
    found = depths.latest().get(queue)
    return None if found is None else found.messages


def taken(queue: str, sent_at: float | None) -> MessageReceived:
    return MessageReceived(Identity(queue, "bitrix24", "task-1"), redelivered=False, sent_at=sent_at)


def test_messages_and_consumers_are_counted_and_what_is_not_there_is_absent(
    vhost: BrokerAddress, broker: Broker, looks: Looks
) -> None:
    for queue in (QUEUE, SENT, ERRORS):
        broker.declare(queue)
    broker.publish_all(SENT, ["1", "2", "3"])
    with broker.channel() as channel:
        channel.basic_consume(QUEUE, lambda *_: None)
        depths = looks.begin(over(vhost), QUEUE, SENT, ERRORS, "missing.queue")
        wait_until(lambda: count(depths, SENT) == 3, what="a look")
        found = dict(depths.latest())
    assert {queue: (each.messages, each.consumers) for queue, each in found.items()} == {
        QUEUE: (0, 1),
        SENT: (3, 0),
        ERRORS: (0, 0),
    }
    assert looks.told == []
    broker.publish(ERRORS, "one more")
    wait_until(lambda: count(depths, ERRORS) == 1, what="a later look")


def test_a_queue_is_counted_with_its_shards_and_one_that_has_vanished_holds_nothing(
    vhost: BrokerAddress, broker: Broker, looks: Looks
) -> None:
    shards = ("shard.0", "shard.1", "shard.2")
    for queue in (SENT, *shards[:2]):
        broker.declare(queue)
    broker.publish_all(SENT, ["1"])
    broker.publish_all(shards[0], ["2", "3"])
    broker.publish_all(shards[1], ["4"])
    looks.shards = {SENT: shards}
    depths = looks.begin(over(vhost), SENT)
    wait_until(lambda: count(depths, SENT) == 4, what="a look")
    assert depths.latest().keys() == {SENT}
    assert looks.told == []


@ON_CLASSIC
def test_a_queue_of_whose_shards_one_gives_no_answer_is_absent(
    vhost: BrokerAddress, broker: Broker, node: RabbitNode, looks: Looks
) -> None:
    for queue in (SENT, ERRORS, "shard.0", "shard.1"):
        broker.declare(queue)
    looks.shards = {SENT: ("shard.0", "shard.1")}
    with node.silenced(vhost.vhost, ["shard.1"]):
        depths = looks.begin(over(vhost), SENT, ERRORS, limit=0.5)
        wait_until(lambda: bool(depths.latest()), what="a look")
        assert depths.latest().keys() == {ERRORS}
        wait_until(lambda: bool(looks.told), what="a word about it")


def test_few_channels_are_enough_for_many_queues(vhost: BrokerAddress, broker: Broker, looks: Looks) -> None:
    queues = [f"number-{number}.queue" for number in range(12)]
    for queue in queues[1:]:
        broker.declare(queue)
    parameters = over(vhost)
    for each in parameters:
        each.channel_max = 2
    depths = looks.begin(parameters, *queues)
    wait_until(lambda: depths.latest().keys() == set(queues[1:]), what="all of them")


@ON_CLASSIC
def test_a_queue_that_gives_no_answer_is_absent_and_told_once_and_the_others_are_known(
    vhost: BrokerAddress, broker: Broker, node: RabbitNode, looks: Looks
) -> None:
    for queue in (QUEUE, ERRORS):
        broker.declare(queue)
    broker.publish(ERRORS, "x")
    with ExitStack() as silence:
        silence.enter_context(node.silenced(vhost.vhost, [QUEUE]))
        depths = looks.begin(over(vhost), QUEUE, ERRORS, limit=0.5)
        looked = set[float]()

        def looked_often() -> bool:
            looked.update(each.at for each in depths.latest().values())
            return len(looked) >= 3

        wait_until(looked_often, what="three looks")
        assert depths.latest().keys() == {ERRORS}
        silence.pop_all().close()
    wait_until(lambda: count(depths, QUEUE) == 0, what="its answer")
    [told] = looks.told
    assert isinstance(told, DepthsUnknown)
    assert (told.code, told.fields(), told.severity()) == ("queue.unknown", {"queue": QUEUE}, 30)


@ON_CLASSIC
def test_a_look_whose_connection_is_lost_is_no_look(
    vhost: BrokerAddress, broker: Broker, node: RabbitNode, proxy: TcpProxy
) -> None:
    for queue in (QUEUE, ERRORS):
        broker.declare(queue)
    nodes = Nodes(lambda: over(replace(vhost, port=proxy.port)))
    with node.silenced(vhost.vhost, [QUEUE]):
        look = QueueLook(nodes, [QUEUE, ERRORS], is_stopping=lambda: False, limit=60)
        with ThreadPoolExecutor(1) as pool:
            ran = pool.submit(look.run)
            wait_until(lambda: ERRORS in look.found, what="an answer")
            proxy.cut()
            with pytest.raises(BROKER_ERRORS):
                ran.result(30)


def test_without_rabbitmq_nothing_is_known_which_is_told_once_and_heals_by_itself(
    vhost: BrokerAddress, broker: Broker, proxy: TcpProxy, looks: Looks
) -> None:
    broker.declare(QUEUE)
    ways = 0

    def read() -> list[pika.ConnectionParameters]:
        nonlocal ways
        ways += 1
        return over(replace(vhost, port=proxy.port))

    depths = looks.begin(Nodes(read), QUEUE)
    wait_until(lambda: count(depths, QUEUE) == 0, what="a look")
    proxy.refuse()
    wait_until(lambda: not depths.latest(), what="its loss")
    tried = ways
    wait_until(lambda: ways > tried + 3, what="further tries")
    [told] = looks.told
    assert isinstance(told, DepthsUnknown)
    assert told.fields() == {"queue": None}
    assert "refused" in told.line()
    proxy.restore()
    wait_until(lambda: count(depths, QUEUE) == 0, what="the next look")
    proxy.refuse()
    wait_until(lambda: len(looks.told) == 2, what="the second loss")


@pytest.mark.parametrize("speak", [lambda _connection: None, begin_amqp], ids=["mute", "hangs at the login"])
def test_a_host_that_hangs_holds_up_neither_the_look_nor_the_stop(
    vhost: BrokerAddress, broker: Broker, looks: Looks, speak: Callable[..., None]
) -> None:
    broker.declare(QUEUE)
    with MuteServer(speak) as hung:
        depths = looks.begin(hosts(vhost, [hung.port, vhost.port]), QUEUE, interval=3600)
        wait_until(lambda: count(depths, QUEUE) == 0, 9, "the answer of the other host")
        looks.stop.set()
        assert depths.finish(9)
        looks.stop.clear()
        depths = looks.begin(hosts(vhost, [hung.port]), QUEUE)
        before = len(hung.connections)
        wait_until(lambda: len(hung.connections) > before, what="a try")
        looks.stop.set()
        assert depths.finish(4), "the limit of a look is 5 s, that of a connection 10 s"
        wait_until(hung.ends, what="the end of what was tried")
    assert looks.told == []


def test_a_wait_queue_is_known_from_its_first_use_on(vhost: BrokerAddress, broker: Broker, looks: Looks) -> None:
    broker.declare(QUEUE)
    broker.declare(WAIT)
    broker.publish_all(WAIT, ["1", "2"])
    depths = looks.begin(over(vhost), QUEUE)
    wait_until(lambda: count(depths, QUEUE) == 0, what="a look")
    assert WAIT not in depths.latest()
    about = Identity(QUEUE, "bitrix24", "task-1", attempt=1)
    depths(RetryScheduled(about, Text.of("busy"), "http_503", 5.0))
    depths(RetryScheduled(about, Text.of("busy"), "http_503", 10.0))  # somebody has deleted that one
    wait_until(lambda: count(depths, WAIT) == 2, what="the wait queue")
    assert depths.latest().keys() == {QUEUE, WAIT}
    assert depths.latest()[WAIT].oldest_since is None


class TestAge:
    """A queue is first in, first out: the oldest message came after the last empty look, and after what was taken."""

    def since(self, looks: Looks, queue: str, messages: int) -> float | None:
        def found() -> QueueDepth | None:
            return None if looks.depths is None else looks.depths.latest().get(queue)

        wait_until(lambda: getattr(found(), "messages", None) == messages, what=f"{messages} messages in {queue}")
        depth = found()
        assert depth is not None
        return depth.oldest_since

    def test_it_counts_from_the_last_look_at_which_the_queue_was_empty(
        self, vhost: BrokerAddress, broker: Broker, looks: Looks
    ) -> None:
        for queue in (QUEUE, SENT):
            broker.declare(queue)
        now = 1_796_000_000.0
        looks.begin(over(vhost), QUEUE, SENT, clock=lambda: now)
        assert self.since(looks, QUEUE, 0) is None
        for queue in (QUEUE, SENT):
            broker.publish(queue, "1")
        assert self.since(looks, SENT, 1) is None, "a tracker takes all of them out and puts them back"
        assert self.since(looks, QUEUE, 1) == now
        now += 100
        broker.publish(QUEUE, "2")
        assert self.since(looks, QUEUE, 2) == now - 100
        broker.get_all(QUEUE)
        assert self.since(looks, QUEUE, 0) is None
        broker.publish_all(QUEUE, ["1", "2", "3"])
        assert self.since(looks, QUEUE, 3) == now, "it has been empty in between"

    def test_what_was_there_at_the_first_look_has_no_age_until_something_is_taken(
        self, vhost: BrokerAddress, broker: Broker, looks: Looks
    ) -> None:
        broker.declare(QUEUE)
        broker.publish_all(QUEUE, ["1", "2"])
        now = 1_796_000_000.0
        depths = looks.begin(over(vhost), QUEUE, clock=lambda: now)
        assert self.since(looks, QUEUE, 2) is None
        depths(taken("1c.queue", now - 10))
        depths(taken(QUEUE, None))  # its sender says nothing
        broker.publish(QUEUE, "3")
        assert self.since(looks, QUEUE, 3) is None
        depths(taken(QUEUE, now - 500))
        depths(taken(QUEUE, now - 900))  # comes again, from the time before
        broker.publish(QUEUE, "4")
        assert self.since(looks, QUEUE, 4) == now - 500


def test_nothing_is_asked_before_the_queues_are_there(vhost: BrokerAddress, broker: Broker, looks: Looks) -> None:
    ready, asked = threading.Event(), threading.Event()

    def read() -> list[pika.ConnectionParameters]:
        asked.set()
        return over(vhost)

    depths = looks.begin(Nodes(read), QUEUE, interval=20, is_ready=ready.is_set)
    assert not asked.wait(1)
    broker.declare(QUEUE)
    ready.set()
    wait_until(lambda: count(depths, QUEUE) == 0, 15, "the first look")
