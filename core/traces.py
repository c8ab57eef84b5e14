"""Keeps a message in the trace of whoever sent it: W3C trace context, version 00 (www.w3.org/TR/trace-context).

A trace comes with the AMQP headers `traceparent` and `tracestate`, goes along with each request that is made for its
message, and stands in the headers of the result, the response and the error report. Where OpenTelemetry is in use,
the worker's own steps on the way are spans of it (`Tracer`, made by tracing/); else the trace is passed on as it came.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

PARENT, STATE = "traceparent", "tracestate"
STATE_LIMIT = 512  # characters that everybody must pass on; more may be dropped whole

# Version 00 has four fields; a later one may have more, of which these four are read as well (section 3.2.4).
_PARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_INVALID_VERSION = "ff"


class Span(Protocol):
    """One step of the work on a message, told to OpenTelemetry when it ends. Usable from any thread."""

    @property
    def trace(self) -> Trace:
        """What the steps that follow from this one belong to."""

    def sending(self, queue: str, message_id: str) -> Span:
        """Begin the sending of a message that comes of this step."""

    def requesting(self, method: str, url: str, others: Sequence[Span]) -> Span:
        """Begin a request that is made for this step, and for others as well. Nothing of the URL is told but where."""

    def answered(self, status: int) -> None:
        """Note the status of the answer to a request."""

    def fail(self, code: str) -> None:
        """Note that the step has failed; `code` is a short stable word, never a text with data in it."""

    def end(self) -> None:
        """End the step; nothing can be noted after."""


@dataclass(frozen=True, slots=True)
class Trace:
    """`trace_id` and `span_id` in hexadecimal digits, as the header has them; `state` is what vendors keep there.

    `span` is the step of ours that they name, where somebody records it.
    """

    trace_id: str
    span_id: str
    flags: str
    state: str | None = None
    span: Span | None = field(default=None, compare=False, repr=False)

    def headers(self) -> dict[str, str]:
        told = {PARENT: f"00-{self.trace_id}-{self.span_id}-{self.flags}"}
        return told if self.state is None else {**told, STATE: self.state}

    def child(self) -> Trace:
        """Return the same trace with a span of its own."""
        return replace(self, span_id=secrets.token_hex(8), span=None)


@dataclass(frozen=True, slots=True)
class TakenUp:
    """A message that is being worked on, as a span tells of it. `trace` is what it came with."""

    queue: str
    exchange: str
    routing_key: str
    message_id: str | None
    process_instance_id: str | None
    trace: Trace | None


class Tracer(Protocol):
    """Begins the spans that others follow from. Usable from any thread."""

    def begin(self, operation: Literal["process", "track"], message: TakenUp) -> Span:
        """Begin a step that goes on with the message's trace, or begins one where it has none."""


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


def within(*traces: Trace | None) -> AbstractContextManager[None]:
    """Have the requests of this thread be for messages of these traces, one for each message; None: it has none."""
    return _Within(_told(traces))


def widen(traces: Iterable[Trace | None]) -> None:
    """Have the requests of this thread be for these messages, until `within` ends."""
    _CURRENT.set(_told(tuple(traces)))


def current_traces() -> tuple[Trace | None, ...]:
    """Return the trace of each message that this thread's requests are for; nothing where none of them has one."""
    return _CURRENT.get()


def common_trace(traces: Iterable[Trace | None]) -> Trace | None:
    """Return the trace that all of these name; None where they name several, or one of them none."""
    found = set(traces)
    return found.pop() if len(found) == 1 else None


class _Within:
    """For every message, so no generator: that would take three times as long."""

    __slots__ = ("_token", "_traces")

    def __init__(self, traces: tuple[Trace | None, ...]) -> None:
        self._traces = traces

    def __enter__(self) -> None:
        self._token = _CURRENT.set(self._traces)

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)


def _told(traces: tuple[Trace | None, ...]) -> tuple[Trace | None, ...]:
    return traces if any(traces) else ()


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return value if isinstance(value, str) else ""


_CURRENT: ContextVar[tuple[Trace | None, ...]] = ContextVar("traces", default=())  # one for each thread
