"""Spans as the SDK's own exporter in memory has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from testbench.harness import wait_until
from tracing.exporting import Tracing


class Recorded:
    """The spans that have ended. `tracing` is for the worker."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = Tracing([SimpleSpanProcessor(self._exporter)])

    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only span of that name, when it has ended."""
        wait_until(lambda: bool(self.named(name)), what=f"a span {name}")
        [span] = self.named(name)
        return span


def ids(span: ReadableSpan) -> tuple[str, str]:
    """Trace and span, as a header has them."""
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def told(span: ReadableSpan) -> Mapping[str, Any]:
    return dict(span.attributes or {})
