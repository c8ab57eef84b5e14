"""Puts messages into queues one by one, each confirmed: for commands, which may wait for each."""

from __future__ import annotations

import time

import pika
from pika.exceptions import NackError, UnroutableError

from broker.connection import Connection
from core.messages import OutgoingMessage
from core.texts import BilingualError, Text


class NotTakenError(BilingualError):
    """RabbitMQ has not taken a message; `is_missing`: there is no such queue."""

    def __init__(self, text: Text, *, is_missing: bool) -> None:
        super().__init__(text)
        self.is_missing = is_missing


class Intake:
    """The way into one queue, on a channel of its own. All methods raise AMQPError when the connection is lost."""

    def __init__(self, connection: Connection, queue: str) -> None:
        self._queue = queue
        self._channel = connection.channel()
        self._channel.confirm_delivery()

    def put(self, message: OutgoingMessage) -> None:
        """Put a message into the queue, and return when RabbitMQ has it. Raises NotTakenError."""
        properties = pika.BasicProperties(
            delivery_mode=pika.DeliveryMode.Persistent.value,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            message_id=message.message_id,
            timestamp=int(time.time()),
            headers=dict(message.headers),
        )
        try:
            self._channel.basic_publish("", self._queue, message.body, properties, mandatory=True)
        except UnroutableError:
            text = Text(f"RabbitMQ has no queue {self._queue}", f"в RabbitMQ нет очереди {self._queue}")
            raise NotTakenError(text, is_missing=True) from None
        except NackError:
            text = Text(f"{self._queue} takes nothing: it may be full", f"{self._queue} не принимает: возможно, полна")
            raise NotTakenError(text, is_missing=False) from None
