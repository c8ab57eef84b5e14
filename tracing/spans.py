"""Makes the worker's steps spans of OpenTelemetry, named and described as its semantic conventions 1.44 say.

opentelemetry.io/docs/specs/semconv/messaging/rabbitmq, …/messaging/messaging-spans and …/http/http-spans. Two things
differ on purpose: `url.full` is left out, since webhooks hold their secret in the path, and a span is named after its
queue alone, since a copy that has waited for a retry comes by another exchange and is the same step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.semconv._incubating.attributes import messaging_attributes as messaging
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes
from opentelemetry.trace.span import TraceState

from core import traces
from core.traces import TakenUp, Trace

Attributes = dict[str, str | int]

_CODE_LIMIT = 100  # characters; codes of a foreign server are in its hands
_PORTS = {"http": 80, "https": 443}


class OtelTracer:
    """Begins the spans of messages."""

    def __init__(self, tracer: api.Tracer) -> None:
        self._tracer = tracer

    def begin(self, operation: Literal["process", "track"], message: TakenUp) -> OtelSpan:
        told = _about(operation, "process", _destination(message), message.routing_key)
        told |= _named(message.message_id, message.process_instance_id)
        parent = Context() if message.trace is None else api.set_span_in_context(_remote(message.trace))
        name = f"{operation} {message.queue}"
        span = self._tracer.start_span(name, parent, kind=api.SpanKind.CONSUMER, attributes=told)
        return OtelSpan(self._tracer, span, message.process_instance_id)


class OtelSpan:
    """One span. The first failure that is noted stays."""

    __slots__ = ("_failed", "_process", "_span", "_tracer")

    def __init__(self, tracer: api.Tracer, span: api.Span, process_instance_id: str | None) -> None:
        self._tracer = tracer
        self._span = span
        self._process = process_instance_id
        self._failed = False

    @property
    def trace(self) -> Trace:
        # Made anew each time: kept, the two would hold each other until the garbage collector comes.
        context = self._span.get_span_context()
        state = context.trace_state.to_header() or None
        return Trace(f"{context.trace_id:032x}", f"{context.span_id:016x}", f"{context.trace_flags:02x}", state, self)

    def sending(self, queue: str, message_id: str) -> OtelSpan:
        told = _about("send", "send", queue, queue) | _named(message_id, self._process)
        return self._child(f"send {queue}", api.SpanKind.PRODUCER, told)

    def requesting(self, method: str, url: str, others: Sequence[traces.Span]) -> OtelSpan:
        told: Attributes = {http_attributes.HTTP_REQUEST_METHOD: method, **_server(url)}
        mine = self._span.get_span_context()
        contexts = [other._span.get_span_context() for other in others if isinstance(other, OtelSpan)]
        if all(context.trace_id == mine.trace_id for context in contexts):
            return self._child(method, api.SpanKind.CLIENT, told, contexts)
        # For messages of several traces: a trace of its own, which links to each of them.
        links = [api.Link(context) for context in (mine, *contexts)]
        span = self._tracer.start_span(method, Context(), kind=api.SpanKind.CLIENT, attributes=told, links=links)
        return OtelSpan(self._tracer, span, None)

    def answered(self, status: int) -> None:
        self._span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, status)
        if status >= 400:
            self.fail(str(status))

    def fail(self, code: str) -> None:
        if not self._failed:
            self._failed = True
            told = _printable(code)[:_CODE_LIMIT]
            self._span.set_attribute(error_attributes.ERROR_TYPE, told)
            self._span.set_status(api.Status(api.StatusCode.ERROR, told))

    def end(self) -> None:
        self._span.end()

    def _child(
        self, name: str, kind: api.SpanKind, told: Attributes, linked: Sequence[api.SpanContext] = ()
    ) -> OtelSpan:
        links = [api.Link(context) for context in linked]
        parent = api.set_span_in_context(self._span, Context())
        span = self._tracer.start_span(name, parent, kind=kind, attributes=told, links=links)
        return OtelSpan(self._tracer, span, self._process)


def _remote(trace: Trace) -> api.Span:
    state = TraceState.from_header([trace.state]) if trace.state else None
    flags = api.TraceFlags(int(trace.flags, 16))
    return api.NonRecordingSpan(api.SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), True, flags, state))


def _destination(message: TakenUp) -> str:
    """`exchange:routing key:queue` without what is empty; a routing key that is the queue's name stands once."""
    key = "" if message.routing_key == message.queue else message.routing_key
    return ":".join(filter(None, (message.exchange, key, message.queue)))


def _about(name: str, kind: str, destination: str, routing_key: str) -> Attributes:
    told: Attributes = {
        messaging.MESSAGING_SYSTEM: "rabbitmq",
        messaging.MESSAGING_OPERATION_NAME: name,
        messaging.MESSAGING_OPERATION_TYPE: kind,
        messaging.MESSAGING_DESTINATION_NAME: _printable(destination),
    }
    if routing_key:
        told[messaging.MESSAGING_RABBITMQ_DESTINATION_ROUTING_KEY] = _printable(routing_key)
    return told


def _named(message_id: str | None, process_instance_id: str | None) -> Attributes:
    told: Attributes = {}
    if message_id:
        told[messaging.MESSAGING_MESSAGE_ID] = _printable(message_id)
    if process_instance_id:
        told[messaging.MESSAGING_MESSAGE_CONVERSATION_ID] = _printable(process_instance_id)
    return told


def _server(url: str) -> Attributes:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # the request will say so
        return {}
    told: Attributes = {} if host is None else {server_attributes.SERVER_ADDRESS: host}
    return told if port is None else {**told, server_attributes.SERVER_PORT: port}


def _printable(text: str) -> str:
    # A lone surrogate, which stands for a byte that is not UTF-8, would cost the whole batch of spans.
    return text.encode("utf-8", "backslashreplace").decode()
