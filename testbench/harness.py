"""The daemon's parts run inside the test process, against a real broker, with a handler that the test wrote."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic import SecretStr

from base_handler import BaseMessageHandler
from base_tracker import BaseTracker
from broker.connection import connect, connection_parameters
from broker.settings import RabbitMQSettings
from broker.topology import Topology, ensure_queues
from broker.undeliverable import Undeliverable
from core.events.base import EventStream, Log
from core.messages import Limits
from core.pauses import Pauses
from core.policy import LONGEST_LEASE, RetryPolicy
from core.stats import Statistics
from core.traces import Tracer
from message_processor import MessageProcessor
from processing.consumed_queue import ConsumedQueue, ProcessingSettings
from processing.crash_journal import CrashJournal
from rabbitmq_consumer import RabbitMQConsumer
from rabbitmq_publisher import RabbitMQPublisher
from sandbox.address import BrokerAddress
from tracking.sweeper import Sweeper
from tracking.tracked_queue import TrackedQueue

ERRORS = "errors.camunda_tasks.queue"
RESPONSES = "camunda.responses.queue"


def rabbitmq_settings(address: BrokerAddress, **changes: Any) -> RabbitMQSettings:
    return RabbitMQSettings(
        host=address.host,
        port=address.port,
        username=address.username,
        password=SecretStr(address.password),
        virtual_host=address.vhost,
        **{"heartbeat": 5, "reconnect_max_delay": 1.0, "queue_type": address.queue_type, **changes},
    )


def ensure(address: BrokerAddress, names: Sequence[str], **changes: Any) -> None:
    """What is missing of them, on a connection for that alone."""
    settings = rabbitmq_settings(address, **changes)
    connection, _ = connect(connection_parameters(settings, "test"))
    with connection:
        ensure_queues(connection, Topology(settings), names)


def camunda_message(task_id: str, **fields: Any) -> bytes:
    """A task as Camunda's side publishes it."""
    message = {
        "task_id": task_id,
        "topic": "bitrix_create_task",
        "system": "bitrix24",
        "variables": {"projectId": "123"},
        "process_instance_id": "a8cb83b3-36b5-424a-9456-f6b5ec7367c2",
        "activity_id": "Activity_1",
        "retries": None,
        "timestamp": 1795416779220,
        "metadata": {"activityInfo": {"name": "Согласовать договор"}},
    }
    return json.dumps({**message, **fields}, ensure_ascii=False).encode()


class Bench:
    """Consumer, publisher and processors on one virtual host."""

    def __init__(
        self,
        address: BrokerAddress,
        *,
        starts: CrashJournal | None = None,
        lease: float = LONGEST_LEASE,
        growth: float = 0.0,
        tracer: Tracer | None = None,
        **rabbitmq: Any,
    ) -> None:
        settings = rabbitmq_settings(address, **rabbitmq)
        self.stop = threading.Event()
        self.tracer = tracer
        self.starts = starts or CrashJournal(None)
        self.pauses = Pauses(time.monotonic)
        self.statistics = Statistics(time.time(), self.pauses)
        self.events = EventStream([Log(), self.pauses, self.statistics])
        self.topology = Topology(settings)
        self.parameters = connection_parameters(settings, "test")
        self.publisher = RabbitMQPublisher(
            self.parameters, self.topology, self.events, reconnect_max_delay=1.0, growth=growth
        )
        self.consumer = RabbitMQConsumer(
            self.parameters,
            self.topology,
            reconnect_max_delay=1.0,
            lease=lease,
            undeliverable=Undeliverable(self.parameters, self.publisher.publish, ERRORS, self.events),
        )
        self.processors: list[MessageProcessor] = []
        self.woken: list[str] = []

    def add(
        self,
        queue: str,
        handler: BaseMessageHandler,
        *,
        sent_queue: str | None = "sent",
        prefetch: int = 20,
        threads: int = 2,
        attempts: int = 3,
        delay: float = 0.1,
        probe_interval: float = 0.2,
        limits: Limits | None = None,
    ) -> MessageProcessor:
        consumed = ConsumedQueue(queue, queue.removesuffix(".queue"), handler, sent_queue, prefetch, threads)
        settings = ProcessingSettings(
            ERRORS,
            limits or Limits(),
            RetryPolicy(attempts, delay, max_delay=10 * delay),
            probe_interval,
            tracer=self.tracer,
        )
        processor = MessageProcessor(
            consumed,
            settings,
            consumer=self.consumer,
            publisher=self.publisher,
            events=self.events,
            starts=self.starts,
            stop=self.stop,
            on_done=self.woken.append,
        )
        self.processors.append(processor)
        return processor

    def sweeper(self, queue: str, tracker: BaseTracker, *, echo_variables: bool = True) -> Sweeper:
        tracked = TrackedQueue(
            queue,
            queue.removesuffix(".sent.queue"),
            tracker,
            RESPONSES,
            ERRORS,
            echo_variables,
            tracer=self.tracer,
        )
        return Sweeper(tracked, self.topology, self.parameters, self.publisher, self.stop.is_set, events=self.events)

    @contextlib.contextmanager
    def running(self) -> Iterator[Bench]:
        self.publisher.start()
        for processor in self.processors:
            processor.start()
        self.consumer.start()
        try:
            yield self
        finally:
            self.shut_down()

    def shut_down(self) -> None:
        self.consumer.stop_intake()
        self.stop.set()
        for processor in self.processors:
            processor.finish(time.monotonic() + 10)
        self.publisher.close(10)
        for processor in self.processors:
            processor.confirmations.finish(10)
        self.consumer.close(10)


def wait_until(condition: Callable[[], bool], timeout: float = 30.0, what: str = "the condition") -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come true within {timeout:.0f} s")
        time.sleep(0.02)
