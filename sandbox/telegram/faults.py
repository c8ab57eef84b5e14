"""Faults on purpose: those of every sandbox, and Telegram's own refusals.

server.inject(faults.refusal(403, "Forbidden: bot was blocked by the user"), "sendMessage")
server.inject(faults.delay(30, after_execution=True), "sendMessage")      # executed, answered too late
"""

from __future__ import annotations

from sandbox.faults import Fault, answer, broken_json, delay, gzip_bomb, html, huge_body, redirect, reset, trickle
from sandbox.telegram.errors import ApiError

__all__ = [
    "Fault",
    "answer",
    "broken_json",
    "delay",
    "gzip_bomb",
    "html",
    "huge_body",
    "redirect",
    "refusal",
    "reset",
    "trickle",
]


def refusal(
    code: int,
    description: str,
    *,
    retry_after: int | None = None,
    migrate_to_chat_id: int | None = None,
    after_execution: bool = False,
) -> Fault:
    """An error in the server's own form."""
    return Fault(
        effect=lambda: ApiError(code, description, retry_after=retry_after, migrate_to_chat_id=migrate_to_chat_id),
        after_execution=after_execution,
    )
