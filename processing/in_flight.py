"""One delivery on its way to its settlement: its history, its copy for a later try, its identity in an event."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from broker.deliveries import Delivery
from core.copies import decode_history, encode_copy, encode_rerouted, hops, kept_properties
from core.envelopes import unreadable_name
from core.events.base import Identity
from core.messages import (
    HEADER_COPY,
    HEADER_DUE,
    HEADER_FIRST_SEEN,
    HEADER_RETURNED,
    CamundaTask,
    OutgoingMessage,
)
from core.policy import Tries
from core.traces import Span, Trace, trace_of

CLOCKS_DIFFER = 60.0  # seconds; what was published later than that from now was not published in seconds since 1970


@dataclass(slots=True)
class InFlight:
    """One delivery on its way to its settlement."""

    delivery: Delivery
    system: str
    tries: Tries
    first_seen: float
    began: float  # of a clock that does not jump
    trace: Trace | None  # what the requests and messages that come of it belong to
    task: CamundaTask | None = None
    span: Span | None = None  # of the work on it, where that is recorded
    _identity: Identity | None = None  # once the task is known: several events of a message bear it

    @classmethod
    def begin(cls, delivery: Delivery, system: str) -> InFlight:
        tries, first_seen = decode_history(delivery.properties.headers or {}, time.time())
        return cls(delivery, system, tries, first_seen, time.monotonic(), trace_of(delivery.properties.headers))

    @property
    def may_be_begun(self) -> bool:
        """Whether a worker may have seen this message before and died with it: RabbitMQ says so, or our copy."""
        return self.delivery.redelivered or bool((self.delivery.properties.headers or {}).get(HEADER_RETURNED))

    @property
    def sent_at(self) -> float | None:
        """When the message was sent, as AMQP's own property says (unix seconds); None without one that can be right."""
        told = self.delivery.properties.timestamp
        return float(told) if told is not None and 0 < told <= time.time() else None

    @property
    def waited(self) -> float | None:
        """The seconds since it was published, if this is the first time that a worker sees it and somebody tells."""
        properties = self.delivery.properties
        if properties.timestamp is None or self.may_be_begun or HEADER_FIRST_SEEN in (properties.headers or {}):
            return None
        waited = self.first_seen - properties.timestamp
        return max(0.0, waited) if waited > -CLOCKS_DIFFER else None

    def seconds(self) -> float:
        """Return how long it has been in our hands."""
        return time.monotonic() - self.began

    @property
    def task_id(self) -> str:
        return self.task.task_id if self.task else ""

    @property
    def message_id(self) -> str:
        return self.delivery.properties.message_id or f"{self.task_id or 'unreadable'}:task"

    @property
    def fingerprint(self) -> bytes:
        """A hash that is the same for every delivery and copy of a message; the task id is in the body."""
        return blake2b(self.delivery.body, digest_size=16).digest()

    def begin_span(self, span: Span) -> None:
        """Have what comes of it belong to this step of the work."""
        self.span, self.trace = span, span.trace

    def failed(self, code: str) -> None:
        """Note in its span what the work has come to."""
        if self.span is not None:
            self.span.fail(code)

    def end(self, error: BaseException | None = None) -> None:
        """End its span: nothing more comes of this delivery. `error`: what came between."""
        if self.span is not None:
            if error is not None:
                self.span.fail(type(error).__name__)
            self.span.end()
            self.span, self.trace = None, trace_of(self.delivery.properties.headers)

    def require_task(self) -> CamundaTask:
        if self.task is None:
            raise ValueError("only a decoded message has a result")
        return self.task

    def copy(self, tries: Tries, error: str, due: float | None = None) -> OutgoingMessage:
        """Return the message for another try; `due` (unix seconds) is when it comes, where it waits until then."""
        headers = dict(self.delivery.properties.wire_headers())
        headers.pop(HEADER_RETURNED, None)
        headers.pop(HEADER_DUE, None)
        body, first_seen = self.delivery.body, self.first_seen
        copy = encode_copy(body, self.message_id, headers, tries=tries, first_seen=first_seen, error=error)
        ours: dict[str, Any] = {HEADER_COPY: uuid.uuid4().hex}
        if due is not None:
            ours[HEADER_DUE] = f"{due:.3f}"
        if self.may_be_begun and tries == self.tries:
            # An attempt or a doubt that is counted says it as well. Where none is, nothing has been looked for yet.
            ours[HEADER_RETURNED] = True
        return self._with_properties(replace(copy, headers={**copy.headers, **ours}))

    def renewed(self, reason: str) -> OutgoingMessage:
        """Return a copy for the tail of its own queue.

        Nothing has been done; what is known of this delivery, the copy says as well.
        """
        return self.copy(self.tries, reason)

    def rerouted(self) -> OutgoingMessage:
        """Return the message for another input queue."""
        properties, body, origin = self.delivery.properties, self.delivery.body, self.delivery.origin
        headers, hop = properties.wire_headers(), hops(properties.headers or {}) + 1
        return self._with_properties(
            encode_rerouted(body, self.message_id, headers, hop=hop, origin=origin, first_seen=self.first_seen)
        )

    def _with_properties(self, copy: OutgoingMessage) -> OutgoingMessage:
        properties = self.delivery.properties
        encoding, further, headers = properties.content_encoding, kept_properties(properties), copy.headers
        if self.span is not None and trace_of(properties.headers) is None:
            headers = {**headers, **self.span.trace.headers()}  # else each try would begin a trace of its own
        return OutgoingMessage(copy.body, copy.message_id, headers, properties.content_type, encoding, further)

    def identity(self, external_id: str | None = None) -> Identity:
        """Return what an event of this message is about."""
        known = self._identity
        if known is None:
            task, queue, attempt = self.task, self.delivery.queue, self.tries.attempt
            message_id = self.delivery.properties.message_id
            if task is None:
                name = message_id or unreadable_name(self.delivery.body)
                return Identity(queue, self.system, attempt=attempt, message_id=name)
            process, topic = task.process_instance_id, task.topic
            known = Identity(queue, self.system, task.task_id, process, topic, attempt, message_id=message_id)
            self._identity = known
        return known if external_id is None else known._replace(external_id=external_id)
