"""The origin's way of tracking, as a process to compare with: `python -m benchmarks.track.origin INTERVAL WEBHOOK`.

Every INTERVAL seconds up to 50 messages are got one by one, each task is asked for with a request of its own on a new
connection, a finished one is published without a confirm and acked, the others are returned to the head of the queue.
Where RabbitMQ is, it learns from RABBITMQ_… variables.
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

from benchmarks.track.stock import RESPONSES_QUEUE, SENT_QUEUE

_AT_ONCE = 50
_FINISHED = ("4", "5")


def main(interval: float, webhook: str) -> None:
    credentials = pika.PlainCredentials(os.environ["RABBITMQ_USERNAME"], os.environ["RABBITMQ_PASSWORD"])
    parameters = pika.ConnectionParameters(
        os.environ["RABBITMQ_HOST"],
        int(os.environ["RABBITMQ_PORT"]),
        os.environ["RABBITMQ_VIRTUAL_HOST"],
        credentials,
        heartbeat=600,
        client_properties={"connection_name": "task-creator tracker of the origin"},
    )
    while True:
        connection = pika.BlockingConnection(parameters)
        _cycle(connection.channel(), webhook)
        connection.close()
        time.sleep(interval)


def _cycle(channel: BlockingChannel, webhook: str) -> None:
    got: list[tuple[int, dict[str, Any]]] = []
    for _ in range(_AT_ONCE):
        method, _, body = channel.basic_get(SENT_QUEUE)
        if method is None or body is None:
            break
        got.append((method.delivery_tag or 0, json.loads(body)))
    for tag, message in got:
        task_id = message["response_data"]["result"]["task"]["id"]
        query = {"taskId": task_id, "select[]": "*"}
        task = requests.get(f"{webhook}tasks.task.get", params=query, timeout=30).json()["result"]["task"]
        if task["status"] in _FINISHED:
            message |= {"response_data": {"result": {"task": task}}, "processing_status": "completed_by_tracker"}
            channel.basic_publish("", RESPONSES_QUEUE, json.dumps(message, ensure_ascii=False).encode())
            channel.basic_ack(tag)
        else:
            channel.basic_nack(tag, requeue=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2])
