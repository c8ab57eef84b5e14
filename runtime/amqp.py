"""RabbitMQ as this daemon uses it: connection parameters, the topology of the contract, passive-first declares.

The queues and exchanges are shared with a live Camunda side and exist already, durable and without arguments;
declaring them differently would close the channel (406). So everything is asked for passively first and only what
is missing is created, exactly as in docs/contract.md.
"""

from __future__ import annotations

import logging
import random
import re
import ssl
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPConnectionError, AMQPError, ChannelClosedByBroker

from config import RabbitMQSettings
from core.policy import next_wait_step
from core.texts import BilingualError, Text
from runtime.amqp_frames import FramedConnection
from runtime.nodes import Nodes, Parameters, at_address, limit_of
from runtime.resolving import Resolver
from runtime.returns import NO_LIMIT
from runtime.unreachable import UnreachableError, causes

log = logging.getLogger(__name__)

ERRORS_QUEUE = "errors.camunda_tasks.queue"
ACCESS_REFUSED = 403
NOT_FOUND = 404
RESOURCE_LOCKED = 405

# Since RabbitMQ 4 a message is dropped at its 21st return unless the queue says otherwise (runtime.returns).
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


class TopologyError(BilingualError):
    """The broker refused a queue or exchange; the text names it and the broker's reason."""


BROKER_ERRORS = (AMQPError, OSError, TopologyError)  # all that an unusable broker raises here


class Topology:
    """Names and declarations of the contract (docs/contract.md, table "Topology")."""

    def __init__(self, settings: RabbitMQSettings) -> None:
        self.responses_queue = settings.responses_queue
        self.errors_queue = ERRORS_QUEUE
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
        """How the queue is created if it is missing."""
        if match := _WAIT_QUEUE.match(name):
            return _wait_queue(name, match["source"], int(match["milliseconds"]))
        return QueueSpec(name, self._queue_arguments, self._bindings.get(name, ()))

    @staticmethod
    def detour(name: str) -> str | None:
        """Another queue that serves as well: of a wait queue the next longer one."""
        match = _WAIT_QUEUE.match(name)
        step = next_wait_step(int(match["milliseconds"]) / 1000) if match else None
        return wait_queue_name(match["source"], step) if match and step else None


def wait_queue_name(source: str, delay: float) -> str:
    """The queue in which a copy waits `delay` seconds before the broker puts it back into `source`."""
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


def owner_queue_name(source: str) -> str:
    """The queue that belongs to the connection of the worker that consumes `source` alone; nothing is ever in it."""
    return f"{source}.owner"


def connection_parameters(settings: RabbitMQSettings, role: str) -> list[pika.ConnectionParameters]:
    """One entry per configured host; `role` appears as the connection's name in RabbitMQ's own tools.

    Reads the certificates. Raises OSError when one of them cannot be read or used.
    """
    credentials = pika.PlainCredentials(settings.username, settings.password.get_secret_value())
    context = _ssl_context(settings) if settings.tls else None
    return [
        pika.ConnectionParameters(
            host=host,
            port=port,
            virtual_host=settings.virtual_host,
            credentials=credentials,
            heartbeat=settings.heartbeat,
            ssl_options=pika.SSLOptions(context, host) if context else None,
            socket_timeout=settings.connection_timeout,
            stack_timeout=settings.connection_timeout,
            blocked_connection_timeout=settings.blocked_connection_timeout,
            client_properties={"connection_name": f"task-creator {role}"},
        )
        for host, port in settings.endpoints
    ]


