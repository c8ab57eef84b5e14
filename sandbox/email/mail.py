"""A mail as a server has taken it."""

from __future__ import annotations

from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as one transaction brought it; `at` in seconds since 1970."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes = field(repr=False)
    at: float

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=default)

    @property
    def task_id(self) -> str:
        return str(self.message["X-Camunda-Task-Id"] or "")

    @property
    def subject(self) -> str:
        return str(self.message["Subject"] or "")
