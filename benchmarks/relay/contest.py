"""One turn of one contestant: fill the queues, let it work, measure from outside, count what has arrived.

The clock runs between two looks at the sent queues: the first that finds a tenth of the results and the one that finds
all. Start and warm-up are nobody's merit or fault here (see benchmarks.startup).
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pika
from pika.adapters.blocking_connection import BlockingChannel

from benchmarks.measure import Usage, family_usage
from benchmarks.relay.contestants import Contestant
from benchmarks.relay.messages import task, task_id, task_ids
from broker.connection import connection_parameters
from broker.topology import Topology
from core.events.base import EventStream
from rabbitmq_publisher import RabbitMQPublisher
from sandbox.address import BrokerAddress
from sandbox.process import Process
from testbench.harness import rabbitmq_settings

LOOK = 0.02  # seconds between two looks at the sent queues
TIMEOUT = 300.0  # seconds for one turn
STOP_TIMEOUT = 30.0


class TurnFailedError(Exception):
    """A contestant has ended or does not come to an end; the text is the end of what it printed."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`messages` tasks of `size` bytes, spread evenly over `queues` queues."""

    name: str
    messages: int
    size: int = 1024
    queues: int = 1

    @property
    def names(self) -> list[str]:
        return [f"relay-{number}.queue" for number in range(self.queues)]


@dataclass(frozen=True, slots=True)
class Score:
    """`cpu` in seconds per 1,000 messages, `memory` in bytes at the worst, all processes of the contestant together."""

    rate: float
    cpu: float
    memory: int
    lost: int
    twice: int
    left: int  # messages whose result is stored and whose ack never came: each would be done again


def turn(contestant: Contestant, shape: Shape, broker: BrokerAddress, folder: Path, prefetch: int) -> Score:
    """One turn on an empty virtual host. Raises TurnFailedError."""
    with pika.BlockingConnection(broker.amqp_parameters(heartbeat=0)) as connection:
        channel = connection.channel()
        for queue in shape.names:
            channel.queue_declare(queue, durable=True, arguments=dict(contestant.queue_arguments(queue)))
            channel.queue_declare(sent_queue(queue), durable=True)
        fill(contestant, shape, broker)
        with running(contestant, shape, broker, folder, prefetch) as process:
            rate, cpu, memory = _measure(channel, shape, process)
        results = task_ids(body for queue in shape.names for body in _drained(channel, sent_queue(queue)))
        left = sum(_count(channel, queue) for queue in shape.names)
    return Score(
        rate,
        cpu,
        memory,
        lost=sum(task_id(number) not in results for number in range(shape.messages)),
        twice=sum(count > 1 for count in results.values()),
        left=left,
    )


def fill(contestant: Contestant, shape: Shape, broker: BrokerAddress) -> None:
    settings = rabbitmq_settings(broker)
    parameters = connection_parameters(settings, "benchmark")
    publisher = RabbitMQPublisher(parameters, Topology(settings), EventStream([]), reconnect_max_delay=1.0)
    publisher.start()
    try:
        confirmed = []
        for number in range(shape.messages):
            queue = shape.names[number % shape.queues]
            message = contestant.envelope(task_id(number), task(number, shape.size), queue)
            confirmed.append(publisher.publish(queue, message))
        for each in confirmed:
            each.result(TIMEOUT)
    finally:
        publisher.close(STOP_TIMEOUT)


@contextlib.contextmanager
def running(
    contestant: Contestant, shape: Shape, broker: BrokerAddress, folder: Path, prefetch: int
) -> Iterator[Process]:
    command = contestant.start(folder, broker, shape.names, prefetch)
    process = Process(command.arguments, folder, command.environment)
    process.start()
    try:
        yield process
        process.send(signal.SIGTERM)
        process.wait(STOP_TIMEOUT)
    finally:
        process.kill_group()


def _measure(channel: BlockingChannel, shape: Shape, process: Process) -> tuple[float, float, int]:
    """Messages per second, CPU seconds per 1,000 messages, peak memory in bytes."""
    first_count, first_time, first = _look(channel, shape, process, shape.messages // 10)
    last_count, last_time, last = _look(channel, shape, process, shape.messages)
    messages = last_count - first_count
    if not messages:
        raise TurnFailedError("all results came between two looks at the queues: there is no rate to be measured")
    cpu = 1000 * (last.cpu_seconds - first.cpu_seconds) / messages
    return messages / (last_time - first_time), cpu, last.peak_memory


def _look(channel: BlockingChannel, shape: Shape, process: Process, enough: int) -> tuple[int, float, Usage]:
    """Waits for `enough` results; how many there were, when, and what the contestant had used by then."""
    deadline = time.monotonic() + TIMEOUT
    while (stored := sum(_count(channel, sent_queue(queue)) for queue in shape.names)) < enough:
        if not process.is_running or time.monotonic() > deadline:
            printed = process.output()[-3000:]
            raise TurnFailedError(f"{stored} of {shape.messages} results, exit code {process.code}\n{printed}")
        channel.connection.process_data_events(time_limit=LOOK)
    return stored, time.monotonic(), family_usage(process.pid)


def _drained(channel: BlockingChannel, queue: str) -> Iterator[bytes]:
    count = _count(channel, queue)
    messages = channel.consume(queue, auto_ack=True)
    for _ in range(count):
        _, _, body = next(messages)
        yield body
    channel.cancel()


def _count(channel: BlockingChannel, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def sent_queue(queue: str) -> str:
    return f"{queue.removesuffix('.queue')}.sent.queue"