def _ssl_context(settings: RabbitMQSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except OSError as error:  # an ssl.SSLError, too; neither names the file
        files = ", ".join(str(each) for each in (settings.ca_file, settings.cert_file, settings.key_file) if each)
        raise OSError(f"one of these files cannot be read or does not fit: {files}: {describe(error)}") from error
    if not settings.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def connect(parameters: Parameters) -> tuple[pika.BlockingConnection, pika.ConnectionParameters]:
    """A connection to the first host that answers, and its parameters. Raises UnreachableError or OSError.

    Blocks: for threads that may wait. What runs an I/O loop connects by runtime.racing.
    """
    nodes = Nodes.of(parameters)
    failure: Exception = AMQPConnectionError("no RabbitMQ host is configured")
    for candidate in nodes.in_order():
        try:
            connection = _connected(candidate, nodes.resolver)
        except (AMQPConnectionError, OSError) as error:
            failure = error
        else:
            nodes.answered(candidate)
            return connection, candidate
    raise failure


def _connected(parameters: pika.ConnectionParameters, resolver: Resolver) -> pika.BlockingConnection:
    failure: Exception = AMQPConnectionError(f"{parameters.host} has no address")
    try:
        addresses = resolver.wait_for(parameters.host, parameters.port, limit_of(parameters))
    except OSError as error:
        raise UnreachableError(parameters.host, parameters.port, error) from error
    for address in addresses:
        try:
            # The stub wants an instance; pika itself wants the class.
            return pika.BlockingConnection(at_address(parameters, address), _impl_class=FramedConnection)  # type: ignore[arg-type]
        # pika tells a silent host by an AMQPConnectorException, a connection that is reset at once by a ValueError.
        except (AMQPConnectionError, OSError, AMQPConnectorException, ValueError) as error:
            failure = error
    raise UnreachableError(parameters.host, parameters.port, failure) from failure


@dataclass(frozen=True, slots=True)
class Step:
    """One question to the broker: a method of a channel and its arguments."""

    method: str
    arguments: Mapping[str, Any]

    @property
    def is_passive(self) -> bool:
        """Asks whether something is there; no (404) costs the channel."""
        return bool(self.arguments.get("passive"))


Steps = Generator[Step, int | None, None]  # each is answered by a number of messages, or None for what is not there


def declaring(topology: Topology, name: str) -> Steps:
    """The questions that make sure of a queue."""
    queue = topology.queue(name)
    if (yield Step("queue_declare", {"queue": queue.name, "passive": True})) is not None:
        return
    for exchange in topology.exchanges:
        if any(source == exchange.name for source, _ in queue.bindings):
            yield from _declaring_exchange(exchange)
    yield Step("queue_declare", {"queue": queue.name, "durable": True, "arguments": dict(queue.arguments)})
    for source, routing_key in queue.bindings:
        yield Step("queue_bind", {"queue": queue.name, "exchange": source, "routing_key": routing_key})
    log.info("queue %s was missing and has been created", queue.name, extra={"event": "queue.created"})


def replacing(topology: Topology, name: str) -> Steps:
    """As `declaring`, and an empty queue is made anew."""
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
    log.info("exchange %s was missing and has been created", exchange.name, extra={"event": "exchange.created"})


def refusal(name: str, error: ChannelClosedByBroker) -> TopologyError:
    told = f"{name}: {error.reply_code} {error.reply_text}"
    return TopologyError(Text(f"RabbitMQ refused {told}", f"RabbitMQ отказывает в {told}"))


def ensure_queues(connection: pika.BlockingConnection, topology: Topology, names: Iterable[str]) -> None:
    """Creates what is missing of the named queues, their exchanges and bindings, on channels of that connection.

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


def describe(error: BaseException) -> str:
    """An AMQP error in one line: pika wraps what happened, and its connection errors often have an empty text."""
    *_, innermost = causes(error)
    return str(innermost) or repr(innermost)


def describe_in_both(error: BaseException) -> Text:
    """The same in both languages, as far as the words are ours."""
    *_, innermost = causes(error)
    return innermost.text if isinstance(innermost, BilingualError) else Text.of(describe(innermost))


class Backoff:
    """Growing pauses between tries to reconnect, in seconds, with jitter so that many workers do not come at once."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def delay(self) -> float:
        delay = self._next * random.uniform(0.5, 1.0)
        self._next = min(self._longest, self._next * 2)
        return delay

    def reset(self) -> None:
        self._next = self._first
