"""How many messages are in each queue, asked passively: nothing is taken and nothing is created."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pika
from pika.exceptions import ChannelClosedByBroker

from broker.errors import NOT_FOUND


@dataclass(frozen=True, slots=True)
class Depth:
    """`messages` are those that nobody holds; what a consumer has taken and not acknowledged is not among them."""

    messages: int
    consumers: int


def depths_of(connection: pika.BlockingConnection, queues: Iterable[str]) -> dict[str, Depth | None]:
    """Return the depth of each queue; None where there is no such queue. Raises AMQPError."""
    channel = connection.channel()
    found: dict[str, Depth | None] = {}
    for queue in queues:
        try:
            method = channel.queue_declare(queue, passive=True).method
        except ChannelClosedByBroker as error:
            if error.reply_code != NOT_FOUND:
                raise
            found[queue] = None
            channel = connection.channel()
        else:
            found[queue] = Depth(int(method.message_count), int(method.consumer_count))
    return found
