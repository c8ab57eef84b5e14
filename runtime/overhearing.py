"""Lets a sink hear what goes past its stream: the events of code that is given none (core.events.base.write).

Such code stands everywhere, in settings and systems too, and all of it comes to one logger of Python's own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from core.events.base import HAPPENED, Event, Sink, log, wants


@contextmanager
def overheard_by(sink: Sink) -> Iterator[None]:
    """Give `sink` such events as well, those too that LOG_LEVEL leaves out of the log. `sink` must not block."""
    ear, level = _Ear(sink), log.level
    log.addHandler(ear)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(ear)


def pass_on(event: Event) -> None:
    """Tell an event of the log itself, which cannot be written to the log as others are."""
    record = logging.makeLogRecord({HAPPENED: event})
    for ear in log.handlers:
        ear.handle(record)


class _Ear(logging.Handler):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        event: Event | None = getattr(record, HAPPENED, None)
        if event is None or not wants(self._sink, type(event)):
            return  # without one, it has come by a stream
        try:
            self._sink(event)
        except Exception:  # noqa: BLE001 - one of the four borders: watching must not stop working
            self.handleError(record)
