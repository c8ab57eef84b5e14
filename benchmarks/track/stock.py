"""Open tasks by the ten thousand, put straight into the portal and the sent queue, as the daemon leaves them there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from dataclasses import dataclass

import pika

from core.envelopes import encode_sent
from core.messages import Limits, OutgoingMessage, decode_task
from core.results import Accepted
from rabbitmq_publisher import RabbitMQPublisher
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox

SENT_QUEUE = "bitrix24.sent.queue"
RESPONSES_QUEUE = "camunda.responses.queue"
KEY_FIELD = "UF_CAMUNDA_ID_EXTERNAL_TASK"

_AGE = 14 * 86_400  # seconds that the tasks have been open already
_PORTION = 5_000


@dataclass(frozen=True, slots=True)
class OpenTask:
    task_id: str  # Camunda's
    bitrix_id: int


def declare_queues(address: BrokerAddress, queue_type: str) -> None:
    arguments = {"x-queue-type": "quorum"} if queue_type == "quorum" else None
    with pika.BlockingConnection(address.amqp_parameters()) as connection:
        channel = connection.channel()
        channel.queue_declare(SENT_QUEUE, durable=True, arguments=arguments)
        channel.queue_declare(RESPONSES_QUEUE, durable=True)


def create_tasks(portal: BitrixSandbox, count: int, *, keyed: bool) -> list[OpenTask]:
    """`count` tasks that have been open for two weeks; without `keyed` they have no Camunda id, as the origin's."""
    tasks = []
    with portal.state.lock:
        moment = portal.state.moment() - _AGE
        for number in range(count):
            task_id = f"{number:08x}-cece-11f0-9207-00b436387543"
            fields = {"TITLE": f"Согласовать договор № {number}", "RESPONSIBLE_ID": 1}
            key = {KEY_FIELD: task_id} if keyed else {}
            tasks.append(OpenTask(task_id, portal.state.tasks.add(fields | key, by=1, moment=moment)["ID"]))
    return tasks


def store(publisher: RabbitMQPublisher, tasks: Sequence[OpenTask], *, headers: bool) -> None:
    """The tasks' sent messages, confirmed; without `headers` as the origin wrote them."""
    for portion in _portions(tasks):
        wait([publisher.publish(SENT_QUEUE, sent_message(task, headers=headers)) for task in portion])


def sent_message(task: OpenTask, *, headers: bool = True) -> OutgoingMessage:
    """Some 1.4 KB, the size of a real one."""
    original = {
        "task_id": task.task_id,
        "topic": "bitrix_create_task",
        "system": "bitrix24",
        "variables": {
            "contract": f"№ {task.bitrix_id}",
            "amount": "1250000.00",
            "partner": "ООО «Северный ветер»",
            "comment": "Согласовать до конца недели, при вопросах звонить инициатору заявки",
        },
        "process_instance_id": f"{task.bitrix_id:08x}-36b5-424a-9456-f6b5ec7367c2",
        "activity_id": "Activity_approve",
        "activity_instance_id": f"Activity_approve:{task.task_id}",
        "worker_id": "universal-worker",
        "retries": None,
        "priority": 0,
        "business_key": f"contract-{task.bitrix_id}",
        "timestamp": 1795416779220,
        "metadata": {
            "extensionProperties": {"assigneeId": "lawyer", "UF_RESULT_EXPECTED": "да"},
            "inputParameters": {"deadline": "2026-12-01 12:00:00"},
            "activityInfo": {"id": "Activity_approve", "name": "Согласовать договор", "type": "external"},
        },
    }
    body = json.dumps(original, ensure_ascii=False).encode()
    bitrix_id = str(task.bitrix_id)
    response = {"result": {"task": {"id": bitrix_id, "title": "Согласовать договор", "status": "2", "priority": "1"}}}
    message = encode_sent(decode_task(body, Limits()), "bitrix24.queue", Accepted(response, bitrix_id), now=1.0)
    return message if headers else OutgoingMessage(message.body, message.message_id)


def _portions(tasks: Sequence[OpenTask]) -> Iterator[Sequence[OpenTask]]:
    for start in range(0, len(tasks), _PORTION):
        yield tasks[start : start + _PORTION]
