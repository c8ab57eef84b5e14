"""Smoke test of the whole way: `python test_bitrix_worker.py` sends one test task and reports where it went.

Checks RabbitMQ and the portal first (the key field, the rights), then publishes a task to `bitrix24.queue` and looks
for it in Bitrix24 and in the error queue. Nothing is taken out of any queue.

Exit code: 0 the task was created, 1 it is in the error queue, 3 RabbitMQ or the portal cannot be used, 4 nobody has
worked on it yet, 78 the settings are wrong.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker, UnroutableError

from broker.connection import connect, connection_parameters
from broker.errors import NOT_FOUND
from broker.topology import ERRORS_QUEUE
from broker.unreachable import explain
from cli.bitrix import NO_WEBHOOK, REFUSED, PortalWitness, read_bitrix_settings
from cli.exit_codes import (
    EXIT_BAD_CONFIGURATION,
    EXIT_CHECK_FAILED,
    EXIT_FAILURE,
    EXIT_OK,
    EXIT_STILL_WAITING,
)
from cli.parser import Parser, seconds
from cli.texts import language, make_streams_forgiving
from core.errors import NotConfiguredError, OutcomeError
from core.secrets import Secrets
from core.texts import BilingualError, Language, Text
from settings.errors import SettingsError

ENV_FILE = Path(".env")
INPUT_QUEUE = "bitrix24.queue"
DEFAULT_TIMEOUT = 60.0  # seconds
PATIENCE_WITHOUT_CONSUMER = 5.0  # seconds: a worker that is just reconnecting is back by then
LOOK_INTERVAL = 2.0  # seconds; the portal's request limit is shared with the worker

_ABOUT = Text(
    "Sends one test task to bitrix24.queue and reports where it went.",
    "Отправляет одну тестовую задачу в bitrix24.queue и сообщает, где она оказалась.",
)
_TIMEOUT = Text("seconds to wait for the task (default 60)", "сколько секунд ждать задачу (по умолчанию 60)")
_RABBITMQ_GOOD = Text("RabbitMQ {place}, virtual host {vhost}", "RabbitMQ {place}, виртуальный хост {vhost}")
_RABBITMQ_BAD = Text("RabbitMQ at {place}: {reason}", "RabbitMQ на {place}: {reason}")
_NO_QUEUE = Text(
    "there is no queue bitrix24.queue in this virtual host: start the worker once (python main.py), it creates it",
    "в этом виртуальном хосте нет очереди bitrix24.queue: запустите воркер (python main.py), он её создаст",
)
_QUEUE = Text(
    "bitrix24.queue: consumers {consumers}, waiting {messages}",
    "bitrix24.queue: потребителей {consumers}, ждут {messages}",
)
_PORTAL_GOOD = Text(
    "Bitrix24 answers; key field and rights are right", "Битрикс24 отвечает; поле ключа и права в порядке"
)
_SENT = Text("sent the test task {key}", "отправлена тестовая задача {key}")
_CREATED = Text(
    "created: Bitrix24 task {id}, after {seconds} s. Finish or delete it there; Camunda knows nothing of it",
    "создана: задача Битрикс24 {id}, через {seconds} с. Завершите или удалите её там; Camunda о ней не знает",
)
_IN_ERROR_QUEUE = Text("in errors.camunda_tasks.queue: {reason}", "в errors.camunda_tasks.queue: {reason}")
_NOBODY = Text(
    "waits in bitrix24.queue: nobody takes messages from it. Start the worker (python main.py), it will create the "
    "task",
    "ждёт в bitrix24.queue: сообщения никто не берёт. Запустите воркер (python main.py): он создаст задачу",
)
_NOT_YET = Text(
    "not created within {seconds} s although {consumers} consumer(s) take messages ({messages} wait): see the "
    "worker's log for {key}",
    "не создана за {seconds} с, хотя сообщения берут (потребителей {consumers}, ждут {messages}): ищите {key} в "
    "журнале воркера",
)


class QueueState(NamedTuple):
    messages: int
    consumers: int


class CheckFailedError(BilingualError):
    """Something outside cannot be used; `text` says what."""


class SmokeTest:
    """One run of the test over one connection."""

    def __init__(self, connection: pika.BlockingConnection, portal: PortalWitness, lang: Language) -> None:
        self._connection = connection
        self._portal = portal
        self._lang = lang
        self._key = f"smoke-test-{uuid.uuid4()}"
        self._errors_seen = 0

    def run(self, timeout: float) -> int:
        """Run the test and return the exit code. Raises CheckFailedError, or what pika or the portal raise."""
        if (queue := self._state(INPUT_QUEUE)) is None:
            raise CheckFailedError(_NO_QUEUE)
        self._say("✔", _QUEUE, consumers=queue.consumers, messages=queue.messages)
        self._portal.check()
        self._say("✔", _PORTAL_GOOD)
        self._errors_seen = self._count(ERRORS_QUEUE)
        self._send()
        self._say("✔", _SENT, key=self._key)
        return self._watch(timeout)

    def _send(self) -> None:
        channel = self._connection.channel()
        channel.confirm_delivery()
        properties = pika.BasicProperties(delivery_mode=2, content_type="application/json", timestamp=int(time.time()))
        channel.basic_publish("", INPUT_QUEUE, self._message(), properties, mandatory=True)
        channel.close()

    def _watch(self, timeout: float) -> int:
        started = last_consumer = time.monotonic()
        while True:
            if task_id := self._portal.find_task(self._key):
                self._say("✔", _CREATED, id=task_id, seconds=round(time.monotonic() - started))
                return EXIT_OK
            if reason := self._reason_in_error_queue():
                self._say("✖", _IN_ERROR_QUEUE, reason=reason)
                return EXIT_FAILURE
            now, queue = time.monotonic(), self._state(INPUT_QUEUE) or QueueState(0, 0)
            if queue.consumers:
                last_consumer = now
            if now - last_consumer >= min(PATIENCE_WITHOUT_CONSUMER, timeout):
                self._say("…", _NOBODY)
                return EXIT_STILL_WAITING
            if now - started >= timeout:
                self._say("…", _NOT_YET, seconds=round(timeout), key=self._key, **queue._asdict())
                return EXIT_STILL_WAITING
            self._connection.sleep(LOOK_INTERVAL)  # pika's own sleep: heartbeats go on

    def _reason_in_error_queue(self) -> str | None:
        """Return the reason in the error queue, if any.

        Reads the queue only when it has grown: each look marks its messages as redelivered.
        """
        count = self._count(ERRORS_QUEUE)
        if count <= self._errors_seen:
            return None
        self._errors_seen = count
        channel = self._connection.channel()
        for _ in range(count):
            method, _, body = channel.basic_get(ERRORS_QUEUE)
            if method is None or body is None:
                break
            if self._key.encode() in body:
                report = json.loads(body)
                return str(report["error_ru" if self._lang == "ru" else "error"])
        channel.close()  # everything that was read goes back to its place
        return None

    def _count(self, queue: str) -> int:
        state = self._state(queue)
        return state.messages if state else 0

    def _state(self, queue: str) -> QueueState | None:
        channel = self._connection.channel()
        try:
            declared = channel.queue_declare(queue, passive=True).method
        except ChannelClosedByBroker as error:
            if error.reply_code == NOT_FOUND:
                return None
            raise
        channel.close()
        return QueueState(declared.message_count, declared.consumer_count)

    def _message(self) -> bytes:
        title = Text("Task Creator: test task, please delete", "Task Creator: тестовая задача, удалите её").say(
            self._lang
        )
        message = {
            "task_id": self._key,
            "topic": "bitrix_create_task",
            "system": "bitrix24",
            "variables": {},
            "process_variables": {},
            "process_instance_id": self._key,
            "process_definition_key": "smoke_test",
            "activity_id": "Activity_smoke_test",
            "retries": None,
            "timestamp": int(time.time() * 1000),
            "metadata": {"inputParameters": {"title": title}},
        }
        return json.dumps(message, ensure_ascii=False).encode()

    def _say(self, sign: str, text: Text, **values: object) -> None:
        print(sign, text.say(self._lang).format(**values), flush=True)


def main(arguments: list[str]) -> int:
    make_streams_forgiving()
    lang = language(os.environ)
    parser = Parser(lang, prog="test_bitrix_worker.py", description=_ABOUT.say(lang))
    parser.add_argument("--timeout", type=seconds, default=DEFAULT_TIMEOUT, metavar="N", help=_TIMEOUT.say(lang))
    timeout = parser.parse_args(arguments).timeout
    try:
        settings = read_bitrix_settings(os.environ, ENV_FILE)
        portal = PortalWitness(settings)
    except SettingsError as error:
        print(error.render(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    except NotConfiguredError:
        print(NO_WEBHOOK.say(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    mask = Secrets(settings.secret_values()).mask
    try:
        connection, reached = connect(connection_parameters(settings.rabbitmq, "smoke test"))
        with connection:
            place = f"{reached.host}:{reached.port}"
            print("✔", _RABBITMQ_GOOD.say(lang).format(place=place, vhost=reached.virtual_host), flush=True)
            return SmokeTest(connection, portal, lang).run(timeout)
    except CheckFailedError as error:
        problem = error.text.say(lang)
    except (AMQPError, UnroutableError, OSError) as error:
        place = ", ".join(f"{host}:{port}" for host, port in settings.rabbitmq.endpoints)
        problem = _RABBITMQ_BAD.say(lang).format(place=place, reason=mask(explain(error.__cause__ or error).say(lang)))
    except OutcomeError as error:
        problem = REFUSED.say(lang).format(reason=mask(error.text.say(lang)))
    print(f"✖ {problem}", file=sys.stderr)
    return EXIT_CHECK_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
