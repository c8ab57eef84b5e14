"""What the e-mail tests share: settings for a local server, and messages as Camunda's side writes them."""

from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path
from typing import Any, Protocol

from consumers.email.client import SmtpClient
from consumers.email.config import EmailSettings
from consumers.email.handler import EmailHandler
from core.messages import CamundaTask, IncomingMessage
from toolkit.send_journal import SendJournal

SENDER = "worker@example.ru"


class Listening(Protocol):
    """Whatever takes mails on a port of this machine."""

    @property
    def port(self) -> int: ...


def settings_for(server: Listening | None, folder: Path, **changes: Any) -> EmailSettings:
    given: dict[str, Any] = {
        "smtp_host": "127.0.0.1",
        "smtp_port": server.port if server else 1,
        "tls": "none",
        "sender": SENDER,
        "state_dir": folder / "state",
        "connect_timeout": 10,
        "command_timeout": 20,
        "ambiguous_wait": 0.05,
        **changes,
    }
    return EmailSettings(**given)


def handler_for(server: Listening, folder: Path, **changes: Any) -> EmailHandler:
    settings = settings_for(server, folder, **changes)
    return EmailHandler(settings, SmtpClient(settings, threading.Event()), SendJournal(settings.state_dir, "email"))


def task(
    key: str | None = None, *, topic: str = "send_email", name: str = "Согласовать договор", **variables: Any
) -> CamundaTask:
    fields = {
        "task_id": key or str(uuid.uuid4()),
        "topic": topic,
        "system": "email",
        "variables": variables,
        "activity_id": "Activity_1",
        "metadata": {"activityInfo": {"id": "Activity_1", "name": name}},
    }
    return CamundaTask(json.dumps(fields, ensure_ascii=False).encode(), fields)


def message(
    key: str | None = None, *, attempt: int = 1, redelivered: bool = False, **variables: Any
) -> IncomingMessage:
    """One message of email.queue; `key` is the Camunda task id. A mail to a@example.com unless told otherwise."""
    given = {"to": "a@example.com", "subject": "Проверка", "body": "Текст", **variables}
    return IncomingMessage(task(key, **given), "email.queue", attempt=attempt, redelivered=redelivered)
