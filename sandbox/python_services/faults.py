"""Faults on purpose: those of every sandbox, and a service's own refusals.

server.inject(faults.refusal(503, retry_after=9), "post sync/*", count=None)
server.inject(faults.delay(30, after_execution=True), "post *")      # executed, answered too late
"""

from __future__ import annotations

import json
from typing import Any

from sandbox.faults import Fault, answer, broken_json, delay, gzip_bomb, html, huge_body, redirect, reset, trickle
from sandbox.http_front import RawAnswer

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
    "told",
    "trickle",
]


def refusal(status: int, *, after_execution: bool = False, retry_after: int | str | None = None, **error: Any) -> Fault:
    """An error in the services' own form; `error` is code, message, retryable, bpmn_error."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    body = json.dumps({"error": {"message": "нет", **error}}, ensure_ascii=False).encode()
    return answer(RawAnswer(status, body, headers=headers), after_execution=after_execution)


def told(status: int, body: Any = None, *, after_execution: bool = False, **headers: str) -> Fault:
    """Any answer: `told(202, Location="/status/1")`; underscores in names of headers are dashes."""
    raw = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer(RawAnswer(status, raw, headers=named), after_execution=after_execution)
