"""What the 1C tests share: settings for a sandbox infobase, messages as Camunda's side writes them, mapping files."""

from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from consumers.onec.client import OneCClient
from consumers.onec.config import OneCSettings
from consumers.onec.handler import OneCHandler
from consumers.onec.tracker import OneCTracker
from core.errors import OutcomeError
from core.messages import CamundaTask, IncomingMessage
from core.results import Accepted, Result
from sandbox.onec import OneCSandbox

ORDER = "Document_ЗаказКлиента"
FIRM = "Catalog_Контрагенты"
PERSON = "Catalog_Пользователи"
TASK = "Task_ЗадачаИсполнителя"
PROCESS = "BusinessProcess_Задание"
ANNA = "Анна Соколова"

TASKS = f"""
[topics.task]
kind = "task"
entity = "{TASK}"
[topics.task.fields]
Description = "title"
"Описание" = {{ template = "Camunda: {{@task_id}}" }}
"""


def settings_for(base: OneCSandbox, **changes: Any) -> OneCSettings:
    given: dict[str, Any] = {
        "url": base.url,
        "username": base.username,
        "password": SecretStr(base.password),
        "request_timeout": 10,
        **changes,
    }
    return OneCSettings(**given)


def client_for(base: OneCSandbox, **changes: Any) -> OneCClient:
    return OneCClient(settings_for(base, **changes), threading.Event())


def handler_for(base: OneCSandbox, **changes: Any) -> OneCHandler:
    return OneCHandler(settings_for(base, **changes), client_for(base, **changes))


def tracker_for(base: OneCSandbox, **changes: Any) -> OneCTracker:
    return OneCTracker(settings_for(base, **changes), client_for(base, **changes))


def mapping_file(folder: Path, text: str) -> Path:
    path = folder / "mapping.toml"
    path.write_text(text, encoding="utf-8")
    return path


def message(
    topic: str = "1c_create_task",
    *,
    key: str | None = None,
    attempt: int = 1,
    redelivered: bool = False,
    extensions: dict[str, Any] | None = None,
    **variables: Any,
) -> IncomingMessage:
    """One message of 1c.queue; `key` is the Camunda task id. A task for a person is given to Anna."""
    if topic == "1c_create_task":
        variables = {"assignee": ANNA, **variables}
    fields = {
        "task_id": key or str(uuid.uuid4()),
        "topic": topic,
        "system": "1c",
        "variables": variables,
        "activity_id": "Activity_1",
        "process_instance_id": "a8cb83b3-36b5-424a-9456-f6b5ec7367c2",
        "metadata": {
            "extensionProperties": extensions or {},
            "activityInfo": {"id": "Activity_1", "name": "Согласовать договор", "type": "external", "topic": topic},
        },
    }
    body = json.dumps(fields, ensure_ascii=False).encode()
    return IncomingMessage(CamundaTask(body, fields), "1c.queue", attempt=attempt, redelivered=redelivered)


def outcome(handler: OneCHandler, one: IncomingMessage) -> Result | OutcomeError:
    try:
        return handler.handle(one)
    except OutcomeError as error:
        return error


def accepted(result: object) -> Accepted:
    assert isinstance(result, Accepted), result
    return result


def external_id(result: object) -> str:
    assert not isinstance(result, OutcomeError), result
    found = getattr(result, "external_id", None)
    assert isinstance(found, str), result
    return found


def failed(result: object) -> OutcomeError:
    assert isinstance(result, OutcomeError), result
    return result


def row_of(base: OneCSandbox, ref: str) -> dict[str, Any]:
    """The stored object `Entity/guid`."""
    entity, _, key = ref.partition("/")
    return base.store.rows[entity][key]
