"""Input that is returned again and again: by lost connections, by killed workers, by a worker that gives it back."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import pytest

from base_handler import BaseMessageHandler
from broker.deliveries import Delivery
from broker.properties import ReceivedProperties
from broker.returns import DEFAULT_LIMIT, RENEW_AT, times_returned
from core.errors import AmbiguousError
from core.messages import HEADER_COPY, HEADER_RETURNED, IncomingMessage, OutgoingMessage
from core.policy import Tries
from core.results import Accepted, Result
from processing.in_flight import InFlight
from processing.renewals import KEEP, Renewals
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.proxy import TcpProxy
from sandbox.rabbitmq import RabbitNode
from testbench.harness import Bench, camunda_message, ensure, wait_until
from tests.broker.test_returns import QUORUM, by_end_of_channel, returned_once, set_limit

QUEUE = "bitrix24.queue"
SENT = "bitrix24.sent.queue"
CUTS = 6
TASKS = [f"task-{number}" for number in range(20)]


class Recorder(BaseMessageHandler):
    """Does every task and remembers what it was told of each message; `act` may do something else first."""

    def __init__(self) -> None:
        super().__init__("test")
        self.seen: list[IncomingMessage] = []
        self.in_doubt = 0  # so many of the first calls end in doubt

    def handle(self, message: IncomingMessage) -> Result:
        self.seen.append(message)
        if len(self.seen) <= self.in_doubt:
            raise AmbiguousError("no answer", retry_after=0.1)
        return Accepted({"result": {"task": {"id": message.task.task_id}}}, message.task.task_id)


class Slow(Recorder):
    """One that is busy until it is told, so that what was prefetched behind it waits."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def handle(self, message: IncomingMessage) -> Result:
        self.go_on.wait(60)
        return super().handle(message)


def tasks_in(broker: Broker, queue: str) -> Counter[str]:
    return Counter(json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(queue))


@pytest.mark.parametrize("limit", [None, 3], ids=["the version's own limit", "limit 3 by policy"])
def test_lost_connections_lose_no_prefetched_message(
    node: RabbitNode, vhost: BrokerAddress, broker: Broker, proxy: TcpProxy, limit: int | None
) -> None:
    if limit is not None:
        set_limit(node, broker, QUEUE, limit)
    broker.declare(QUEUE, arguments=QUORUM)
    for task in TASKS:
        broker.publish(QUEUE, camunda_message(task))
    handler = Slow()
    bench = Bench(vhost.through(proxy.port))
    bench.add(QUEUE, handler, sent_queue=SENT, prefetch=10 * len(TASKS))  # copies are beside originals for a while
    cuts = CUTS if limit is not None else DEFAULT_LIMIT + 5
    with bench.running():
        for _ in range(cuts):
            wait_until(bench.consumer.is_consuming, what="the consumer")
            wait_until(lambda: broker.count(QUEUE) == 0, what="the prefetch")
            proxy.cut()
            wait_until(lambda: not bench.consumer.is_consuming(), what="the loss")
        handler.go_on.set()
        wait_until(lambda: broker.count(QUEUE) == 0 and broker.count(SENT) >= len(TASKS), what="every result")
    stored = tasks_in(broker, SENT)
    assert set(stored) == set(TASKS)
    assert stored.total() <= 2 * len(TASKS), "copies must not multiply"


def returned(broker: Broker, task: str, times: int) -> None:
    """A message of that task in the input queue, returned that often."""
    broker.declare(QUEUE, arguments=QUORUM)
    broker.publish(QUEUE, camunda_message(task))
    for _ in range(times):
        returned_once(broker, QUEUE, by_end_of_channel)


def test_a_message_that_was_returned_is_replaced_by_a_copy_that_begins_at_zero(
    vhost: BrokerAddress, broker: Broker
) -> None:
    handler = Recorder()
    returned(broker, "task-1", RENEW_AT)
    bench = Bench(vhost)
    bench.add(QUEUE, handler, sent_queue=SENT)
    with bench.running():
        broker.wait_for_count(SENT, 1)
    [message] = handler.seen
    assert times_returned(message.properties.headers) == 0
    assert (message.attempt, message.doubts) == (1, 0), "nothing is spent"
    assert message.properties.message_id == "task-1:task"


