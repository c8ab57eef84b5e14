"""Tasks at steady rates, and the time from publishing each to its result in the sent queue, seen from outside."""

from __future__ import annotations

import heapq
import itertools
import json
import math
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from sandbox.address import BrokerAddress

PUMP = 0.05  # seconds between looks at the connections
TASK_ID_HEADER = "task-creator-task-id"


def task(task_id: str, padding: int = 400) -> bytes:
    """A task message of about `padding` + 200 bytes, ASCII."""
    fields = {
        "task_id": task_id,
        "topic": "benchmark",
        "system": "benchmark",
        "variables": {"text": "x" * padding},
        "process_instance_id": "a8cb83b3-36b5-424a-9456-f6b5ec7367c2",
        "activity_id": "Activity_1",
        "metadata": {},
    }
    return json.dumps(fields).encode()


def sent_queue(queue: str) -> str:
    return f"{queue.removesuffix('.queue')}.sent.queue"


def publish_backlog(address: BrokerAddress, queue: str, count: int, padding: int = 400) -> None:
    """Persistent; returns when the broker has stored all of them."""
    with pika.BlockingConnection(address.amqp_parameters(heartbeat=0)) as connection:
        channel = connection.channel()
        channel.tx_select()  # one confirm for many: this is the preparation, not the measurement
        for number in range(count):
            channel.basic_publish("", queue, task(f"backlog-{number}", padding), pika.BasicProperties(delivery_mode=2))
            if number % 1000 == 999:
                channel.tx_commit()
        channel.tx_commit()


def percentile(values: Sequence[float], percent: float) -> float:
    """By nearest rank; of few values the 99th percentile is the largest. Raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


class Probes:
    """Publishes to each queue `rates[queue]` tasks per second from a thread; another reads the sent queues.

    `latencies` are seconds by queue. A task without a result is found in `missing()`.
    """

    def __init__(self, address: BrokerAddress, rates: Mapping[str, float], name: str) -> None:
        self._parameters = address.amqp_parameters(heartbeat=0)
        self._rates = rates
        self._name = name
        self._published: dict[str, float] = {}
        self._publishing = threading.Event()
        self._reading = threading.Event()
        self._threads = [threading.Thread(target=self._publish), threading.Thread(target=self._read)]
        self.latencies: dict[str, list[float]] = {queue: [] for queue in rates}

    def __enter__(self) -> Probes:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._publishing.set()
        self._reading.set()
        for thread in self._threads:
            thread.join()

    def finish(self, timeout: float) -> None:
        """Publishes no more and waits until every result is there. Raises TimeoutError naming what is missing."""
        self._publishing.set()
        deadline = time.monotonic() + timeout
        while self._published:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no results of {sorted(self._published)[:5]} after {timeout:.0f} s")
            time.sleep(PUMP)

    def _publish(self) -> None:
        numbers = itertools.count()
        with pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            start = time.monotonic()
            # Spread over the first period: no two queues beat in step.
            due = [(start + index / len(self._rates) / rate, queue) for index, (queue, rate) in self._enumerated()]
            heapq.heapify(due)
            while not self._publishing.wait(max(0.0, due[0][0] - time.monotonic())):
                when, queue = heapq.heappop(due)
                heapq.heappush(due, (when + 1 / self._rates[queue], queue))
                task_id = f"{self._name}-{next(numbers)}"
                self._published[task_id] = time.monotonic()
                channel.basic_publish("", queue, task(task_id), pika.BasicProperties(delivery_mode=2))

    def _enumerated(self) -> list[tuple[int, tuple[str, float]]]:
        return list(enumerate(self._rates.items()))

    def _read(self) -> None:
        with pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            for queue in self._rates:
                channel.basic_consume(sent_queue(queue), self._reader(self.latencies[queue]), auto_ack=True)
            while not self._reading.is_set():
                connection.process_data_events(time_limit=PUMP)

    def _reader(self, latencies: list[float]) -> Any:
        def on_result(
            _channel: BlockingChannel, _method: Basic.Deliver, properties: pika.BasicProperties, _body: bytes
        ) -> None:
            arrived = time.monotonic()
            published = self._published.pop(str((properties.headers or {})[TASK_ID_HEADER]), None)
            if published is not None:  # a second copy of a result is none of the measurement
                latencies.append(arrived - published)

        return on_result
