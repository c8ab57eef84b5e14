"""What the broker and the machine alone make of it: a bare pika loop in a process of its own, on a queue of its own.

It does for each message what the worker must do, with nothing around it: result out, confirmed, then ack. What its
latency grows by while the backlog is worked off no worker can avoid.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from types import FrameType, TracebackType

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from benchmarks.load.traffic import TASK_ID_HEADER, sent_queue
from sandbox.address import BrokerAddress

QUEUE = "bystander.queue"


class Bystander:
    """The process, as long as the block."""

    def __init__(self, address: BrokerAddress) -> None:
        self._settings = address.environment()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Bystander:
        self._process = subprocess.Popen([sys.executable, "-m", __name__], env=self._settings)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def relay(address: BrokerAddress) -> None:
    """Until SIGTERM."""
    with pika.BlockingConnection(address.amqp_parameters(heartbeat=0)) as connection:
        incoming, outgoing = connection.channel(), connection.channel()
        outgoing.confirm_delivery()

        def on_message(
            channel: BlockingChannel, method: Basic.Deliver, _properties: pika.BasicProperties, body: bytes
        ) -> None:
            headers = {TASK_ID_HEADER: json.loads(body)["task_id"]}
            result = pika.BasicProperties(delivery_mode=2, headers=headers)
            outgoing.basic_publish("", sent_queue(QUEUE), body, result, mandatory=True)
            channel.basic_ack(method.delivery_tag or 0)

        incoming.basic_qos(prefetch_count=100)
        incoming.basic_consume(QUEUE, on_message)
        incoming.start_consuming()


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    import os

    signal.signal(signal.SIGTERM, _on_sigterm)
    values = [os.environ[f"RABBITMQ_{name}"] for name in ("HOST", "PORT", "USERNAME", "PASSWORD", "VIRTUAL_HOST")]
    host, port, username, password, vhost = values
    relay(BrokerAddress(host, int(port), username, password, vhost))
