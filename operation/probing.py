"""Asks one system now whether it can be used, as a worker does before it takes its first message."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from base_handler import BaseMessageHandler
from core.errors import OutcomeError
from core.texts import Text
from operation.desk import Desk

PATIENCE = 20.0  # seconds in which a system must have answered


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of it. `is_usable` is None where nothing can be asked; `remarks` say what is to be mended."""

    is_usable: bool | None
    reason: Text | None = None
    code: str | None = None
    remarks: Sequence[Text] = ()


_NOTHING_TO_ASK = Text("this handler has nothing that could be asked", "этому обработчику нечего спросить")


def probe(desk: Desk, queue: str) -> Probed:
    """Ask the system of an input queue. Raises LoadError."""
    handler = desk.any_handler_of(queue)
    if isinstance(handler, Text):
        return Probed(None, handler)
    if type(handler).probe is BaseMessageHandler.probe:
        return Probed(None, _NOTHING_TO_ASK)
    told: list[Probed] = []
    # A daemon thread: a request that hangs must not hold up whoever asks, or the end of the process.
    asking = threading.Thread(target=lambda: told.append(_probed(handler)), name=f"probe-{queue}", daemon=True)
    asking.start()
    asking.join(PATIENCE)
    seconds = round(PATIENCE)
    silent = Probed(False, Text(f"no answer within {seconds} s", f"нет ответа за {seconds} с"), "time_out")
    return next(iter(told), silent)


def _probed(handler: BaseMessageHandler) -> Probed:
    try:
        handler.probe()
        remarks = [Text.of(each) for each in handler.inspect()]
    except OutcomeError as error:
        return Probed(False, error.text, error.code)
    except Exception as error:  # noqa: BLE001 - a handler is foreign code, and whoever asks must hear of it
        return Probed(False, Text.of(f"{type(error).__name__}: {error}"))
    return Probed(True, remarks=remarks)
