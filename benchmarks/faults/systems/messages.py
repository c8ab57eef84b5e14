"""E-mail and Telegram: neither recognises a repetition, so what was in flight at a crash may come a second time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.faults.account import PortalTask, Published
from benchmarks.faults.stage_spec import StageSpec
from benchmarks.faults.systems.base import Call, Target
from benchmarks.faults.tasks import key_of, message
from sandbox.email import EmailSandbox
from sandbox.email import faults as smtp_faults
from sandbox.faults import Fault
from sandbox.telegram import PERSON, TelegramSandbox
from sandbox.telegram import faults as telegram_faults

_THREADS = 4  # CONCURRENCY: so many send at a time, one message each


class Email(Target):
    name = "email"
    queue = "email.queue"
    sent_queue = "email.sent.queue"
    routing_key = None  # nothing on Camunda's side is bound to it
    promise = "perhaps twice"
    at_once = _THREADS
    ambiguous_wait = "EMAIL_AMBIGUOUS_WAIT"
    settings: ClassVar[Mapping[str, str]] = {"EMAIL_AMBIGUOUS_WAIT": "1", "EMAIL_DEFERRED_WAIT": "1"}
    impatient: ClassVar[Mapping[str, str]] = {
        "EMAIL_CONNECT_TIMEOUT": "1",
        "EMAIL_COMMAND_TIMEOUT": "1",
        "EMAIL_DATA_TIMEOUT": "1",
    }
    slow: ClassVar[Mapping[str, str]] = {"EMAIL_COMMAND_TIMEOUT": "6.5", "EMAIL_DATA_TIMEOUT": "60"}
    create = Call("content")

    def __init__(self, spec: StageSpec, folder: Path) -> None:
        super().__init__(spec, folder)
        self.server: EmailSandbox = EmailSandbox(latency=spec.latency, **spec.portal)

    def variables(self) -> dict[str, str]:
        return {
            "EMAIL_SMTP_HOST": "127.0.0.1",
            "EMAIL_SMTP_PORT": str(self.server.port),
            "EMAIL_TLS": "none",
            "EMAIL_FROM": "camunda@example.com",
        }

    @staticmethod
    def task(number: int) -> Published:
        variables = {"to": "sokolova@example.com", "subject": f"Договор № {number}", "body": "Согласован."}
        return Published(key_of(number), message(number, "python-services", "send_email", variables))

    @property
    def created(self) -> int:
        return len(self.server.mails())

    def objects(self) -> Mapping[str, Sequence[PortalTask]]:
        return {
            key: [PortalTask(str(mail.message["Message-ID"])) for mail in mails]
            for key, mails in self.server.by_task().items()
        }

    @staticmethod
    def read(response: Mapping[str, Any]) -> tuple[str, str | None]:
        return str(response.get("email_message_id")), None

    @staticmethod
    def failure(*, after_execution: bool = False) -> Fault:
        return smtp_faults.refusal(451, "4.3.0 local error", after_execution=after_execution)

    @staticmethod
    def limited() -> Fault:
        return smtp_faults.refusal(421, "4.7.0 too many connections")

    @property
    def requests(self) -> int:
        return self.server.connections


class Telegram(Target):
    name = "telegram"
    queue = "telegram.queue"
    sent_queue = "telegram.sent.queue"
    routing_key = None  # nothing on Camunda's side is bound to it
    promise = "perhaps twice"
    at_once = _THREADS
    settings: ClassVar[Mapping[str, str]] = {
        "TELEGRAM_RATE_PER_SECOND": "1000",  # the sandbox has no limit
        "TELEGRAM_CHAT_RATE_PER_SECOND": "1000",
        "TELEGRAM_CHAT_BURST": "1000",
        "TELEGRAM_GROUP_RATE_PER_MINUTE": "60000",
    }
    impatient: ClassVar[Mapping[str, str]] = {"TELEGRAM_REQUEST_TIMEOUT": "1", "TELEGRAM_CONNECT_TIMEOUT": "1"}
    slow: ClassVar[Mapping[str, str]] = {"TELEGRAM_REQUEST_TIMEOUT": "6.5"}
    create = Call("sendMessage")

    def __init__(self, spec: StageSpec, folder: Path) -> None:
        super().__init__(spec, folder)
        self.server: TelegramSandbox = TelegramSandbox(latency=spec.latency, **spec.portal)

    def variables(self) -> dict[str, str]:
        return {
            "TELEGRAM_BOT_TOKEN": self.server.token,
            "TELEGRAM_API_URL": self.server.base_url,
            "TELEGRAM_CHAT_ID": str(PERSON),
        }

    @staticmethod
    def task(number: int) -> Published:
        text = f"{key_of(number)}: договор № {number} ждёт решения"
        return Published(key_of(number), message(number, "python-services", "send_telegram", {"text": text}))

    @property
    def created(self) -> int:
        return len(self.server.messages)

    def objects(self) -> Mapping[str, Sequence[PortalTask]]:
        return {
            key: [PortalTask(str(each.message_id)) for each in found]
            for key, found in self.server.by_task(r"task-[0-9]{5}").items()
        }

    @staticmethod
    def read(response: Mapping[str, Any]) -> tuple[str, str | None]:
        return str(response.get("telegram_message_id")), None

    @staticmethod
    def failure(*, after_execution: bool = False) -> Fault:
        return telegram_faults.refusal(500, "Internal Server Error", after_execution=after_execution)

    @staticmethod
    def limited() -> Fault:
        return telegram_faults.refusal(429, "Too Many Requests: retry after 1", retry_after=1)

    def revoke(self) -> None:
        self.server.revoke_token()

    def restore(self) -> None:
        self.server.restore_token()

    @property
    def requests(self) -> int:
        return self.server.requests
