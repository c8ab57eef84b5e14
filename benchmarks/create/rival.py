"""The origin's way as a process of its own: one message at a time, one request for each task, no confirms.

`python -m benchmarks.create.rival RATE BURST`, with RABBITMQ_* and BITRIX_WEBHOOK_URL in the environment; runs until
it is killed. It keeps to the portal's bucket like the daemon; the origin itself knew no limit and was refused.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import pika
import requests
from pika.adapters.blocking_connection import BlockingChannel

from benchmarks.create.backlog import QUEUE, SENT_QUEUE
from sandbox.address import BrokerAddress

KEY_FIELD = "UF_CAMUNDA_ID_EXTERNAL_TASK"
SPARE = 0.1  # of the bucket, as the daemon leaves it


class Bucket:
    """The portal's leaky bucket as its client sees it."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._places = burst - round(burst * SPARE)
        self._level = 0.0
        self._drained_at = time.monotonic()

    def wait(self) -> None:
        now = time.monotonic()
        self._level = max(0.0, self._level - (now - self._drained_at) * self._rate) + 1
        self._drained_at = now
        time.sleep(max(0.0, (self._level - self._places) / self._rate))


def run(address: BrokerAddress, webhook: str, bucket: Bucket) -> None:
    session = requests.Session()
    with pika.BlockingConnection(address.amqp_parameters()) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, _, body in channel.consume(QUEUE):
            tag = method.delivery_tag or 0
            message = json.loads(body)
            bucket.wait()
            answer = session.post(f"{webhook}tasks.task.add", json={"fields": _fields(message)}, timeout=30)
            if answer.status_code == 503:
                channel.basic_nack(tag, requeue=True)
                continue
            answer.raise_for_status()
            _store(channel, message, answer.json())
            channel.basic_ack(tag)


def _fields(message: dict[str, Any]) -> dict[str, Any]:
    inputs = message["metadata"]["inputParameters"]
    return {
        "TITLE": inputs["title"],
        "DESCRIPTION": inputs["description"],
        "PRIORITY": inputs["priority"],
        "DEADLINE": inputs["deadline"],
        "RESPONSIBLE_ID": 1,
        KEY_FIELD: message["task_id"],
        **message["metadata"]["extensionProperties"],
    }


def _store(channel: BlockingChannel, message: dict[str, Any], created: Any) -> None:
    channel.queue_declare(SENT_QUEUE, durable=True)
    body = json.dumps({"original_message": message, "response_data": created}, ensure_ascii=False).encode()
    channel.basic_publish("", SENT_QUEUE, body, pika.BasicProperties(delivery_mode=2))


if __name__ == "__main__":
    run(
        BrokerAddress(
            os.environ["RABBITMQ_HOST"],
            int(os.environ["RABBITMQ_PORT"]),
            os.environ["RABBITMQ_USERNAME"],
            os.environ["RABBITMQ_PASSWORD"],
            os.environ["RABBITMQ_VIRTUAL_HOST"],
        ),
        os.environ["BITRIX_WEBHOOK_URL"],
        Bucket(float(sys.argv[1]), int(sys.argv[2])),
    )
