"""Kill points that are one system's own: around what it is asked and told. See killpoints."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.faults.patching import after, before
from consumers.bitrix import BitrixTaskTracker
from consumers.bitrix.batch import Command
from consumers.bitrix.client import BitrixClient
from consumers.bitrix.lookup import TaskLookup
from consumers.default.webhook import Webhook
from consumers.email.session import SmtpSession
from consumers.onec import OneCTracker
from consumers.onec.client import OneCClient
from consumers.openproject import OpenProjectTaskTracker
from consumers.openproject.client import OpenProjectClient
from consumers.openproject.lookup import WorkPackageLookup
from consumers.python_services import PythonServicesTracker
from consumers.python_services.client import ServiceClient
from consumers.python_services.processes import CallableProcess
from consumers.telegram.client import TelegramClient

_ON_THE_WIRE = 0.03  # seconds after which a request has left, and the system (latency!) has not answered

Step = Callable[[], None]

# Where each system is told to create something: class and method. Bitrix24 creates in batches.
_CREATIONS: Mapping[str, tuple[type, str]] = {
    "openproject": (OpenProjectClient, "write"),
    "1c": (OneCClient, "create"),
    "python-services": (ServiceClient, "call"),
    "callables": (CallableProcess, "call"),
    "email": (SmtpSession, "deliver"),
    "telegram": (TelegramClient, "send_message"),
    "default": (Webhook, "deliver"),
}
_TRACKERS: Mapping[str, type] = {
    "bitrix24": BitrixTaskTracker,
    "openproject": OpenProjectTaskTracker,
    "1c": OneCTracker,
    "python-services": PythonServicesTracker,
}


def looked_up(system: str, step: Step) -> None:
    owner, name = {"bitrix24": (TaskLookup, "read"), "openproject": (WorkPackageLookup, "find")}[system]
    at = 0 if system == "bitrix24" else 2  # where the keys stand among the arguments

    def answered(_found: Any, _self: Any, *args: Any) -> None:
        for _ in args[at]:
            step()

    after(owner, name, answered)


def on_the_wire(system: str, step: Step) -> None:  # counts requests
    if system == "bitrix24":

        def sending(_self: BitrixClient, commands: Sequence[Command], **_options: Any) -> None:
            if any(command.method == "tasks.task.add" for command in commands):
                threading.Timer(_ON_THE_WIRE, step).start()

        before(BitrixClient, "batch", sending)
        return
    owner, name = _CREATIONS[system]
    before(owner, name, lambda *_args, **_kwargs: threading.Timer(_ON_THE_WIRE, step).start())


def created(system: str, step: Step) -> None:
    if system == "bitrix24":
        _after_batch_with("tasks.task.add", step)
        return
    owner, name = _CREATIONS[system]
    after(owner, name, lambda *_args, **_kwargs: step())


def checklist(_system: str, step: Step) -> None:  # counts entries: headlines first, then items
    _after_batch_with("task.checklistitem.add", step)


def status_read(system: str, step: Step) -> None:  # counts sweeps that found something finished
    def checked(verdicts: Sequence[Any], *_args: Any) -> None:
        if any(type(verdict).__name__ == "Completed" for verdict in verdicts):
            step()

    after(_TRACKERS[system], "check", checked)


def _after_batch_with(method: str, step: Step) -> None:
    def answered(_reply: Any, _self: BitrixClient, commands: Sequence[Command], **_options: Any) -> None:
        for command in commands:
            if command.method == method:
                step()

    after(BitrixClient, "batch", answered)
