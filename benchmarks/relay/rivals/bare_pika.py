"""The practical limit of pika: one thread, one connection, confirms pipelined, acks in bulk; nothing else.

Each queue has a channel on which deliveries, results and confirms keep one order: the n-th result belongs to the n-th
delivery, so a confirm of everything up to n is answered by `basic_ack(n, multiple=True)`. No reconnect, no error
handling, no threads: what the daemon has on top is what the benchmark puts a price on.
"""

from __future__ import annotations

import signal
from functools import partial
from typing import Any

import pika
from pika.channel import Channel
from pika.spec import Basic

from benchmarks.relay.rivals.common import Job, result_of, sent_queue


class RefusedError(Exception):
    """The broker does not store a result: the turn is void."""


def main() -> None:
    job = Job.given()
    connection = pika.SelectConnection(pika.URLParameters(job.url), on_open_callback=partial(open_channels, job))
    connection.add_on_close_callback(lambda _connection, _reason: connection.ioloop.stop())
    signal.signal(signal.SIGTERM, lambda *_: connection.ioloop.add_callback_threadsafe(connection.close))
    connection.ioloop.start()


def open_channels(job: Job, connection: pika.SelectConnection) -> None:
    for queue in job.queues:
        connection.channel(on_open_callback=partial(relay, queue, job.prefetch))


def relay(queue: str, prefetch: int, channel: Channel) -> None:
    sent = sent_queue(queue)

    def on_message(_channel: Channel, _method: Basic.Deliver, _properties: pika.BasicProperties, body: bytes) -> None:
        result, properties = result_of(body, queue)
        channel.basic_publish("", sent, result, pika.BasicProperties(**properties), mandatory=True)

    def on_confirm(frame: Any) -> None:
        if isinstance(frame.method, Basic.Nack):
            raise RefusedError("the broker refused a result")
        channel.basic_ack(frame.method.delivery_tag, multiple=frame.method.multiple)

    def on_return(*_: Any) -> None:
        raise RefusedError("a result came back: its queue is missing")

    channel.add_on_return_callback(on_return)
    channel.confirm_delivery(on_confirm)
    channel.basic_qos(prefetch_count=prefetch)
    channel.basic_consume(queue, on_message)


main()
