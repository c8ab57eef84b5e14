"""A queue that does not take its messages holds up nobody else's, and not the stop."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from base_handler import BaseMessageHandler
from broker.connection_thread import ConnectionThread
from broker.declarations import Declared, OnDone
from broker.errors import PublisherClosedError
from broker.outgoing_queue import OutgoingQueue
from broker.publishing_channel import Publication, PublishingChannel
from core.errors import TransientError
from core.events.base import EventStream, Log
from core.messages import IncomingMessage, OutgoingMessage
from core.results import Accepted, Result
from core.texts import Text
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.rabbitmq import RabbitNode
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, Bench, camunda_message, wait_until
from tests.tracking.test_tracking import SENT, Tracker, put_sent
from tracking.tracked_queue import SweepResult

MISSING = "missing.sent.queue"


def message(number: int) -> OutgoingMessage:
    return OutgoingMessage(f"{number}".encode(), f"message-{number}")


def bodies(broker: Broker, queue: str) -> list[int]:
    return [int(body) for _, body in broker.get_all(queue)]


class VhostLimit:
    """How many queues a virtual host may have."""

    def __init__(self, node: RabbitNode, vhost: str) -> None:
        self._node = node
        self._vhost = vhost

    def set(self, queues: int) -> None:
        self._node.ctl("set_vhost_limits", "--vhost", self._vhost, json.dumps({"max-queues": queues}))


@pytest.fixture
def limit(node: RabbitNode, vhost: BrokerAddress) -> VhostLimit:
    return VhostLimit(node, vhost.vhost)


class TestAQueueThatCannotBeCreated:
    def test_the_others_flow_a_stop_does_not_wait_for_it_and_nothing_is_called_stored(
        self, vhost: BrokerAddress, broker: Broker, limit: VhostLimit, caplog: pytest.LogCaptureFixture
    ) -> None:
        broker.declare(RESPONSES)
        limit.set(1)
        bench = Bench(vhost)
        with bench.running():
            stuck = [bench.publisher.publish(MISSING, message(number)) for number in range(3)]
            wait_until(lambda: f"{MISSING} cannot be used" in caplog.text, what="the refusal")
            assert "limit" in caplog.text
            for number in range(500):
                bench.publisher.publish(RESPONSES, message(number)).result(5)
            wait_until(lambda: bench.publisher.unconfirmed() == 0, 5, "nothing that the stop would wait for")
        assert not [each for each in stuck if not isinstance(each.exception(0), PublisherClosedError)]
        assert "3 messages for missing.sent.queue were not stored" in caplog.text
        assert broker.count(RESPONSES) == 500

    def test_when_there_is_room_all_of_them_are_stored_in_their_order(
        self, vhost: BrokerAddress, broker: Broker, limit: VhostLimit, caplog: pytest.LogCaptureFixture
    ) -> None:
        broker.declare(RESPONSES)
        limit.set(1)
        with Bench(vhost).running() as bench:
            stuck = [bench.publisher.publish(MISSING, message(number)) for number in range(300)]
            wait_until(lambda: f"{MISSING} cannot be used" in caplog.text, what="the refusal")
            stuck += [bench.publisher.publish(MISSING, message(number)) for number in range(300, 600)]
            limit.set(10)
            for each in stuck:
                each.result(30)
        assert bodies(broker, MISSING) == list(range(600))

    def test_without_the_right_to_create_wait_queues_the_rest_is_done(
        self, node: RabbitNode, vhost: BrokerAddress, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")

        class Picky(BaseMessageHandler):
            def __init__(self) -> None:
                super().__init__("test")

            def handle(self, message: IncomingMessage) -> Result:
                if message.task.task_id == "later":
                    raise TransientError("not now")
                return Accepted({})

        node.ctl("set_permissions", "--vhost", vhost.vhost, vhost.username, r"^(?!.*\.retry\.)", ".*", ".*")
        bench = Bench(vhost)
        bench.add("1c.queue", Picky(), delay=0.1)
        broker.declare("1c.queue")
        with bench.running():
            broker.publish("1c.queue", camunda_message("later"))
            wait_until(lambda: "ACCESS_REFUSED" in caplog.text, what="the refusal")
            broker.publish_all("1c.queue", [camunda_message(f"task-{number}") for number in range(50)])
            broker.wait_for_count("sent", 50)
            events = [getattr(record, "event", "") for record in caplog.records]
            assert "task.retry" not in events, "nothing is claimed that the broker has not confirmed"
            assert bench.statistics.snapshot(0)["systems"]["1c"]["retries"] == 0
            node.ctl("set_permissions", "--vhost", vhost.vhost, vhost.username, ".*", ".*", ".*")
            wait_until(lambda: "task.retry" in [getattr(each, "event", "") for each in caplog.records], 30, "the copy")

    def test_a_daemon_with_such_messages_stops_promptly_and_claims_no_answer_that_never_left(
        self, vhost: BrokerAddress, broker: Broker, limit: VhostLimit, tmp_path: Path
    ) -> None:
        needed = ["default.queue", "python-services.queue", RESPONSES, "default.sent.queue"]
        for queue in needed:
            broker.declare(queue)
        limit.set(len(needed))
        broker.publish("default.queue", camunda_message("t", topic="nobody", system="default"))
        with Daemon(vhost, tmp_path, {"TRACKER_CONFIG": '{"default.sent.queue": null}'}) as daemon:
            wait_until(lambda: f"{ERRORS} cannot be used" in daemon.output(), 60, "the refusal")
            broker.publish("default.queue", camunda_message("u", topic="create_user", system="x"))
            broker.wait_for_count("python-services.queue", 1)
            began = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - began < 15, "SHUTDOWN_TIMEOUT is 30 s"
        assert "task.parked" not in daemon.output()
        assert "messages for errors.camunda_tasks.queue were not stored" in daemon.output()
        limit.set(20)
        with Daemon(vhost, tmp_path, {}) as daemon:
            broker.wait_for_count(ERRORS, 1, 60)
            wait_until(lambda: "task.parked" in daemon.output(), 10, "the log line")


class TestAFullQueue:
    def test_it_is_not_flooded_and_takes_all_in_their_order_when_somebody_reads_it(
        self, vhost: BrokerAddress, broker: Broker
    ) -> None:
        broker.declare("full.sent.queue", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        with Bench(vhost).running() as bench:
            futures = [bench.publisher.publish("full.sent.queue", message(number)) for number in range(30)]
            taken: list[int] = []
            while len(taken) < 30:
                taken += bodies(broker, "full.sent.queue")
                bench.publisher.publish(RESPONSES, message(len(taken))).result(5)
            for future in futures:
                future.result(10)
        assert sorted(set(taken)) == list(range(30))


class TestAQueueThatSaysNothing:
    """As a quorum queue without its majority: it neither takes nor refuses. Here its process is suspended."""

    QUEUE = "silent.sent.queue"

    @pytest.fixture
    def silence(self, node: RabbitNode, vhost: BrokerAddress, broker: Broker) -> Iterator[ExitStack]:
        """Closing it ends the silence."""
        broker.declare(self.QUEUE)
        with ExitStack() as silence:
            silence.enter_context(node.silenced(vhost.vhost, [self.QUEUE]))
            yield silence

    def test_no_more_is_sent_to_it_the_others_flow_and_a_stop_does_not_wait_for_it(
        self,
        vhost: BrokerAddress,
        broker: Broker,
        silence: ExitStack,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr("rabbitmq_publisher.SILENCE", 0.5)
        broker.declare(RESPONSES)
        with Bench(vhost).running() as bench:
            silent = [bench.publisher.publish(self.QUEUE, message(number)) for number in range(2000)]
            for number in range(500):
                bench.publisher.publish(RESPONSES, message(number)).result(5)
            wait_until(lambda: "gives no answer" in caplog.text, what="the complaint")
            assert not any(each.done() for each in silent)
            wait_until(lambda: bench.publisher.unconfirmed() == 0, 10, "nothing that the stop would wait for")
            silence.close()
            for each in silent:
                each.result(30)
        assert bodies(broker, self.QUEUE) == list(range(2000))

    @pytest.mark.usefixtures("silence")
    def test_asking_for_it_holds_up_no_other_queue(self, vhost: BrokerAddress, broker: Broker) -> None:
        class Quick(BaseMessageHandler):
            def __init__(self) -> None:
                super().__init__("test")

            def handle(self, message: IncomingMessage) -> Result:
                return Accepted({})

        bench = Bench(vhost)
        bench.add(self.QUEUE, Quick())
        bench.add("1c.queue", Quick())
        broker.declare("1c.queue")
        broker.publish("1c.queue", camunda_message("task-1"))
        with bench.running():
            broker.wait_for_count("sent", 1)
            assert bench.consumer.seconds_since_tick() < 5


class TestWhatATrackerClaims:
    @pytest.mark.parametrize(("verdict", "event"), [("finished", "task.completed"), ("deleted", "task.rejected")])
    def test_nothing_is_logged_or_counted_before_the_broker_has_it(
        self,
        vhost: BrokerAddress,
        broker: Broker,
        limit: VhostLimit,
        caplog: pytest.LogCaptureFixture,
        verdict: str,
        event: str,
    ) -> None:
        caplog.set_level("INFO")
        broker.declare(SENT)
        put_sent(broker, ["task-1"])
        limit.set(1)
        tracker, result = Tracker(), SweepResult()
        getattr(tracker, verdict).add("task-1")

        def told() -> bool:
            return event in [getattr(record, "event", "") for record in caplog.records]

        with Bench(vhost).running() as bench:
            sweeping = threading.Thread(target=bench.sweeper(SENT, tracker).sweep, args=(result,))
            sweeping.start()
            wait_until(lambda: "cannot be used" in caplog.text, what="the refusal")
            assert not told()
            assert (result.completed, result.errors) == (0, 0)
            limit.set(10)
            sweeping.join(30)
            assert not sweeping.is_alive()
            assert told()
            assert result.completed + result.errors == 1
        assert broker.count(SENT) == 0


class Clock:
    now = 1000.0


class Desk:
    """An OutgoingQueue between a publisher and an I/O thread that a test plays: one message, `m`, for `queue`."""

    queue = "a.queue.retry.100ms"
    connection = None

    def __init__(self) -> None:
        self.sent: list[Publication] = []
        self.elsewhere: list[Publication] = []
        self.asked: list[bool] = []  # for each declaration, whether the queue is to be made anew if it is empty
        self.told: list[str] = []
        self._on_declared: list[OnDone] = []
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self.outgoing = OutgoingQueue(
            self.queue,
            cast(ConnectionThread, self),
            EventStream([Log()]),
            is_blocked=lambda: False,
            on_stored=lambda _publications: None,
            detour=self.elsewhere.extend,
            longest=1.0,
            growth=3.0,
        )
        self.outgoing._channel = cast(PublishingChannel, OpenChannel(self))
        self.outgoing.put(Publication(self.queue, message(1)))
        self.outgoing.flow()

    def is_open(self) -> bool:
        return True

    def tell_unusable(self, queue: str, _reason: Text) -> None:
        self.told.append(queue)

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self._timers.append((delay, callback))

    def ensure_queue(self, _name: str, on_done: OnDone, *, anew: bool = False) -> None:
        self.asked.append(anew)
        self._on_declared.append(on_done)

    def declared(self, what: Declared) -> None:
        self._on_declared.pop()(what)

    def time_passes(self) -> list[float]:
        """The delays of the timers that end."""
        due, self._timers = self._timers, []
        for _, callback in due:
            callback()
        return [delay for delay, _ in due]

    def refuse(self) -> None:
        self.outgoing.on_refused(self.sent.pop())
        self.time_passes()

    def store(self) -> None:
        self.outgoing.on_stored([self.sent.pop()])

    def lose_the_connection(self) -> None:
        lost, self.sent[:] = list(self.sent), []
        self.outgoing.on_closed(lost)
        self._timers.clear()
        self._on_declared.clear()
        self.outgoing.disconnected()
        self.outgoing.connected(make_sure=True)


class OpenChannel:
    """Sends into a list."""

    is_open = True
    is_opening = False

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.send = desk.sent.append

    def __len__(self) -> int:
        return len(self._desk.sent)

    def oldest(self) -> Publication | None:
        return next(iter(self._desk.sent), None)

    def give_up(self) -> None:
        left, self._desk.sent[:] = list(self._desk.sent), []
        for each in left:
            each.is_doubted = True
        self._desk.outgoing.on_closed(left)

    def open(self) -> None: ...

    def forget(self) -> None: ...


class TestAWaitQueueThatTakesNothing:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        clock = Clock()
        monkeypatch.setattr("broker.outgoing_queue.time.monotonic", lambda: clock.now)
        return clock

    def test_is_bypassed_after_a_minute_of_refusals_and_people_are_told(self, clock: Clock) -> None:
        desk = Desk()
        for _ in range(59):
            desk.refuse()
            desk.declared(Declared.THERE)
            clock.now += 1
        assert (desk.elsewhere, desk.told) == ([], [])
        clock.now += 1
        [publication] = desk.sent
        desk.refuse()
        assert desk.elsewhere == [publication]
        assert desk.told == [Desk.queue]
        assert desk.outgoing.expected() == 0

    def test_is_tried_again_with_what_comes_later(self, clock: Clock) -> None:
        desk = Desk()
        desk.refuse()
        desk.declared(Declared.THERE)
        clock.now += 60
        desk.refuse()
        desk.outgoing.put(Publication(Desk.queue, message(2)))
        desk.outgoing.flow()
        assert len(desk.sent) == 1
        desk.store()
        desk.outgoing.put(Publication(Desk.queue, message(3)))
        desk.outgoing.flow()
        desk.refuse()
        assert len(desk.elsewhere) == 1, "it has worked in between"

    def test_and_says_nothing_is_bypassed_once_for_it_may_have_stored_it(self, clock: Clock) -> None:
        desk = Desk()
        for _ in range(7):
            desk.outgoing.look()
            clock.now += 10
        assert desk.elsewhere == []
        desk.outgoing.look()
        [publication] = desk.elsewhere
        desk.elsewhere.clear()
        desk.outgoing.put(publication)
        desk.outgoing.flow()
        for _ in range(100):
            desk.outgoing.look()
            clock.now += 10
        assert desk.elsewhere == []

    def test_and_whose_declaration_is_not_answered_is_bypassed(self, clock: Clock) -> None:
        desk = Desk()
        desk.refuse()
        clock.now += 60
        desk.outgoing.look()
        assert len(desk.elsewhere) == 1
        desk.declared(Declared.THERE)
        assert desk.sent == []

    def test_and_may_not_be_created_is_waited_for_since_no_other_may(self, clock: Clock) -> None:
        desk = Desk()
        desk.refuse()
        for _ in range(200):
            desk.declared(Declared.REFUSED)
            clock.now += 1
            desk.outgoing.look()
            desk.time_passes()
        assert desk.elsewhere == []

    @pytest.mark.parametrize("is_silent", [False, True])
    def test_does_not_keep_what_waits_for_it_in_the_input_queue(
        self,
        node: RabbitNode,
        vhost: BrokerAddress,
        broker: Broker,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        is_silent: bool,
    ) -> None:
        monkeypatch.setattr("broker.outgoing_queue.USELESS", 1.0)
        monkeypatch.setattr("rabbitmq_publisher.SILENCE", 0.3)

        class Once(BaseMessageHandler):
            def __init__(self) -> None:
                super().__init__("test")

            def handle(self, message: IncomingMessage) -> Result:
                if message.attempt == 1:
                    raise TransientError("not now", retry_after=0.05)
                return Accepted({})

        broken, reject = "1c.queue.retry.100ms", {"x-overflow": "reject-publish"}
        broker.declare("1c.queue")
        broker.declare(broken, arguments={"x-queue-type": "classic", "x-max-length": 1, **reject})
        broker.publish(broken, b"it is full")
        bench = Bench(vhost)
        bench.add("1c.queue", Once())
        with ExitStack() as stack:
            if is_silent:
                stack.enter_context(node.silenced(vhost.vhost, [broken]))
            with bench.running():
                broker.publish_all("1c.queue", [camunda_message(f"task-{number}") for number in range(5)])
                broker.wait_for_count("sent", 5, 60)
                wait_until(lambda: broker.count("1c.queue") == 0, what="the input queue empty")
        assert "queue.bypassed" in [getattr(record, "event", "") for record in caplog.records]


class TestAQueueThatIsBrokenByTheDeathOfItsNode:
    def made(self) -> Desk:
        """Its queue was missing and has just been created."""
        desk = Desk()
        desk.refuse()
        desk.declared(Declared.YOUNG)
        return desk

    def grown(self) -> Desk:
        """The same, some seconds later: it has been seen since."""
        desk = self.made()
        desk.time_passes()
        desk.declared(Declared.THERE)
        return desk

    def test_a_young_queue_gets_nothing_for_a_while(self) -> None:
        desk = self.made()
        assert desk.sent == []
        assert desk.time_passes() == [3.0]
        assert desk.sent == []
        desk.declared(Declared.THERE)
        assert len(desk.sent) == 1

    def test_one_that_was_deleted_before_it_had_grown_is_young_again(self) -> None:
        desk = self.made()
        desk.time_passes()
        desk.declared(Declared.YOUNG)
        assert desk.time_passes() == [3.0]
        assert desk.sent == []

    def test_one_that_has_taken_nothing_and_refuses_after_the_loss_is_made_anew_once(self) -> None:
        desk = self.made()
        desk.lose_the_connection()
        desk.declared(Declared.THERE)
        desk.refuse()
        assert desk.asked == [False, False, True]
        desk.declared(Declared.YOUNG)
        desk.time_passes()
        desk.declared(Declared.THERE)
        desk.refuse()
        assert desk.asked == [False, False, True, False, False], "not again on the same connection"

    def test_one_that_has_ever_taken_a_message_is_left_alone(self) -> None:
        desk = self.grown()
        desk.store()
        desk.outgoing.put(Publication(Desk.queue, message(2)))
        desk.lose_the_connection()
        desk.declared(Declared.THERE)
        desk.refuse()
        assert not any(desk.asked)

    def test_one_that_had_grown_old_before_the_loss_may_hold_what_another_worker_has_stored(self) -> None:
        # RabbitMQ would say that it is empty while it has no leader, and would delete it with everything in it.
        desk = self.grown()
        desk.lose_the_connection()
        desk.declared(Declared.THERE)
        desk.refuse()
        assert not any(desk.asked)

    def test_one_that_refuses_on_the_connection_that_has_created_it_is_full_and_left_alone(self) -> None:
        desk = self.grown()
        desk.refuse()
        assert not any(desk.asked)

    def test_one_of_somebody_else_is_left_alone(self) -> None:
        desk = Desk()
        desk.refuse()
        desk.declared(Declared.THERE)
        desk.lose_the_connection()
        desk.declared(Declared.THERE)
        desk.refuse()
        assert not any(desk.asked)

    @pytest.mark.parametrize("messages", [0, 1])
    def test_what_has_messages_is_not_made_anew(self, vhost: BrokerAddress, broker: Broker, messages: int) -> None:
        queue = "theirs.sent.queue"
        found: list[Declared] = []
        broker.declare(queue, arguments={"x-max-length": 7})
        for _ in range(messages):
            broker.publish(queue, b"precious")
        with Bench(vhost).running() as bench:
            thread = bench.publisher._thread
            wait_until(bench.publisher.is_ready, what="the connection")
            thread.call(lambda: thread.ensure_queue(queue, found.append, anew=True))
            wait_until(lambda: bool(found), what="the answer")
        created = Declared.YOUNG if vhost.queue_type == "quorum" else Declared.CREATED
        assert found == [Declared.THERE if messages else created]
        assert [body for _, body in broker.get_all(queue)] == messages * [b"precious"]
