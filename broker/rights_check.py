"""Asks RabbitMQ before any work: who it is, and whether this user may do what the worker does.

Nothing is created, taken or changed: rights are asked for by orders that RabbitMQ judges before it finds that they
cannot be carried out. A consumer with an argument of the wrong type needs the right to read, a queue of a type that
does not exist the right to configure, a mandatory message to nobody the right to write. Measured on 3.10.8, 4.0.5 and
4.3.6; the table of rights: rabbitmq.com/docs/access-control#authorisation.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, ConnectionBlockedTimeout, UnroutableError

from broker.connection import connect
from broker.errors import ACCESS_REFUSED, NOT_FOUND
from broker.queue_types import Version, server_version
from broker.topology import owner_queue_name, shard_queue_names, wait_queue_name
from core.texts import Text

OLDEST: Version = (3, 10)
ALARM_PATIENCE = 5.0  # seconds that a publish may take before an alarm is believed

_IMPOSSIBLE = {"x-queue-type": "asked-for-rights-only"}  # no version has it, so it is never created
_IN_USE = "exclusive"  # of a queue that another worker consumes alone: the right was there
_TRANSIENT = "inequivalent arg 'durable'"


@dataclass(frozen=True, slots=True)
class Needs:
    """The queues that the worker needs: those it reads, those of them with copies that wait, those it writes to.

    `spread` are the sent queues whose tasks go into shards when they are many.
    """

    inputs: Sequence[str]
    sent: Sequence[str]
    written: Sequence[str]
    exclusive: Sequence[str] = ()
    spread: Sequence[str] = ()

    @property
    def at_start(self) -> list[str]:
        """The queues that are created when the worker starts; the others are when they are needed."""
        return list(dict.fromkeys([*self.inputs, *self.sent, *self.written]))

    @property
    def read(self) -> list[str]:
        return list(dict.fromkeys([*self.inputs, *self.sent, *self.copies]))

    @property
    def all(self) -> list[str]:
        return list(dict.fromkeys([*self.read, *self.written, *map(owner_queue_name, self.exclusive)]))

    @property
    def copies(self) -> list[str]:
        return [wait_queue_name(queue, 1.0) for queue in self.inputs]


@dataclass
class Findings:
    """The findings of a look. `place` is host:port.

    Any of `faults` keeps the worker from its work, `remarks` do not.
    """

    place: str
    version: str
    missing: list[str] = field(default_factory=list)
    faults: list[Text] = field(default_factory=list)
    remarks: list[Text] = field(default_factory=list)


def look(parameters: Sequence[pika.ConnectionParameters], needs: Needs) -> Findings:
    """Look at RabbitMQ and return the findings.

    Raises UnreachableError or OSError, and what a connection raises that is lost meanwhile.
    """
    for each in parameters:
        each.blocked_connection_timeout = ALARM_PATIENCE
    connection, used = connect(parameters)
    version = server_version(connection)
    findings = Findings(f"{used.host}:{used.port}", ".".join(map(str, version)))
    if version < OLDEST:
        findings.faults.append(_too_old(findings.version))
    try:
        denied = _look_at_queues(connection, needs, findings)
        for queue in needs.spread:  # no fault: it works without shards, and slower
            first, *_ = shard_queue_names(queue)
            if _is_refused(connection, first):
                findings.remarks.append(_without_shards(queue, first))
        # Last: after an alarm the connection is good for nothing more.
        if _is_denied(connection, _publish_to_nobody):
            denied.append("write amq.default")
        if denied:
            findings.faults.append(_without_rights(denied, used))
        connection.close()
    except ConnectionBlockedTimeout:
        findings.faults.append(_alarm())
    finally:
        if connection.is_open:
            connection.close()
    return findings


def _look_at_queues(connection: pika.BlockingConnection, needs: Needs, findings: Findings) -> list[str]:
    """Return which rights are missing."""
    denied = []
    for queue in needs.all:
        there = _refused(connection, partial(BlockingChannel.queue_declare, queue=queue, passive=True))
        made = _refused(connection, partial(_declare_impossibly, queue=queue))
        if there is not None:
            if there.reply_code == NOT_FOUND:
                findings.missing.append(queue)
            if _is_denial(made):
                denied.append(f"configure {queue}")
        elif made is not None and _TRANSIENT in made.reply_text:
            findings.remarks.append(_transient(queue))
        if queue in needs.read and _is_denied(connection, partial(_consume_impossibly, queue=queue)):
            denied.append(f"read {queue}")
    return denied


def _consume_impossibly(channel: BlockingChannel, queue: str) -> None:
    channel.basic_consume(queue, lambda *_delivery: None, arguments={"x-priority": "asked for rights only"})


def _declare_impossibly(channel: BlockingChannel, queue: str) -> None:
    channel.queue_declare(queue, durable=True, arguments=_IMPOSSIBLE)


def _publish_to_nobody(channel: BlockingChannel) -> None:
    channel.confirm_delivery()
    try:
        channel.basic_publish("", f"task-creator.nobody.{uuid.uuid4().hex}", b"", mandatory=True)
    except UnroutableError:
        return


def _is_denied(connection: pika.BlockingConnection, order: Callable[[BlockingChannel], object]) -> bool:
    return _is_denial(_refused(connection, order))


def _is_denial(refusal: ChannelClosedByBroker | None) -> bool:
    return refusal is not None and refusal.reply_code == ACCESS_REFUSED and _IN_USE not in refusal.reply_text


def _refused(
    connection: pika.BlockingConnection, order: Callable[[BlockingChannel], object]
) -> ChannelClosedByBroker | None:
    channel = connection.channel()
    try:
        order(channel)
    except ChannelClosedByBroker as refusal:
        return refusal
    channel.close()
    return None


def _is_refused(connection: pika.BlockingConnection, queue: str) -> bool:
    orders = (_declare_impossibly, _consume_impossibly)
    return any(_is_denied(connection, partial(order, queue=queue)) for order in orders)


def _without_shards(queue: str, shard: str) -> Text:
    return Text(
        f"{queue} stays whole when it is large, and a finished task in it is found later: the user may not create and "
        f"read {shard} and those after it; give the right, or set TRACKER_SHARDS=false",
        f"{queue} останется целой и тогда, когда станет большой, и завершённая в ней задача найдётся позже: "
        f"пользователю нельзя создать и читать {shard} и следующие; дайте право или задайте TRACKER_SHARDS=false",
    )


def _transient(queue: str) -> Text:
    return Text(
        f"{queue} is not durable: what is in it is gone when RabbitMQ restarts, and RabbitMQ 4.3 makes no such queue "
        "any more (deprecated feature transient_nonexcl_queues); create it anew as durable",
        f"{queue} не durable: её содержимое исчезнет при перезапуске RabbitMQ, а RabbitMQ 4.3 таких очередей уже не "
        "создаёт (устаревшая возможность transient_nonexcl_queues); создайте её заново как durable",
    )


def _too_old(version: str) -> Text:
    return Text(
        f"RabbitMQ {version} is older than 3.10: its wait queues cannot hand on what they hold without losing it",
        f"RabbitMQ {version} старше 3.10: её очереди ожидания не умеют передавать сообщения без потерь",
    )


def _without_rights(denied: Sequence[str], used: pika.ConnectionParameters) -> Text:
    user, vhost = getattr(used.credentials, "username", "?"), used.virtual_host
    command = f"rabbitmqctl set_permissions --vhost '{vhost}' '{user}' CONFIGURE WRITE READ"
    what = ", ".join(denied)
    return Text(
        f"the user {user} (RABBITMQ_USERNAME) lacks rights in the virtual host {vhost}: {what}; give them by regular "
        f"expressions: {command}",
        f"пользователю {user} (RABBITMQ_USERNAME) не хватает прав в виртуальном хосте {vhost}: {what}; права даются "
        f"регулярными выражениями: {command}",
    )


def _alarm() -> Text:
    return Text(
        "RabbitMQ has raised an alarm (memory or disk, see rabbitmq-diagnostics alarms) and takes no messages: nothing "
        "is lost, and nothing gets on until it is over",
        "RabbitMQ поднял тревогу (память или диск, см. rabbitmq-diagnostics alarms) и не принимает сообщения: ничего "
        "не теряется, но и не движется, пока она не снята",
    )
