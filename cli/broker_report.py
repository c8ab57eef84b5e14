"""Reports on RabbitMQ for `config check --probe`: whether it can be used, and what will be created."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from assembly.queue_remarks import remarks
from assembly.startup import Startup
from base_handler import BaseMessageHandler
from base_tracker import BaseTracker
from broker.connection import connection_parameters
from broker.errors import BROKER_ERRORS
from broker.rights_check import Needs, look
from broker.topology import ERRORS_QUEUE
from broker.unreachable import explain
from core.texts import Language, Text

_USABLE = Text(
    "answers: RabbitMQ {version} at {place}, virtual host {vhost}, user {user}",
    "отвечает: RabbitMQ {version} на {place}, виртуальный хост {vhost}, пользователь {user}",
)
_UNUSABLE = Text("NOT USABLE: {reason}", "НЕЛЬЗЯ ИСПОЛЬЗОВАТЬ: {reason}")
_TO_MEND = Text("TO BE MENDED: {what}", "ИСПРАВИТЬ: {what}")
_WILL_CREATE = Text("will be created at the start: {queues}", "будут созданы при запуске: {queues}")


@dataclass(frozen=True, slots=True)
class BrokerReport:
    """The report on RabbitMQ. `lines` for a person; `remarks` are worth a line and keep nobody from working."""

    lines: list[str]
    remarks: list[str]
    is_usable: bool


def needs_of(startup: Startup, handlers: Mapping[str, BaseMessageHandler], tracked: Iterable[str]) -> Needs:
    """Return what a worker with these handlers, which follows these queues, asks of RabbitMQ."""
    settings, worker = startup.settings.rabbitmq, startup.settings.worker
    tracked = list(tracked)
    return Needs(
        inputs=tuple(handlers),
        sent=tuple(dict.fromkeys([*map(worker.sent_queue_of, handlers), *tracked])),
        written=(settings.responses_queue, ERRORS_QUEUE),
        spread=[queue for queue in tracked if worker.tracker_shards and _can_tell(startup.trackers.get(queue))],
        exclusive=tuple(queue for queue, handler in handlers.items() if handler.exclusive),
    )


def _can_tell(tracker: type[Any] | None) -> bool:
    """Return whether a tracker can say what has changed: any other looks at everything, and keeps one queue."""
    return tracker is not None and getattr(tracker, "changes", BaseTracker.changes) is not BaseTracker.changes


def ask_broker(
    startup: Startup, handlers: Mapping[str, BaseMessageHandler], tracked: Iterable[str], lang: Language
) -> BrokerReport:
    settings, needs = startup.settings.rabbitmq, needs_of(startup, handlers, tracked)
    try:
        parameters = connection_parameters(settings, "check")
        found = look(parameters, needs)
        noticed = remarks(parameters, needs.at_start, lang) if not found.faults else []
    except BROKER_ERRORS as error:
        reason = startup.secrets.mask(explain(error).say(lang))
        return BrokerReport([_UNUSABLE.say(lang).format(reason=reason)], [], is_usable=False)
    told = _USABLE.say(lang).format(
        version=found.version, place=found.place, vhost=settings.virtual_host, user=settings.username
    )
    lines = [told, *(_TO_MEND.say(lang).format(what=each.say(lang)) for each in found.faults)]
    if created := [queue for queue in found.missing if queue in needs.at_start]:
        lines.append(_WILL_CREATE.say(lang).format(queues=", ".join(created)))
    own = [each.say(lang) for each in found.remarks]
    return BrokerReport(lines, [startup.secrets.mask(each) for each in (*own, *noticed)], is_usable=not found.faults)
