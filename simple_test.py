"""Smoke test of RabbitMQ: `python simple_test.py` publishes a success message and reads it back.

The daemon's own settings, publisher and message format; the queue is a temporary one, which the broker deletes when
this program ends, however it ends. Exit code: 0 all is well, 1 it is not, 78 the settings are wrong.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import TimeoutError as NotConfirmedError
from pathlib import Path
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from assembly.startup import Startup, read_configuration
from broker.connection import connect, connection_parameters
from broker.topology import Topology
from broker.unreachable import explain
from cli.exit_codes import EXIT_BAD_CONFIGURATION, EXIT_FAILURE, EXIT_OK
from cli.parser import Parser
from cli.texts import language, make_streams_forgiving
from core.envelopes import PROCESSING_SUCCESS, decode_sent, encode_sent
from core.errors import OutcomeError
from core.events.base import EventStream, Log
from core.messages import CamundaTask, Limits, OutgoingMessage, decode_task
from core.results import Accepted
from core.texts import BilingualError, Text
from rabbitmq_publisher import RabbitMQPublisher
from runtime.loader import LoadError
from settings.errors import SettingsError

ENV_FILE = Path(".env")
INPUT_QUEUE = "bitrix24.queue"  # where the message claims to come from
CONFIRM_TIMEOUT = 15.0  # seconds

_ABOUT = Text(
    "Publishes a result to a temporary queue of RabbitMQ and reads it back.",
    "Публикует результат во временную очередь RabbitMQ и читает его обратно.",
)
_CONNECTED = Text("connected to {place}, virtual host {vhost}", "есть соединение с {place}, виртуальный хост {vhost}")
_CONFIRMED = Text("published; confirmed in {ms} ms", "опубликовано; подтверждено за {ms} мс")
_READ_BACK = Text("read back: {size} bytes, format correct", "прочитано обратно: {size} байт, формат верный")
_CLEANED = Text("the temporary queue is deleted", "временная очередь удалена")
_NO_RABBITMQ = Text("RabbitMQ at {place}: {reason}", "RabbitMQ на {place}: {reason}")
_NOT_CONFIRMED = Text("RabbitMQ did not confirm within {seconds} s", "RabbitMQ не подтвердил публикацию за {seconds} с")
_WRONG = Text("wrong: {what}", "неверно: {what}")


class WrongMessageError(BilingualError):
    """What was read back is not what the contract says."""


def main(arguments: Sequence[str]) -> int:
    make_streams_forgiving()
    lang = language(os.environ)
    Parser(lang, prog="simple_test.py", description=_ABOUT.say(lang)).parse_args(arguments)
    try:
        startup = read_configuration(os.environ, ENV_FILE)
    except SettingsError as error:
        print(error.render(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    except LoadError as error:
        print(error.text.say(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION

    def good(text: Text, **values: object) -> None:
        print(f"✔ {text.say(lang).format(**values)}")

    try:
        parameters = connection_parameters(startup.settings.rabbitmq, "simple test")
        connection, reached = connect(parameters)
        with connection:
            good(_CONNECTED, place=f"{reached.host}:{reached.port}", vhost=reached.virtual_host)
            channel = connection.channel()
            queue = f"task-creator.simple-test.{uuid.uuid4().hex[:8]}"
            channel.queue_declare(queue, exclusive=True)
            task = sample_task()
            started = time.monotonic()
            publish(startup, queue, encode_sent(task, INPUT_QUEUE, Accepted({"success": True}, "0"), time.time()))
            good(_CONFIRMED, ms=round((time.monotonic() - started) * 1000))
            good(_READ_BACK, size=verify(channel, queue, task))
        good(_CLEANED)
    except (AMQPError, OSError) as error:
        place = ", ".join(f"{host}:{port}" for host, port in startup.settings.rabbitmq.endpoints)
        problem = _NO_RABBITMQ.say(lang).format(
            place=place, reason=startup.secrets.mask(explain(error.__cause__ or error).say(lang))
        )
    except NotConfirmedError:
        problem = _NOT_CONFIRMED.say(lang).format(seconds=round(CONFIRM_TIMEOUT))
    except (WrongMessageError, OutcomeError) as error:
        problem = _WRONG.say(lang).format(what=error.text.say(lang))
    else:
        return EXIT_OK
    print(f"✖ {problem}", file=sys.stderr)
    return EXIT_FAILURE


def sample_task() -> CamundaTask:
    fields = {
        "task_id": f"simple-test-{uuid.uuid4()}",
        "topic": "bitrix_create_task",
        "system": "bitrix24",
        "variables": {"comment": "проверка связи"},
        "process_instance_id": str(uuid.uuid4()),
        "activity_id": "Activity_simple_test",
        "timestamp": int(time.time() * 1000),
        "metadata": {},
    }
    return decode_task(json.dumps(fields, ensure_ascii=False).encode(), Limits())


def publish(startup: Startup, queue: str, message: OutgoingMessage) -> None:
    """Publish by the daemon's publisher. Raises TimeoutError when the broker does not confirm in time."""
    rabbitmq = startup.settings.rabbitmq
    publisher = RabbitMQPublisher(
        connection_parameters(rabbitmq, "simple test publisher"),
        Topology(rabbitmq),
        EventStream([Log()]),
        reconnect_max_delay=rabbitmq.reconnect_max_delay,
    )
    publisher.start()
    try:
        publisher.publish(queue, message).result(CONFIRM_TIMEOUT)
    finally:
        publisher.close(CONFIRM_TIMEOUT)


def verify(channel: BlockingChannel, queue: str, task: CamundaTask) -> int:
    """Return the size of the one message in the queue, in bytes. Raises WrongMessageError."""
    method, properties, body = channel.basic_get(queue, auto_ack=True)
    if method is None or properties is None or body is None:
        raise WrongMessageError(
            Text("the confirmed message is not in its queue", "подтверждённого сообщения нет в очереди")
        )
    sent = decode_sent(body)
    for name, found, expected in (
        ("delivery_mode", properties.delivery_mode, pika.DeliveryMode.Persistent.value),
        ("content_type", properties.content_type, "application/json"),
        ("content_encoding", properties.content_encoding, "utf-8"),
        ("original_message", sent.original, task.fields),
        ("original_queue", sent.fields.get("original_queue"), INPUT_QUEUE),
        ("processing_status", sent.fields.get("processing_status"), PROCESSING_SUCCESS),
        ("response_data", sent.fields.get("response_data"), {"success": True}),
    ):
        _require(name, found, expected)
    return len(body)


def _require(name: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise WrongMessageError(
            Text(f"{name} is {found!r}, {expected!r} was expected", f"{name} – {found!r}, а ожидалось {expected!r}")
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
