"""Dramatiq, started by its own command with its defaults (a process for each core, 8 threads each).

`confirm_delivery` makes each publish wait for its confirm; the result, which is no Dramatiq message, goes through the
channel that the broker keeps for the calling thread. A message is acked after its actor has returned. Tasks come in
Dramatiq's own envelope, which the benchmark writes.
https://dramatiq.io/reference.html#dramatiq.brokers.rabbitmq.RabbitmqBroker
"""

from __future__ import annotations

import json
from typing import Any

import dramatiq
import pika
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.relay.rivals.common import Job, encoded, sent_queue

job = Job.given()
broker = RabbitmqBroker(url=job.url, confirm_delivery=True)
dramatiq.set_broker(broker)


def serve(queue: str) -> None:
    @dramatiq.actor(actor_name=queue, queue_name=queue)
    def relay(task: dict[str, Any]) -> None:
        # Dramatiq has decoded the message already; the result echoes the task, so it is written again.
        result, properties = encoded(task, json.dumps(task, ensure_ascii=False).encode(), queue)
        broker.channel.basic_publish("", sent_queue(queue), result, pika.BasicProperties(**properties), mandatory=True)


for name in job.queues:
    serve(name)
