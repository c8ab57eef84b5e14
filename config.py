"""Settings as frozen values, and the maps from queues to handlers, sent queues and trackers.

Nothing is read here: `runtime.settings.load_settings` fills these classes from the environment and `.env`.
The variable of a field is the class's `env_prefix` plus the field's name in capitals; config.env.example
explains every one of them. All times are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from core.messages import Limits
from core.settings_errors import FieldProblem, Notice, ValueProblem
from core.settings_values import LOOPBACK_HOSTS, Endpoint, parse_endpoints, parse_json_object, parse_pairs
from core.texts import Text

QUEUE_HANDLERS: Mapping[str, Mapping[str, str]] = {
    "bitrix24.queue": {
        "module": "consumers.bitrix",
        "handler_class": "BitrixTaskHandler",
        "description": "Создание задач в Bitrix24",
    },
    "openproject.queue": {
        "module": "consumers.openproject",
        "handler_class": "OpenProjectTaskHandler",
        "description": "Создание задач в OpenProject",
    },
    "python-services.queue": {
        "module": "consumers.python_services",
        "handler_class": "PythonServicesHandler",
        "description": "Вызов сервисов Python",
    },
    "email.queue": {
        "module": "consumers.email",
        "handler_class": "EmailHandler",
        "description": "Отправка почты",
    },
    "1c.queue": {
        "module": "consumers.onec",
        "handler_class": "OneCHandler",
        "description": "Создание и изменение объектов 1С",
    },
    "telegram.queue": {
        "module": "consumers.telegram",
        "handler_class": "TelegramHandler",
        "description": "Сообщения в Telegram",
    },
    "default.queue": {
        "module": "consumers.default",
        "handler_class": "DefaultHandler",
        "description": "Сообщения, которые не взяла ни одна очередь",
    },
}

SENT_QUEUES: Mapping[str, str] = {
    "bitrix24.queue": "bitrix24.sent.queue",
    "openproject.queue": "openproject.sent.queue",
    "email.queue": "email.sent.queue",
    "1c.queue": "1c.sent.queue",
    "python-services.queue": "python-services.sent.queue",
    "telegram.queue": "telegram.sent.queue",
    "default.queue": "default.sent.queue",
}

TRACKER_CONFIG: Mapping[str, Mapping[str, str]] = {
    "bitrix24.sent.queue": {
        "module": "consumers.bitrix",
        "tracker_class": "BitrixTaskTracker",
        "description": "Отслеживание задач Bitrix24",
    },
    "openproject.sent.queue": {
        "module": "consumers.openproject",
        "tracker_class": "OpenProjectTaskTracker",
        "description": "Отслеживание задач OpenProject",
    },
    "python-services.sent.queue": {
        "module": "consumers.python_services",
        "tracker_class": "PythonServicesTracker",
        "description": "Опрос заданий сервисов Python",
    },
    "email.sent.queue": {
        "module": "consumers.email",
        "tracker_class": "EmailTracker",
        "description": "Передача результатов отправки почты",
    },
    "1c.sent.queue": {
        "module": "consumers.onec",
        "tracker_class": "OneCTracker",
        "description": "Отслеживание задач и документов 1С",
    },
    "telegram.sent.queue": {
        "module": "consumers.telegram",
        "tracker_class": "TelegramTracker",
        "description": "Результаты сообщений в Telegram",
    },
    "default.sent.queue": {
        "module": "consumers.default",
        "tracker_class": "DefaultTracker",
        "description": "Ответы вебхука для остальных сообщений",
    },
}


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueProblem(
            Text("is not a known time zone", "неизвестный часовой пояс"),
            Text(
                "an IANA name such as Europe/Moscow or UTC (a bare system needs the package tzdata)",
                "имя IANA, например Europe/Moscow или UTC (на голой системе нужен пакет tzdata)",
            ),
        ) from error
    return name


@dataclass(frozen=True, slots=True)
class Shared:
    """Marks a field of a system's settings whose variable is one of the daemon's own."""

    variable: str


@dataclass(frozen=True, slots=True)
class NamedSecrets:
    """Marks a field `variable -> secret` whose variables are named elsewhere, as in a file that another setting gives.

    `names` tells them from the other values, which are still texts then. Each may also be given as `<VARIABLE>_FILE`;
    `accepts` judges them all again when such a file has changed.
    """

    names: Callable[[Mapping[str, str]], Iterable[str]]
    accepts: Callable[[Mapping[str, str], Mapping[str, str]], bool] = lambda values, secrets: True


Timezone = Annotated[str, AfterValidator(_time_zone)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
MOST_PREFETCHED = 65535  # 16 bits in AMQP, where 0 would mean "no limit"
Prefetch = Annotated[int, Field(ge=1, le=MOST_PREFETCHED)]
StateDir = Annotated[Path, Shared("STATE_DIR")]

_SettingsT = TypeVar("_SettingsT", bound=BaseSettings)


class HandlerEntry(BaseModel):
    """Where the handler of an input queue is found."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    module: str
    handler_class: str
    description: str = ""


class TrackerEntry(BaseModel):
    """Where the tracker of a sent queue is found."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    module: str
    tracker_class: str
    description: str = ""


class EnvironmentSettings(BaseSettings):
    """Base of all settings classes, those of the systems in `consumers/` included.

    The process environment is never read behind the caller's back: the loader passes what it found, a test
    passes what it wants. A `SecretStr` field may also be given as `<VARIABLE>_FILE`.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    def cross_check(self) -> Iterator[FieldProblem]:
        """Mistakes that only several fields together, or a look at the file system, can show."""
        yield from ()

    def notices(self) -> Iterator[tuple[str, Text]]:
        """(field, text) of what works but should be known."""
        yield from ()


