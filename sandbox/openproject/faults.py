"""Faults on purpose: those of every sandbox, and the server's own refusals.

server.inject(faults.refusal(409, "UpdateConflict"), "PATCH work_packages/*")
server.inject(faults.delay(30, after_execution=True), "POST *")      # executed, answered too late
"""

from __future__ import annotations

from sandbox.faults import Fault, answer, broken_json, delay, gzip_bomb, html, huge_body, redirect, reset, trickle
from sandbox.openproject.errors import ApiError

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
    status: int, name: str, message: str = "нет", *, after_execution: bool = False, retry_after: int | None = None
) -> Fault:
    """An error in the server's own form."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Fault(effect=lambda: ApiError(status, name, message, headers=headers), after_execution=after_execution)