def test_a_task_that_was_published_twice_and_returned_is_done_twice(vhost: BrokerAddress, broker: Broker) -> None:
    broker.declare(QUEUE, arguments=QUORUM)
    broker.publish(QUEUE, camunda_message("task-1"))
    broker.publish(QUEUE, camunda_message("task-1"))
    for _ in range(RENEW_AT):
        with broker.channel() as channel:  # whose end returns both
            assert all(channel.basic_get(QUEUE)[0] for _ in range(2))
    handler = Recorder()
    bench = Bench(vhost)
    bench.add(QUEUE, handler, sent_queue=SENT)
    with bench.running():
        broker.wait_for_count(SENT, 2)
    assert broker.count(QUEUE) == 0, "nothing is held"


def test_the_copy_of_a_message_that_may_have_been_begun_says_so_once(vhost: BrokerAddress, broker: Broker) -> None:
    # Systems without a unique key wait once before they do what may be under way.
    handler = Recorder()
    handler.in_doubt = 1
    returned(broker, "task-1", RENEW_AT)
    bench = Bench(vhost)
    bench.add(QUEUE, handler, sent_queue=SENT)
    with bench.running():
        broker.wait_for_count(SENT, 1)
    assert [message.redelivered for message in handler.seen] == [True, False]
    assert [message.doubts for message in handler.seen] == [0, 1]


@pytest.mark.parametrize("told_by", ["RabbitMQ", "an earlier copy"])
def test_a_copy_on_which_nothing_was_spent_still_says_that_its_message_may_have_been_begun(told_by: str) -> None:
    # The service is down at the first look: what a killed worker has done is still to be looked for.
    headers = {} if told_by == "RabbitMQ" else {HEADER_RETURNED: True}
    delivery = Delivery(QUEUE, 1, 1, told_by == "RabbitMQ", ReceivedProperties(headers=headers), b"x")
    work = InFlight.begin(delivery, "bitrix24")
    assert work.copy(work.tries, "one service is down").headers.get(HEADER_RETURNED) is True
    for counted in (Tries(2), Tries(1, 1)):  # those say it themselves
        assert HEADER_RETURNED not in work.copy(counted, "later").headers


def test_a_copy_of_a_new_message_claims_nothing() -> None:
    work = InFlight.begin(Delivery(QUEUE, 1, 1, False, ReceivedProperties(headers={}), b"x"), "bitrix24")
    assert HEADER_RETURNED not in work.copy(work.tries, "one service is down").headers


def test_a_message_that_was_returned_once_keeps_its_place(vhost: BrokerAddress, broker: Broker) -> None:
    handler = Recorder()
    returned(broker, "task-1", RENEW_AT - 1)
    broker.publish(QUEUE, camunda_message("task-2"))
    bench = Bench(vhost)
    bench.add(QUEUE, handler, sent_queue=SENT, threads=1)
    with bench.running():
        broker.wait_for_count(SENT, 2)
    assert [message.task.task_id for message in handler.seen] == ["task-1", "task-2"]


def test_a_queue_that_we_create_drops_nothing_that_is_returned(vhost: BrokerAddress, broker: Broker) -> None:
    ensure(vhost, (QUEUE, SENT), queue_type="quorum")
    for queue in (QUEUE, SENT):
        broker.publish(queue, b"x")
        for _ in range(DEFAULT_LIMIT + 5):
            returned_once(broker, queue, by_end_of_channel)
        assert broker.count(queue) == 1


def test_a_queue_that_an_older_worker_has_created_is_used_as_it_is(vhost: BrokerAddress, broker: Broker) -> None:
    broker.declare(QUEUE, arguments=QUORUM)
    ensure(vhost, (QUEUE,), queue_type="quorum")
    handler = Recorder()
    bench = Bench(vhost, queue_type="quorum")
    bench.add(QUEUE, handler, sent_queue=SENT)
    broker.publish(QUEUE, camunda_message("task-1"))
    with bench.running():
        broker.wait_for_count(SENT, 1)


# -- one copy, however often the original comes back meanwhile --------------------------------------------------------


