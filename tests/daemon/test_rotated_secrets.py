"""A secret that is changed while the worker runs is used as soon as its file holds the new one, without a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from assembly.startup import read_configuration
from broker.connection import connect, connection_parameters
from consumers.bitrix.config import BitrixSettings
from consumers.python_services.config import ServicesSettings
from consumers.telegram.config import TelegramSettings
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from sandbox.http_front import HttpRequest
from sandbox.onec import OneCSandbox
from sandbox.openproject import OpenProjectSandbox
from sandbox.python_services import ServicesSandbox
from sandbox.rabbitmq import RabbitNode
from sandbox.telegram import PERSON, TelegramSandbox
from settings.secret_files import FileSecret, watch
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, camunda_message, rabbitmq_settings, wait_until
from tests.support.answering_server import AnsweringServer, http_answer
from tests.support.email_server import MailServer
from tests.support.users import user_with_rights
from tests.systems.onec.support import ANNA

NEW = "another-secret-0123456789"


class TestRabbitMQ:
    @pytest.fixture
    def user(self, node: RabbitNode, vhost: BrokerAddress) -> Iterator[BrokerAddress]:
        with user_with_rights(node, vhost, ".*", ".*", ".*", password="the-first-password") as user:
            yield user

    def test_the_worker_comes_back_by_itself_with_the_new_password(
        self, node: RabbitNode, user: BrokerAddress, broker: Broker, tmp_path: Path
    ) -> None:
        file = tmp_path / "password"
        file.write_text("the-first-password\n")
        variables = {"RABBITMQ_PASSWORD": "", "RABBITMQ_PASSWORD_FILE": str(file)}
        topic = camunda_message("t", topic="create_user", system="x")
        with Daemon(user, tmp_path, variables) as daemon:
            wait_until(lambda: "default.queue is consumed" in daemon.output(), 30, "the start")
            wait_until(lambda: daemon.output().count("connected to RabbitMQ") >= 2, 30, "the connections")
            node.ctl("change_password", user.username, NEW)
            node.ctl("close_all_user_connections", user.username, "rotated")
            wait_until(lambda: "not reachable" in daemon.output(), 30, "the refusal")
            assert "RabbitMQ does not let this user in" in daemon.output()
            file.write_text(f"{NEW}\n")
            broker.publish("default.queue", topic)
            broker.wait_for_count("python-services.queue", 1, 60)
            assert daemon.stop() == 0
        assert "RABBITMQ_PASSWORD_FILE has changed" in daemon.output()
        assert NEW not in daemon.output()

    def test_a_certificate_that_cannot_be_read_is_named_and_read_again_at_the_next_try(
        self, vhost: BrokerAddress, tmp_path: Path
    ) -> None:
        missing = tmp_path / "ca.pem"
        settings = rabbitmq_settings(vhost, tls=True, ca_file=missing)
        with pytest.raises(OSError, match=r"cannot be read or does not fit: .*ca\.pem"):
            connection_parameters(settings, "test")
        missing.write_text("half of it")
        with pytest.raises(OSError, match=r"ca\.pem"):
            connection_parameters(settings, "test")
        connection, _ = connect(connection_parameters(rabbitmq_settings(vhost), "test"))
        connection.close()


def _task(topic: str, **variables: object) -> bytes:
    return camunda_message("task-1", topic=topic, system="x", variables=variables)


class TestSystems:
    """Each refuses the old secret from one moment on; the messages wait, the file is written, and they are done."""

    def rotated(
        self,
        vhost: BrokerAddress,
        broker: Broker,
        folder: Path,
        *,
        queue: str,
        body: bytes,
        variables: dict[str, str],
        secret: tuple[str, str],
        rotate: Callable[[], str],
        sign: str,
        done: Callable[[], bool],
    ) -> str:
        """`secret` is a variable and its first value, `rotate` makes the system want another one and returns that."""
        variable, old = secret
        file = folder / "secret"
        file.write_text(f"{old}\n")
        broker.declare(queue)
        with Daemon(vhost, folder, {**variables, f"{variable}_FILE": str(file), "RETRY_ATTEMPTS": "0"}) as daemon:
            wait_until(lambda: f"{queue} is consumed" in daemon.output(), 30, "the start")
            new = rotate()
            broker.publish(queue, body)
            wait_until(lambda: sign in daemon.output(), 30, f"{sign} in the log")
            assert not done()
            file.write_text(f"{new}\n")
            wait_until(done, 60, "the work with the new secret")
            assert daemon.stop() == 0
        assert f"{variable}_FILE has changed" in daemon.output()
        assert broker.count(ERRORS) == 0
        for each in (old, new):
            assert each not in daemon.output()
        return daemon.output()

    def test_bitrix24(self, vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
        broker.declare("bitrix24.sent.queue")  # or a quorum one would be too young for the result when the worker stops
        with BitrixSandbox() as portal:

            def rotate() -> str:
                portal.replace_webhook()
                return portal.webhook_url

            self.rotated(
                vhost,
                broker,
                tmp_path,
                queue="bitrix24.queue",
                body=camunda_message("task-1"),
                variables={},
                secret=("BITRIX_WEBHOOK_URL", portal.webhook_url),
                rotate=rotate,
                sign="system.paused",
                done=lambda: portal.task_count == 1,
            )
            # The tracker asks with the same secret.
            with Daemon(vhost, tmp_path, {"BITRIX_WEBHOOK_URL_FILE": str(tmp_path / "secret")}) as daemon:
                wait_until(lambda: "bitrix24.sent.queue is tracked" in daemon.output(), 30, "the start")
                portal.replace_webhook()
                wait_until(lambda: "tracker.failed" in daemon.output(), 30, "a sweep that fails")
                (tmp_path / "secret").write_text(portal.webhook_url)
                portal.finish(int(portal.tasks[0]["ID"]))
                broker.wait_for_count(RESPONSES, 1, 60)

    def test_openproject(self, vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
        with OpenProjectSandbox() as server:

            def rotate() -> str:
                server.token = f"opapi-{NEW}"
                return server.token

            self.rotated(
                vhost,
                broker,
                tmp_path,
                queue="openproject.queue",
                body=_task("op_create_task", subject="Согласовать", project="contracts"),
                variables={"OPENPROJECT_URL": server.url, "OPENPROJECT_DEFAULT_PROJECT": "contracts"},
                secret=("OPENPROJECT_TOKEN", server.token),
                rotate=rotate,
                sign="system.paused",
                done=lambda: len(server.state.work_packages) == 1,
            )

    @pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
    def test_email(self, vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
        with MailServer(credentials=("worker", "the-first-password")) as server:

            def rotate() -> str:
                server.credentials = ("worker", NEW)
                return NEW

            self.rotated(
                vhost,
                broker,
                tmp_path,
                queue="email.queue",
                body=_task("send_email", to="a@example.com", subject="Проверка", body="Текст"),
                variables={
                    "EMAIL_SMTP_HOST": "127.0.0.1",
                    "EMAIL_SMTP_PORT": str(server.port),
                    "EMAIL_TLS": "none",
                    "EMAIL_FROM": "worker@example.ru",
                    "EMAIL_SMTP_USERNAME": "worker",
                },
                secret=("EMAIL_SMTP_PASSWORD", "the-first-password"),
                rotate=rotate,
                sign="system.paused",
                done=lambda: len(server.mails) == 1,
            )

    def test_telegram(self, vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
        with TelegramSandbox() as telegram:

            def rotate() -> str:
                telegram.token = f"{telegram.token.partition(':')[0]}:{NEW}-of-the-same-bot"
                return telegram.token

            self.rotated(
                vhost,
                broker,
                tmp_path,
                queue="telegram.queue",
                body=_task("send_telegram", text="Проверка task-1"),
                variables={"TELEGRAM_API_URL": telegram.base_url, "TELEGRAM_CHAT_ID": str(PERSON)},
                secret=("TELEGRAM_BOT_TOKEN", telegram.token),
                rotate=rotate,
                sign="system.paused",
                done=lambda: len(telegram.by_task(r"task-\w+")) == 1,
            )

    def test_1c(self, vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
        with OneCSandbox() as base:

            def rotate() -> str:
                base.password = f"пароль-{NEW}"
                return base.password

            self.rotated(
                vhost,
                broker,
                tmp_path,
                queue="1c.queue",
                body=_task("1c_create_task", assignee=ANNA, name="Ромашка"),
                variables={"ONEC_URL": base.url, "ONEC_USERNAME": base.username},
                secret=("ONEC_PASSWORD", base.password),
                rotate=rotate,
                sign="system.paused",
                done=lambda: len(base.by_key()) == 1,
            )

    def test_a_service_over_http(self, vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
        wanted = ["Bearer the-first-token"]

        def knows_us(request: HttpRequest) -> bool:
            return request.headers.get("authorization") == wanted[0]

        def rotate() -> str:
            wanted[0] = f"Bearer {NEW}"
            return NEW

        with ServicesSandbox(authorized=knows_us) as server:
            registry = tmp_path / "services.toml"
            registry.write_text(
                f'[services.users]\nkind = "http"\ntopics = ["create_user"]\nurl = "{server.base_url}/sync/users"\n'
                'auth = { type = "bearer", token_env = "USERS_TOKEN" }\n'
            )
            self.rotated(
                vhost,
                broker,
                tmp_path,
                queue="python-services.queue",
                body=_task("create_user"),
                variables={"SERVICES_FILE": str(registry), "SERVICES_OUTAGE_WAIT": "0.5"},
                secret=("USERS_TOKEN", "the-first-token"),
                rotate=rotate,
                sign="service.down",
                done=lambda: len(server.by_key()) == 1,
            )

    def test_the_default_webhook(self, vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> None:
        answer, refusal = http_answer(200, b'{"ticket": 77}'), http_answer(401, b"{}")
        with AnsweringServer() as old, AnsweringServer() as new:
            old.answer = refusal
            new.answer = answer
            self.rotated(
                vhost,
                broker,
                tmp_path,
                queue="default.queue",
                body=_task("aprove"),
                variables={"DEFAULT_QUEUE_WEBHOOK_WAIT": "0.5"},
                secret=("DEFAULT_QUEUE_WEBHOOK_URL", f"{old.address}/{old.secret}"),
                rotate=lambda: f"{new.address}/{new.secret}",
                sign="task.retry",
                done=lambda: new.requests == 1,
            )


@pytest.mark.usefixtures("_no_pause_between_looks")
class TestTheFile:
    @pytest.fixture
    def _no_pause_between_looks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("settings.secret_files.LOOK", 0.0)

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        file = tmp_path / "secret"
        file.write_text("https://portal.example.ru/rest/17/abc9def8ghi7jkl6/\n")
        return file

    @pytest.fixture
    def webhook(self, file: Path, tmp_path: Path) -> FileSecret:
        startup = read_configuration({"BITRIX_WEBHOOK_URL_FILE": str(file)}, tmp_path / "none.env")
        secret = startup.settings.for_system(BitrixSettings).webhook_url
        assert isinstance(secret, FileSecret)
        self.mask = startup.secrets.mask_registered
        return secret

    def test_a_new_secret_takes_the_form_that_the_settings_give_it_and_is_masked_before_it_is_used(
        self, file: Path, webhook: FileSecret
    ) -> None:
        told: list[str] = []
        watch(webhook, lambda _new: told.append(self.mask("zyx9wvu8tsr7qpo6")))
        file.write_text(" https://portal.example.ru/rest/17/zyx9wvu8tsr7qpo6/ \n")
        assert webhook.get_secret_value() == "https://portal.example.ru/rest/17/zyx9wvu8tsr7qpo6"
        assert told == ["***"]
        assert self.mask("abc9def8ghi7jkl6") == "***", "the old one may still stand in some answer"

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "is empty or far too large"),
            (b"\xff\xfe", "cannot be read: not UTF-8"),
            (b"no address at all", "holds nothing that could be used"),
        ],
    )
    def test_what_is_no_secret_changes_nothing_is_told_and_never_shown(
        self, file: Path, webhook: FileSecret, caplog: pytest.LogCaptureFixture, content: bytes, reason: str
    ) -> None:
        before = webhook.get_secret_value()
        assert not webhook.is_stale()
        file.write_bytes(content)
        assert webhook.get_secret_value() == before
        assert webhook.is_stale()
        assert f"BITRIX_WEBHOOK_URL_FILE: {file} {reason}" in caplog.text
        assert "no address at all" not in caplog.text
        file.write_text("https://portal.example.ru/rest/17/zyx9wvu8tsr7qpo6/")
        assert webhook.get_secret_value().endswith("zyx9wvu8tsr7qpo6")
        assert not webhook.is_stale()

    def test_a_file_that_is_gone_for_a_moment_changes_nothing(
        self, file: Path, webhook: FileSecret, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = webhook.get_secret_value()
        aside = file.rename(file.with_name("aside"))
        assert webhook.get_secret_value() == before
        assert "cannot be read: No such file" in caplog.text
        assert webhook.is_stale()
        aside.rename(file)
        assert not webhook.is_stale()

    def test_a_file_that_is_replaced_by_a_link_to_another_is_noticed(self, file: Path, webhook: FileSecret) -> None:
        other = file.with_name("..data")  # as Kubernetes does it
        other.write_text("https://portal.example.ru/rest/17/zyx9wvu8tsr7qpo6/")
        link = file.with_name("link")
        link.symlink_to(other)
        link.replace(file)
        assert webhook.get_secret_value().endswith("zyx9wvu8tsr7qpo6")

    def test_a_signing_key_that_is_none_is_not_taken(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        registry, file = tmp_path / "services.toml", tmp_path / "key"
        registry.write_text(
            '[services.a]\nkind = "http"\ntopics = ["a"]\nurl = "http://127.0.0.1/a"\n'
            'auth = { type = "hmac", secret_env = "A_KEY" }\n'
        )
        file.write_text("whsec_MDEyMzQ1Njc4OQ==")
        given = {"SERVICES_FILE": str(registry), "A_KEY_FILE": str(file)}
        secret = read_configuration(given, tmp_path / "none.env").settings.for_system(ServicesSettings).secrets["A_KEY"]
        file.write_text("whsec_no base64")
        assert secret.get_secret_value() == "whsec_MDEyMzQ1Njc4OQ=="
        assert "A_KEY_FILE" in caplog.text
        file.write_text("whsec_OTg3NjU0MzIxMA==")
        assert secret.get_secret_value() == "whsec_OTg3NjU0MzIxMA=="

    def test_a_secret_that_stands_in_the_environment_is_an_ordinary_one(self, tmp_path: Path) -> None:
        given = {"TELEGRAM_BOT_TOKEN": "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"}
        settings = read_configuration(given, tmp_path / "none.env").settings.for_system(TelegramSettings)
        assert type(settings.bot_token) is SecretStr
