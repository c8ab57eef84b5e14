"""The origin's design: BlockingConnection, prefetch 1, one connection to consume and one to publish; for each message
the sent queue is declared and the result published without a confirm, then the input is acked.

The one rival that may lose results: nobody tells it whether a publish has arrived.
"""

from __future__ import annotations

import signal
from functools import partial

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from benchmarks.relay.rivals.common import Job, result_of, sent_queue


def main() -> None:
    job = Job.given()
    parameters = pika.URLParameters(job.url)
    with pika.BlockingConnection(parameters) as consuming, pika.BlockingConnection(parameters) as publishing:
        source, target = consuming.channel(), publishing.channel()
        source.basic_qos(prefetch_count=1)
        for queue in job.queues:
            source.basic_consume(queue, partial(relay, queue, target))
        signal.signal(signal.SIGTERM, lambda *_: consuming.add_callback_threadsafe(source.stop_consuming))
        source.start_consuming()


def relay(
    queue: str,
    target: BlockingChannel,
    source: BlockingChannel,
    method: Basic.Deliver,
    _properties: pika.BasicProperties,
    body: bytes,
) -> None:
    result, properties = result_of(body, queue)
    target.queue_declare(sent_queue(queue), durable=True)
    target.basic_publish("", sent_queue(queue), result, pika.BasicProperties(**properties))
    source.basic_ack(method.delivery_tag or 0)


main()
