"""How consumer and publisher get a connection: nothing that hangs anywhere on the way holds up anything else."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pika
import pytest
from pika.exceptions import AMQPConnectionError

from base_handler import BaseMessageHandler
from base_tracker import BaseTracker
from broker.connection import connect, connection_parameters
from broker.connection_thread import STORM, ConnectionThread
from broker.nodes import LastGood, Nodes
from broker.racing import Race
from broker.resolving import Resolver
from broker.settings import RabbitMQSettings
from broker.topology import Topology
from broker.turns import TurnLoop
from core.events.base import EventStream, Log
from core.events.connections import ConnectionUnstable
from core.messages import IncomingMessage, OutgoingMessage, TrackedTask
from core.results import Accepted, Result, Verdict
from rabbitmq_publisher import RabbitMQPublisher
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.ports import LOOPBACK, free_port
from sandbox.proxy import TcpProxy
from testbench.harness import ERRORS, RESPONSES, Bench, camunda_message, rabbitmq_settings, wait_until
from tracking.sweeper import Sweeper
from tracking.tracked_queue import TrackedQueue
from tracking.tracker_thread import TrackerThread

NINE = [f"{name}.queue" for name in ("a", "b", "c", "d", "e", "f", "g", "h", "i")]
GREETING = b"AMQP\x00\x00\x09\x01"


Start = Callable[[RabbitMQPublisher], None]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a publisher that is closed whatever comes of the test: one that dials on disturbs the tests after it."""
    started: list[RabbitMQPublisher] = []

    def start(publisher: RabbitMQPublisher) -> None:
        publisher.start()
        started.append(publisher)

    yield start
    for publisher in started:
        publisher.close(5)


class Collector(BaseMessageHandler):
    def __init__(self, *, exclusive: bool = False) -> None:
        super().__init__("test")
        self.exclusive = exclusive
        self.seen: list[str] = []

    def handle(self, message: IncomingMessage) -> Result:
        self.seen.append(message.task.task_id)
        return Accepted({})


class MuteServer:
    """Takes TCP and lets `speak` do with it what it wants; then says nothing more."""

    def __init__(self, speak: Callable[[socket.socket], None] = lambda _connection: None) -> None:
        self._speak = speak
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listener.getsockname()[1])
        self.connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MuteServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for connection in self.connections:
            connection.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            with contextlib.suppress(OSError):
                self._speak(connection)

    def ends(self) -> bool:
        """Whether every client has closed its connection."""
        for connection in self.connections:
            connection.settimeout(0.01)
            try:
                while connection.recv(65536):
                    pass
            except TimeoutError:
                return False
            except OSError:
                continue
        return True


def begin_amqp(connection: socket.socket) -> None:
    """As a broker that asks for the credentials and then hangs while it checks them."""
    connection.settimeout(5)
    if connection.recv(8) == GREETING:
        connection.sendall(START)


# Connection.Start (AMQP 0-9-1, 1.4.2.1), empty server properties, PLAIN, en_US.
_ARGUMENTS = b"\x00\x0a\x00\x0a\x00\x09\x00\x00\x00\x00\x00\x00\x00\x05PLAIN\x00\x00\x00\x05en_US"
START = b"\x01\x00\x00" + len(_ARGUMENTS).to_bytes(4, "big") + _ARGUMENTS + b"\xce"


def hosts(address: BrokerAddress, ports: Sequence[int], **changes: Any) -> list[pika.ConnectionParameters]:
    settings = rabbitmq_settings(address, **changes)
    return connection_parameters(
        settings.model_copy(update={"host": ",".join(f"{LOOPBACK}:{port}" for port in ports)}), "test"
    )


