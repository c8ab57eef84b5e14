"""What every rival is given and what it must do, so that only the way between two queues differs.

Runs with the rivals' interpreter and imports nothing of the daemon.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Job:
    """`url` is an amqp:// URL; `prefetch` messages are taken in advance from each of `queues`."""

    url: str
    queues: tuple[str, ...]
    prefetch: int

    @classmethod
    def given(cls) -> Job:
        """What benchmarks.relay.contest put into the environment."""
        environment = os.environ
        queues = tuple(environment["RELAY_QUEUES"].split(","))
        return cls(environment["RELAY_URL"], queues, int(environment["RELAY_PREFETCH"]))


def sent_queue(queue: str) -> str:
    return f"{queue.removesuffix('.queue')}.sent.queue"


def result_of(body: bytes, queue: str) -> tuple[bytes, dict[str, Any]]:
    """Body and message properties of the result of a task, of which only the JSON is known."""
    return encoded(json.loads(body), body, queue)


def encoded(task: dict[str, Any], body: bytes, queue: str) -> tuple[bytes, dict[str, Any]]:
    """Body and message properties: the daemon's own message of a sent queue, field by field."""
    now = time.time()
    head = json.dumps({"timestamp": task.get("timestamp", now), "original_queue": queue})
    tail = json.dumps({"response_data": _handle(task), "processing_status": "success", "processed_at": now})
    result = b'%b, "original_message": %b, %b' % (head[:-1].encode(), body, tail[1:].encode())
    properties = {
        "delivery_mode": 2,
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "message_id": f"{task['task_id']}:sent",
        "headers": {"task-creator-task-id": task["task_id"], "task-creator-state": "accepted"},
    }
    return result, properties


def _handle(_task: dict[str, Any]) -> dict[str, Any]:
    # The no-op handler of benchmarks.relay.handler.
    return {"result": {"task": {"id": "1"}}, "success": True}
