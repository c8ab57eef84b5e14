"""The settings of the daemon as frozen values, and the maps from queues to handlers, sent queues and trackers.

`load_settings` fills them from the environment and `.env`; config.env.example explains every variable. All times are
in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from broker.settings import NAMES_OF_OTHERS, RabbitMQSettings
from core.messages import Limits
from core.texts import Text
from settings.base import Count, EnvironmentSettings, Pairs, PositiveCount, Seconds, StateDir
from settings.errors import FieldProblem, Mistake, Notice
from settings.loader import SettingsReader
from settings.origins import NOWHERE, Origins
from settings.values import parse_json_object

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


MOST_PREFETCHED = 65535  # 16 bits in AMQP, where 0 would mean "no limit"
Prefetch = Annotated[int, Field(ge=1, le=MOST_PREFETCHED)]

_SettingsT = TypeVar("_SettingsT", bound=EnvironmentSettings)


class HandlerEntry(BaseModel):
    """Where to find the handler of an input queue."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    module: str
    handler_class: str
    description: str = ""


class TrackerEntry(BaseModel):
    """Where to find the tracker of a sent queue."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    module: str
    tracker_class: str
    description: str = ""


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _merged_over(defaults: Mapping[str, Any]) -> BeforeValidator:
    """Return a validator that merges text of the environment over a map of this module.

    A mapping given by code is taken as it is.
    """

    def merge(value: object) -> object:
        if not isinstance(value, str):
            return value
        return {name: entry for name, entry in {**defaults, **parse_json_object(value)}.items() if entry is not None}

    return BeforeValidator(merge)


class WorkerSettings(EnvironmentSettings):
    """The settings of the daemon itself."""

    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)] = "INFO"
    log_format: Literal["text", "json"] = "text"
    state_dir: StateDir = Path("state")
    log_dir: Path = Path("logs")
    log_max_bytes: Annotated[int, Field(ge=10_000)] = 10_000_000
    log_backups: Count = 5
    heartbeat_interval: Seconds = 60.0
    tracker_full_sweep_interval: Seconds = 900.0
    tracker_shards: bool = True
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
        """Return the prefetch of a queue.

        `usable` is what the queue's threads can make use of: so many, or 100, where the operator has set nothing.
        """
        return self.queue_prefetch.get(queue) or self.prefetch or min(max(100, usable), MOST_PREFETCHED)

    def concurrency_of(self, queue: str) -> int:
        return self.queue_concurrency.get(queue, self.concurrency)

    def sent_queue_of(self, queue: str) -> str:
        """Return where results of this input queue are stored.

        `x.queue` without a row of its own gets `x.sent.queue`.
        """
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
    """All settings of the program. `warnings` belong into the start-up log, `origins` say what stands where."""

    rabbitmq: RabbitMQSettings
    worker: WorkerSettings
    systems: Mapping[type[EnvironmentSettings], EnvironmentSettings]
    warnings: tuple[Notice, ...] = ()
    origins: Origins = field(default=NOWHERE, compare=False)

    def for_system(self, settings_class: type[_SettingsT]) -> _SettingsT:
        """Return the validated settings of one system. Raises KeyError when its class was not given to the loader."""
        return cast(_SettingsT, self.systems[settings_class])

    def secret_values(self) -> Iterator[str]:
        """Return every secret in clear, for the registry that masks them."""
        return (secret.get_secret_value() for secret in self.secrets())

    def secrets(self) -> Iterator[SecretStr]:
        """Yield every secret. A published default (`guest`) is none."""
        for settings in (self.rabbitmq, self.worker, *self.systems.values()):
            for name, its_field in type(settings).model_fields.items():
                value = getattr(settings, name)
                named = value.values() if isinstance(value, Mapping) else ()
                for secret in (value, *named):
                    if isinstance(secret, SecretStr) and secret != its_field.default:
                        yield secret


SystemClasses = Sequence[type[EnvironmentSettings]] | Callable[[WorkerSettings], Sequence[type[EnvironmentSettings]]]
Judge = Callable[[Settings], Sequence[Mistake]]


def load_settings(
    environ: Mapping[str, str],
    env_file: Path | None,
    system_classes: SystemClasses = (),
    judge: Judge = lambda _settings: (),
) -> Settings:
    """Read the settings from the environment, which wins, and from `.env`, which may be missing.

    `system_classes` are the systems' own settings classes, or a function that finds them by the worker's settings
    (the handlers are named there). `judge` returns what is wrong between them; it is given defaults where a value is
    wrong itself. Raises SettingsError with all mistakes.
    """
    reader = SettingsReader(environ, env_file)
    rabbitmq = reader.read(RabbitMQSettings) or RabbitMQSettings()
    worker = reader.read(WorkerSettings) or WorkerSettings()
    classes = system_classes if isinstance(system_classes, Sequence) else system_classes(worker)
    read = {each: reader.read(each) for each in dict.fromkeys(classes)}
    reader.judge_names([RabbitMQSettings, WorkerSettings, *read], NAMES_OF_OTHERS)
    systems = {cls: settings for cls, settings in read.items() if settings is not None}
    settings = Settings(rabbitmq, worker, systems, reader.notices, reader.origins)
    reader.conclude(judge(settings))
    return settings
