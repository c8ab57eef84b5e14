"""Nothing is lost by being returned: RabbitMQ drops a message of a quorum queue that comes back too often."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from broker.connection import connection_parameters
from broker.queue_types import queue_type
from broker.returns import DEFAULT_LIMIT, NO_LIMIT, times_returned
from broker.taken_queue import TakingInterruptedError
from core.errors import OutageError
from core.messages import OutgoingMessage, TrackedTask
from core.results import Done, Verdict
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.proxy import TcpProxy
from sandbox.rabbitmq import RabbitNode
from testbench.harness import ERRORS, RESPONSES, Bench, rabbitmq_settings, wait_until
from tests.tracking.test_tracking import SENT, Tracker, ids, put_sent
from tracking.tracked_queue import SweepResult

QUORUM = {"x-queue-type": "quorum"}
SWEEPS = 25  # failed ones, minutes with default settings
CUTS = 6  # more than a limit of three allows
TASKS = [f"task-{number}" for number in range(30)]

Version = tuple[int, int]


@pytest.fixture
def version(broker: Broker) -> Version:
    """Of the RabbitMQ under test: what it makes of a return differs."""
    return broker.version()


# -- the facts that all this is built on (broker/returns.py), as RabbitMQ has them ------------------------------------


def by_nack(channel: BlockingChannel, tag: int) -> None:
    channel.basic_nack(tag, requeue=True)


def by_recover(channel: BlockingChannel, _tag: int) -> None:
    channel.basic_recover(requeue=True)


def by_reject(channel: BlockingChannel, tag: int) -> None:
    channel.basic_reject(tag, requeue=True)


def by_end_of_channel(_channel: BlockingChannel, _tag: int) -> None:
    """The caller closes it."""


Way = Callable[[BlockingChannel, int], None]


def returned_once(broker: Broker, queue: str, way: Way) -> None:
    with broker.channel() as channel:
        method, _, _ = channel.basic_get(queue)
        assert method is not None
        way(channel, method.delivery_tag or 0)


def counts(broker: Broker, queue: str) -> tuple[object, int]:
    """What the queue tells of its first message: `x-delivery-count`, and what we make of all such headers."""
    [(properties, _)] = broker.get_all(queue)
    headers = properties.headers or {}
    return headers.get("x-delivery-count"), times_returned(headers)


@pytest.mark.parametrize("way", [by_nack, by_recover, by_reject, by_end_of_channel])
def test_a_quorum_queue_tells_of_every_return_in_one_header_or_another(
    broker: Broker, version: Version, way: Way
) -> None:
    broker.declare("q", arguments=QUORUM)
    broker.publish("q", b"x")
    for _ in range(3):
        returned_once(broker, "q", way)
    delivery_count, returned = counts(broker, "q")
    uncounted = version >= (4, 3) and way in (by_nack, by_recover)
    assert delivery_count == (None if uncounted else 3)
    assert returned == 3


def test_a_message_that_was_never_returned_has_a_count_of_zero(broker: Broker) -> None:
    broker.declare("q", arguments=QUORUM)
    broker.publish("q", b"x")
    assert counts(broker, "q")[1] == 0


def test_a_classic_queue_counts_nothing(broker: Broker) -> None:
    broker.declare("q", arguments={"x-queue-type": "classic"})
    broker.publish("q", b"x")
    for _ in range(DEFAULT_LIMIT + 5):
        returned_once(broker, "q", by_end_of_channel)
    assert counts(broker, "q") == (None, 0)


def test_without_a_limit_a_message_is_gone_after_twenty_returns_since_version_4(
    broker: Broker, version: Version
) -> None:
    broker.declare("q", arguments=QUORUM)
    broker.publish("q", b"x")
    for _ in range(DEFAULT_LIMIT):
        returned_once(broker, "q", by_end_of_channel)
    assert broker.count("q") == 1
    returned_once(broker, "q", by_end_of_channel)
    assert broker.count("q") == (0 if version >= (4, 0) else 1)


@pytest.mark.parametrize("by", ["argument", "policy"])
def test_our_way_to_say_no_limit_is_none_on_every_version(node: RabbitNode, broker: Broker, by: str) -> None:
    if by == "policy":
        set_limit(node, broker, "q", NO_LIMIT)
    broker.declare("q", arguments={**QUORUM, **({"x-delivery-limit": NO_LIMIT} if by == "argument" else {})})
    broker.publish("q", b"x")
    for _ in range(DEFAULT_LIMIT + 5):
        returned_once(broker, "q", by_end_of_channel)
    assert broker.count("q") == 1


def set_limit(node: RabbitNode, broker: Broker, queue: str, limit: int) -> None:
    pattern = f"^{queue.replace('.', '[.]')}$"
    node.ctl("set_policy", "--vhost", broker.vhost, f"limit-{queue}", pattern, json.dumps({"delivery-limit": limit}))


# -- the type of a queue ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", ["classic", "quorum", "stream"])
def test_the_type_of_a_queue_is_found_over_amqp(broker: Broker, type_: str) -> None:
    broker.declare("q", arguments={"x-queue-type": type_})
    broker.publish("q", b"x")
    with broker.channel() as channel:
        assert queue_type(channel.connection, "q") == type_
    if type_ != "stream":
        assert counts(broker, "q")[1] == 0, "asking takes no message"


def test_the_type_of_a_queue_that_another_consumer_has_for_itself_is_found(broker: Broker) -> None:
    broker.declare("q", arguments={"x-queue-type": "classic"})
    with broker.channel() as owner, broker.channel() as channel:
        owner.basic_consume("q", lambda *_: None, exclusive=True)
        assert queue_type(channel.connection, "q") == "classic"


def test_a_queue_that_is_not_there_has_no_type(broker: Broker) -> None:
    with broker.channel() as channel:
        assert queue_type(channel.connection, "missing") is None


# -- sweeps -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["classic", "quorum", "quorum, limit 3 by policy"])
def sent(request: pytest.FixtureRequest, node: RabbitNode, broker: Broker) -> Broker:
    """A virtual host whose sent queue is of that type."""
    if "policy" in request.param:
        set_limit(node, broker, SENT, 3)
    broker.declare(SENT, arguments={"x-queue-type": request.param.partition(",")[0]})
    return broker


def failed_sweeps(bench: Bench, tracker: Tracker, times: int) -> None:
    sweeper = bench.sweeper(SENT, tracker)
    for _ in range(times):
        with pytest.raises(OutageError):
            sweeper.sweep(SweepResult())


def test_an_outage_of_the_system_loses_no_sent_message(vhost: BrokerAddress, sent: Broker) -> None:
    tracker = Tracker()
    tracker.down = True
    put_sent(sent, TASKS)
    with Bench(vhost).running() as bench:
        failed_sweeps(bench, tracker, SWEEPS)
        assert sorted(ids(sent, SENT)) == sorted(TASKS)


def test_an_outage_loses_none_of_many_workers_that_start_into_it(vhost: BrokerAddress, sent: Broker) -> None:
    # A new process knows nothing of failed questions.
    tracker = Tracker()
    tracker.down = True
    put_sent(sent, TASKS)
    with Bench(vhost).running() as bench:
        for _ in range(SWEEPS):
            failed_sweeps(bench, tracker, 1)
        assert sorted(ids(sent, SENT)) == sorted(TASKS)


def test_after_an_outage_every_task_is_asked_about_again(vhost: BrokerAddress, sent: Broker) -> None:
    tracker = Tracker()
    tracker.down = True
    tracker.finished = {"task-3", "task-29"}
    put_sent(sent, TASKS)
    with Bench(vhost).running() as bench:
        sweeper = bench.sweeper(SENT, tracker)
        for _ in range(3):
            with pytest.raises(OutageError):
                sweeper.sweep(SweepResult())
        assert [len(tasks) for tasks in tracker.asked] == [10, 1, 1], "in an outage one is enough to notice its end"
        tracker.down = False
        result = SweepResult()
        sweeper.sweep(result)
    assert (result.checked, result.completed) == (len(TASKS), 2)
    assert sorted(ids(sent, RESPONSES)) == ["task-29", "task-3"]
    assert len(ids(sent, SENT)) == len(TASKS) - 2


def test_a_tracker_that_breaks_costs_no_message_a_return(vhost: BrokerAddress, sent: Broker) -> None:
    class Broken(Tracker):
        def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
            raise ConnectionResetError("an OSError, as requests raises them, and none of the broker's")

    put_sent(sent, TASKS)
    with Bench(vhost).running() as bench:
        sweeper = bench.sweeper(SENT, Broken())
        for _ in range(CUTS):
            with pytest.raises(ConnectionResetError):
                sweeper.sweep(SweepResult())
    assert sorted(ids(sent, SENT)) == sorted(TASKS)


def test_a_question_without_an_answer_returns_nothing(vhost: BrokerAddress, broker: Broker) -> None:
    broker.declare(SENT, arguments=QUORUM)
    tracker = Tracker()
    tracker.down = True
    put_sent(broker, TASKS)
    with Bench(vhost).running() as bench:
        failed_sweeps(bench, tracker, 2)
    assert [times_returned(properties.headers) for properties, _ in broker.get_all(SENT)] == [0] * len(TASKS)


def test_what_needs_no_answer_is_forwarded_in_an_outage(vhost: BrokerAddress, sent: Broker) -> None:
    tracker = Tracker()
    tracker.down = True
    put_sent(sent, ["task-1"])
    put_sent(sent, ["done-1"], Done({"result": {"item": {"id": 7}}}))
    with Bench(vhost).running() as bench:
        failed_sweeps(bench, tracker, 1)
    assert ids(sent, RESPONSES) == ["done-1"]
    assert ids(sent, SENT) == ["task-1"]


def test_sweeps_that_lose_their_connection_again_and_again_lose_no_message(
    vhost: BrokerAddress, sent: Broker, proxy: TcpProxy
) -> None:
    class Cutting(Tracker):
        cuts = 0

        def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
            if self.cuts < CUTS:
                self.cuts += 1
                proxy.cut()
            return super().check(tasks)

    tracker = Cutting()
    put_sent(sent, TASKS)
    with Bench(vhost.through(proxy.port)).running() as bench:
        for _ in range(CUTS):
            with pytest.raises(AMQPError):  # a process that knows nothing of the ones before
                bench.sweeper(SENT, tracker).sweep(SweepResult())
        tracker.finished = set(TASKS)
        bench.sweeper(SENT, tracker).sweep(SweepResult())
    assert set(ids(sent, RESPONSES)) == set(TASKS)
    assert sent.count(SENT) == 0


def test_a_queue_that_is_quorum_by_the_virtual_host_s_default_loses_nothing(node: RabbitNode, version: Version) -> None:
    if version < (4, 0):
        pytest.skip("before RabbitMQ 4 a declaration without a type makes a classic queue, whatever the default type")
    for address in _vhost_of_quorum_queues(node):
        broker, tracker = Broker(address), Tracker()
        tracker.down = True
        with Bench(address, queue_type="classic").running() as bench:
            bench.sweeper(SENT, tracker).sweep(SweepResult())  # makes the queue
            put_sent(broker, TASKS)
            failed_sweeps(bench, tracker, SWEEPS)
        assert sorted(ids(broker, SENT)) == sorted(TASKS)


def _vhost_of_quorum_queues(node: RabbitNode) -> Iterator[BrokerAddress]:
    name = "quorum-by-default"
    node.ctl("add_vhost", name, "--default-queue-type", "quorum")
    node.ctl("set_permissions", "--vhost", name, node.address.username, ".*", ".*", ".*")
    yield node.address.at(name)
    node.delete_vhost(name)


def test_a_rotated_message_keeps_its_properties(vhost: BrokerAddress, broker: Broker) -> None:
    broker.declare(SENT, arguments=QUORUM)
    put_sent(broker, ["task-1"])
    [(properties, body)] = broker.get_all(SENT)
    kept = {
        "message_id": "their-own",
        "correlation_id": "a-1",
        "timestamp": int(datetime(2026, 11, 28, tzinfo=UTC).timestamp()),
        "type": "sent",
        "app_id": "monitor",
        "reply_to": "answers",
        "priority": 3,
        "content_type": "application/json",
        "content_encoding": "utf-8",
    }
    broker.publish(SENT, body, headers={**(properties.headers or {}), "project": "42"}, **kept)
    returned_once(broker, SENT, by_end_of_channel)
    with Bench(vhost).running() as bench:  # replaced, as it has been returned, and rotated after that
        bench.sweeper(SENT, Tracker()).sweep(SweepResult())
    [(copied, copied_body)] = broker.get_all(SENT)
    assert copied_body == body
    assert {name: getattr(copied, name) for name in kept} == kept
    assert copied.delivery_mode == 2
    assert copied.headers is not None
    assert copied.headers["project"] == "42"
    assert times_returned(copied.headers) == 0


def test_a_worker_that_has_lost_its_sweep_meanwhile_answers_nothing(
    vhost: BrokerAddress, sent: Broker, proxy: TcpProxy
) -> None:
    class Late(list[Verdict]):
        """What a process looks at that was frozen with the answer in its hands, until RabbitMQ had given it up."""

        def __iter__(self) -> Iterator[Verdict]:
            proxy.cut()
            return super().__iter__()

    class Frozen(Tracker):
        def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
            return Late(super().check(tasks))

    tracker = Frozen()
    tracker.finished = {"task-1"}
    sent.declare(RESPONSES)
    put_sent(sent, ["task-1"])
    with Bench(vhost).running() as bench:
        settings = rabbitmq_settings(vhost.through(proxy.port))
        bench.parameters[:] = connection_parameters(settings, "sweeper")
        with pytest.raises(AMQPError):
            bench.sweeper(SENT, tracker).sweep(SweepResult())
    assert sent.count(RESPONSES) == 0
    sent.wait_for_count(SENT, 1)


def test_while_rabbitmq_takes_no_messages_a_sweep_takes_none(
    destructive_node: RabbitNode, destructive_broker: Broker
) -> None:
    destructive_broker.declare(SENT, arguments=QUORUM)
    put_sent(destructive_broker, TASKS)
    bench, tracker = Bench(destructive_broker.address), Tracker()
    with bench.running():
        assert bench.publisher.wait_until_ready(30)
        destructive_node.set_memory_alarm(True)
        # Only a connection that publishes is blocked.
        bench.publisher.publish(ERRORS, OutgoingMessage(b"{}", "any"))
        wait_until(lambda: not bench.publisher.is_ready(), what="the alarm")
        bench.stop.set()
        with pytest.raises(TakingInterruptedError):
            bench.sweeper(SENT, tracker).sweep(SweepResult())
        destructive_node.set_memory_alarm(False)
    assert tracker.asked == []
