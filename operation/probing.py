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
    """What came of it. `is_usable` is None where nothing was asked; `remarks` say what is to be mended."""

    is_usable: bool | None
    reason: Text | None = None
    code: str | None = None
    remarks: Sequence[Text] = ()


_NOT_ASKED = Text("not asked: {system} has no check of its own", "не проверяется: у {system} нет своей проверки")


def probe(desk: Desk, queue: str) -> Probed:
    """Ask the system of an input queue. Raises LoadError."""
    handler = desk.any_handler_of(queue)
    if isinstance(handler, Text):
        return Probed(None, handler)
    told: list[Probed] = []

    def ask() -> None:
        try:
            told.append(probed(handler))
        except Exception as error:  # noqa: BLE001 - a handler is foreign code, and whoever asks must hear of it
            told.append(Probed(False, Text.of(f"{type(error).__name__}: {error}")))

    # A daemon thread: a request that hangs must not hold up whoever asks, or the end of the process.
    asking = threading.Thread(target=ask, name=f"probe-{queue}", daemon=True)
    asking.start()
    asking.join(PATIENCE)
    seconds = round(PATIENCE)
    silent = Probed(False, Text(f"no answer within {seconds} s", f"нет ответа за {seconds} с"), "time_out")
    return next(iter(told), silent)


def probed(handler: BaseMessageHandler) -> Probed:
    """Ask the system of a handler, for as long as that takes."""
    if type(handler).probe is BaseMessageHandler.probe:
        return Probed(None, _NOT_ASKED.map(lambda text: text.format(system=handler.system_name)))
    try:
        handler.probe()
        remarks = [Text.of(each) for each in handler.inspect()]
    except OutcomeError as error:
        return Probed(False, error.text, error.code)
    return Probed(True, remarks=remarks)
