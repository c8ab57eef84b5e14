"""Makes remarks on queues that drop what is returned too often: in a worker's log, in `config check --probe`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from broker.errors import BROKER_ERRORS
from broker.nodes import Parameters
from broker.queue_check import dangers
from broker.unreachable import explain
from core.events.base import EventStream
from core.events.queues import QueueRemark
from core.texts import Language, Text

POLL = 1.0  # seconds between looks whether the queues are there

_NOT_ASKED = Text(
    "RabbitMQ could not be asked about its queues: {reason}", "RabbitMQ не удалось спросить об очередях: {reason}"
)


def tell_remarks(
    parameters: Parameters,
    queues: Iterable[str],
    is_ready: Callable[[], bool],
    wait: Callable[[float], bool],
    events: EventStream,
) -> None:
    """Emit the remarks, in a thread of its own, when the worker's queues are ensured.

    `wait` is true when the worker stops.
    """
    while not is_ready():
        if wait(POLL):
            return
    try:
        for danger in dangers(parameters, queues):
            events.emit(QueueRemark(danger.queues, danger.text()))
    except BROKER_ERRORS as error:
        why = explain(error)
        told = Text(_NOT_ASKED.en.format(reason=why.en), _NOT_ASKED.ru.format(reason=why.ru))
        events.emit(QueueRemark((), told))


def remarks(parameters: Parameters, queues: Iterable[str], lang: Language) -> list[str]:
    """Return the remarks for a person at a terminal."""
    try:
        return [danger.text().say(lang) for danger in dangers(parameters, queues)]
    except BROKER_ERRORS as error:
        return [_NOT_ASKED.say(lang).format(reason=explain(error).say(lang))]
