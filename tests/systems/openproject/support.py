"""What the OpenProject tests share: settings for a sandbox server, and messages as Camunda's side writes them."""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

from pydantic import SecretStr

from consumers.openproject.client import OpenProjectClient
from consumers.openproject.config import OpenProjectSettings
from consumers.openproject.handler import OpenProjectTaskHandler
from consumers.openproject.tracker import OpenProjectTaskTracker
from core.messages import CamundaTask, IncomingMessage
from sandbox.openproject import OpenProjectSandbox

PROJECT = "contracts"


def settings_for(server: OpenProjectSandbox, **changes: Any) -> OpenProjectSettings:
    given: dict[str, Any] = {
        "url": server.url,
        "token": SecretStr(server.token),
        "default_project": PROJECT,
        "request_timeout": 10,
        **changes,
    }
    return OpenProjectSettings(**given)


def client_for(server: OpenProjectSandbox, **changes: Any) -> OpenProjectClient:
    return OpenProjectClient(settings_for(server, **changes), threading.Event())


def handler_for(server: OpenProjectSandbox, **changes: Any) -> OpenProjectTaskHandler:
    return OpenProjectTaskHandler(settings_for(server, **changes), client_for(server, **changes))


def tracker_for(server: OpenProjectSandbox, **changes: Any) -> OpenProjectTaskTracker:
    return OpenProjectTaskTracker(settings_for(server, **changes), client_for(server, **changes))


def message(
    topic: str = "op_create_task",
    *,
    key: str | None = None,
    attempt: int = 1,
    redelivered: bool = False,
    extensions: dict[str, Any] | None = None,
    **variables: Any,
) -> IncomingMessage:
    """One message of openproject.queue; `key` is the Camunda task id."""
    fields = {
        "task_id": key or str(uuid.uuid4()),
        "topic": topic,
        "system": "openproject",
        "variables": variables,
        "activity_id": "Activity_1",
        "metadata": {
            "extensionProperties": extensions or {},
            "activityInfo": {"id": "Activity_1", "name": "Согласовать договор", "type": "external", "topic": topic},
        },
    }
    body = json.dumps(fields, ensure_ascii=False).encode()
    return IncomingMessage(CamundaTask(body, fields), "openproject.queue", attempt=attempt, redelivered=redelivered)
