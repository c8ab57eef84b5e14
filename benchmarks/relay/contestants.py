"""Who takes part: how each is started, in which envelope its tasks come, how it wants its queues declared."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.relay.messages import Envelope, bare, for_celery, for_dramatiq
from sandbox.address import BrokerAddress

ROOT = Path(__file__).parent.parent.parent
OURS = "Task Creator"
OURS_LOGGING = "Task Creator, a log line per message"
OURS_FORGETTING = "Task Creator, without a journal"
BARE_PIKA = "bare pika"
FRAMEWORKS = ("FastStream", "Dramatiq", "Celery", "kombu")

Start = Callable[[Path, BrokerAddress, Sequence[str], int], "Command"]
Arguments = Callable[[str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Command:
    arguments: Sequence[str | Path]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Contestant:
    """`start(folder, broker, queues, prefetch)` says how to start it, with `folder` for whatever it writes."""

    name: str
    start: Start
    envelope: Envelope = bare
    queue_arguments: Arguments = field(default=lambda queue: {})


def daemon(log_level: str, journal: str = "") -> Start:
    """`python main.py` as it is, with the no-op handler for each queue."""

    def start(folder: Path, broker: BrokerAddress, queues: Sequence[str], prefetch: int) -> Command:
        handler = {"module": "benchmarks.relay.handler", "handler_class": "NoOpHandler"}
        environment = {
            **broker.environment(),
            "QUEUE_HANDLERS": json.dumps({"bitrix24.queue": None, **dict.fromkeys(queues, handler)}),
            "TRACKER_CONFIG": json.dumps({"bitrix24.sent.queue": None}),
            "PREFETCH": str(prefetch),
            "LOG_LEVEL": log_level,
            "LOG_DIR": str(folder / "logs"),
            "STATE_DIR": str(folder / "state"),
            "JOURNAL_URL": journal,
        }
        return Command([sys.executable, ROOT / "main.py", "run"], environment)

    return start


def rival(python: Path, *arguments: str) -> Start:
    """`python -m …` with the rivals' interpreter."""

    def start(folder: Path, broker: BrokerAddress, queues: Sequence[str], prefetch: int) -> Command:
        vhost = broker.vhost.replace("/", "%2F")
        environment = {
            "RELAY_URL": f"amqp://{broker.username}:{broker.password}@{broker.host}:{broker.port}/{vhost}",
            "RELAY_QUEUES": ",".join(queues),
            "RELAY_PREFETCH": str(prefetch),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return Command([python, "-m", *arguments], environment)

    return start


def contestants(python: Path) -> list[Contestant]:
    """All of them; `python` is the rivals' interpreter."""

    def script(name: str) -> Start:
        return rival(python, f"benchmarks.relay.rivals.{name}")

    dramatiq = rival(python, "dramatiq", "benchmarks.relay.rivals.dramatiq_app")
    return [
        Contestant(OURS, daemon("WARNING")),
        Contestant(OURS_LOGGING, daemon("INFO")),
        Contestant(OURS_FORGETTING, daemon("WARNING", journal="off")),
        Contestant(BARE_PIKA, script("bare_pika")),
        Contestant("FastStream", script("faststream_app")),
        Contestant("Dramatiq", dramatiq, for_dramatiq, _dramatiq_arguments),
        Contestant("Celery", script("celery_app"), for_celery),
        Contestant("kombu", script("kombu_app")),
        Contestant("the origin's design", script("origin")),
    ]


def _dramatiq_arguments(queue: str) -> Mapping[str, Any]:
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{queue}.XQ"}
