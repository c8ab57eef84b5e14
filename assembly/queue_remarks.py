"""Remarks on queues that drop what is returned too often: in the log of a worker, in `config check --probe`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from broker.errors import BROKER_ERRORS
from broker.nodes import Parameters
from broker.queue_check import dangers
from broker.unreachable import explain
from core.texts import Language, Text

log = logging.getLogger(__name__)

POLL = 1.0  # seconds between looks whether the queues are there

_NOT_ASKED = Text(
    "RabbitMQ could not be asked about its queues: {reason}", "RabbitMQ не удалось спросить об очередях: {reason}"
)


def log_remarks(
    parameters: Parameters,
    queues: Iterable[str],
    is_ready: Callable[[], bool],
    wait: Callable[[float], bool],
) -> None:
    """In a thread of its own, when the worker has made sure of its queues; `wait` is true when it stops."""
    while not is_ready():
        if wait(POLL):
            return
    try:
        for danger in dangers(parameters, queues):
            extra = {"event": "queue.remark", "queue": ", ".join(danger.queues)}
            log.warning("%s", danger.text().en, extra=extra)
    except BROKER_ERRORS as error:
        log.info("%s", _NOT_ASKED.en.format(reason=explain(error).en), extra={"event": "queue.remark"})


def remarks(parameters: Parameters, queues: Iterable[str], lang: Language) -> list[str]:
    """For a person at a terminal."""
    try:
        return [danger.text().say(lang) for danger in dangers(parameters, queues)]
    except BROKER_ERRORS as error:
        return [_NOT_ASKED.say(lang).format(reason=explain(error).say(lang))]
