"""What Camunda publishes in a row: everyday tasks of the contract's shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.faults.account import Published
from sandbox.camunda import encode_task

INPUT_QUEUE = "bitrix24.queue"
SENT_QUEUE = "bitrix24.sent.queue"

CHECKLIST = ("Реквизиты", "Сроки", "Подписи")

_EVERY = 5  # each fifth task has a checklist


def key_of(number: int) -> str:
    return f"task-{number:05}"


def message(
    number: int,
    system: str,
    topic: str,
    variables: Mapping[str, Any],
    parameters: Mapping[str, Any] | None = None,
) -> bytes:
    """The message of the task of that number."""
    return encode_task(
        {
            "task_id": key_of(number),
            "topic": topic,
            "system": system,
            "variables": dict(variables),
            "process_instance_id": f"process-{number:05}",
            "activity_id": "Activity_1",
            "retries": None,
            "timestamp": 1795416779220,
            "metadata": {
                "inputParameters": dict(parameters or {}),
                "activityInfo": {"name": "Согласовать договор"},
            },
        }
    )


def task(
    number: int, *, copies: int = 1, padding: int = 0, title: str | None = None, checklist: bool = True
) -> Published:
    """A task for Bitrix24, some with a checklist. `padding`: bytes of a variable that makes the message larger."""
    parameters: dict[str, Any] = {}
    if number % _EVERY == 0:
        parameters["checklists"] = json.dumps([{"name": "Проверить", "items": CHECKLIST}], ensure_ascii=False)
    variables = {"title": title or f"Согласовать договор № {number}", "scan": "x" * padding}
    body = message(number, "bitrix24", "bitrix_create_task", variables, parameters)
    return Published(key_of(number), body, copies=copies, checklist=1 + len(CHECKLIST) if parameters else 0)
