"""Takes spans to a collector, by OTLP over HTTP, in a thread of its own that nobody waits for.

Up to 2,048 spans (OTEL_BSP_MAX_QUEUE_SIZE) wait for it; the oldest are dropped then. What the collector does not take
is lost, which is told once a minute.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence

from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.semconv.schemas import Schemas

from core.events.base import write
from core.events.worker import SpansLost
from core.traces import Tracer
from core.version import VERSION
from tracing.spans import OtelTracer

SERVICE = "task-creator"
_PATH = re.compile(r" with url: \S+")  # what requests says of an address; a path may hold a secret
_EXPORTER_LOG = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


def _nothing() -> None:
    pass


class Tracing:
    """The spans of this process, from the making to the end. `give_up` has the exporter leave what it is doing."""

    def __init__(self, processors: Sequence[SpanProcessor], give_up: Callable[[], None] = _nothing) -> None:
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        for processor in processors:
            self._provider.add_span_processor(processor)
        self._give_up = give_up
        tracer = self._provider.get_tracer(SERVICE, VERSION, schema_url=Schemas.V1_44_0.value)
        self.tracer: Tracer = OtelTracer(tracer)

    def finish(self, timeout: float) -> None:
        """Export what is left, for `timeout` seconds at most."""
        # The SDK's own shutdown waits for half a minute, and for longer when an exporter hangs.
        ending = threading.Thread(target=self._provider.shutdown, name="spans-end", daemon=True)
        ending.start()
        ending.join(timeout)
        if ending.is_alive():
            write(SpansLost(None, "the collector has not answered until the end"))
            self._give_up()


def exported(variables: Mapping[str, str], *, is_exported: bool) -> Tracing:
    """Make the tracing that OTEL_… asks for. `variables` come from `.env` as well; the SDK reads the environment."""
    for name, value in variables.items():
        if not os.environ.get(name, "").strip():  # an empty one counts as not set, here as with all settings
            os.environ[name] = value
    if not is_exported:
        return Tracing(())
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    exporter = ToldExporter(OTLPSpanExporter())
    return Tracing([BatchSpanProcessor(exporter)], exporter.shutdown)


class ToldExporter(SpanExporter):
    """An exporter whose failures are events; the log lines of `log`, several for each, become their reason."""

    def __init__(self, exporter: SpanExporter, log: str = _EXPORTER_LOG) -> None:
        self._exporter = exporter
        self._reasons: list[str] = []
        self._is_shut = False
        self._log = logging.getLogger(log)
        self._log.addFilter(self._overhear)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._reasons.clear()
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            reason = self._reasons[0] if self._reasons else "it was stopped"
            write(SpansLost(len(spans), _PATH.sub("", reason)))
        return result

    def shutdown(self) -> None:
        if not self._is_shut:
            self._is_shut = True
            self._exporter.shutdown()
            self._log.removeFilter(self._overhear)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _overhear(self, record: logging.LogRecord) -> bool:
        self._reasons.append(record.getMessage())
        return False


def _resource() -> Resource:
    told = Resource.create({SERVICE_VERSION: VERSION})
    is_named = not str(told.attributes.get(SERVICE_NAME, "")).startswith("unknown_service")
    return told if is_named else told.merge(Resource({SERVICE_NAME: SERVICE}))
