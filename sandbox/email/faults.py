"""Faults on purpose: those of every sandbox that SMTP knows, and refusals by their codes.

server.inject(faults.refusal(451, "4.3.0 try again later"), "content")
server.inject(faults.reset(after_execution=True), "content")      # taken, and the answer is lost

The calls are `connect`, `mail`, `rcpt` and `content` (the end of a mail, before and after it is taken).
"""

from __future__ import annotations

from sandbox.faults import Fault, delay, reset

__all__ = ["Fault", "ReplyError", "delay", "refusal", "reset"]


class ReplyError(Exception):
    """The server answers so in place of what it would have said."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")


def refusal(code: int, text: str, *, after_execution: bool = False) -> Fault:
    return Fault(effect=lambda: ReplyError(code, text), after_execution=after_execution)
