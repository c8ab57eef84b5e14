"""The messages that the contestants get: Camunda tasks of a given size, bare or in a framework's own envelope."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from core.messages import OutgoingMessage
from testbench.harness import camunda_message

Envelope = Callable[[str, bytes, str], OutgoingMessage]


def task_id(number: int) -> str:
    """As long as Camunda's own ids."""
    return str(uuid.UUID(int=number))


def task(number: int, size: int) -> bytes:
    """A task of `size` bytes; Russian text fills it up, as it does in life. Raises ValueError below 450 bytes."""
    fields = {"projectId": "123", "amount": 1250000.5, "approved": True, "comment": ""}
    empty = len(camunda_message(task_id(number), variables=fields))
    if empty > size:
        raise ValueError(f"a task has at least {empty} bytes")
    missing = size - empty
    fields["comment"] = "я" * (missing // 2) + "." * (missing % 2)
    return camunda_message(task_id(number), variables=fields)


def bare(message_id: str, body: bytes, _queue: str) -> OutgoingMessage:
    """As Camunda's side sends it."""
    return OutgoingMessage(body, message_id)


def for_celery(message_id: str, body: bytes, queue: str) -> OutgoingMessage:
    """Protocol 2, https://docs.celeryq.dev/en/stable/internals/protocol.html"""
    embedded = json.dumps({"callbacks": None, "errbacks": None, "chain": None, "chord": None}).encode()
    headers = {"lang": "py", "task": "relay", "id": message_id, "root_id": message_id}
    arguments = b'[[%b, "%b"], {}, %b]' % (body, queue.encode(), embedded)
    return OutgoingMessage(arguments, message_id, headers, properties={"correlation_id": message_id})


def for_dramatiq(message_id: str, body: bytes, queue: str) -> OutgoingMessage:
    """The fields of dramatiq.Message, https://dramatiq.io/reference.html#dramatiq.Message"""
    head = json.dumps({"queue_name": queue, "actor_name": queue, "kwargs": {}, "options": {}}).encode()
    tail = json.dumps({"message_id": message_id, "message_timestamp": 1795416779220}).encode()
    return OutgoingMessage(b'%b, "args": [%b], %b' % (head[:-1], body, tail[1:]), message_id)


def task_ids(results: Iterable[bytes]) -> Counter[str]:
    """How often each task has a result, read from the bodies of sent messages."""
    counts: Counter[str] = Counter()
    for body in results:
        message: dict[str, Any] = json.loads(body)
        counts[message["original_message"]["task_id"]] += 1
    return counts
