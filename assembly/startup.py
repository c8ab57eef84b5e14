"""Makes validated settings and loaded classes from the environment, for every command that talks to systems."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.hook_settings import HookSettings
from api.settings import ApiSettings
from assembly import alerting
from config import Settings, WorkerSettings, load_settings
from consumers.email.config import EmailSettings
from consumers.telegram.config import TelegramSettings
from core.secrets import Secrets
from journal.settings import JournalSettings
from runtime.alert_settings import AlertSettings
from runtime.loader import HANDLERS, TRACKERS, load_classes, settings_classes
from settings.errors import Mistake
from settings.secret_files import watch
from tracing.settings import TracingSettings
from tracing.settings import mistakes as tracing_mistakes

GARBAGE_THRESHOLD = 5000  # objects made and not freed since the last look; Python's own is 700


@dataclass(frozen=True, slots=True)
class Startup:
    """The basis of every command. `handlers` by input queue, `trackers` by sent queue."""

    settings: Settings
    secrets: Secrets
    handlers: Mapping[str, type[Any]]
    trackers: Mapping[str, type[Any]]


def read_configuration(environ: Mapping[str, str], env_file: Path) -> Startup:
    """Read the settings.

    Raises SettingsError, also for classes of QUEUE_HANDLERS and TRACKER_CONFIG that cannot be imported.
    """
    handlers: dict[str, type[Any]] = {}
    trackers: dict[str, type[Any]] = {}
    unusable: list[Mistake] = []

    def find_classes(worker: WorkerSettings) -> list[type[Any]]:
        configured = (
            (handlers, {q: (e.module, e.handler_class) for q, e in worker.queue_handlers.items()}, HANDLERS),
            (trackers, {q: (e.module, e.tracker_class) for q, e in worker.tracker_config.items()}, TRACKERS),
        )
        for classes, wanted, setting in configured:
            found, mistakes = load_classes(wanted, setting)
            classes.update(found)
            unusable.extend(mistakes)
        # Alerts go by mail and Telegram also where no queue of theirs is consumed.
        systems = settings_classes([*handlers.values(), *trackers.values()])
        systems += (AlertSettings, EmailSettings, TelegramSettings, JournalSettings)
        return [*systems, ApiSettings, HookSettings, TracingSettings]

    def judge(read: Settings) -> list[Mistake]:
        return [
            *unusable,
            *alerting.mistakes(read),
            *tracing_mistakes(read.for_system(TracingSettings), read.origins.in_file),
        ]

    settings = load_settings(environ, env_file, find_classes, judge)
    secrets = Secrets()
    for secret in settings.secrets():
        watch(secret, secrets.add)  # a new one is masked before it is used
        secrets.add(secret.get_secret_value())
    return Startup(settings, secrets, handlers, trackers)


def settle_garbage_collector() -> None:
    """Have what will live as long as the process not looked through again and again. After everything is made.

    Messages on their way die young and without cycles; by default the collector looks at each several times. Measured:
    a sixth of the CPU time of a message that is only relayed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 10, 10)
