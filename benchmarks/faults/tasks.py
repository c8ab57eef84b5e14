"""What Camunda publishes in a row: everyday tasks of the contract's shape, some with a checklist."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.faults.account import Published
from sandbox.camunda import encode_task

INPUT_QUEUE = "bitrix24.queue"
SENT_QUEUE = "bitrix24.sent.queue"

CHECKLIST = ("Реквизиты", "Сроки", "Подписи")

_EVERY = 5  # each fifth task has a checklist


def task(
    number: int, *, copies: int = 1, padding: int = 0, title: str | None = None, checklist: bool = True
) -> Published:
    """The task of that number. `padding`: bytes of a variable that makes the message larger."""
    key = f"task-{number:05}"
    parameters: dict[str, Any] = {}
    if number % _EVERY == 0:
        parameters["checklists"] = json.dumps([{"name": "Проверить", "items": CHECKLIST}], ensure_ascii=False)
    message = {
        "task_id": key,
        "topic": "bitrix_create_task",
        "system": "bitrix24",
        "variables": {"title": title or f"Согласовать договор № {number}", "scan": "x" * padding},
        "process_instance_id": f"process-{number:05}",
        "activity_id": "Activity_1",
        "retries": None,
        "timestamp": 1795416779220,
        "metadata": {"inputParameters": parameters, "activityInfo": {"name": "Согласовать договор"}},
    }
    return Published(key, encode_task(message), copies=copies, checklist=1 + len(CHECKLIST) if parameters else 0)
