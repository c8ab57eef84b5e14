"""Makes tasks as Camunda's side writes them, puts them into an input queue, and follows them to their end."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from broker.depths import depths_of
from broker.handing_in import Intake
from core.messages import CamundaTask, OutgoingMessage, decode_task
from core.texts import Text
from journal.records import MessageRecord
from journal.states import FINISHED_STATES
from journal.store import StoreError
from operation.desk import Desk

POLL = 0.5  # seconds between looks into the journal
# What a message is about where nobody says it, and what its title is called there.
USUAL_TOPICS: Mapping[str, str] = {
    "bitrix24": "bitrix_create_task",
    "openproject": "op_create_task",
    "1c": "1c_create_task",
    "email": "send_email",
    "telegram": "send_telegram",
}
_TITLES: Mapping[str, str] = {"email": "subject"}


@dataclass(frozen=True, slots=True)
class Wish:
    """A task that somebody wants to be done. `fields` become process variables."""

    queue: str
    topic: str
    title: str
    fields: Mapping[str, str]


def queue_named(desk: Desk, name: str) -> str | None:
    """Return the input queue of this name, or of the system of this name; None where there is none."""
    known = desk.settings.worker.queue_handlers
    return next((queue for queue in (name, f"{name}.queue") if queue in known), None)


def task_of(wish: Wish, now: float) -> bytes:
    """Return the message of a new task, each time with an id of its own."""
    system, instance = wish.queue.removesuffix(".queue"), str(uuid.uuid4())
    fields = {
        "task_id": str(uuid.uuid4()),
        "topic": wish.topic,
        "system": system,
        "variables": {_TITLES.get(system, "title"): wish.title, **wish.fields},
        "process_variables": {},
        "process_instance_id": instance,
        "process_definition_key": "task_creator_send",
        "activity_id": "Activity_send",
        "business_key": None,
        "retries": None,
        "timestamp": int(now * 1000),
        "metadata": {"activityInfo": {"id": "Activity_send", "name": wish.title, "topic": wish.topic}},
    }
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")


def checked(desk: Desk, body: bytes) -> CamundaTask:
    """Return the task in a message, as the worker will read it. Raises InvalidMessageError."""
    return decode_task(body, desk.settings.worker.message_limits)


def send(desk: Desk, queue: str, tasks: Iterator[tuple[CamundaTask, bytes]]) -> Iterator[str]:
    """Put each task into the queue, and yield its id when RabbitMQ has it. Raises NotTakenError, BROKER_ERRORS."""
    with desk.broker("send") as connection:
        intake = Intake(connection, queue)
        for task, body in tasks:
            intake.put(_message(task, body))
            yield task.task_id


def nobody_takes(desk: Desk, queue: str) -> bool:
    """Return whether no worker takes messages of the queue now. Raises BROKER_ERRORS."""
    with desk.broker("send") as connection:
        depth = depths_of(connection, [queue])[queue]
    return depth is None or not depth.consumers


def follow(
    desk: Desk,
    task_ids: Sequence[str],
    on_change: Callable[[MessageRecord], None],
    on_trouble: Callable[[Text], None],
    timeout: float | None,
) -> dict[str, MessageRecord]:
    """Look into the journal until all have come to an end, or the time is over; return what it knows of them.

    A journal that cannot be read is told once, and asked again.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    known: dict[str, MessageRecord] = {}
    is_troubled = False
    while True:
        left = [each for each in task_ids if each not in known or known[each].state not in FINISHED_STATES]
        if not left or (deadline is not None and time.monotonic() > deadline):
            return known
        try:
            found = {} if desk.journal is None else desk.journal.named(left)
            is_troubled = False
        except StoreError as error:
            if not is_troubled:
                on_trouble(error.text)
            found, is_troubled = {}, True
        for name, record in found.items():
            if name not in known or known[name].state != record.state:
                on_change(record)
            known[name] = record
        time.sleep(POLL)


def _message(task: CamundaTask, body: bytes) -> OutgoingMessage:
    headers = {"camunda_topic": task.topic, "task_id": task.task_id}
    if isinstance(system := task.fields.get("system"), str):
        headers["target_system"] = system
    if task.process_instance_id is not None:
        headers["process_instance_id"] = task.process_instance_id
    return OutgoingMessage(body, f"{task.task_id}:task", headers)
