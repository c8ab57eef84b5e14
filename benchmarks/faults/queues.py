"""The queues of one virtual host as their administrator sees them: counts, reads, declares, deletes.

One connection, used by one thread, made anew after the broker was away. Everything raises AMQPError or OSError when
the broker cannot be asked.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker
from pika.frame import Header

from benchmarks.faults.account import Found
from sandbox.camunda import EXCHANGES, QUEUES

_NOT_FOUND = 404
_FRAME_HEAD = struct.Struct(">BHI")
_BODY_SIZE = struct.Struct(">Q")
_BODY_SIZE_AT = 4  # in a content header's payload, behind class and weight


class LenientConnection(pika.SelectConnection):
    """Reads messages whose properties pika cannot read, without them: whoever left them is judged, not the reader."""

    _frame_buffer: bytes

    def _read_frame(self) -> Any:
        try:
            return super()._read_frame()  # type: ignore[misc]  # no stub
        except (ValueError, OverflowError):
            buffer = self._frame_buffer
            _, channel, size = _FRAME_HEAD.unpack_from(buffer)
            body_size = _BODY_SIZE.unpack_from(buffer, _FRAME_HEAD.size + _BODY_SIZE_AT)[0]
            return _FRAME_HEAD.size + size + 1, Header(channel, body_size, pika.BasicProperties())


class Queues:
    def __init__(self, parameters: pika.ConnectionParameters) -> None:
        self._parameters = parameters
        self._connection: pika.BlockingConnection | None = None
        self._channel: BlockingChannel | None = None

    def close(self) -> None:
        if self._connection is not None and self._connection.is_open:
            with contextlib.suppress(AMQPError, OSError):  # the broker may have died meanwhile
                self._connection.close()
        self._connection = self._channel = None

    def declare_topology(self, arguments: Mapping[str, Any], further: Iterable[str] = ()) -> None:
        """As Camunda's side does, but with `arguments` on every queue; and the queues `further`, bound to nothing."""
        channel = self._open()
        for name, kind, exchange_arguments in EXCHANGES:
            channel.exchange_declare(name, kind, durable=True, arguments=dict(exchange_arguments))
        for queue, bindings in QUEUES.items():
            channel.queue_declare(queue, durable=True, arguments=dict(arguments))
            for exchange, routing_key in bindings:
                channel.queue_bind(queue, exchange, routing_key)
        for queue in further:
            channel.queue_declare(queue, durable=True, arguments=dict(arguments))

    def declare(self, queue: str) -> None:
        self._open().queue_declare(queue, durable=True)

    def declare_wait_queue(self, milliseconds: int, queue: str) -> None:
        """As docs/contract.md describes it."""
        arguments = {
            "x-queue-type": "quorum",
            "x-message-ttl": milliseconds,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": queue,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        self._open().queue_declare(f"{queue}.retry.{milliseconds}ms", durable=True, arguments=arguments)

    def declare_classic_wait_queue(self, name: str) -> None:
        """One that passes its messages on, and is of another type than the daemon's."""
        queue, _, milliseconds = name.removesuffix("ms").rpartition(".retry.")
        arguments = {
            "x-queue-type": "classic",
            "x-message-ttl": int(milliseconds),
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": queue,
        }
        self._open().queue_declare(name, durable=True, arguments=arguments)

    def declare_useless(self, name: str) -> None:
        """One that refuses everything."""
        arguments = {"x-queue-type": "classic", "x-max-length": 1, "x-overflow": "reject-publish"}
        channel = self._open()
        channel.queue_declare(name, durable=True, arguments=arguments)
        channel.basic_publish("", name, b"it is full")

    def count(self, queue: str) -> int:
        """Ready messages; 0 when there is no such queue."""
        return self._ready(queue) or 0

    def exists(self, queue: str) -> bool:
        return self._ready(queue) is not None

    def _ready(self, queue: str) -> int | None:
        try:
            return int(self._open().queue_declare(queue, passive=True).method.message_count)
        except ChannelClosedByBroker as error:
            if error.reply_code != _NOT_FOUND:
                raise
            return None

    def take(self, queue: str) -> list[Found]:
        """Reads the queue empty; nothing when there is none."""
        found: list[Found] = []
        if not self.count(queue):
            return found
        channel = self._open()
        last_tag = 0
        while True:
            method, properties, body = channel.basic_get(queue)
            if method is None or properties is None or body is None:
                break
            found.append(Found(queue, properties.message_id, body))
            last_tag = method.delivery_tag or 0
        if last_tag:
            channel.basic_ack(last_tag, multiple=True)
        return found

    def delete(self, queue: str) -> None:
        self._open().queue_delete(queue)

    def delete_if_empty(self, queue: str) -> bool:
        """Deletes a classic queue unless a message is ready in it; False when one was. Atomic within the broker."""
        try:
            self._open().queue_delete(queue, if_empty=True)
        except ChannelClosedByBroker as error:
            if error.reply_code != 406:  # precondition failed
                raise
            return False
        return True

    def _open(self) -> BlockingChannel:
        if self._connection is not None and self._connection.is_open:
            with contextlib.suppress(AMQPError, OSError):  # notices that the broker has closed it meanwhile
                self._connection.process_data_events(0)
        if self._connection is None or not self._connection.is_open:
            # The stub asks for an instance; pika calls it.
            lenient: Any = LenientConnection
            self._connection = pika.BlockingConnection(self._parameters, _impl_class=lenient)
            self._channel = None
        if self._channel is None or not self._channel.is_open:
            self._channel = self._connection.channel()
        return self._channel
