"""A backlog as Camunda's side leaves it in `bitrix24.queue`: ordinary steps of processes, about 2 KB each."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pika

from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.camunda import CamundaSide, encode_task, task_headers

QUEUE = "bitrix24.queue"
SENT_QUEUE = "bitrix24.sent.queue"
ERRORS_QUEUE = "errors.camunda_tasks.queue"

_TOPIC = "bitrix_create_task"


def fill(address: BrokerAddress, count: int) -> set[str]:
    """Declares the contract's topology and puts `count` tasks into the queue; returns their Camunda task ids."""
    with CamundaSide([address.amqp_parameters()]) as camunda:
        camunda.declare_topology()
    keys = set()
    # Without confirms, which would cost a round trip each: that all have arrived is seen by counting them.
    with pika.BlockingConnection(address.amqp_parameters(heartbeat=0)) as connection:
        channel = connection.channel()
        for task in tasks(count):
            properties = pika.BasicProperties(
                delivery_mode=2, content_type="application/json", headers=task_headers(task)
            )
            channel.basic_publish("", QUEUE, encode_task(task), properties)
            keys.add(task["task_id"])
    Broker(address).wait_for_count(QUEUE, count, timeout=120)
    return keys


def tasks(count: int) -> Iterator[dict[str, Any]]:
    """Task messages with the keys of the contract; no checklists, which would cost requests of their own."""
    deadline = (datetime.now(UTC) + timedelta(days=7)).isoformat(timespec="seconds")
    for number in range(count):
        variables = {"contractNumber": f"Д-{number}", "amount": 125000.5, "initiator": "Анна Соколова"}
        title = f"Согласовать договор поставки № {number}"
        yield {
            "task_id": str(uuid.uuid4()),
            "topic": _TOPIC,
            "system": "bitrix24",
            "variables": variables,
            "process_instance_id": str(uuid.uuid4()),
            "process_definition_key": "Process_contract",
            "activity_id": "Activity_approve",
            "worker_id": "universal-worker",
            "retries": None,
            "timestamp": int(time.time() * 1000),
            "metadata": {
                "extensionProperties": {"UF_RESULT_EXPECTED": "да", "UF_RESULT_QUESTION": "Согласовать договор?"},
                "inputParameters": {
                    "title": title,
                    "description": "Проверьте реквизиты, сроки и штрафы. " * 10,
                    "priority": "2",
                    "deadline": deadline,
                },
                "activityInfo": {"id": "Activity_approve", "name": title, "type": "external", "topic": _TOPIC},
                "processVariables": {
                    name: {"value": value, "type": "String", "valueInfo": {}} for name, value in variables.items()
                },
            },
        }
