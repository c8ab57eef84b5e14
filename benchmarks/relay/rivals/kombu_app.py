"""kombu as its guide shows a program that consumes and publishes: ConsumerProducerMixin, one thread.

`confirm_publish` is its switch for publisher confirms; each publish waits for its own.
https://docs.celeryq.dev/projects/kombu/en/stable/userguide/consumers.html
"""

from __future__ import annotations

import signal
from functools import partial
from typing import Any

from kombu import Connection, Message, Queue
from kombu.mixins import ConsumerProducerMixin

from benchmarks.relay.rivals.common import Job, result_of, sent_queue


class Relay(ConsumerProducerMixin):
    def __init__(self, job: Job, connection: Connection) -> None:
        self.job = job
        self.connection = connection

    def get_consumers(self, consumer: Any, channel: Any) -> list[Any]:
        return [
            consumer(
                [Queue(queue, no_declare=True)],
                on_message=partial(self.relay, queue),
                prefetch_count=self.job.prefetch,
            )
            for queue in self.job.queues
        ]

    def relay(self, queue: str, message: Message) -> None:
        body = message.body if isinstance(message.body, bytes) else message.body.encode()
        result, properties = result_of(body, queue)
        self.producer.publish(result, routing_key=sent_queue(queue), mandatory=True, **properties)
        message.ack()


def main() -> None:
    job = Job.given()
    with Connection(job.url, transport_options={"confirm_publish": True}) as connection:
        relay = Relay(job, connection)
        signal.signal(signal.SIGTERM, lambda *_: setattr(relay, "should_stop", True))
        relay.run()


main()
