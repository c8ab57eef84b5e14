"""Faults on purpose: those of every sandbox that SMTP knows, and refusals by their codes.

server.inject(faults.refusal(451, "4.3.0 try again later"), "content")
server.inject(faults.reset(after_execution=True), "content")      # taken, and the answer is lost

The calls are `connect`, `helo`, `mail`, `rcpt`, `rset`, `data`, `content` (the end of a mail, before and after it is
taken) and `quit`.
"""

from __future__ import annotations

from sandbox.faults import Fault, delay, reset

__all__ = ["Fault", "RawReplyError", "ReplyError", "answer", "delay", "refusal", "reset"]


class ReplyError(Exception):
    """The server answers so in place of what it would have said."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")


class RawReplyError(Exception):
    """The server sends these bytes, whatever they are."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.raw = raw


def answer(raw: bytes, *, after_execution: bool = False) -> Fault:
    return Fault(effect=lambda: RawReplyError(raw), after_execution=after_execution)


def refusal(code: int, text: str, *, after_execution: bool = False) -> Fault:
    return Fault(effect=lambda: ReplyError(code, text), after_execution=after_execution)
