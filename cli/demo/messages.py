"""Makes messages as Camunda's side writes them, for every scenario of the demo."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cli.demo.scenario import Kind, Sample
from sandbox.camunda import encode_task, task_headers


def sample(
    kind: Kind,
    title: str,
    message: Mapping[str, Any],
    after: str | None = None,
) -> Sample:
    routing_key = f"{message['system']}.{message['topic']}"
    return Sample(kind, message["task_id"], title, encode_task(message), routing_key, task_headers(message), after)


def again(twice: Sample) -> Sample:
    """Return the same message once more."""
    return Sample("duplicate", twice.key, twice.title, twice.body, twice.routing_key, twice.headers)


def broken(system: str, topic: str) -> Sample:
    """Return a message cut off in the middle, which is no task."""
    body = f'{{"task_id": "{topic}: оборвано на полусло'.encode()
    return Sample("broken", f"broken-{topic}", "", body, f"{system}.{topic}", {})


def message(
    system: str,
    topic: str,
    step: str,
    now: datetime,
    *,
    variables: Mapping[str, Any] | None = None,
    extensions: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return a task message with the keys of the contract, in their order."""
    instance, activity = str(uuid.uuid4()), f"Activity_{topic}"
    values = {"initiator": "Анна Соколова", **(variables or {})}
    typed = {name: {"type": "String", "value": value, "valueInfo": {}} for name, value in values.items()}
    return {
        "task_id": str(uuid.uuid4()),
        "topic": topic,
        "system": system,
        "variables": values,
        "process_variables": typed,
        "process_instance_id": instance,
        "process_definition_key": "Process_demo",
        "activity_id": activity,
        "activity_instance_id": f"{activity}:{instance[:8]}",
        "worker_id": "universal-worker",
        "retries": None,
        "created_time": now.strftime("%Y-%m-%dT%H:%M:%S.000%z"),
        "priority": 0,
        "tenant_id": None,
        "business_key": f"DEMO-{instance[:8]}",
        "timestamp": int(now.timestamp() * 1000),
        "metadata": {
            "extensionProperties": dict(extensions or {}),
            "inputParameters": dict(parameters or {}),
            "activityInfo": {"id": activity, "name": step, "type": "external", "topic": topic},
            "processVariables": typed,
        },
    }


def spread(samples: list[Sample], specials: list[Sample]) -> list[Sample]:
    """Return the specials between the others, evenly."""
    mixed = list(samples)
    for position, special in enumerate(specials, start=2):
        mixed.insert(len(mixed) * position // (len(specials) + 1), special)
    return mixed
