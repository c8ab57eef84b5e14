"""The queues and exchanges that are shared with a live Camunda side: created as that side would, never changed."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pika.exceptions import AMQPConnectionError

from base_handler import BaseMessageHandler
from broker.connection import connect, connection_parameters
from broker.errors import TopologyError
from broker.settings import RabbitMQSettings
from broker.topology import Topology, wait_queue_name
from core.messages import IncomingMessage, OutgoingMessage
from core.policy import WAIT_STEPS
from core.results import Accepted, Result
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.camunda import CamundaSide
from sandbox.ports import LOOPBACK, free_port
from sandbox.proxy import TcpProxy
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_server import LocalServer, Server
from testbench.harness import Bench, camunda_message, ensure, rabbitmq_settings, wait_until
from tests.support.queue_types import ON_CLASSIC
from tests.support.users import user_with_rights

TASKS, UNROUTED, RESPONSES = "camunda.external.tasks", "camunda.unrouted.tasks", "camunda.task.responses"

# The contract's table: exchange -> arguments; (exchange, queue, routing key). Everything is durable.
EXCHANGES: dict[str, dict[str, Any]] = {
    TASKS: {"alternate-exchange": UNROUTED},
    UNROUTED: {},
    RESPONSES: {},
}
BINDINGS = {
    (TASKS, "bitrix24.queue", "bitrix24.*"),
    (TASKS, "openproject.queue", "openproject.*"),
    (TASKS, "1c.queue", "1c.*"),
    (TASKS, "python-services.queue", "python.*"),
    (TASKS, "python-services.queue", "email.*"),
    (TASKS, "python-services.queue", "telegram.*"),
    (TASKS, "python-services.queue", "yandex.*"),
    (TASKS, "python-services.queue", "user.*"),
    (TASKS, "python-services.queue", "file.*"),
    (TASKS, "python-services.queue", "data.*"),
    (UNROUTED, "default.queue", ""),
    (TASKS, "errors.camunda_tasks.queue", "errors.camunda_tasks"),
    (RESPONSES, "camunda.responses.queue", "camunda.responses.queue"),
}
BOUND_QUEUES = {queue for _, queue, _ in BINDINGS}
SENT_QUEUES = {f"{system}.sent.queue" for system in ("bitrix24", "openproject", "1c", "python-services", "default")}
CREATED = {"queue.created", "exchange.created"}  # events
QUEUES = BOUND_QUEUES | SENT_QUEUES
PLAIN: dict[str, Any] = {"durable": True, "auto_delete": False, "arguments": {}}


@dataclass(frozen=True)
class View:
    """One virtual host as the broker itself would export it: names with their properties, and all bindings."""

    queues: dict[str, dict[str, Any]]
    exchanges: dict[str, dict[str, Any]]
    bindings: set[tuple[str, str, str]]

    @classmethod
    def of(cls, node: RabbitNode, vhost: str) -> View:
        exported = json.loads(node.ctl("export_definitions", "-"))

        def rows(kind: str) -> Iterator[dict[str, Any]]:
            for row in exported[kind]:
                if row.pop("vhost") == vhost:
                    yield row

        return cls(
            queues={row["name"]: _properties(row) for row in rows("queues")},
            exchanges={row["name"]: _properties(row) for row in rows("exchanges")},
            bindings={(row["source"], row["destination"], row["routing_key"]) for row in rows("bindings")},
        )


def _properties(row: dict[str, Any]) -> dict[str, Any]:
    # RabbitMQ 4 exports a queue's type beside its arguments, and the default type as an argument.
    arguments = {
        name: value for name, value in row["arguments"].items() if (name, value) != ("x-queue-type", "classic")
    }
    return {name: row[name] for name in ("durable", "auto_delete")} | {"arguments": arguments}


@pytest.fixture
def look(node: RabbitNode, vhost: BrokerAddress) -> Callable[[], View]:
    return partial(View.of, node, vhost.vhost)


def camunda_declares(address: BrokerAddress) -> None:
    """Raises when anything is there with other arguments (406 PRECONDITION_FAILED)."""
    with CamundaSide([address.amqp_parameters()]) as camunda:
        camunda.declare_topology()


@ON_CLASSIC
class TestTheContract:
    def test_on_an_empty_broker_exactly_the_contract_s_table_is_created(
        self, vhost: BrokerAddress, look: Callable[[], View]
    ) -> None:
        ensure(vhost, sorted(QUEUES))

        created = look()
        assert created.queues == dict.fromkeys(QUEUES, PLAIN)
        assert created.exchanges == {name: {**PLAIN, "arguments": arguments} for name, arguments in EXCHANGES.items()}
        assert created.bindings == BINDINGS
        camunda_declares(vhost)  # with the types of the exchanges, which an export does not tell: no 406
        assert look() == created

    def test_what_camunda_s_side_has_declared_is_left_as_it_is(
        self, vhost: BrokerAddress, look: Callable[[], View], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        camunda_declares(vhost)
        before = look()
        ensure(vhost, sorted(QUEUES))
        assert look() == before
        assert [record for record in caplog.records if getattr(record, "event", "") in CREATED] == []

    def test_only_what_is_asked_for_and_missing_is_created(
        self, vhost: BrokerAddress, look: Callable[[], View], broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        broker.declare("bitrix24.queue")
        ensure(vhost, ["bitrix24.queue", "default.queue", "default.sent.queue"])
        view = look()
        assert set(view.queues) == {"bitrix24.queue", "default.queue", "default.sent.queue"}
        assert set(view.exchanges) == {UNROUTED}
        assert view.bindings == {(UNROUTED, "default.queue", "")}, "an existing queue gets no binding either"
        created = [record.getMessage() for record in caplog.records if getattr(record, "event", "") in CREATED]
        assert len(created) == 3
        assert all("was missing and has been created" in line for line in created)

    @pytest.mark.parametrize(
        "arguments",
        [{"x-queue-type": "quorum"}, {"x-max-length": 100_000}, {"x-dead-letter-exchange": "somewhere"}],
    )
    def test_a_queue_that_an_administrator_made_otherwise_is_used_as_it_is(
        self, vhost: BrokerAddress, look: Callable[[], View], broker: Broker, arguments: dict[str, Any]
    ) -> None:
        broker.declare("bitrix24.queue", arguments=arguments)
        ensure(vhost, ["bitrix24.queue"])
        ensure(vhost, ["bitrix24.queue"], queue_type="quorum")
        assert look() == View({"bitrix24.queue": {**PLAIN, "arguments": arguments}}, {}, set())

    def test_an_exchange_that_is_there_already_is_used_as_it_is(
        self, vhost: BrokerAddress, look: Callable[[], View], broker: Broker
    ) -> None:
        with broker.channel() as channel:
            channel.exchange_declare(TASKS, "topic", durable=True, arguments={"alternate-exchange": "another"})
        ensure(vhost, ["1c.queue"])
        view = look()
        assert view.exchanges == {TASKS: {**PLAIN, "arguments": {"alternate-exchange": "another"}}}
        assert view.bindings == {(TASKS, "1c.queue", "1c.*")}

    def test_names_that_camunda_s_side_has_changed_are_followed(
        self, vhost: BrokerAddress, look: Callable[[], View]
    ) -> None:
        names = {
            "tasks_exchange": "t",
            "alternate_exchange": "a",
            "responses_exchange": "r",
            "responses_queue": "answers",
        }
        ensure(vhost, ["1c.queue", "default.queue", "answers"], **names)
        view = look()
        assert view.bindings == {("t", "1c.queue", "1c.*"), ("a", "default.queue", ""), ("r", "answers", "answers")}
        assert view.exchanges["t"]["arguments"] == {"alternate-exchange": "a"}

    # What a routing key really meets: the bindings of python-services.queue match no topic of that system, because
    # "*" stands for one word and "python-services" is one, so all of them arrive in default.queue.
    def test_a_task_arrives_where_the_contract_says(self, vhost: BrokerAddress, broker: Broker) -> None:
        ensure(vhost, sorted(QUEUES))
        arrives = {
            (TASKS, "bitrix24.bitrix_create_task"): "bitrix24.queue",
            (TASKS, "openproject.op_create_task"): "openproject.queue",
            (TASKS, "1c.1c_sync_data"): "1c.queue",
            (TASKS, "errors.camunda_tasks"): "errors.camunda_tasks.queue",
            (TASKS, "python-services.send_email"): "default.queue",
            (TASKS, "python-services.python"): "default.queue",
            (TASKS, "default.xyz"): "default.queue",
            (TASKS, "bitrix24.a.b"): "default.queue",
            (TASKS, "python.script"): "python-services.queue",
            (RESPONSES, "camunda.responses.queue"): "camunda.responses.queue",
            ("", "camunda.responses.queue"): "camunda.responses.queue",
        }
        with broker.channel() as channel:
            channel.confirm_delivery()
            for exchange, routing_key in arrives:
                channel.basic_publish(exchange, routing_key, f"{exchange}|{routing_key}", mandatory=True)
        found = {tuple(body.decode().split("|")): queue for queue in QUEUES for _, body in broker.get_all(queue)}
        assert found == arrives


@ON_CLASSIC
class TestSomebodyElsesQueue:
    def test_a_queue_that_another_connection_keeps_for_itself_is_told_by_name(
        self, vhost: BrokerAddress, broker: Broker
    ) -> None:
        with broker.channel() as channel:
            channel.queue_declare("1c.queue", exclusive=True)
            with pytest.raises(TopologyError, match=r"RabbitMQ refused 1c\.queue: 405 RESOURCE_LOCKED"):
                ensure(vhost, ["1c.queue"])
        ensure(vhost, ["1c.queue"])


@ON_CLASSIC
class TestQuorum:
    def test_with_quorum_only_what_is_missing_becomes_quorum(
        self, vhost: BrokerAddress, look: Callable[[], View], broker: Broker
    ) -> None:
        broker.declare("bitrix24.queue")
        ensure(vhost, ["bitrix24.queue", "1c.queue", "1c.sent.queue"], queue_type="quorum")
        quorum = {**PLAIN, "arguments": {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000}}
        assert look().queues == {"bitrix24.queue": PLAIN, "1c.queue": quorum, "1c.sent.queue": quorum}


class TestWaitQueues:
    def test_a_copy_waits_and_comes_back_to_its_own_queue(
        self, vhost: BrokerAddress, look: Callable[[], View], broker: Broker
    ) -> None:
        broker.declare("1c.queue")
        ensure(vhost, [wait_queue_name("1c.queue", 0.1), wait_queue_name("1c.queue", 3600)])
        assert {name: queue["arguments"] for name, queue in look().queues.items() if "retry" in name} == {
            f"1c.queue.retry.{milliseconds}ms": {
                "x-queue-type": "quorum",
                "x-message-ttl": milliseconds,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": "1c.queue",
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            }
            for milliseconds in (100, 3_600_000)
        }
        broker.publish("1c.queue.retry.3600000ms", b"long")
        broker.publish("1c.queue.retry.100ms", b"short", headers={"task-creator-attempt": 2})
        broker.wait_for_count("1c.queue", 1)
        [(properties, body)] = broker.get_all("1c.queue")
        assert body == b"short", "a long wait holds no short one back"
        assert properties.headers is not None
        assert properties.headers["task-creator-attempt"] == 2
        assert broker.count("1c.queue.retry.3600000ms") == 1

    def test_every_delay_has_a_queue_that_knows_its_own_delay_and_source(self) -> None:
        topology = Topology(RabbitMQSettings())
        for step in WAIT_STEPS:
            for source in ("1c.queue", "a.retry.5ms.queue", "очередь"):
                arguments = topology.queue(wait_queue_name(source, step)).arguments
                assert arguments["x-message-ttl"] == step * 1000
                assert arguments["x-dead-letter-routing-key"] == source

    @pytest.mark.parametrize("name", ["1c.queue", "1c.retry.queue", "retry.100ms", "1c.queue.retry.xms"])
    def test_a_queue_that_only_looks_like_one_is_none(self, name: str) -> None:
        assert "x-message-ttl" not in Topology(RabbitMQSettings()).queue(name).arguments


class Collector(BaseMessageHandler):
    """Remembers what it was given."""

    def __init__(self) -> None:
        super().__init__("test")
        self.seen: Counter[str] = Counter()

    def handle(self, message: IncomingMessage) -> Result:
        self.seen[message.task.task_id] += 1
        return Accepted({})


class TestRights:
    @pytest.fixture
    def guest(self, node: RabbitNode, vhost: BrokerAddress) -> Iterator[BrokerAddress]:
        """A user who may read and write everything and create nothing."""
        with user_with_rights(node, vhost, "^$", ".*", ".*") as guest:
            yield guest

    def test_who_may_create_nothing_uses_what_is_there_and_is_told_what_is_not(
        self, vhost: BrokerAddress, guest: BrokerAddress
    ) -> None:
        camunda_declares(vhost)
        ensure(guest, sorted(QUEUES))
        for missing in ("crm.queue", "crm.sent.queue", "1c.queue.retry.100ms"):
            with pytest.raises(
                TopologyError, match=rf"403.*ACCESS_REFUSED.*'{missing}'.*refused for user '{guest.username}'"
            ):
                ensure(guest, [missing])

    def test_a_queue_that_may_not_be_created_is_told_and_the_others_go_on(
        self,
        node: RabbitNode,
        guest: BrokerAddress,
        broker: Broker,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        for queue in ("bitrix24.queue", "sent"):
            broker.declare(queue)
        bench, forbidden, allowed = Bench(guest), Collector(), Collector()
        bench.add("1c.queue", forbidden)
        bench.add("bitrix24.queue", allowed)
        broker.publish("bitrix24.queue", camunda_message("task-1"))
        with bench.running():
            broker.wait_for_count("sent", 1)
            wait_until(lambda: "1c.queue cannot be used" in caplog.text, what="the complaint")
            assert "refused for user" in caplog.text
            assert not bench.consumer.is_consuming()
            # The administrator repairs it while the daemon runs.
            node.ctl("set_permissions", "--vhost", guest.vhost, guest.username, ".*", ".*", ".*")
            wait_until(bench.consumer.is_consuming, what="the queue")
            broker.publish("1c.queue", camunda_message("task-2"))
            broker.wait_for_count("sent", 2)
        assert (allowed.seen, forbidden.seen) == ({"task-1": 1}, {"task-2": 1})


def settings_for(address: BrokerAddress, hosts: Sequence[int], **changes: Any) -> RabbitMQSettings:
    """Several hosts, which are ports of this machine here."""
    host = ",".join(f"{LOOPBACK}:{port}" for port in hosts)
    return rabbitmq_settings(address, **changes).model_copy(update={"host": host})


class TestSeveralHosts:
    def test_the_first_host_that_answers_is_taken(self, vhost: BrokerAddress) -> None:
        settings = settings_for(vhost, [free_port(), vhost.port])
        connection, chosen = connect(connection_parameters(settings, "test"))
        connection.close()
        assert chosen.port == vhost.port

    def test_a_host_that_accepts_and_says_nothing_is_given_up(self, vhost: BrokerAddress, proxy: TcpProxy) -> None:
        proxy.stall()
        stalled, good = connection_parameters(settings_for(vhost, [proxy.port, vhost.port]), "test")
        stalled.socket_timeout = stalled.stack_timeout = 0.5
        connection, chosen = connect([stalled, good])
        connection.close()
        assert proxy.accepted == 1
        assert chosen.port == vhost.port

    def test_when_none_answers_the_reason_is_told(self, vhost: BrokerAddress) -> None:
        settings = settings_for(vhost, [free_port(), free_port()])
        with pytest.raises((AMQPConnectionError, OSError)):
            connect(connection_parameters(settings, "test"))

    def test_consumer_and_publisher_move_to_the_next_host_when_theirs_dies(
        self, vhost: BrokerAddress, broker: Broker, proxy: TcpProxy
    ) -> None:
        broker.declare("1c.queue")
        bench, handler = Bench(vhost), Collector()
        parameters = connection_parameters(settings_for(vhost, [proxy.port, vhost.port]), "test")
        bench.parameters[:] = parameters  # before anything is started: consumer and publisher share this list
        bench.add("1c.queue", handler)
        with bench.running():
            broker.publish("1c.queue", camunda_message("task-1"))
            broker.wait_for_count("sent", 1)
            assert proxy.open_connections >= 2
            proxy.refuse()
            proxy.cut()
            broker.publish("1c.queue", camunda_message("task-2"))
            wait_until(lambda: handler.seen["task-2"] > 0, what="the second task")
            wait_until(lambda: bench.publisher.unconfirmed() == 0 and broker.count("sent") >= 2, what="its result")
            assert proxy.open_connections == 0

    def test_each_connection_says_in_rabbitmq_s_own_tools_what_it_is_for(
        self, node: RabbitNode, vhost: BrokerAddress
    ) -> None:
        connection, _ = connect(connection_parameters(rabbitmq_settings(vhost), "publisher"))
        shown = node.ctl("list_connections", "vhost", "client_properties")
        connection.close()
        [line] = [line for line in shown.splitlines() if line.startswith(vhost.vhost)]
        assert "task-creator publisher" in line


@dataclass(frozen=True)
class Certificate:
    file: Path
    key: Path


class Authority:
    """A certificate authority of one day. Raises CalledProcessError when `openssl` refuses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate = Certificate(folder / "ca.pem", folder / "ca.key")
        self._openssl("req", "-x509", *self._new_key("ca"), "-subj", "/CN=Test CA", "-days", "1", "-out", "ca.pem")

    def issue(self, name: str) -> Certificate:
        """For a server on 127.0.0.1, or for a client."""
        (self._folder / "extensions").write_text("subjectAltName=IP:127.0.0.1")
        self._openssl("req", "-new", *self._new_key(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        signed_by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions", "-days", "1")
        self._openssl("x509", "-req", "-in", f"{name}.csr", *signed_by, "-out", f"{name}.pem")
        return Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")

    @staticmethod
    def _new_key(name: str) -> tuple[str, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("strangers"))


@pytest.fixture(scope="module")
def tls_port() -> int:
    return free_port()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=5):
        return True
    return False


@pytest.fixture(scope="module")
def tls_node(server: Server, authority: Authority, tls_port: int) -> Iterator[RabbitNode]:
    if not isinstance(server, LocalServer):
        pytest.skip("the certificates are files of this machine: no container sees them")
    certificate = authority.issue("server")
    config = {
        "listeners.ssl.default": f"{LOOPBACK}:{tls_port}",
        "ssl_options.certfile": str(certificate.file),
        "ssl_options.keyfile": str(certificate.key),
        "ssl_options.cacertfile": str(authority.certificate.file),
        "ssl_options.verify": "verify_peer",
        "ssl_options.fail_if_no_peer_cert": "true",
    }
    with RabbitNode(server, config) as node:
        # RabbitMQ opens it after the port that the node is waited for by.
        wait_until(lambda: listens(tls_port), what="the TLS port")
        yield node


@pytest.fixture
def settings(tls_node: RabbitNode, authority: Authority, tls_port: int) -> RabbitMQSettings:
    client = authority.issue("client")
    return rabbitmq_settings(
        replace(tls_node.address, port=tls_port),
        tls=True,
        ca_file=authority.certificate.file,
        cert_file=client.file,
        key_file=client.key,
    )


class TestTls:
    """A node that speaks TLS only to clients with a certificate of its authority."""

    def refused(self, settings: RabbitMQSettings, **changes: Any) -> str:
        with pytest.raises((AMQPConnectionError, OSError)) as refusal:
            connect(connection_parameters(settings.model_copy(update=changes), "test"))
        return repr(refusal.value)

    def test_with_the_right_certificates_messages_flow_both_ways(
        self, settings: RabbitMQSettings, tls_node: RabbitNode
    ) -> None:
        broker, handler = Broker(tls_node.address), Collector()
        broker.declare("1c.queue")
        bench = Bench(tls_node.address)
        bench.parameters[:] = connection_parameters(settings, "test")
        bench.add("1c.queue", handler)
        with bench.running():
            bench.publisher.publish("1c.queue", OutgoingMessage(camunda_message("task-1"), "id")).result(20)
            broker.wait_for_count("sent", 1)
            shown = tls_node.ctl("list_connections", "ssl", "ssl_protocol")
        assert shown.count("true") >= 2
        assert "tlsv1" in shown
        assert handler.seen == {"task-1": 1}

    def test_a_server_whose_certificate_nobody_trusts_is_refused(
        self, settings: RabbitMQSettings, strangers: Authority
    ) -> None:
        assert "certificate is unknown" in self.refused(settings, ca_file=strangers.certificate.file)
        assert "certificate is unknown" in self.refused(settings, ca_file=None)

    def test_a_server_under_another_name_is_refused(self, settings: RabbitMQSettings) -> None:
        # The same machine, but the certificate speaks of 127.0.0.1 only.
        assert "for another name" in self.refused(settings, host="localhost")

    def test_a_client_without_the_right_certificate_is_not_let_in(
        self, settings: RabbitMQSettings, strangers: Authority
    ) -> None:
        assert "nobody listens" not in self.refused(settings, cert_file=None, key_file=None)
        client = strangers.issue("client")
        assert "nobody listens" not in self.refused(settings, cert_file=client.file, key_file=client.key)

    def test_without_verification_any_certificate_will_do(
        self, settings: RabbitMQSettings, strangers: Authority
    ) -> None:
        careless = settings.model_copy(update={"tls_verify": False, "ca_file": strangers.certificate.file})
        connection, _ = connect(connection_parameters(careless, "test"))
        assert connection.is_open
        connection.close()

    def test_without_tls_the_tls_port_gives_no_connection(self, settings: RabbitMQSettings) -> None:
        self.refused(settings, tls=False, connection_timeout=2.0)
