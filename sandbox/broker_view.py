"""What a test itself says to RabbitMQ and sees in it, over a plain pika connection of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from sandbox.address import BrokerAddress

NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Broker:
    """One virtual host, seen by the test. Every call opens its own connection, so restarts of the node do no harm."""

    address: BrokerAddress

    @property
    def host(self) -> str:
        return self.address.host

    @property
    def port(self) -> int:
        return self.address.port

    @property
    def username(self) -> str:
        return self.address.username

    @property
    def password(self) -> str:
        return self.address.password

    @property
    def vhost(self) -> str:
        return self.address.vhost

    @contextlib.contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        """A channel of a new connection, which ends with the block."""
        with pika.BlockingConnection(self.address.amqp_parameters(heartbeat=0)) as connection:
            yield connection.channel()

    def version(self) -> tuple[int, int]:
        """Of RabbitMQ, as it says at each connection."""
        with self.channel() as channel:
            told = channel.connection._impl.server_properties["version"]  # type: ignore[attr-defined]
        major, minor, *_ = told.split(".")
        return int(major), int(minor)

    def declare(self, queue: str, *, durable: bool = True, arguments: dict[str, Any] | None = None) -> None:
        """Of the address's type, unless `arguments` name one."""
        if durable and self.address.queue_type == "quorum":
            arguments = {"x-queue-type": "quorum", **(arguments or {})}
        with self.channel() as channel:
            channel.queue_declare(queue, durable=durable, arguments=arguments)

    def publish(self, queue: str, body: bytes | str, **properties: Any) -> None:
        """Persistent and confirmed; raises pika's UnroutableError when there is no such queue."""
        self.publish_all(queue, [body], **properties)

    def publish_all(self, queue: str, bodies: list[bytes | str], **properties: Any) -> None:
        basic = pika.BasicProperties(**{"delivery_mode": 2, **properties})
        with self.channel() as channel:
            channel.confirm_delivery()
            for body in bodies:
                channel.basic_publish("", queue, body, basic, mandatory=True)

    def get_all(self, queue: str) -> list[tuple[pika.BasicProperties, bytes]]:
        """Takes the queue's ready messages out of it, oldest first."""
        with self.channel() as channel:
            messages, last_tag = self._ready(channel, queue)
            if last_tag:
                channel.basic_ack(last_tag, multiple=True)
            return messages

    def peek(self, queue: str) -> list[tuple[pika.BasicProperties, bytes]]:
        """The queue's ready messages, which stay there (their `redelivered` flag gets set)."""
        with self.channel() as channel:
            messages, _ = self._ready(channel, queue)
            channel.close()
            # A quorum queue hears of that a moment later. Until then it would seem to have lost them.
            enough = len(messages)
            self._wait(channel.connection.channel(), queue, lambda ready: ready >= enough, f"{enough} again", 30)
            return messages

    def count(self, queue: str) -> int:
        """Ready messages; 0 when there is no such queue."""
        with self.channel() as channel:
            return _count(channel, queue)

    def count_all(self, queues: Iterable[str]) -> int:
        """Ready messages of all these queues together."""
        with pika.BlockingConnection(self.address.amqp_parameters(heartbeat=0)) as connection:
            # A channel for each: the question about a missing queue costs it.
            return sum(_count(connection.channel(), queue) for queue in queues)

    def wait_for_count(self, queue: str, count: int, timeout: float = 30.0) -> None:
        """Waits until exactly `count` messages are ready; TimeoutError tells how many there were."""
        with self.channel() as channel:
            self._wait(channel, queue, lambda ready: ready == count, str(count), timeout)

    def wait_for_at_least(self, queue: str, count: int, timeout: float = 30.0) -> None:
        with self.channel() as channel:
            self._wait(channel, queue, lambda ready: ready >= count, f"at least {count}", timeout)

    def _wait(
        self, channel: BlockingChannel, queue: str, enough: Callable[[int], bool], wanted: str, timeout: float
    ) -> None:
        deadline = time.monotonic() + timeout
        while not enough(ready := _count(channel, queue)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{queue} holds {ready} messages after {timeout:.0f} s, {wanted} expected")
            if channel.is_closed:  # the question about a missing queue costs the channel
                channel = channel.connection.channel()
            # The broker pushes no counts: this is the one poll for all tests.
            channel.connection.process_data_events(time_limit=0.05)

    @staticmethod
    def _ready(channel: BlockingChannel, queue: str) -> tuple[list[tuple[pika.BasicProperties, bytes]], int]:
        messages: list[tuple[pika.BasicProperties, bytes]] = []
        last_tag = 0
        while True:
            method, properties, body = channel.basic_get(queue)
            if method is None or properties is None or body is None:
                return messages, last_tag
            messages.append((properties, body))
            last_tag = method.delivery_tag or last_tag


def _count(channel: BlockingChannel, queue: str) -> int:
    try:
        return int(channel.queue_declare(queue, passive=True).method.message_count)
    except ChannelClosedByBroker as error:
        if error.reply_code != NOT_FOUND:
            raise
        return 0
