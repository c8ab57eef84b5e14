"""Faults on purpose: those of every sandbox, and the portal's own refusals.

    portal.inject(faults.error("QUERY_LIMIT_EXCEEDED"), "tasks.task.add", count=3)
    portal.inject(faults.delay(30, after_execution=True), "tasks.task.add")      # executed, answered too late
    portal.inject(faults.reset(after_execution=True), "batch", probability=0.1, count=None)

A fault of a method meets its calls inside a batch too: a refusal is then that command's error, a reset or a foreign
answer ends the whole HTTP request (commands before it stay executed).
"""

from __future__ import annotations

from sandbox.bitrix24.errors import SYSTEM_ERRORS, RestError, system_error
from sandbox.faults import (
    MEBIBYTE,
    Fault,
    FaultPlan,
    Injection,
    answer,
    broken_json,
    delay,
    gzip_bomb,
    html,
    huge_body,
    redirect,
    reset,
    trickle,
)

__all__ = [
    "MEBIBYTE",
    "Fault",
    "FaultPlan",
    "Injection",
    "answer",
    "broken_json",
    "delay",
    "error",
    "gzip_bomb",
    "html",
    "huge_body",
    "redirect",
    "reset",
    "trickle",
]


def error(
    code: str,
    description: str | None = None,
    *,
    status: int | None = None,
    after_execution: bool = False,
    retry_after: int | None = None,
) -> Fault:
    """A refusal in the portal's own form; status and text of documented codes are filled in (else 400)."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if code in SYSTEM_ERRORS and description is None and status is None:
        return Fault(effect=lambda: system_error(code, headers), after_execution=after_execution)
    refusal_status = status or SYSTEM_ERRORS.get(code, (400, ""))[0]
    return Fault(
        effect=lambda: RestError(code, description or code, status=refusal_status, headers=headers),
        after_execution=after_execution,
    )
