"""A desk of a virtual host, and an error queue with something in it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from assembly.startup import read_configuration
from core.envelopes import (
    Failure,
    decode_sent,
    encode_failed_task,
    encode_failed_tracking,
    encode_sent,
    encode_unreadable,
)
from core.errors import OutcomeError, PermanentError
from core.messages import Limits, OutgoingMessage, decode_task
from core.results import Accepted
from operation.desk import Desk
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from testbench.harness import camunda_message

INPUT, SENT = "bitrix24.queue", "bitrix24.sent.queue"
UNKNOWN_USER = PermanentError("responsible_id: user 77 not found", code="unknown_user")
NO_ACCESS = PermanentError("the project is closed", code="no_access")


@contextmanager
def desk_of(address: BrokerAddress, folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[Desk]:
    environ = {**address.environment(), "STATE_DIR": str(folder / "state"), "LOG_DIR": str(folder / "logs")}
    startup = read_configuration({**environ, **(variables or {})}, folder / ".env")
    desk = Desk(startup.settings, startup.secrets.mask, startup.handlers)
    try:
        yield desk
    finally:
        desk.close()


def failure(error: OutcomeError = UNKNOWN_USER, source: str = INPUT, at: float | None = None) -> Failure:
    moment = time.time() - 60 if at is None else at
    return Failure(error, source, "bitrix24", attempts=1, first_seen=moment - 1, failed_at=moment)


def report(task_id: str, error: OutcomeError = UNKNOWN_USER, **fields: object) -> OutgoingMessage:
    """A task that failed, as the worker reports it."""
    return encode_failed_task(decode_task(camunda_message(task_id, **fields), Limits()), failure(error))


def rejected(task_id: str) -> OutgoingMessage:
    """A created task that somebody has deleted."""
    task = decode_task(camunda_message(task_id), Limits())
    sent = encode_sent(task, INPUT, Accepted({"result": {"task": {"id": "42"}}}, "42"), time.time())
    deleted = PermanentError("the task was deleted", code="task_deleted")
    return encode_failed_tracking(decode_sent(sent.body), failure(deleted, SENT))


def unreadable(body: bytes) -> OutgoingMessage:
    return encode_unreadable(body, "unreadable:task", failure(PermanentError("not JSON", code="not_json")))


def put(broker: Broker, queue: str, *messages: OutgoingMessage) -> None:
    for each in messages:
        broker.publish(
            queue,
            each.body,
            message_id=each.message_id,
            headers=dict(each.headers),
            content_type=each.content_type,
            delivery_mode=2,
            **each.properties,
        )
