"""Has a request belong to the trace of the message that it is made for, and be a span where spans are recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from core.traces import Span, common_trace, current_traces


@dataclass(frozen=True, slots=True)
class TracedCall:
    """One request. `headers` tell the other side to which trace it belongs."""

    headers: Mapping[str, str] = field(default_factory=dict)
    span: Span | None = None

    def answered(self, status: int) -> None:
        if self.span is not None:
            self.span.answered(status)

    def fail(self, word: str) -> None:
        if self.span is not None:
            self.span.fail(word)


@contextmanager
def traced_call(method: str, url: str) -> Iterator[TracedCall]:
    """Give the call that is made in the block. A request for several messages belongs to the trace of all of them."""
    call = _begun(method, url)
    try:
        yield call
    except BaseException as error:
        call.fail(type(error).__name__)  # a stop, or a delivery that is not ours any more: nothing was asked
        raise
    finally:
        if call.span is not None:
            call.span.end()


def _begun(method: str, url: str) -> TracedCall:
    traces = current_traces()
    if not traces:
        return TracedCall()
    if spans := [trace.span for trace in traces if trace is not None and trace.span is not None]:
        span = spans[0].requesting(method, url, spans[1:])
        return TracedCall(span.trace.headers(), span)
    common = common_trace(traces)
    return TracedCall() if common is None else TracedCall(common.child().headers())
