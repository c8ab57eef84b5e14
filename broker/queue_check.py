"""Finds what RabbitMQ would drop silently, over AMQP when the worker starts: queues that others have created.

A policy cannot be seen over AMQP, so what is reported here may have been repaired by one already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pika
from pika.exceptions import ChannelClosedByBroker

from broker.connection import connect
from broker.nodes import Parameters
from broker.queue_types import QUORUM, Version, queue_type, server_version
from broker.returns import COUNTED_SINCE, DEFAULT_LIMIT, NO_LIMIT
from broker.topology import ERRORS_QUEUE
from core.texts import Text

SAFE_LIMIT = 10_000  # returns; whoever set such a limit meant that nothing is dropped

_CURRENT = re.compile(r"inequivalent arg 'x-delivery-limit' .*(?:current is '|current is the value ')(?P<limit>-?\d+)'")
_DEAD_LETTERS = "inequivalent arg 'x-dead-letter-"

_DROPS = Text(
    "{queues}: RabbitMQ {version} drops a message of a quorum queue without a word when it has been returned {times}; "
    "each lost connection and each killed consumer returns what was taken. This worker puts a copy in place of what "
    "has been returned before that, other consumers do not.",
    "{queues}: RabbitMQ {version} молча удаляет сообщение кворумной очереди, возвращённое {times}; каждое потерянное "
    "соединение и каждый убитый потребитель возвращают всё взятое. Этот воркер успевает заменить возвращённое копией, "
    "другие потребители – нет.",
)
_BY_DEFAULT = Text(
    "This prevents it, if a policy does not do so already, which cannot be seen from here (only one policy applies to "
    "a queue: add it to yours): {command}",
    "Предотвратит это политика, если её ещё нет: отсюда она не видна (к очереди применяется только одна политика: "
    "дополните свою): {command}",
)
_BY_ARGUMENT = Text(
    "The limit is an argument of the queue, which a policy cannot raise: create the queue anew without it, or keep "
    "what is dropped (only one policy applies to a queue): {command}",
    "Предел задан аргументом очереди, политика его не поднимет: создайте очередь заново без него или сохраняйте "
    "удаляемое (к очереди применяется только одна политика): {command}",
)


@dataclass(frozen=True, slots=True)
class Danger:
    """Queues that drop a message when it has been returned more than `limit` times.

    `by_argument`: the queue itself says so, else it is RabbitMQ's own limit.
    """

    queues: tuple[str, ...]
    limit: int
    by_argument: bool
    version: Version
    virtual_host: str

    def text(self) -> Text:
        """Return what can be lost, how, and what prevents it."""
        version, queues, command = ".".join(map(str, self.version)), ", ".join(self.queues), self._command()
        means, times = _BY_ARGUMENT if self.by_argument else _BY_DEFAULT, self.limit + 1
        english = _DROPS.en.format(queues=queues, version=version, times=f"{times} times" if times > 1 else "once")
        russian = _DROPS.ru.format(queues=queues, version=version, times=f"{times} раз")
        return Text(f"{english} {means.en.format(command=command)}", f"{russian} {means.ru.format(command=command)}")

    def _command(self) -> str:
        pattern = "|".join(queue.replace(".", "[.]") for queue in self.queues)
        # Each its own name: a second policy of the same name takes the place of the first.
        name = "task-creator-returns"
        definition: dict[str, Any] = {"delivery-limit": NO_LIMIT}
        if self.by_argument:
            name += f"-{self.limit}"
            definition = {"dead-letter-exchange": "", "dead-letter-routing-key": ERRORS_QUEUE}
        place = f"--vhost '{self.virtual_host}' --apply-to queues"
        return f"rabbitmqctl set_policy {place} {name} '^({pattern})$' '{json.dumps(definition)}'"


def dangers(parameters: Parameters, queues: Iterable[str]) -> list[Danger]:
    """Return one danger for all queues that have the same limit. Raises what an unusable broker raises."""
    connection, used = connect(parameters)
    try:
        version = server_version(connection)
        found: dict[tuple[int, bool], list[str]] = {}
        for queue in dict.fromkeys(queues):
            for limit, by_argument in _limits(connection, queue, version):
                found.setdefault((limit, by_argument), []).append(queue)
    finally:
        if connection.is_open:
            connection.close()
    return [Danger(tuple(each), *key, version, used.virtual_host) for key, each in found.items()]


def _limits(connection: pika.BlockingConnection, queue: str, version: Version) -> Iterator[tuple[int, bool]]:
    """Yield the limit after which a queue drops messages, and whether an argument sets it; nothing if there is none."""
    if queue_type(connection, queue) != QUORUM:
        return
    refusal = _refusal_of_arguments(connection, queue)
    if _DEAD_LETTERS in refusal:
        return  # is found there
    told = _CURRENT.search(refusal)
    limit = None if told is None else int(told["limit"])
    if limit is None:
        if version >= COUNTED_SINCE:
            yield DEFAULT_LIMIT, False
    elif limit < 0 and version < COUNTED_SINCE:
        yield 0, True
    elif 0 <= limit < SAFE_LIMIT:
        yield limit, True


def _refusal_of_arguments(connection: pika.BlockingConnection, queue: str) -> str:
    """Return what RabbitMQ says to arguments that no queue can have: which one differs, and its value.

    A quorum queue has no `x-max-priority`, and so this creates none if the queue is gone (3.10 to 4.3).
    """
    arguments = {"x-queue-type": QUORUM, "x-delivery-limit": "?", "x-max-priority": 1}
    try:
        connection.channel().queue_declare(queue, durable=True, arguments=arguments)
    except ChannelClosedByBroker as refusal:
        return refusal.reply_text
    return ""
