"""FastStream on aio-pika and on uvloop, as `faststream run` starts it; no log lines for each message.

Confirms are its default. A message is acked when its function has returned; functions run side by side, as many as are
prefetched, so results wait for their confirms together.
https://faststream.ag2.ai/latest/rabbit/
"""

from __future__ import annotations

import uvloop
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue

from benchmarks.relay.rivals.common import Job, result_of, sent_queue


def main() -> None:
    job = Job.given()
    broker = RabbitBroker(job.url, logger=None, default_channel=Channel(prefetch_count=job.prefetch))
    for queue in job.queues:
        subscribe(broker, queue)
    uvloop.run(FastStream(broker, logger=None).run())


def subscribe(broker: RabbitBroker, queue: str) -> None:
    @broker.subscriber(
        RabbitQueue(queue, durable=True, declare=False), ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True
    )
    async def relay(message: RabbitMessage) -> None:
        result, properties = result_of(message.body, queue)
        properties["persist"] = properties.pop("delivery_mode") == 2
        await broker.publish(result, sent_queue(queue), mandatory=True, **properties)


main()
