"""From the start of a process to its first message, seen from outside."""

from __future__ import annotations

import tempfile
import time
import uuid
from pathlib import Path

import pika

from benchmarks.create.backlog import fill as fill_with_tasks
from benchmarks.create.contest import DEFAULTS
from benchmarks.relay.contest import Shape, fill, running, sent_queue
from benchmarks.relay.contestants import Contestant
from sandbox.bitrix24 import BitrixSandbox
from sandbox.rabbitmq import RabbitNode
from testbench.daemon import Daemon

TIMEOUT = 60.0
PREFETCH = 100


class NotStartedError(Exception):
    """A contestant gave no result in time."""


def until_first_task(node: RabbitNode) -> float:
    """Seconds from the start of the daemon, as it is in operation, to the first task created in the portal.

    The default settings: Bitrix24's handler and tracker, logs, console. One task waits in the queue.
    """
    vhost = node.add_vhost(uuid.uuid4().hex)
    with tempfile.TemporaryDirectory(prefix="task-creator-startup-") as folder, BitrixSandbox() as portal:
        fill_with_tasks(vhost, 1)
        began = time.monotonic()
        with Daemon(vhost, Path(folder), {**DEFAULTS, "BITRIX_WEBHOOK_URL": portal.webhook_url}):
            portal.wait_until(lambda desk: desk.requests.methods["tasks.task.add"] > 0, TIMEOUT)
            seconds = time.monotonic() - began
    node.delete_vhost(vhost.vhost)
    return seconds


def until_first_result(node: RabbitNode, contestant: Contestant) -> float:
    """Seconds from the start of a contestant of benchmarks.relay to its first result in the sent queue.

    Its handler does nothing; one task waits in the queue. Raises NotStartedError.
    """
    vhost = node.add_vhost(uuid.uuid4().hex)
    shape = Shape("one", 1)
    with (
        tempfile.TemporaryDirectory(prefix="task-creator-startup-") as folder,
        pika.BlockingConnection(vhost.amqp_parameters(heartbeat=0)) as connection,
    ):
        channel = connection.channel()
        for queue in shape.names:
            channel.queue_declare(queue, durable=True, arguments=dict(contestant.queue_arguments(queue)))
            channel.queue_declare(sent_queue(queue), durable=True)
        fill(contestant, shape, vhost)
        began = time.monotonic()
        with running(contestant, shape, vhost, Path(folder), PREFETCH):
            _, _, body = next(channel.consume(sent_queue(shape.names[0]), inactivity_timeout=TIMEOUT))
            seconds = time.monotonic() - began
        if body is None:
            raise NotStartedError(f"{contestant.name} gave no result within {TIMEOUT:.0f} s")
    node.delete_vhost(vhost.vhost)
    return seconds
