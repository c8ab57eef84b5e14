"""Camunda's side of RabbitMQ: declares the topology of the contract, publishes tasks, looks at what came back.

Names, arguments, properties and headers are those of docs/contract.md; nothing here is shared with the daemon, so
that the two can disagree and be caught.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError, AMQPError, ChannelClosedByBroker, UnroutableError

TASKS_EXCHANGE = "camunda.external.tasks"
UNROUTED_EXCHANGE = "camunda.unrouted.tasks"
RESPONSES_EXCHANGE = "camunda.task.responses"
RESPONSES_QUEUE = "camunda.responses.queue"
ERRORS_QUEUE = "errors.camunda_tasks.queue"

# (name, type, arguments); the alternate exchange before the one that names it
EXCHANGES: Sequence[tuple[str, str, Mapping[str, Any]]] = (
    (UNROUTED_EXCHANGE, "fanout", {}),
    (TASKS_EXCHANGE, "topic", {"alternate-exchange": UNROUTED_EXCHANGE}),
    (RESPONSES_EXCHANGE, "direct", {}),
)
_PYTHON_SERVICES = ("python", "email", "telegram", "yandex", "user", "file", "data")
# queue -> its bindings as (exchange, routing key)
QUEUES: Mapping[str, Sequence[tuple[str, str]]] = {
    RESPONSES_QUEUE: ((RESPONSES_EXCHANGE, RESPONSES_QUEUE),),
    "bitrix24.queue": ((TASKS_EXCHANGE, "bitrix24.*"),),
    "openproject.queue": ((TASKS_EXCHANGE, "openproject.*"),),
    "1c.queue": ((TASKS_EXCHANGE, "1c.*"),),
    "python-services.queue": tuple((TASKS_EXCHANGE, f"{word}.*") for word in _PYTHON_SERVICES),
    "default.queue": ((UNROUTED_EXCHANGE, ""),),
    ERRORS_QUEUE: ((TASKS_EXCHANGE, "errors.camunda_tasks"),),
    **{f"{system}.sent.queue": () for system in ("bitrix24", "openproject", "1c", "python-services", "default")},
}

_NOT_FOUND = 404


class CamundaSideError(Exception):
    """RabbitMQ cannot be reached or refuses what Camunda's side does; the text says why."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """What a passive declaration tells: messages ready to be delivered (held ones do not count), and consumers."""

    messages: int
    consumers: int


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message of a queue, as its reader gets it."""

    headers: Mapping[str, Any]
    body: bytes


class CamundaSide:
    """One connection, used by one thread. `parameters` are tried in turn.

    All methods raise CamundaSideError when RabbitMQ does not do what they ask.
    """

    def __init__(self, parameters: Sequence[pika.ConnectionParameters]) -> None:
        try:
            self._connection = pika.BlockingConnection(parameters)
        except (AMQPConnectionError, OSError) as error:
            raise CamundaSideError(_described(error)) from error
        self._publishing: BlockingChannel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._connection.is_open:
            self._connection.close()

    def declare_topology(self) -> None:
        try:
            channel = self._connection.channel()
            for name, kind, arguments in EXCHANGES:
                channel.exchange_declare(name, kind, durable=True, arguments=dict(arguments))
            for queue, bindings in QUEUES.items():
                channel.queue_declare(queue, durable=True)
                for exchange, routing_key in bindings:
                    channel.queue_bind(queue, exchange, routing_key)
            channel.close()
        except AMQPError as error:
            raise CamundaSideError(_described(error)) from error

    def delete_topology(self, further_queues: Iterable[str] = ()) -> None:
        """Deletes what `declare_topology` declares, messages included, and `further_queues`."""
        try:
            channel = self._connection.channel()
            for queue in (*QUEUES, *further_queues):
                channel.queue_delete(queue)
            for name, _, _ in EXCHANGES:
                channel.exchange_delete(name)
            channel.close()
        except AMQPError as error:
            raise CamundaSideError(_described(error)) from error

    def present(self) -> list[str]:
        """Which exchanges and queues of the contract this virtual host has."""
        return [name for name, _, _ in EXCHANGES if self._exists(name)] + [
            queue for queue in QUEUES if self.state(queue)
        ]

    def publish(self, body: bytes, routing_key: str, headers: Mapping[str, Any]) -> None:
        """As Camunda's worker publishes a task; confirmed, although that worker does not wait for it."""
        properties = pika.BasicProperties(
            delivery_mode=2, content_type="application/json", timestamp=int(time.time()), headers=dict(headers)
        )
        try:
            if self._publishing is None or self._publishing.is_closed:
                self._publishing = self._connection.channel()
                self._publishing.confirm_delivery()
            self._publishing.basic_publish(TASKS_EXCHANGE, routing_key, body, properties, mandatory=True)
        except (AMQPError, UnroutableError) as error:
            raise CamundaSideError(_described(error)) from error

    def state(self, queue: str) -> QueueState | None:
        """None when there is no such queue."""
        try:
            channel = self._connection.channel()
            declared = channel.queue_declare(queue, passive=True).method
            channel.close()
        except ChannelClosedByBroker as error:
            if error.reply_code == _NOT_FOUND:
                return None
            raise CamundaSideError(_described(error)) from error
        except AMQPError as error:
            raise CamundaSideError(_described(error)) from error
        return QueueState(declared.message_count, declared.consumer_count)

    def count(self, queue: str) -> int:
        """Ready messages; 0 when there is no such queue."""
        state = self.state(queue)
        return state.messages if state else 0

    def peek(self, queue: str) -> list[StoredMessage]:
        """The queue's ready messages, oldest first. They stay there: closing the channel puts them back in order."""
        if not (ready := self.count(queue)):
            return []
        messages: list[StoredMessage] = []
        try:
            channel = self._connection.channel()
            while len(messages) < ready:
                method, properties, body = channel.basic_get(queue)
                if method is None or properties is None or body is None:
                    break
                messages.append(StoredMessage(properties.headers or {}, body))
            channel.close()
        except AMQPError as error:
            raise CamundaSideError(_described(error)) from error
        return messages

    def _exists(self, exchange: str) -> bool:
        try:
            channel = self._connection.channel()
            channel.exchange_declare(exchange, passive=True)
            channel.close()
        except ChannelClosedByBroker as error:
            if error.reply_code == _NOT_FOUND:
                return False
            raise CamundaSideError(_described(error)) from error
        except AMQPError as error:
            raise CamundaSideError(_described(error)) from error
        return True


def task_headers(task: Mapping[str, Any]) -> dict[str, Any]:
    """The headers that go with a task message."""
    return {
        "camunda_topic": task["topic"],
        "target_system": task["system"],
        "task_id": task["task_id"],
        "process_instance_id": task["process_instance_id"],
    }


def encode_task(task: Mapping[str, Any]) -> bytes:
    """The JSON text of a task message: UTF-8, Cyrillic letters unescaped."""
    return json.dumps(task, ensure_ascii=False).encode()


def _described(error: BaseException) -> str:
    """pika's connection errors often have an empty text and carry the cause in their arguments."""
    return str(error) or repr(error)
