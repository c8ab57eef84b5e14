"""Finds which kind of queue a queue is, over AMQP alone."""

from __future__ import annotations

import re

import pika
from pika.exceptions import ChannelClosedByBroker

CLASSIC = "classic"
QUORUM = "quorum"

Version = tuple[int, ...]  # of RabbitMQ

_TYPE = re.compile(r"of queue type (?:rabbit_)?(?P<type>[a-z]+)")


def server_version(connection: pika.BlockingConnection) -> Version:
    """Return the version that RabbitMQ gives at each connection: (4, 0, 5)."""
    told = connection._impl.server_properties["version"]  # type: ignore[attr-defined]  # nothing public tells it
    return tuple(int(part) for part in re.findall(r"\d+", str(told))[:3])


def queue_type(connection: pika.BlockingConnection, queue: str) -> str | None:
    """Return `classic`, `quorum` or `stream`; None when RabbitMQ does not say.

    Found by the refusal of an argument that only streams know: `invalid arg 'x-stream-offset' for queue 'q' in vhost
    '/' of queue type rabbit_quorum_queue` (3.10 to 4.3). That needs no right but to read and can create nothing; a
    declaration of another type needs the right to configure, and with other arguments reports those only.
    """
    channel = connection.channel()
    try:
        channel.basic_qos(prefetch_count=1)  # a stream asks for it
        channel.basic_consume(queue, lambda *_delivery: None, arguments={"x-stream-offset": "next"})
    except ChannelClosedByBroker as refusal:
        told = _TYPE.search(refusal.reply_text)
        return None if told is None else told["type"].removesuffix("_queue")
    channel.close()
    return "stream"
