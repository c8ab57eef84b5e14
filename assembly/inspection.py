"""Looks at each system once when the worker starts, and tells what should be mended."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from base_handler import BaseMessageHandler
from core.errors import OutcomeError, StoppingError
from core.events.base import EventStream
from core.events.systems import SystemRemark
from core.texts import Text


def inspect_all(handlers: Mapping[str, BaseMessageHandler], events: EventStream) -> None:
    """Look at the system of each handler (by queue) in a thread of its own.

    Nobody waits for it: one that hangs must not hold up the start.
    """
    for queue, handler in handlers.items():
        threading.Thread(target=_look_at, args=(queue, handler, events), name=f"inspect-{queue}", daemon=True).start()


def _look_at(queue: str, handler: BaseMessageHandler, events: EventStream) -> None:
    try:
        for remark in handler.inspect():
            events.emit(SystemRemark(queue, Text.of(remark), is_fault=True))
    except (OutcomeError, StoppingError) as error:  # the first message will meet it, too
        events.emit(SystemRemark(queue, Text.of(f"{queue} could not be inspected: {error}"), is_fault=False))
    except Exception as error:  # noqa: BLE001 - one of the four borders: a handler is foreign code
        text = Text.of(f"inspecting {queue} failed")
        events.emit(SystemRemark(queue, text, is_fault=True, mistake=error))
