"""Declares the topology of the contract, passive-first.

The queues and exchanges are shared with a live Camunda side and exist already, durable and without arguments;
declaring them differently would close the channel (406). So everything is asked for passively first and only what
is missing is created, exactly as in docs/contract.md.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pika
from pika.exceptions import AMQPConnectionError, AMQPError, ChannelClosedByBroker

from broker.errors import NOT_FOUND, TopologyError, describe, refusal
from broker.returns import NO_LIMIT
from broker.settings import RabbitMQSettings
from core.events.base import write
from core.events.queues import ExchangeCreated, QueueCreated
from core.policy import next_wait_step

ERRORS_QUEUE = "errors.camunda_tasks.queue"
ARCHIVE_QUEUE = "errors.camunda_tasks.archive.queue"
SHARDS = 32  # never another number: a task is sought in the shard that follows from it

# Since RabbitMQ 4 a message is dropped at its 21st return unless the queue says otherwise (broker.returns).
_QUORUM_QUEUE: Mapping[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": NO_LIMIT}
_WAIT_QUEUE = re.compile(r"^(?P<source>.+)\.retry\.(?P<milliseconds>\d+)ms$")


@dataclass(frozen=True, slots=True)
class ExchangeSpec:
    name: str
    type: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue as it is created when it is missing; `bindings` are pairs of exchange and routing key."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    bindings: Sequence[tuple[str, str]] = ()


class Topology:
    """Names and declarations of the contract (docs/contract.md, table "Topology")."""

    def __init__(self, settings: RabbitMQSettings) -> None:
        self.responses_queue = settings.responses_queue
        self.errors_queue = ERRORS_QUEUE
        self.archive_queue = ARCHIVE_QUEUE  # ours alone: what a person has dropped
        self._queue_arguments = dict(_QUORUM_QUEUE) if settings.queue_type == "quorum" else {}
        tasks, unrouted, responses = settings.tasks_exchange, settings.alternate_exchange, settings.responses_exchange
        self.exchanges = (
            ExchangeSpec(unrouted, "fanout"),
            ExchangeSpec(tasks, "topic", {"alternate-exchange": unrouted}),
            ExchangeSpec(responses, "direct"),
        )
        python_services = ("python", "email", "telegram", "yandex", "user", "file", "data")
        self._bindings: dict[str, tuple[tuple[str, str], ...]] = {
            "bitrix24.queue": ((tasks, "bitrix24.*"),),
            "openproject.queue": ((tasks, "openproject.*"),),
            "1c.queue": ((tasks, "1c.*"),),
            "python-services.queue": tuple((tasks, f"{word}.*") for word in python_services),
            "default.queue": ((unrouted, ""),),
            ERRORS_QUEUE: ((tasks, "errors.camunda_tasks"),),
            self.responses_queue: ((responses, self.responses_queue),),
        }

    def queue(self, name: str) -> QueueSpec:
        """Return how the queue is created if it is missing."""
        if match := _WAIT_QUEUE.match(name):
            return _wait_queue(name, match["source"], int(match["milliseconds"]))
        return QueueSpec(name, self._queue_arguments, self._bindings.get(name, ()))

    @staticmethod
    def detour(name: str) -> str | None:
        """Return another queue that serves as well: a longer wait queue, or for a shard the whole queue."""
        if (whole := whole_queue_name(name)) != name:
            return whole
        match = _WAIT_QUEUE.match(name)
        step = next_wait_step(int(match["milliseconds"]) / 1000) if match else None
        return wait_queue_name(match["source"], step) if match and step else None


def wait_queue_name(source: str, delay: float) -> str:
    """Return the queue in which a copy waits `delay` seconds before the broker puts it back into `source`."""
    return f"{source}.retry.{round(delay * 1000)}ms"


def _wait_queue(name: str, source: str, milliseconds: int) -> QueueSpec:
    # Dead-lettering from a classic queue is at most once. Quorum queues can do it at least once
    # (https://www.rabbitmq.com/docs/quorum-queues#activating-at-least-once-dead-lettering), RabbitMQ >= 3.10.
    arguments = {
        "x-queue-type": "quorum",
        "x-message-ttl": milliseconds,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": source,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    return QueueSpec(name, arguments)


def shard_queue_names(source: str) -> tuple[str, ...]:
    """Return the queues in which the open tasks of a large sent queue lie; made together, the first one last."""
    return tuple(f"{source}.shard.{number:02}" for number in range(SHARDS))


def whole_queue_name(name: str) -> str:
    """Return the queue of which this one is a shard; any other is itself."""
    return name.partition(".shard.")[0]


def shard_of(task: str) -> int:
    """Return in which of them a task lies, by its id in its system: the same for every worker, version and machine."""
    return zlib.crc32(task.encode("utf-8", "surrogatepass")) % SHARDS


def owner_queue_name(source: str) -> str:
    """Return the queue that belongs to the connection of the worker that consumes `source` alone.

    Nothing is ever in it.
    """
    return f"{source}.owner"


@dataclass(frozen=True, slots=True)
class Step:
    """One question to the broker: a method of a channel and its arguments."""

    method: str
    arguments: Mapping[str, Any]

    @property
    def is_passive(self) -> bool:
        """Whether it only asks if something is there; no (404) costs the channel."""
        return bool(self.arguments.get("passive"))


Steps = Generator[Step, int | None, None]  # each is answered by a number of messages, or None for what is not there


def declaring(topology: Topology, name: str) -> Steps:
    """Yield the questions that ensure a queue."""
    queue = topology.queue(name)
    if (yield Step("queue_declare", {"queue": queue.name, "passive": True})) is not None:
        return
    for exchange in topology.exchanges:
        if any(source == exchange.name for source, _ in queue.bindings):
            yield from _declaring_exchange(exchange)
    yield Step("queue_declare", {"queue": queue.name, "durable": True, "arguments": dict(queue.arguments)})
    for source, routing_key in queue.bindings:
        yield Step("queue_bind", {"queue": queue.name, "exchange": source, "routing_key": routing_key})
    write(QueueCreated(queue.name))


def replacing(topology: Topology, name: str) -> Steps:
    """Yield the same questions as `declaring`, and those that make an empty queue anew."""
    waiting = yield Step("queue_declare", {"queue": name, "passive": True})
    if waiting:
        return
    if waiting is not None:
        yield Step("queue_delete", {"queue": name})
    yield from declaring(topology, name)


def _declaring_exchange(exchange: ExchangeSpec) -> Steps:
    if (yield Step("exchange_declare", {"exchange": exchange.name, "passive": True})) is not None:
        return
    kind, arguments = exchange.type, dict(exchange.arguments)
    declared = {"exchange": exchange.name, "exchange_type": kind, "durable": True, "arguments": arguments}
    yield Step("exchange_declare", declared)
    write(ExchangeCreated(exchange.name))


def ensure_queues(connection: pika.BlockingConnection, topology: Topology, names: Iterable[str]) -> None:
    """Create what is missing of the named queues, their exchanges and bindings, on channels of that connection.

    Raises AMQPConnectionError or OSError when the broker is gone, TopologyError when it refuses a declaration.
    """
    for name in names:
        try:
            _ensure_queue(connection, topology, name)
        except AMQPConnectionError:
            raise
        except ChannelClosedByBroker as error:
            raise refusal(name, error) from error
        except AMQPError as error:
            raise TopologyError(describe(error)) from error


def _ensure_queue(connection: pika.BlockingConnection, topology: Topology, name: str) -> None:
    steps, channel = declaring(topology, name), connection.channel()
    step = next(steps)
    while True:
        try:
            getattr(channel, step.method)(**step.arguments)
            answer: int | None = 0
        except ChannelClosedByBroker as error:
            if not step.is_passive or error.reply_code != NOT_FOUND:
                raise
            channel, answer = connection.channel(), None
        try:
            step = steps.send(answer)
        except StopIteration:
            channel.close()
            return
