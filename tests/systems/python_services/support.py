"""What the tests of the Python services share: registries for a sandbox server, and messages of Camunda's side."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from config import load_settings
from consumers.python_services.config import ServicesSettings
from consumers.python_services.handler import PythonServicesHandler
from consumers.python_services.jobs import Job
from consumers.python_services.tracker import PythonServicesTracker
from core.messages import CamundaTask, IncomingMessage, TrackedTask
from sandbox.python_services import ServicesSandbox
from settings.errors import Mistake, SettingsError

NOW = 1_795_416_780  # unix seconds; where a test's clock begins

Services = dict[str, dict[str, Any]]


class Clock:
    """Unix seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def registry_file(folder: Path, services: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "services.yaml"
    path.write_text(yaml.safe_dump({"services": dict(services)}, allow_unicode=True))
    return path


def http(server: ServicesSandbox, path: str = "/sync/echo", *topics: str, **changes: Any) -> dict[str, Any]:
    """An entry of the registry."""
    return {"kind": "http", "url": server.base_url + path, "topics": list(topics or ["echo"]), **changes}


def python(function: str, *topics: str, **changes: Any) -> dict[str, Any]:
    return {"kind": "python", "callable": function, "topics": list(topics or ["call"]), **changes}


def settings_for(folder: Path, services: Mapping[str, Any], **changes: Any) -> ServicesSettings:
    """Validated as at the start of the daemon. `secrets` are environment variables. Raises SettingsError."""
    secrets: dict[str, str] = changes.pop("secrets", {})
    given = {f"SERVICES_{name.upper()}": str(value) for name, value in changes.items()}
    environ = {
        "SERVICES_FILE": str(registry_file(folder, services)),
        "STATE_DIR": str(folder / "state"),
        **given,
        **secrets,
    }
    return load_settings(environ, None, [ServicesSettings]).for_system(ServicesSettings)


def mistakes(folder: Path, services: Mapping[str, Any], **changes: Any) -> list[Mistake]:
    try:
        settings_for(folder, services, **changes)
    except SettingsError as error:
        return list(error.mistakes)
    return []


@contextlib.contextmanager
def handler_for(folder: Path, services: Mapping[str, Any], **changes: Any) -> Iterator[PythonServicesHandler]:
    handler = PythonServicesHandler(settings_for(folder, services, **changes), threading.Event())
    try:
        yield handler
    finally:
        handler.close()


def tracker_for(folder: Path, services: Mapping[str, Any], clock: Clock, **changes: Any) -> PythonServicesTracker:
    return PythonServicesTracker(settings_for(folder, services, **changes), threading.Event(), clock)


def tracked(
    server: ServicesSandbox, key: str, number: int, *, service: str = "report", begins: int = 0, expires: int = 86_400
) -> TrackedTask:
    """A job of the sandbox as it stands in the sent queue; times count from NOW."""
    job = Job(service, NOW + begins, NOW + expires, server.status_url(number))
    return TrackedTask(key, job.external_id())


def message(
    topic: str = "echo", *, key: str | None = None, attempt: int = 1, redelivered: bool = False, **variables: Any
) -> IncomingMessage:
    """One message of python-services.queue; `key` is the Camunda task id."""
    fields = {
        "task_id": key or str(uuid.uuid4()),
        "topic": topic,
        "system": "python-services",
        "variables": variables,
        "business_key": "BK-1",
        "process_instance_id": "a8cb83b3-36b5-424a-9456-f6b5ec7367c2",
        "activity_id": "Activity_1",
        "metadata": {"activityInfo": {"name": "Построить отчёт"}},
    }
    body = json.dumps(fields, ensure_ascii=False).encode()
    return IncomingMessage(CamundaTask(body, fields), "python-services.queue", attempt=attempt, redelivered=redelivered)
