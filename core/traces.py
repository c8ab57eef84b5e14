"""Keeps a message in the trace of whoever sent it: W3C trace context, version 00 (www.w3.org/TR/trace-context).

A trace comes with the AMQP headers `traceparent` and `tracestate`, goes along with each request that is made for its
message alone, and stands in the headers of the result, the response and the error report.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from core.messages import OutgoingMessage

PARENT, STATE = "traceparent", "tracestate"
STATE_LIMIT = 512  # characters that everybody must pass on; more may be dropped whole

# Version 00 has four fields; a later one may have more, of which these four are read as well (section 3.2.4).
_PARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_INVALID_VERSION = "ff"


@dataclass(frozen=True, slots=True)
class Trace:
    """`trace_id` and `span_id` in hexadecimal digits, as the header has them; `state` is what vendors keep there."""

    trace_id: str
    span_id: str
    flags: str
    state: str | None = None

    def headers(self) -> dict[str, str]:
        told = {PARENT: f"00-{self.trace_id}-{self.span_id}-{self.flags}"}
        return told if self.state is None else {**told, STATE: self.state}

    def child(self) -> Trace:
        """Return the same trace with a span of its own."""
        return replace(self, span_id=secrets.token_hex(8))


def trace_of(headers: Mapping[str, Any] | None) -> Trace | None:
    """Return the trace that headers name; None where they name none, or none that is valid. Raises nothing."""
    if not headers or (told := headers.get(PARENT)) is None:
        return None
    found = _PARENT.fullmatch(_text(told))
    if found is None or found["version"] == _INVALID_VERSION or (found["version"] == "00" and found["more"]):
        return None
    if not int(found["trace"], 16) or not int(found["span"], 16):
        return None
    state = _text(headers.get(STATE))
    return Trace(found["trace"], found["span"], found["flags"], state if 0 < len(state) <= STATE_LIMIT else None)


def traced(message: OutgoingMessage, headers: Mapping[str, Any] | None) -> OutgoingMessage:
    """Return the message in the trace of the headers that its cause came with."""
    trace = trace_of(headers)
    return message if trace is None else replace(message, headers={**message.headers, **trace.headers()})


@contextmanager
def within(trace: Trace | None) -> Iterator[None]:
    """Have the requests of this thread belong to a trace, or to none."""
    token = _CURRENT.set(trace)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def leave_trace() -> None:
    """Have the requests of this thread belong to no trace until `within` ends."""
    _CURRENT.set(None)


def common_trace(headers: Iterable[Mapping[str, Any] | None]) -> Trace | None:
    """Return the trace that all of these name; None where they name several, or one of them none."""
    traces = {trace_of(each) for each in headers}
    return traces.pop() if len(traces) == 1 else None


def current_trace() -> Trace | None:
    return _CURRENT.get()


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return value if isinstance(value, str) else ""


_CURRENT: ContextVar[Trace | None] = ContextVar("trace", default=None)  # one for each thread, whose work is one message