class TestOneHostHangs:
    @pytest.mark.parametrize("heartbeat", [30, 10])
    def test_with_the_first_host_hung_and_nine_queues_the_worker_is_at_work_at_once(
        self, vhost: BrokerAddress, broker: Broker, heartbeat: int
    ) -> None:
        bench = Bench(vhost)
        with MuteServer() as hung:
            bench.parameters[:] = hosts(vhost, [hung.port, vhost.port], heartbeat=heartbeat)
            handlers = {queue: Collector() for queue in NINE}
            for queue, handler in handlers.items():
                bench.add(queue, handler)
            broker.declare(NINE[-1])
            broker.publish(NINE[-1], camunda_message("task-1"))
            with bench.running():
                broker.wait_for_count("sent", 1, timeout=9)  # less than one connection_timeout of 10 s
                assert bench.consumer.seconds_since_tick() < 5
                wait_until(bench.consumer.is_consuming, 9, "all nine queues")
                assert len(hung.connections) <= 2, "one for the consumer, one for the publisher"
            wait_until(hung.ends, what="the end of what has lost the race")

    def test_a_broker_that_hangs_while_it_checks_the_credentials_is_overtaken(
        self, vhost: BrokerAddress, broker: Broker
    ) -> None:
        with MuteServer(begin_amqp) as hung:
            bench = Bench(vhost)
            bench.parameters[:] = hosts(vhost, [hung.port, vhost.port])
            with bench.running():
                bench.publisher.publish("a.sent.queue", OutgoingMessage(b"{}", "m")).result(9)
                wait_until(hung.ends, what="the end of what has lost the race")
        assert broker.count("a.sent.queue") == 1

    def test_a_tls_handshake_that_hangs_is_given_up_and_tried_again(
        self, vhost: BrokerAddress, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        with MuteServer() as hung:
            address = replace(vhost, port=hung.port)
            settings = rabbitmq_settings(address, tls=True, connection_timeout=0.3)
            publisher = RabbitMQPublisher(
                connection_parameters(settings, "test"),
                Topology(settings),
                EventStream([Log()]),
                reconnect_max_delay=0.5,
            )
            start(publisher)
            wait_until(lambda: len(hung.connections) >= 3, what="further tries")
            assert "did not answer within 0.3 s" in caplog.text
            assert publisher.is_alive()
            publisher.close(5)
            assert not publisher.is_alive()
            wait_until(hung.ends, what="the end of all that was tried")

    def test_a_stop_does_not_wait_for_a_host_that_hangs(self, vhost: BrokerAddress) -> None:
        with MuteServer(begin_amqp) as hung:
            bench = Bench(vhost)
            bench.parameters[:] = hosts(vhost, [hung.port])
            bench.publisher.start()
            wait_until(lambda: bool(hung.connections), what="a try")
            began = time.monotonic()
            bench.publisher.close(9)
            assert not bench.publisher.is_alive()
            assert time.monotonic() - began < 8, "connection_timeout is 10 s"

    def test_after_a_loss_the_host_that_has_answered_is_tried_first(
        self, vhost: BrokerAddress, proxy: TcpProxy
    ) -> None:
        with MuteServer() as hung:
            bench = Bench(vhost)
            bench.parameters[:] = hosts(vhost, [hung.port, proxy.port])
            with bench.running():
                bench.publisher.publish("a.sent.queue", OutgoingMessage(b"{}", "1")).result(20)
                asked = len(hung.connections)
                proxy.cut()
                bench.publisher.publish("a.sent.queue", OutgoingMessage(b"{}", "2")).result(20)
                wait_until(bench.consumer.is_consuming, what="the consumer")
                assert len(hung.connections) == asked


def run_race(parameters: Sequence[pika.ConnectionParameters], resolver: Resolver) -> pika.SelectConnection | Exception:
    """The winner, closed in order, or why there is none."""
    ioloop = TurnLoop()
    ends: list[pika.SelectConnection | Exception | None] = []

    def on_won(connection: pika.SelectConnection, _parameters: pika.ConnectionParameters) -> None:
        ends.append(connection)
        connection.close()

    def on_failed(error: Exception | None) -> None:
        ends.append(error)
        ioloop.stop()

    race = Race(ioloop, resolver, on_won=on_won, on_lost=lambda *_: ioloop.stop(), on_failed=on_failed)
    race.start(parameters)
    ioloop.start()
    ioloop.close()
    [end] = ends
    assert end is not None
    return end


class TestNames:
    def test_a_name_server_that_hangs_holds_up_its_own_host_only(self, vhost: BrokerAddress) -> None:
        hang, asked = threading.Event(), []

        def lookup(host: str, _port: int) -> list[str]:
            asked.append(host)
            if host == "hung.example":
                hang.wait(60)
            return [LOOPBACK]

        resolver, patient = Resolver(lookup), rabbitmq_settings(vhost, connection_timeout=30)
        both = patient.model_copy(update={"host": "hung.example,good.example"})
        assert isinstance(run_race(connection_parameters(both, "test"), resolver), pika.SelectConnection)
        hasty = rabbitmq_settings(vhost, connection_timeout=0.5).model_copy(update={"host": "hung.example"})
        alone = connection_parameters(hasty, "test")
        for _ in range(3):
            failure = run_race(alone, resolver)
            assert "hung.example: did not answer within 0.5 s" in str(failure)
        hang.set()
        assert asked.count("hung.example") == 1, "one thread waits for the name server, not one for each try"

    def test_each_address_of_a_name_is_tried(self, vhost: BrokerAddress) -> None:
        resolver = Resolver(lambda _host, _port: ["::1", "127.0.0.2", LOOPBACK])  # nobody listens on the first two
        settings = rabbitmq_settings(vhost).model_copy(update={"host": "many.example"})
        assert isinstance(run_race(connection_parameters(settings, "test"), resolver), pika.SelectConnection)

    def test_a_name_that_is_unknown_is_told(self, vhost: BrokerAddress) -> None:
        def lookup(_host: str, _port: int) -> list[str]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        settings = rabbitmq_settings(vhost).model_copy(update={"host": "nobody.example"})
        failure = run_race(connection_parameters(settings, "test"), Resolver(lookup))
        assert "nobody.example: the name cannot be resolved (Name or service not known)" in str(failure)
        assert "RABBITMQ_HOST" in str(failure)

    def test_when_nobody_answers_each_host_is_told_with_its_reason(self, vhost: BrokerAddress) -> None:
        first, second = free_port(), free_port()
        failure = str(run_race(hosts(vhost, [first, second]), Resolver()))
        assert f"{LOOPBACK}, port {first}: " in failure
        assert f"{LOOPBACK}, port {second}: " in failure
        assert "connection refused" in failure

    def test_wrong_credentials_are_told_as_such(self, vhost: BrokerAddress) -> None:
        wrong = BrokerAddress(vhost.host, vhost.port, vhost.username, "no password of ours", vhost.vhost)
        failure = str(run_race(hosts(wrong, [wrong.port]), Resolver()))
        assert "RABBITMQ_USERNAME and RABBITMQ_PASSWORD" in failure


class TestParametersAreReadAnew:
    def test_a_file_that_cannot_be_read_costs_one_try_each_time_and_no_thread(
        self, vhost: BrokerAddress, broker: Broker, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings, is_broken = rabbitmq_settings(vhost), [True]

        def read() -> list[pika.ConnectionParameters]:
            if is_broken[0]:
                raise OSError("one of these files cannot be read or does not fit: /run/client.pem")
            return connection_parameters(settings, "test")

        last_good = LastGood()
        publisher = RabbitMQPublisher(
            Nodes(read, last_good), Topology(settings), EventStream([Log()]), reconnect_max_delay=0.5
        )
        start(publisher)
        stored = publisher.publish("a.sent.queue", OutgoingMessage(b"{}", "m"))
        wait_until(lambda: "/run/client.pem" in caplog.text, what="the reason")
        is_broken[0] = False
        stored.result(20)
        assert last_good.endpoint == (vhost.host, vhost.port)
        publisher.close(5)
        assert broker.count("a.sent.queue") == 1


class TestStorms:
    def test_a_single_loss_is_made_good_at_once_and_a_storm_is_damped_and_told(
        self, vhost: BrokerAddress, proxy: TcpProxy, start: Start
    ) -> None:
        told: list[Any] = []
        settings = rabbitmq_settings(vhost.through(proxy.port), reconnect_max_delay=30.0)
        publisher = RabbitMQPublisher(
            connection_parameters(settings, "test"),
            Topology(settings),
            EventStream([told.append]),
            reconnect_max_delay=30.0,
        )
        start(publisher)
        assert publisher.wait_until_ready(20)
        began, losses = time.monotonic(), 0
        pauses: list[float] = []
        while losses < STORM:
            proxy.cut()
            wait_until(lambda: not publisher.is_ready(), what="the loss")
            lost = time.monotonic()
            losses += 1
            assert publisher.wait_until_ready(60)
            pauses.append(time.monotonic() - lost)
        publisher.close(5)
        unstable = [event for event in told if isinstance(event, ConnectionUnstable)]
        assert [event.losses for event in unstable] == [STORM]
        assert unstable[0].connection == "rabbitmq-publisher"
        assert pauses[0] < 2
        # 0.2, 0.4, 0.8, 1.6, 3.2 seconds, each with a jitter down to a half: without damping five losses cost 1 s.
        assert time.monotonic() - began > 3.1


class TestStandby:
    def test_a_worker_that_stands_by_opens_no_connection_and_its_other_queues_are_quick(
        self, vhost: BrokerAddress, broker: Broker, proxy: TcpProxy
    ) -> None:
        owner, standby, other = Collector(exclusive=True), Collector(exclusive=True), Collector()
        first, second = Bench(vhost), Bench(vhost.through(proxy.port))
        first.add("bitrix24.queue", owner)
        second.add("bitrix24.queue", standby)
        second.add("1c.queue", other)
        with MuteServer() as hung, first.running():
            wait_until(first.consumer.is_consuming, what="the owner")
            second.parameters[:] = hosts(vhost, [hung.port, proxy.port])
            with second.running():
                wait_until(second.consumer.is_consuming, what="the second worker")
                connections = proxy.accepted + len(hung.connections)
                for number in range(20):
                    began = time.monotonic()
                    broker.publish("1c.queue", camunda_message(f"task-{number}"))
                    wait_until(lambda done=number: len(other.seen) > done, 5, "the message")  # type: ignore[misc]
                    assert time.monotonic() - began < 3
                    time.sleep(0.1)  # the standby has its tries meanwhile, one a second
                assert proxy.accepted + len(hung.connections) == connections
        assert standby.seen == []


class TestSweeps:
    def test_a_tracker_that_is_woken_again_and_again_does_not_dial_in_a_storm(
        self, vhost: BrokerAddress, start: Start
    ) -> None:
        stop = threading.Event()
        settings = rabbitmq_settings(vhost)
        with MuteServer(lambda connection: connection.close()) as closing:
            publisher = RabbitMQPublisher(
                connection_parameters(settings, "test"),
                Topology(settings),
                EventStream([Log()]),
                reconnect_max_delay=1.0,
            )
            tracked = TrackedQueue("a.sent.queue", "a", NeverAsked("a"), RESPONSES, ERRORS, echo_variables=True)
            events, topology, nodes = EventStream([Log()]), Topology(settings), hosts(vhost, [closing.port])
            sweeper = Sweeper(tracked, topology, nodes, publisher, stop.is_set, events=events)
            tracker = TrackerThread("a.sent.queue", "a", sweeper, events=events, interval=60.0, stop=stop)
            start(publisher)
            assert publisher.wait_until_ready(20)
            tracker.start()
            ends = time.monotonic() + 4
            while time.monotonic() < ends:
                tracker.wake()
                time.sleep(0.02)
            stop.set()
            tracker.wake()
            assert tracker.join(10)
            publisher.close(5)
            # 1, 2, 4 seconds, each with a jitter down to a half: five at the most, and not two hundred.
            assert 1 <= len(closing.connections) <= 5

    def test_a_name_server_that_hangs_ends_a_sweep_in_time(self, vhost: BrokerAddress) -> None:
        hang = threading.Event()

        def lookup(_host: str, _port: int) -> list[str]:
            hang.wait(60)
            return []

        settings = rabbitmq_settings(vhost, connection_timeout=0.3).model_copy(update={"host": "hung.example"})
        nodes = Nodes(lambda: connection_parameters(settings, "test"), resolver=Resolver(lookup))
        with pytest.raises(AMQPConnectionError, match=r"hung\.example cannot be resolved within 0\.3 s"):
            connect(nodes)
        hang.set()


class NeverAsked(BaseTracker):
    def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
        raise AssertionError("there is no connection")


def test_a_long_pause_between_two_tries_is_no_hang() -> None:
    # systemd kills a worker whose threads give no sign of life; RABBITMQ_RECONNECT_MAX_DELAY may be longer.
    class Patient(ConnectionThread):
        def _pause(self) -> float:
            return 300.0

    nobody = pika.ConnectionParameters("127.0.0.1", 1)
    thread = Patient(
        "patient",
        [nobody],
        Topology(RabbitMQSettings()),
        reconnect_max_delay=300,
        on_open=print,
        on_lost=lambda: None,
        events=EventStream([Log()]),
    )
    thread.start()
    ages = []
    for _ in range(40):
        time.sleep(0.1)
        ages.append(thread.seconds_since_tick())
    thread.close(10, lambda: None)
    assert not thread.is_alive(), "a pause does not hold up the end"
    assert ages != sorted(ages), "it gave signs of life meanwhile"
