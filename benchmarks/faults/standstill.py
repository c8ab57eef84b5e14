"""What a row that stands still looks like from inside and outside, before anybody touches it: who waits for whom."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.faults.stage import Stage
from sandbox.rabbitmq_server import NodeError

# What RabbitMQ knows of each, https://www.rabbitmq.com/docs/man/rabbitmqctl.8
_QUESTIONS = {
    "list_queues": ("name", "type", "messages_ready", "messages_unacknowledged", "consumers", "leader", "online"),
    "list_consumers": ("queue_name", "ack_required", "prefetch_count", "active"),
    "list_channels": ("connection", "number", "consumer_count", "messages_unacknowledged", "messages_unconfirmed"),
    "list_connections": ("pid", "client_properties", "channels", "state", "recv_oct", "send_oct", "send_pend"),
}


def write(stage: Stage, folder: Path) -> None:
    """Each worker writes into its log what every thread of it is doing; a file gets what RabbitMQ says."""
    for worker in stage.workers:
        worker.write_stacks()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{stage.spec.name}-rabbitmq.log").open("a") as file:  # a row may stand still more than once
        file.write(_broker(stage))


def _broker(stage: Stage) -> str:
    """What RabbitMQ holds, for whom, how far each channel is, and what it has written down."""
    told = []
    for question, columns in _QUESTIONS.items():
        vhost = () if question == "list_connections" else ("--vhost", stage.address.vhost)
        try:
            rows = json.loads(stage.node.ctl(question, *vhost, "--formatter", "json", *columns))
        except NodeError as error:  # it may be what has broken
            told.append(f"== {question}: {error}")
            continue
        told += [f"== {question}", *(json.dumps(row, ensure_ascii=False) for row in rows)]
    return "\n".join([*told, "== its log", stage.node.log()])