class Desk:
    """What a test sees of the copies that are made, and when they are confirmed."""

    def __init__(self) -> None:
        self.published: list[tuple[OutgoingMessage, Callable[[Future[None]], None]]] = []
        self.acked: list[int] = []
        self.done: list[int] = []
        self.now = 1000.0
        self.renewals = Renewals(
            lambda message, on_confirmed: self.published.append((message, on_confirmed)),
            lambda delivery: self.acked.append(delivery.tag),
            lambda: self.now,
        )

    def renew(
        self, tag: int, body: bytes = b"x", *, channel: int = 1, headers: Mapping[str, Any] | None = None
    ) -> None:
        delivery = Delivery(QUEUE, channel, tag, True, ReceivedProperties(headers=dict(headers or {})), body)
        self.renewals.renew(InFlight.begin(delivery, "bitrix24"), "returned", lambda work, _: self.done.append(tag))

    def confirm(self, number: int = 0, error: Exception | None = None) -> None:
        confirmed: Future[None] = Future()
        if error is None:
            confirmed.set_result(None)
        else:
            confirmed.set_exception(error)
        self.published[number][1](confirmed)


def test_the_original_is_acked_when_its_copy_is_stored() -> None:
    desk = Desk()
    desk.renew(1)
    assert desk.acked == []
    desk.confirm()
    assert desk.acked == [1]
    assert desk.done == [1]


def test_an_original_that_comes_back_while_its_copy_is_on_its_way_gets_no_second_one() -> None:
    desk = Desk()
    desk.renew(1)
    desk.renew(2, channel=2)
    desk.confirm()
    assert len(desk.published) == 1
    assert desk.acked == [2], "as it was delivered last"


def test_two_messages_of_the_same_bytes_get_a_copy_each() -> None:
    # Camunda's side published a task twice. Seen: one copy for both, and one of the two was held for ever.
    desk = Desk()
    desk.renew(1)
    desk.renew(2)
    assert len(desk.published) == 2
    desk.confirm(1)
    desk.confirm(0)
    assert desk.acked == [2, 1]


@pytest.mark.parametrize("stored", [0, 1, 2])
def test_two_messages_of_the_same_bytes_that_come_back_together_get_no_further_copies(stored: int) -> None:
    desk = Desk()
    desk.renew(1)
    desk.renew(2)
    for number in range(stored):
        desk.confirm(number)
    desk.renew(3, channel=2)
    desk.renew(4, channel=2)
    for number in range(stored, 2):
        desk.confirm(number)
    assert len(desk.published) == 2
    assert set(desk.acked) >= {3, 4}


def test_an_original_that_comes_back_after_its_copy_was_stored_is_acked_alone() -> None:
    desk = Desk()
    desk.renew(1)
    desk.confirm()
    desk.renew(2, channel=2)
    assert len(desk.published) == 1
    assert desk.acked == [1, 2]


def test_a_copy_is_never_taken_for_its_original() -> None:
    desk = Desk()
    desk.renew(1)
    desk.confirm()
    desk.renew(2, channel=2, headers=desk.published[0][0].headers)
    assert len(desk.published) == 2
    assert desk.published[0][0].headers != desk.published[1][0].headers


@pytest.mark.parametrize("is_stored", [False, True], ids=["on its way", "stored"])
def test_a_copy_that_was_published_twice_gets_one_copy(is_stored: bool) -> None:
    # Its confirm was lost, so it lies in the queue twice. Seen: 25 lost connections under load made three to seven of
    # one message, as each of the two was copied, and each of their copies.
    desk, mark = Desk(), {HEADER_COPY: "one of ours"}
    desk.renew(1, headers=mark)
    if is_stored:
        desk.confirm()
    desk.renew(2, headers=mark)
    if not is_stored:
        desk.confirm()
    assert len(desk.published) == 1
    assert desk.acked == [1, 2]


def test_what_could_not_be_stored_is_tried_again_with_its_next_delivery() -> None:
    desk = Desk()
    desk.renew(1)
    desk.confirm(error=RuntimeError("too large"))
    assert desk.acked == []
    desk.renew(2, channel=2)
    assert len(desk.published) == 2


def test_stored_copies_are_forgotten_after_a_while() -> None:
    desk = Desk()
    desk.renew(1)
    desk.confirm()
    desk.now += KEEP + 1
    desk.renew(2, channel=2)
    assert len(desk.published) == 2


def test_no_copy_that_we_make_is_like_another() -> None:
    # One that nothing was spent on would be taken for what it was made of, and acked without a copy.
    work = InFlight.begin(Delivery(QUEUE, 1, 1, True, ReceivedProperties(headers={}), b"x"), "bitrix24")
    first, second = (work.copy(work.tries, "same").headers for _ in range(2))
    assert first != second
