"""What the Bitrix24 tests share: settings for a sandbox portal, and messages as Camunda's side writes them."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from base_handler import BaseMessageHandler, HandlerOutcome
from consumers.bitrix.client import BitrixClient
from consumers.bitrix.config import BitrixSettings
from consumers.bitrix.handler import BitrixTaskHandler
from core.messages import CamundaTask, IncomingMessage
from sandbox.bitrix24 import BitrixSandbox


def settings_for(portal: BitrixSandbox, **changes: Any) -> BitrixSettings:
    """Settings for the sandbox: its limits are off unless a test turns them on, so ours are wide open, too."""
    given: dict[str, Any] = {
        "webhook_url": portal.webhook_url,
        "rate_limit_per_second": 10_000,
        "rate_limit_burst": 10_000,
        "request_timeout": 10,
        **changes,
    }
    return BitrixSettings(**given)


def client_for(portal: BitrixSandbox, stop: threading.Event | None = None, **changes: Any) -> BitrixClient:
    """A client whose waits for the portal's bucket are short."""
    return BitrixClient(settings_for(portal, **changes), stop or threading.Event(), first_pause=0.02, patience=5)


def handler_for(portal: BitrixSandbox, **changes: Any) -> BitrixTaskHandler:
    settings = settings_for(portal, **changes)
    return BitrixTaskHandler(settings, client_for(portal, **changes))


def message(
    topic: str = "bitrix_create_task",
    *,
    key: str | None = None,
    variables: dict[str, Any] | None = None,
    extensions: dict[str, Any] | None = None,
    parameters: dict[str, Any] | None = None,
    name: str | None = "Согласовать договор",
    attempt: int = 1,
    redelivered: bool = False,
) -> IncomingMessage:
    """One message of bitrix24.queue; `key` is the Camunda task id."""
    metadata: dict[str, Any] = {"extensionProperties": extensions or {}, "inputParameters": parameters or {}}
    if name is not None:
        metadata["activityInfo"] = {"id": "Activity_1", "name": name, "type": "external", "topic": topic}
    fields = {
        "task_id": key or str(uuid.uuid4()),
        "topic": topic,
        "system": "bitrix24",
        "variables": variables or {},
        "process_instance_id": "a8cb83b3-36b5-424a-9456-f6b5ec7367c2",
        "activity_id": "Activity_1",
        "metadata": metadata,
    }
    body = json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return IncomingMessage(CamundaTask(body, fields), "bitrix24.queue", attempt=attempt, redelivered=redelivered)


def redelivered(original: IncomingMessage) -> IncomingMessage:
    return IncomingMessage(original.task, original.queue, attempt=original.attempt, redelivered=True)


def outcomes(handler: BaseMessageHandler, messages: Sequence[IncomingMessage]) -> list[HandlerOutcome]:
    """The outcomes in the order of the messages, whatever order the handler yields them in."""
    settled = {id(each): outcome for each, outcome in handler.handle_batch(messages)}
    return [settled[id(each)] for each in messages]


def duplicates(portal: BitrixSandbox, field: str = "UF_CAMUNDA_ID_EXTERNAL_TASK") -> dict[str, list[int]]:
    """The keys under which the portal holds more than one task."""
    return {key: ids for key, ids in portal.tasks_by_key(field).items() if len(ids) > 1}


def at_once(threads: int, work: Callable[[int], Any]) -> list[Any]:
    """Runs `work(index)` in several threads that start together; returns what each returned."""
    barrier = threading.Barrier(threads)

    def start_together(index: int) -> Any:
        barrier.wait()
        return work(index)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(start_together, range(threads)))
