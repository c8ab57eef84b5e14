"""How many messages are in each queue, asked passively: nothing is taken and nothing is created."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from broker.errors import NOT_FOUND
from broker.topology import shard_queue_names


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
        found[queue] = depth_on(channel, queue)
        if found[queue] is None:
            channel = connection.channel()
    channel.close()
    return found


def depth_on(channel: BlockingChannel, queue: str) -> Depth | None:
    """Return the depth of a queue; None where there is no such queue, which costs the channel. Raises AMQPError."""
    try:
        method = channel.queue_declare(queue, passive=True).method
    except ChannelClosedByBroker as error:
        if error.reply_code != NOT_FOUND:
            raise
        return None
    return Depth(int(method.message_count), int(method.consumer_count))


def shards_of(connection: pika.BlockingConnection, sent_queue: str) -> tuple[str, ...]:
    """Return the queues beside a sent queue that hold its open tasks; none where there are few. Raises AMQPError."""
    names = shard_queue_names(sent_queue)
    return names if depths_of(connection, names[:1])[names[0]] is not None else ()


def with_shards(connection: pika.BlockingConnection, sent_queue: str, own: Depth) -> Depth:
    """Return the depth of a sent queue with what lies in its shards. Raises AMQPError."""
    parts = depths_of(connection, shards_of(connection, sent_queue)).values()
    return Depth(own.messages + sum(each.messages for each in parts if each is not None), own.consumers)
