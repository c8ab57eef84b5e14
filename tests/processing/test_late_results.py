"""Work that takes longer than RabbitMQ leaves a message with its consumer is done once, and its result stored once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from base_handler import BaseMessageHandler
from broker.deliveries import Delivery
from broker.properties import ReceivedProperties
from core.errors import (
    AmbiguousError,
    BusinessError,
    BusyError,
    ConfigurationError,
    LostError,
    OutageError,
    OutcomeError,
    PartialOutageError,
    PermanentError,
    TransientError,
)
from core.messages import IncomingMessage, Limits, decode_task
from core.results import Accepted, Acknowledged, Result
from processing.in_flight import InFlight
from processing.late_results import KEEP, KEEP_STORED, LIMIT, LateResults
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.proxy import TcpProxy
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_server import Server
from testbench.harness import ERRORS, Bench, camunda_message, wait_until

QUEUE = "bitrix24.queue"
SENT = "bitrix24.sent.queue"
CONSUMER_TIMEOUT = 2.0  # seconds
LONG = 7.0  # seconds that the work takes


class Slow(BaseMessageHandler):
    """Takes long over one task, and says what the test wants of it."""

    def __init__(self, error: OutcomeError | None = None) -> None:
        super().__init__("test")
        self.error = error
        self.begun: Counter[str] = Counter()

    def handle(self, message: IncomingMessage) -> Result:
        self.begun[message.task.task_id] += 1
        if message.task.task_id == "slow":
            time.sleep(LONG)
            if self.error is not None:
                raise self.error
        return Accepted({"result": {"task": {"id": message.task.task_id}}}, message.task.task_id)


@pytest.fixture(scope="module")
def impatient_node(server: Server) -> Iterator[RabbitNode]:
    with RabbitNode(server, {"consumer_timeout": str(round(CONSUMER_TIMEOUT * 1000))}) as node:
        # Before 4.3 a channel looks once in a minute.
        node.eval("application:set_env(rabbit, channel_tick_interval, 500)")
        yield node


@pytest.fixture(params=["classic", "quorum"])
def impatient(request: pytest.FixtureRequest, impatient_node: RabbitNode) -> Iterator[Broker]:
    """A virtual host with an input queue of that type on a node that takes back what is held for two seconds."""
    name = f"impatient-{request.param}"
    broker = Broker(impatient_node.add_vhost(name))
    broker.declare(QUEUE, arguments={"x-queue-type": request.param})
    yield broker
    impatient_node.delete_vhost(name)


def tasks_in(broker: Broker, queue: str) -> Counter[str]:
    return Counter(json.loads(body)["original_message"]["task_id"] for _, body in broker.get_all(queue))


def test_work_that_outlives_its_delivery_is_done_and_stored_once(impatient: Broker) -> None:
    handler = Slow()
    bench = Bench(impatient.address)
    bench.add(QUEUE, handler, sent_queue=SENT, threads=2)
    impatient.publish(QUEUE, camunda_message("slow"))
    with bench.running():
        wait_until(lambda: handler.begun["slow"] > 0, what="the work")
        impatient.publish(QUEUE, camunda_message("next"))
        impatient.wait_for_at_least(SENT, 2, timeout=60)
        time.sleep(2 * CONSUMER_TIMEOUT)  # in which nothing may happen any more
        assert impatient.count(QUEUE) == 0
    assert tasks_in(impatient, SENT) == {"slow": 1, "next": 1}
    assert handler.begun["slow"] == 1


def test_a_refusal_that_outlives_its_delivery_is_told_once(impatient: Broker) -> None:
    handler = Slow(BusinessError("no such project", code="no_project"))
    bench = Bench(impatient.address)
    bench.add(QUEUE, handler, sent_queue=SENT, threads=1)
    impatient.publish(QUEUE, camunda_message("slow"))
    with bench.running():
        impatient.wait_for_count(ERRORS, 1, timeout=60)
    [(_, body)] = impatient.get_all(ERRORS)
    assert json.loads(body)["code"] == "no_project"
    assert handler.begun == {"slow": 1}


def test_a_result_whose_delivery_was_lost_with_the_connection_is_stored_once(
    vhost: BrokerAddress, broker: Broker, proxy: TcpProxy
) -> None:
    broker.declare(QUEUE)
    handler = Slow()
    bench = Bench(vhost.through(proxy.port))
    bench.add(QUEUE, handler, sent_queue=SENT, threads=2)
    broker.publish(QUEUE, camunda_message("slow"))
    with bench.running():
        wait_until(lambda: handler.begun["slow"] > 0, what="the work")
        proxy.cut()
        broker.wait_for_at_least(SENT, 1, timeout=60)
        wait_until(lambda: broker.count(QUEUE) == 0, what="an empty queue")
    assert tasks_in(broker, SENT) == {"slow": 1}
    assert handler.begun["slow"] == 1


# -- what is kept, and for how long -----------------------------------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Ours:
    """Which deliveries are still ours."""

    def __init__(self) -> None:
        self.lost: set[int] = set()

    def __call__(self, delivery: Delivery) -> bool:
        return delivery.tag not in self.lost


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ours() -> Ours:
    return Ours()


@pytest.fixture
def late(ours: Ours, clock: Clock) -> LateResults:
    return LateResults(ours, clock)


def delivered(task_id: str, tag: int, *, redelivered: bool = True) -> InFlight:
    body = camunda_message(task_id)
    work = InFlight.begin(Delivery(QUEUE, 1, tag, redelivered, ReceivedProperties(), body), "bitrix24")
    work.task = decode_task(body, Limits())
    return work


DONE = Accepted({}, "4711")


def test_a_message_that_nobody_has_begun_is_to_be_worked_on(late: LateResults) -> None:
    assert late.find(delivered("a", 1)) is None


def test_a_message_that_comes_for_the_first_time_is_not_looked_for(late: LateResults) -> None:
    late.keep(delivered("a", 1), DONE)
    assert late.find(delivered("a", 2, redelivered=False)) is None
    assert late.find(delivered("a", 3)) is DONE


def test_an_outcome_is_told_to_the_next_delivery_of_the_same_message_once(late: LateResults) -> None:
    assert late.keep(delivered("a", 1), DONE)
    assert late.find(delivered("b", 2)) is None
    assert late.find(delivered("a", 3)) is DONE
    assert late.find(delivered("a", 4)) is None


@pytest.mark.parametrize(
    "error", [BusinessError("no"), PermanentError("no"), TransientError("later"), AmbiguousError("perhaps")]
)
def test_an_error_that_the_work_has_come_to_is_kept_without_its_traceback(
    late: LateResults, error: OutcomeError
) -> None:
    try:
        raise error from ValueError("its reason")
    except OutcomeError:
        assert late.keep(delivered("a", 1), error)
    assert late.find(delivered("a", 2)) is error
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)


@pytest.mark.parametrize(
    "error",
    [
        LostError("gone"),
        BusyError("busy"),
        OutageError("down"),
        PartialOutageError("one service"),
        ConfigurationError("password"),
    ],
)
def test_where_nothing_was_done_nothing_is_kept(late: LateResults, error: OutcomeError) -> None:
    assert not late.keep(delivered("a", 1), error)
    assert late.find(delivered("a", 2)) is None


def test_an_error_of_a_system_that_has_no_outcome_is_kept_like_any_other(late: LateResults) -> None:
    class OfNoOutcomeError(OutcomeError):
        """The author of a system has forgotten the word; only the settlement may complain about it."""

    error = OfNoOutcomeError("no", code="mine")
    assert late.keep(delivered("a", 1), error)
    assert late.find(delivered("a", 2)) is error


def test_while_the_work_goes_on_its_message_waits(late: LateResults, ours: Ours, clock: Clock) -> None:
    begun = delivered("a", 1)
    late.begin(begun)
    assert late.find(delivered("a", 2)) is None, "a second message beside it is the system's own business"
    ours.lost.add(1)
    clock.now += 40
    busy = late.find(delivered("a", 2))
    assert isinstance(busy, BusyError)
    assert busy.retry_after == 10
    late.end(begun)
    assert late.find(delivered("a", 2)) is None


def test_the_wait_for_running_work_has_bounds(late: LateResults, ours: Ours, clock: Clock) -> None:
    late.begin(delivered("a", 1))
    ours.lost.add(1)
    waits = []
    for seconds in (0, 3600):
        clock.now += seconds
        busy = late.find(delivered("a", 2))
        assert isinstance(busy, BusyError)
        waits.append(busy.retry_after)
    assert waits == [1, 60]


def test_what_is_stored_already_needs_the_ack_alone_for_a_while(late: LateResults, clock: Clock) -> None:
    late.keep_stored(delivered("a", 1))
    assert isinstance(late.find(delivered("a", 2)), Acknowledged)
    late.keep_stored(delivered("a", 2))
    clock.now += KEEP_STORED + 1
    assert late.find(delivered("a", 3)) is None


def test_outcomes_are_forgotten_one_day_and_when_they_are_too_many(late: LateResults, clock: Clock) -> None:
    late.keep(delivered("old", 1), DONE)
    clock.now += KEEP + 1
    assert late.find(delivered("old", 2)) is None
    for number in range(LIMIT + 1):
        late.keep(delivered(f"task-{number}", number), DONE)
    assert late.find(delivered("task-0", 1)) is None
    assert late.find(delivered(f"task-{LIMIT}", 1)) is DONE