def missing_files(settings: BaseSettings, *fields: str) -> Iterator[FieldProblem]:
    """One problem for each of these path fields that names no file."""
    for name in fields:
        path: Path | None = getattr(settings, name)
        if path is not None and not path.is_file():
            yield FieldProblem(
                name,
                Text("there is no such file", "такого файла нет"),
                Text("give the path of an existing file", "укажите путь к существующему файлу"),
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

    model_config = SettingsConfigDict(env_prefix="RABBITMQ_")

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


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _pairs(value: object) -> object:
    return parse_pairs(value) if isinstance(value, str) else value


Pairs = BeforeValidator(_pairs)  # `a=1,b=2` or a JSON object


def _merged_over(defaults: Mapping[str, Any]) -> BeforeValidator:
    """Text of the environment is merged over a map of this module; a mapping given by code is taken as it is."""

    def merge(value: object) -> object:
        if not isinstance(value, str):
            return value
        return {name: entry for name, entry in {**defaults, **parse_json_object(value)}.items() if entry is not None}

    return BeforeValidator(merge)


class WorkerSettings(EnvironmentSettings):
    """How the daemon itself works."""

    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)] = "INFO"
    log_format: Literal["text", "json"] = "text"
    state_dir: StateDir = Path("state")
    log_dir: Path = Path("logs")
    log_max_bytes: Annotated[int, Field(ge=10_000)] = 10_000_000
    log_backups: Count = 5
    heartbeat_interval: Seconds = 60.0
    tracker_full_sweep_interval: Seconds = 900.0
    retry_attempts: Count = 3  # retries after the first try: 3 means that a task is tried 4 times
    retry_delay: Seconds = 5.0
    retry_max_delay: Seconds = 900.0
    probe_interval: Seconds = 15.0
    shutdown_timeout: Seconds = 30.0
    max_message_bytes: PositiveCount = 8 * 1024 * 1024
    max_message_depth: Annotated[int, Field(ge=1, le=500)] = 100  # deeper needs more than Python's stack
    prefetch: Annotated[int | None, Field(ge=1, le=MOST_PREFETCHED)] = None  # None: see prefetch_of
    concurrency: PositiveCount = 4
    queue_prefetch: Annotated[Mapping[str, Prefetch], Pairs] = Field(default_factory=dict)
    queue_concurrency: Annotated[Mapping[str, PositiveCount], Pairs] = Field(default_factory=dict)
    response_echo_variables: bool = True
    queue_handlers: Annotated[Mapping[str, HandlerEntry], _merged_over(QUEUE_HANDLERS)] = Field(
        default_factory=lambda: {queue: HandlerEntry(**entry) for queue, entry in QUEUE_HANDLERS.items()}
    )
    sent_queues: Annotated[Mapping[str, str], _merged_over(SENT_QUEUES)] = Field(
        default_factory=lambda: dict(SENT_QUEUES)
    )
    tracker_config: Annotated[Mapping[str, TrackerEntry], _merged_over(TRACKER_CONFIG)] = Field(
        default_factory=lambda: {queue: TrackerEntry(**entry) for queue, entry in TRACKER_CONFIG.items()}
    )

    @property
    def message_limits(self) -> Limits:
        return Limits(self.max_message_bytes, self.max_message_depth)

    def prefetch_of(self, queue: str, usable: int) -> int:
        """`usable` is what the queue's threads can make use of: so many, or 100, where the operator has set nothing."""
        return self.queue_prefetch.get(queue) or self.prefetch or min(max(100, usable), MOST_PREFETCHED)

    def concurrency_of(self, queue: str) -> int:
        return self.queue_concurrency.get(queue, self.concurrency)

    def sent_queue_of(self, queue: str) -> str:
        """Where results of this input queue are stored; `x.queue` without a row of its own gets `x.sent.queue`."""
        return self.sent_queues.get(queue) or f"{queue.removesuffix('.queue')}.sent.queue"

    def cross_check(self) -> Iterator[FieldProblem]:
        if self.retry_max_delay < self.retry_delay:
            yield FieldProblem(
                "retry_max_delay",
                Text("is shorter than RETRY_DELAY", "меньше, чем RETRY_DELAY"),
                Text(f"give at least {self.retry_delay:g}", f"укажите не меньше {self.retry_delay:g}"),
                beside="retry_delay",
            )


@dataclass(frozen=True)
class Settings:
    """Everything the program was told. `warnings` belong into the start-up log."""

    rabbitmq: RabbitMQSettings
    worker: WorkerSettings
    systems: Mapping[type[BaseSettings], BaseSettings]
    warnings: tuple[Notice, ...] = ()

    def for_system(self, settings_class: type[_SettingsT]) -> _SettingsT:
        """The validated settings of one system. Raises KeyError when its class was not given to the loader."""
        return cast(_SettingsT, self.systems[settings_class])

    def secret_values(self) -> Iterator[str]:
        """Every secret in clear, for the registry that masks them."""
        return (secret.get_secret_value() for secret in self.secrets())

    def secrets(self) -> Iterator[SecretStr]:
        """Every secret. A published default (`guest`) is none."""
        for settings in (self.rabbitmq, self.worker, *self.systems.values()):
            for name, field in type(settings).model_fields.items():
                value = getattr(settings, name)
                named = value.values() if isinstance(value, Mapping) else ()
                for secret in (value, *named):
                    if isinstance(secret, SecretStr) and secret != field.default:
                        yield secret
