"""Settings of RabbitMQ: how to reach it, as the environment says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from core.texts import Text
from settings.base import EnvironmentSettings, Seconds, missing_files
from settings.errors import FieldProblem, ValueProblem
from settings.names import NamesOfOthers
from settings.values import LOOPBACK_HOSTS, Endpoint, parse_endpoints

# Of RabbitMQ's own server and images (rabbitmq.com/docs/configure), of its other clients, of Kubernetes and of
# Camunda's side.
NAMES_OF_OTHERS = NamesOfOthers(
    names=frozenset(
        {
            "LOGDIR",
            "RABBITMQ_BASE",
            "RABBITMQ_CONFIG_FILE",
            "RABBITMQ_CONFIG_FILES",
            "RABBITMQ_CONF_ENV_FILE",
            "RABBITMQ_DIST_PORT",
            "RABBITMQ_ENABLED_PLUGINS_FILE",
            "RABBITMQ_ERLANG_COOKIE",
            "RABBITMQ_HOME",
            "RABBITMQ_LOG",
            "RABBITMQ_LOGS",
            "RABBITMQ_LOG_BASE",
            "RABBITMQ_NODENAME",
            "RABBITMQ_NODE_IP_ADDRESS",
            "RABBITMQ_NODE_PORT",
            "RABBITMQ_MANAGEMENT_PORT",  # of the tests on a server of one's own
            "RABBITMQ_PID_FILE",
            "RABBITMQ_VERSION",  # of the official image, and of the demo's own server
            "RABBITMQ_TASKS_EXCHANGE_TYPE",
            "RABBITMQ_ALTERNATE_EXCHANGE_TYPE",
            "RABBITMQ_RESPONSES_EXCHANGE_TYPE",
        }
    ),
    prefixes=("RABBITMQ_SERVICE_", "RABBITMQ_PORT_", "RABBITMQ_DEFAULT_", "RABBITMQ_SERVER_"),
    synonyms={
        "RABBITMQ_USER": "RABBITMQ_USERNAME",
        "RABBITMQ_PASS": "RABBITMQ_PASSWORD",
        "RABBITMQ_VHOST": "RABBITMQ_VIRTUAL_HOST",
    },
)


def _checked_host(value: object) -> object:
    if isinstance(value, str):
        parse_endpoints(value, 5672)
    return value


def _checked_port(value: object) -> object:
    if isinstance(value, str) and value.startswith("tcp://"):
        raise ValueProblem(
            Text("is a service link that Kubernetes has set", "это ссылка на сервис, её создал Kubernetes"),
            Text(
                "set enableServiceLinks: false in the pod, or RABBITMQ_PORT=5672 explicitly",
                "задайте enableServiceLinks: false в описании пода или явно RABBITMQ_PORT=5672",
            ),
        )
    return value


class RabbitMQSettings(EnvironmentSettings):
    """How to reach RabbitMQ, and the names that Camunda's side may have changed."""

    env_prefix = "RABBITMQ_"

    tls: bool = False
    host: Annotated[str, BeforeValidator(_checked_host)] = "localhost"
    port: Annotated[int, BeforeValidator(_checked_port), Field(ge=1, le=65535)] = Field(
        default_factory=lambda known: 5671 if known["tls"] else 5672
    )
    username: str = "guest"
    password: SecretStr = SecretStr("guest")
    virtual_host: str = "/"
    # A dead link is noticed after two heartbeats or more: with the specification's 600 that is 20-30 minutes.
    heartbeat: Annotated[int, Field(ge=0, le=65535)] = 30
    connection_timeout: Seconds = 10.0
    blocked_connection_timeout: Seconds = 300.0
    reconnect_max_delay: Seconds = 30.0
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    tls_verify: bool = True
    queue_type: Literal["classic", "quorum"] = "classic"
    tasks_exchange: str = "camunda.external.tasks"
    alternate_exchange: str = "camunda.unrouted.tasks"
    responses_exchange: str = "camunda.task.responses"
    responses_queue: str = "camunda.responses.queue"

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return parse_endpoints(self.host, self.port)

    def cross_check(self) -> Iterator[FieldProblem]:
        if bool(self.cert_file) != bool(self.key_file):
            given, missing = ("cert_file", "key_file") if self.cert_file else ("key_file", "cert_file")
            yield FieldProblem(
                given,
                Text("a client certificate needs two files", "клиентскому сертификату нужны два файла"),
                Text(
                    "give both RABBITMQ_CERT_FILE and RABBITMQ_KEY_FILE, or none",
                    "задайте и RABBITMQ_CERT_FILE, и RABBITMQ_KEY_FILE, или ни одного",
                ),
                beside=missing,
            )
        for name in ("ca_file", "cert_file", "key_file"):
            if getattr(self, name) and not self.tls:
                yield FieldProblem(
                    name,
                    Text("would not be used: TLS is off", "не был бы использован: TLS выключен"),
                    Text("set RABBITMQ_TLS=true, or leave this empty", "задайте RABBITMQ_TLS=true или оставьте пустым"),
                    beside="tls",
                )
        yield from missing_files(self, "ca_file", "cert_file", "key_file")

    def notices(self) -> Iterator[tuple[str, Text]]:
        if self.heartbeat == 0:
            yield (
                "heartbeat",
                Text(
                    "0: a dead link may stay unnoticed for hours", "0: обрыв связи может часами оставаться незамеченным"
                ),
            )
        if self.tls and not self.tls_verify:
            yield "tls_verify", Text("the server's certificate is not checked", "сертификат сервера не проверяется")
        if self.username == "guest" and not all(each.host in LOOPBACK_HOSTS for each in self.endpoints):
            yield (
                "username",
                Text(
                    "RabbitMQ lets guest in from its own machine only", "RabbitMQ пускает guest только со своей машины"
                ),
            )
