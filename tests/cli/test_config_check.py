"""`config check --probe` with a broken set-up: variable and fix are named, the exit code tells which kind it is."""

from __future__ import annotations

import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from pika.exceptions import ChannelClosedByBroker

from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from sandbox.onec import OneCSandbox
from sandbox.openproject import OpenProjectSandbox
from sandbox.rabbitmq import RabbitNode
from sandbox.telegram import TelegramSandbox
from tests.support.commands import run
from tests.support.queue_types import ON_CLASSIC
from tests.support.users import user_with_rights
from tests.toolkit.test_certificates import tls_server

PROBE = ["config", "check", "--probe"]
INPUT = "default.queue"  # of the one system that is always in use


def probe(folder: Path, vhost: BrokerAddress, **variables: str) -> subprocess.CompletedProcess[str]:
    given = {**vhost.environment(), "RABBITMQ_CONNECTION_TIMEOUT": "2", **variables}
    return run("main.py", PROBE, {name: value for name, value in given.items() if value}, folder)


def assert_told(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert done.returncode == code, told
    for word in words:
        assert word in told, told


def test_all_is_well(tmp_path: Path, vhost: BrokerAddress, broker: Broker) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=INFO\n")
    with BitrixSandbox() as portal:
        done = probe(tmp_path, vhost, BITRIX_WEBHOOK_URL=portal.webhook_url)
    version = ".".join(map(str, broker.version()))
    place = f"{vhost.host}:{vhost.port}, virtual host {vhost.vhost}, user {vhost.username}"
    assert_told(done, 0, f"answers: RabbitMQ {version}.", f" at {place}", f"from {tmp_path / '.env'} and the environ")
    assert "will be created at the start: bitrix24.queue, default.queue, bitrix24.sent.queue" in done.stdout
    assert "email.sent.queue" not in done.stdout, "the worker would not follow it either: mail has no settings"
    assert "not asked: default has no check of its own" in done.stdout
    assert vhost.password not in done.stdout
    assert portal.webhook_token not in done.stdout
    with broker.channel() as channel, pytest.raises(ChannelClosedByBroker, match="404"):
        channel.queue_declare("default.sent.queue", passive=True)  # asking creates nothing


def test_asking_takes_and_changes_nothing(tmp_path: Path, vhost: BrokerAddress, broker: Broker) -> None:
    for queue in (INPUT, "default.sent.queue"):
        broker.declare(queue)
        broker.publish(queue, b"x")
    assert_told(probe(tmp_path, vhost), 0)
    assert (broker.count(INPUT), broker.count("default.sent.queue")) == (1, 1)
    with broker.channel() as channel:
        method, _, _ = channel.basic_get(INPUT)
        assert method is not None
        assert not method.redelivered, "it was not even delivered"
        channel.basic_reject(method.delivery_tag or 0)


def test_a_queue_that_another_worker_consumes_alone_is_no_missing_right(
    tmp_path: Path, vhost: BrokerAddress, broker: Broker
) -> None:
    broker.declare(INPUT)
    with broker.channel() as channel:
        channel.basic_consume(INPUT, lambda *_delivery: None, exclusive=True)
        assert_told(probe(tmp_path, vhost), 0)


class TestRabbitMQ:
    @pytest.mark.parametrize(
        ("variables", "words"),
        [
            ({"RABBITMQ_PORT": "1"}, ["localhost:1: nobody listens", "RABBITMQ_PORT"]),
            ({"RABBITMQ_HOST": "no-such-host.invalid"}, ["no-such-host.invalid", "RABBITMQ_HOST"]),
            ({"RABBITMQ_PASSWORD": "wrong-password"}, ["does not let this user in", "RABBITMQ_PASSWORD"]),
            ({"RABBITMQ_USERNAME": "nobody"}, ["does not let this user in", "RABBITMQ_USERNAME"]),
            ({"RABBITMQ_VIRTUAL_HOST": "none"}, ["vhost none not found", "RABBITMQ_VIRTUAL_HOST"]),
            ({"RABBITMQ_TLS": "true"}, ["TLS fails", "RABBITMQ_TLS=true"]),
        ],
    )
    def test_that_cannot_be_reached(
        self, tmp_path: Path, vhost: BrokerAddress, variables: dict[str, str], words: list[str]
    ) -> None:
        done = probe(tmp_path, vhost, **{"RABBITMQ_HOST": "localhost", **variables})
        assert_told(done, 3, "NOT USABLE", *words)
        assert "wrong-password" not in done.stdout + done.stderr

    def test_that_says_nothing(self, tmp_path: Path, vhost: BrokerAddress) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            done = probe(tmp_path, vhost, RABBITMQ_PORT=str(silent.getsockname()[1]))
        assert_told(done, 3, "no answer within RABBITMQ_CONNECTION_TIMEOUT", "firewalls")

    def test_that_is_another_service(self, tmp_path: Path, vhost: BrokerAddress) -> None:
        with web_server() as port:
            done = probe(tmp_path, vhost, RABBITMQ_PORT=str(port))
        assert_told(done, 3, "does not speak AMQP", "RABBITMQ_PORT")

    def test_whose_certificate_is_not_believed(self, tmp_path: Path, vhost: BrokerAddress) -> None:
        with tls_server("unknown issuer", tmp_path) as (port, ca_file):
            tls = {"RABBITMQ_TLS": "true", "RABBITMQ_CA_FILE": str(ca_file), "RABBITMQ_HOST": "localhost"}
            done = probe(tmp_path, vhost, RABBITMQ_PORT=str(port), **tls)
        assert_told(done, 3, "issuer", "give its CA in RABBITMQ_CA_FILE")

    def test_that_has_raised_an_alarm(self, tmp_path: Path, destructive_node: RabbitNode) -> None:
        destructive_node.set_memory_alarm(True)
        try:
            done = probe(tmp_path, destructive_node.address)
        finally:
            destructive_node.set_memory_alarm(False)
        assert_told(done, 3, "has raised an alarm", "nothing is lost")

    @pytest.mark.parametrize(
        ("rights", "words"),
        [
            (("", "", ""), [f"configure {INPUT}", f"read {INPUT}", "write amq.default", "set_permissions"]),
            ((".*", ".*", r"^(?!default\.queue$).*"), [f"read {INPUT};"]),
            ((r".*\.retry\..*", ".*", ".*"), [f"configure {INPUT}"]),
            ((r"^(?!.*\.retry\.).*", ".*", ".*"), [f"configure {INPUT}.retry."]),
            ((".*", "^$", ".*"), ["write amq.default"]),
        ],
        ids=["none", "no read", "no configure", "no wait queues", "no write"],
    )
    def test_that_gives_too_few_rights(
        self, tmp_path: Path, node: RabbitNode, vhost: BrokerAddress, rights: tuple[str, str, str], words: list[str]
    ) -> None:
        with user_with_rights(node, vhost, *rights) as user:
            done = probe(tmp_path, vhost, RABBITMQ_USERNAME=user.username, RABBITMQ_PASSWORD=user.password)
        assert_told(done, 3, f"the user {user.username} (RABBITMQ_USERNAME) lacks rights", *words)

    def test_that_gives_no_right_to_the_shards_of_a_large_queue_is_usable_and_it_is_said(
        self, tmp_path: Path, node: RabbitNode, vhost: BrokerAddress
    ) -> None:
        with (
            BitrixSandbox() as portal,
            user_with_rights(node, vhost, r"^(?!.*\.shard\.).*", ".*", ".*") as user,
        ):
            variables = {
                "BITRIX_WEBHOOK_URL": portal.webhook_url,
                "RABBITMQ_USERNAME": user.username,
                "RABBITMQ_PASSWORD": user.password,
            }
            done = probe(tmp_path, vhost, **variables)
            words = ("bitrix24.sent.queue stays whole", "bitrix24.sent.queue.shard.00", "TRACKER_SHARDS=false")
            assert_told(done, 0, *words)
            assert "default.sent.queue.shard" not in done.stdout, "its tracker cannot tell what has changed"
            assert "shard" not in probe(tmp_path, vhost, **variables, TRACKER_SHARDS="false").stdout

    def test_whose_virtual_host_is_not_for_the_user(
        self, tmp_path: Path, node: RabbitNode, vhost: BrokerAddress
    ) -> None:
        with user_with_rights(node, vhost, "", "", "") as user:
            node.ctl("clear_permissions", "-p", vhost.vhost, user.username)
            done = probe(tmp_path, vhost, RABBITMQ_USERNAME=user.username, RABBITMQ_PASSWORD=user.password)
        assert_told(done, 3, "does not let this user into the virtual host", "list_permissions")

    @ON_CLASSIC
    def test_with_a_queue_that_is_not_durable(self, tmp_path: Path, vhost: BrokerAddress, broker: Broker) -> None:
        broker.declare(INPUT, durable=False)
        assert_told(probe(tmp_path, vhost), 0, f"{INPUT} is not durable", "transient_nonexcl_queues")


class TestSystems:
    def test_that_are_down(self, tmp_path: Path, vhost: BrokerAddress) -> None:
        with BitrixSandbox() as portal:
            url = portal.webhook_url
        done = probe(tmp_path, vhost, BITRIX_WEBHOOK_URL=url, LANG="ru_RU.UTF-8")
        assert_told(
            done,
            3,
            "НЕЛЬЗЯ ИСПОЛЬЗОВАТЬ: Bitrix24",
            "openproject.queue      не используется: OPENPROJECT_URL не задана",
        )

    @pytest.mark.parametrize(
        ("locale", "words"),
        [
            ("C.UTF-8", ("NOT USABLE", "refused", "check OPENPROJECT_TOKEN")),
            ("ru_RU.UTF-8", ("НЕЛЬЗЯ ИСПОЛЬЗОВАТЬ", "отказ на запрос", "проверьте OPENPROJECT_TOKEN")),
        ],
        ids=["english", "russian"],
    )
    def test_that_refuse_the_credentials(
        self, tmp_path: Path, vhost: BrokerAddress, locale: str, words: Sequence[str]
    ) -> None:
        with (
            BitrixSandbox() as portal,
            OpenProjectSandbox() as openproject,
            OneCSandbox() as base,
            TelegramSandbox() as telegram,
        ):
            portal.revoke_webhook()
            done = probe(
                tmp_path,
                vhost,
                BITRIX_WEBHOOK_URL=portal.webhook_url,
                OPENPROJECT_URL=openproject.url,
                OPENPROJECT_TOKEN="opapi-wrong-wrong-wrong",
                ONEC_URL=base.url,
                ONEC_USERNAME=base.username,
                ONEC_PASSWORD="wrong",
                TELEGRAM_BOT_TOKEN="1234567890:AAwrongwrongwrongwrongwrongwrongwro",
                TELEGRAM_API_URL=telegram.base_url,
                LC_ALL=locale,
            )
        advice = ["BITRIX_WEBHOOK_URL", "OPENPROJECT_TOKEN", "ONEC_PASSWORD", "TELEGRAM_BOT_TOKEN"]
        assert_told(done, 3, *advice, *words)
        assert done.stdout.count(words[0]) == done.stdout.count(words[1]) == len(advice)


class TestSettings:
    @pytest.mark.parametrize(
        ("prepare", "words"),
        [
            (lambda folder: {"BITRIX_ROLES_FILE": str(folder / "none.yaml")}, ["BITRIX_ROLES_FILE", "none.yaml"]),
            (
                lambda folder: {"SERVICES_FILE": _file(folder, "services.toml", "[services.x")},
                ["SERVICES_FILE", "is broken"],
            ),
            (lambda folder: {"ONEC_MAPPING_FILE": _file(folder, "mapping.toml", "x = ")}, ["mapping.toml"]),
            (lambda folder: {"RABBITMQ_PASSWORD_FILE": str(folder / "none")}, ["RABBITMQ_PASSWORD_FILE"]),
            (lambda folder: {"RABBITMQ_PASWORD": _file(folder, ".env", "RABBITMQ_PASWORD=1\n")}, ["RABBITMQ_PASWORD"]),
            (lambda folder: {"X": _file(folder, ".env", "no equals sign\n")}, [".env, line 1", "NAME=value"]),
            (lambda _: {"QUEUE_HANDLERS": '{"x.queue": {"module": "no.such", "handler_class": "X"}}'}, ["no.such"]),
        ],
        ids=["roles", "services", "mapping", "secret", "misspelt", "env line", "handler"],
    )
    def test_that_are_wrong(
        self, tmp_path: Path, vhost: BrokerAddress, prepare: Callable[[Path], dict[str, str]], words: list[str]
    ) -> None:
        with BitrixSandbox() as portal:
            systems = {"BITRIX_WEBHOOK_URL": portal.webhook_url, "ONEC_URL": "http://127.0.0.1:1/base"}
            environment = vhost.environment() | systems | {"ONEC_USERNAME": "x", "ONEC_PASSWORD": "y"}
            done = probe(tmp_path, vhost, **{**environment, **prepare(tmp_path)})
        assert_told(done, 78, *words)

    def test_that_are_wrong_in_many_ways_are_told_at_once(self, tmp_path: Path) -> None:
        wrong = {
            "RABBITMQ_PORT": "abc",
            "SERVICES_FILE": _file(tmp_path, "services.toml", "[services.x"),
            "QUEUE_HANDLERS": '{"x.queue": {"module": "no.such", "handler_class": "X"}}',
            "TRACKER_CONFIG": '{"x.sent.queue": {"module": "no.such", "tracker_class": "X"}}',
            "NOTIFY_EMAIL_TO": "duty@example.ru,nobody",
            "NOTIFY_TELEGRAM_CHATS": "me",
            "EMAIL_SMTP_PORT": "0",
        }
        done = run("main.py", ["config", "check"], wrong, tmp_path)
        assert_told(done, 78, *wrong, "needs EMAIL_SMTP_HOST", "needs TELEGRAM_BOT_TOKEN", "no.such", "nobody")

    def test_of_two_mistakes_the_one_that_follows_from_the_other_is_not_told(self, tmp_path: Path) -> None:
        wrong = {"NOTIFY_EMAIL_TO": "duty@example.ru", "EMAIL_SMTP_HOST": "mail.example.ru:25"}
        done = run("main.py", ["config", "check"], wrong, tmp_path)
        assert_told(done, 78, "EMAIL_SMTP_HOST=mail.example.ru:25")
        assert "needs EMAIL_SMTP_HOST" not in done.stderr

    @pytest.mark.parametrize(("lang", "words"), [("C.UTF-8", "cannot be written"), ("ru_RU.UTF-8", "писать нельзя")])
    def test_whose_folders_cannot_be_written_are_remarked_on(self, tmp_path: Path, lang: str, words: str) -> None:
        file = _file(tmp_path, "file", "")
        folders = {"LOG_DIR": f"{file}/logs", "STATE_DIR": str(tmp_path / "new" / "state"), "LC_ALL": lang}
        done = run("main.py", ["config", "check"], folders, tmp_path)
        assert_told(done, 0, "LOG_DIR", words)
        assert "STATE_DIR" not in done.stdout
        assert [each.name for each in tmp_path.iterdir()] == ["file"], "asking creates nothing"


def _file(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


@contextmanager
def web_server() -> Iterator[int]:
    """Answers whatever it is sent, as nginx and RabbitMQ's own management port do."""
    with _OtherService(("127.0.0.1", 0), _BadRequest) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class _OtherService(socketserver.ThreadingTCPServer):
    daemon_threads = True


class _BadRequest(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(100)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
