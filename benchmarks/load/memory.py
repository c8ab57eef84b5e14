"""What a backlog costs in memory: bounded by what may be in flight, whatever waits in the queue.

Of each message in flight the worker holds four copies at the most: the delivery's bytes, the decoded object, the
result that repeats the bytes, and the frames on their way to the broker. One character beyond the first plane makes a
Python text four bytes a character, so the decoded object may count for four.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pika

from benchmarks.load.fairness import worker_variables
from benchmarks.load.traffic import publish_backlog, sent_queue, task
from benchmarks.measure import MIB, usage
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.rabbitmq import RabbitNode
from testbench.daemon import Daemon
from testbench.harness import ERRORS

QUEUE = "memory.queue"
CONCURRENCY = 4
COPIES = 7  # 1 delivery + 4 decoded + 1 result + 1 in frames
COPIES_UNREAD = 3  # of a message over MAX_MESSAGE_BYTES: received parts, delivery, frames
SLACK = 32 * MIB  # pika's buffers, log lines, and what malloc keeps for next time

WIDE = "\U0001f600"

TIMEOUT = 600.0  # seconds


@dataclass(frozen=True, slots=True)
class Case:
    """`count` messages of about `size` bytes. `wide`: their text holds one emoji."""

    name: str
    count: int
    size: int
    prefetch: int
    wide: bool = False
    too_large: bool = False  # over MAX_MESSAGE_BYTES: belongs into the error queue


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes: `idle` with empty queues, `peak` since the worker's start, `bound` by the formula."""

    case: Case
    idle: int
    peak: int
    bound: int


CASES: Sequence[Case] = (
    Case("50,000 of 0.6 KB", 50_000, 600, prefetch=100),
    Case("300 of 1 MiB, PREFETCH=20", 300, MIB, prefetch=20),
    Case("300 of 1 MiB with an emoji, PREFETCH=20", 300, MIB, prefetch=20, wide=True),
    Case("40 of 7 MiB, PREFETCH=5", 40, 7 * MIB, prefetch=5),
    Case("one of 64 MiB, MAX_MESSAGE_BYTES=8 MiB", 1, 64 * MIB, prefetch=5, too_large=True),
)


def bound(case: Case, idle: int) -> int:
    """idle + PREFETCH × size × copies + CONCURRENCY × size × 4 (the text that each thread is decoding) + slack."""
    in_flight = min(case.prefetch, case.count) * case.size
    if case.too_large:
        return idle + in_flight * COPIES_UNREAD + SLACK
    return idle + in_flight * COPIES + CONCURRENCY * case.size * 4 + SLACK


def large_task(task_id: str, size: int, *, wide: bool = False) -> bytes:
    """A task message of `size` bytes, some more when `wide`."""
    fields = json.loads(task(task_id, padding=0))
    room = size - len(task(task_id, padding=0))
    fields["variables"]["text"] = (WIDE if wide else "x") + "x" * (room - 1)
    return json.dumps(fields, ensure_ascii=False).encode()


def measure(node: RabbitNode, cases: Sequence[Case] = CASES) -> list[Measured]:
    """Each case with a worker and a virtual host of its own."""
    return [measure_one(node.add_vhost(f"memory-{number}"), case) for number, case in enumerate(cases)]


def measure_one(address: BrokerAddress, case: Case) -> Measured:
    """On an empty virtual host; the results stay in its queues."""
    broker = Broker(address)
    for queue in (QUEUE, sent_queue(QUEUE), ERRORS):
        broker.declare(queue)
    with _worker(address, case.prefetch) as daemon:
        broker.publish(QUEUE, task("first"))
        broker.wait_for_count(sent_queue(QUEUE), 1)
        idle = usage(daemon.pid).memory
    broker.get_all(sent_queue(QUEUE))
    _fill(address, broker, case)
    with _worker(address, case.prefetch) as daemon:
        broker.wait_for_count(ERRORS if case.too_large else sent_queue(QUEUE), case.count, TIMEOUT)
        return Measured(case, idle, usage(daemon.pid).peak_memory, bound(case, idle))


def _fill(address: BrokerAddress, broker: Broker, case: Case) -> None:
    if case.size < MIB:
        publish_backlog(address, QUEUE, case.count, padding=case.size - 200)
        return
    with broker.channel() as channel:
        channel.confirm_delivery()
        for number in range(case.count):
            body = large_task(f"large-{number}", case.size, wide=case.wide)
            channel.basic_publish("", QUEUE, body, pika.BasicProperties(delivery_mode=2), mandatory=True)


@contextmanager
def _worker(address: BrokerAddress, prefetch: int) -> Iterator[Daemon]:
    variables = worker_variables({QUEUE: "QuickHandler"}, PREFETCH=str(prefetch), CONCURRENCY=str(CONCURRENCY))
    with tempfile.TemporaryDirectory() as folder, Daemon(address, Path(folder), variables) as daemon:
        yield daemon
        if daemon.stop() != 0:
            raise RuntimeError(f"the worker did not end in order:\n{daemon.output()[-2000:]}")
