"""What the Telegram tests share: settings for a sandbox server, and messages as Camunda's side writes them."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from consumers.telegram.client import TelegramClient
from consumers.telegram.config import TelegramSettings
from consumers.telegram.handler import TelegramHandler
from core.errors import OutcomeError
from core.messages import CamundaTask, IncomingMessage
from core.results import Result
from sandbox.telegram import PERSON, TelegramSandbox


def settings_for(server: TelegramSandbox, folder: Path, **changes: Any) -> TelegramSettings:
    """The sandbox's limits are off unless a test turns them on, so ours are wide open, too."""
    given: dict[str, Any] = {
        "bot_token": SecretStr(server.token),
        "api_url": server.base_url,
        "chat_id": str(PERSON),
        "state_dir": folder,
        "request_timeout": 10,
        "rate_per_second": 1000,
        "chat_rate_per_second": 1000,
        "chat_burst": 1000,
        "group_rate_per_minute": 60_000,
        **changes,
    }
    return TelegramSettings(**given)


def client_for(server: TelegramSandbox, folder: Path, **changes: Any) -> TelegramClient:
    return TelegramClient(settings_for(server, folder, **changes), threading.Event())


@contextmanager
def handler_for(
    server: TelegramSandbox, folder: Path, stop: threading.Event | None = None, **changes: Any
) -> Iterator[TelegramHandler]:
    handler = TelegramHandler.from_settings(settings_for(server, folder, **changes), stop or threading.Event())
    try:
        yield handler
    finally:
        handler.close()


def message(
    topic: str = "send_telegram",
    *,
    key: str | None = None,
    extensions: dict[str, Any] | None = None,
    attempt: int = 1,
    redelivered: bool = False,
    **variables: Any,
) -> IncomingMessage:
    """One message of telegram.queue; `key` is the Camunda task id."""
    fields = {
        "task_id": key or str(uuid.uuid4()),
        "topic": topic,
        "system": "python-services",
        "variables": variables,
        "activity_id": "Activity_1",
        "metadata": {"extensionProperties": extensions or {}},
    }
    body = json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return IncomingMessage(CamundaTask(body, fields), "telegram.queue", attempt=attempt, redelivered=redelivered)


def outcome(handler: TelegramHandler, incoming: IncomingMessage) -> Result | OutcomeError:
    try:
        return handler.handle(incoming)
    except OutcomeError as error:
        return error
