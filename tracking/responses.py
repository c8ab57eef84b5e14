"""Turns a verdict on a tracked task into its message: a response to Camunda or a report to people."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from broker.properties import ReceivedProperties
from broker.taken_queue import Taken, copy_of
from core.envelopes import (
    PROCESSING_COMPLETED,
    PROCESSING_COMPLETED_BY_TRACKER,
    Failure,
    SentHeader,
    SentMessage,
    decode_sent,
    decode_sent_header,
    encode_failed_tracking,
    encode_response,
    encode_unreadable,
    unreadable_name,
)
from core.errors import BusinessError, InvalidMessageError, OutcomeError, PermanentError
from core.events.base import EventStream, Identity
from core.events.messages import SentMessageUnreadable, TaskCompleted, TaskRejected
from core.messages import OutgoingMessage
from core.results import Completed, Rejected
from core.texts import Text
from core.traces import Span, TakenUp, trace_of
from rabbitmq_publisher import RabbitMQPublisher
from tracking.held import Held
from tracking.tracked_queue import SweepResult, TrackedQueue


class Responses:
    """Publishes what became of tracked tasks; used by one thread.

    The futures are done when the broker has confirmed. Only then, by `tell_confirmed`, it is reported and counted.
    """

    def __init__(self, tracked: TrackedQueue, publisher: RabbitMQPublisher, events: EventStream) -> None:
        self._tracked = tracked
        self._publisher = publisher
        self._events = events
        self._untold: deque[tuple[Future[None], Callable[[], None]]] = deque()

    def tell_confirmed(self) -> None:
        """Report and count what the broker has confirmed by now; what it has not, later or never."""
        untold, self._untold = self._untold, deque()
        for confirmed, tell in untold:
            if not confirmed.done():
                self._untold.append((confirmed, tell))
            elif confirmed.exception() is None:
                tell()

    def publish(self, held: Held, verdict: Completed | Rejected | None, result: SweepResult) -> Future[None]:
        """Publish the response or the error report.

        `verdict` None means that the handler had finished the task at once.
        """
        try:
            sent = decode_sent(held.body)
        except InvalidMessageError as error:
            return self.report_unreadable((held.tag, held.properties, held.body), error, result)
        sent = replace(sent, external_id=held.header.external_id or sent.external_id)
        span = self._begin_span(held, sent)
        if isinstance(verdict, Rejected):
            reason = Text.of(verdict.reason).map(self._tracked.mask)
            return self._reject(held, sent, BusinessError(reason, code=verdict.code), result, span)
        if verdict is None:
            response, status = sent.fields.get("response_data") or {}, PROCESSING_COMPLETED
        else:
            response, status = verdict.response, PROCESSING_COMPLETED_BY_TRACKER
        echo, now = self._tracked.echo_variables, time.time()
        try:
            message = encode_response(sent, response, status=status, echo_variables=echo, now=now)
        except PermanentError as error:
            return self._reject(held, sent, error, result, span)
        told = partial(self._on_answered, self._identity(held.header, sent), age_of(sent, now), result)
        return self._send(self._tracked.responses_queue, _in_its_trace(message, held, span), told, span)

    def _on_answered(self, about: Identity, age: float | None, result: SweepResult) -> None:
        result.completed += 1
        self._events.emit(TaskCompleted(about, age))

    def report_unreadable(self, taken: Taken, error: OutcomeError, result: SweepResult) -> Future[None]:
        """Send a message that is no sent message to the error queue."""
        _, properties, body = taken
        failure = replace(self._failure(error, time.time()), properties=properties.told())
        message = encode_unreadable(body, properties.message_id or "unreadable:sent", failure)
        return self._send(
            self._tracked.errors_queue,
            message,
            partial(self._on_unreadable, self._unreadable(properties, body), error, result),
        )

    def _on_unreadable(self, about: Identity, error: OutcomeError, result: SweepResult) -> None:
        result.errors += 1
        self._events.emit(SentMessageUnreadable(about, error.text, error.code))

    def _unreadable(self, properties: ReceivedProperties, body: bytes) -> Identity:
        name = properties.message_id or unreadable_name(body)
        return Identity(self._tracked.queue, self._tracked.system, message_id=name)

    def put(self, held: Held, queue: str) -> Future[None]:
        """Put a copy at the tail of this queue."""
        return self._publisher.publish(queue, held.copy())

    def renew(self, taken: Taken, queue: str) -> Future[None]:
        """Put a copy at the tail of this queue as `put` does, of any message."""
        _, properties, body = taken
        try:
            task_id = decode_sent_header(body, properties.headers or {}).task_id
        except InvalidMessageError:  # told by the sweep that takes the copy
            task_id = "unreadable"
        return self._publisher.publish(queue, copy_of(properties, body, f"{task_id}:sent"))

    def _reject(
        self, held: Held, sent: SentMessage, error: OutcomeError, result: SweepResult, span: Span | None
    ) -> Future[None]:
        if span is not None:
            span.fail(error.code)
        now = time.time()
        message = encode_failed_tracking(sent, self._failure(error, now))
        told = partial(self._on_rejected, self._identity(held.header, sent), error, age_of(sent, now), result)
        return self._send(self._tracked.errors_queue, _in_its_trace(message, held, span), told, span)

    def _on_rejected(self, about: Identity, error: OutcomeError, age: float | None, result: SweepResult) -> None:
        result.errors += 1
        self._events.emit(TaskRejected(about, error.text, error.code, error.outcome, age))

    def _identity(self, header: SentHeader, sent: SentMessage) -> Identity:
        topic = sent.original.get("topic")
        return Identity(
            self._tracked.queue,
            self._tracked.system,
            header.task_id,
            _process_of(sent),
            topic if isinstance(topic, str) else None,
            external_id=header.external_id,
        )

    def _begin_span(self, held: Held, sent: SentMessage) -> Span | None:
        if self._tracked.tracer is None:
            return None
        queue, properties = self._tracked.queue, held.properties
        # The worker stores by the default exchange, whose routing key is the queue's name.
        taken = TakenUp(queue, "", queue, properties.message_id, _process_of(sent), trace_of(properties.headers))
        return self._tracked.tracer.begin("track", taken)

    def _send(
        self, queue: str, message: OutgoingMessage, told: Callable[[], None], span: Span | None = None
    ) -> Future[None]:
        confirmed = self._publisher.publish(queue, message)
        if span is not None:
            confirmed.add_done_callback(lambda _: span.end())
        self._untold.append((confirmed, told))
        return confirmed

    def _failure(self, error: OutcomeError, now: float) -> Failure:
        return Failure(error, self._tracked.queue, self._tracked.system, attempts=1, first_seen=now, failed_at=now)


def _in_its_trace(message: OutgoingMessage, held: Held, span: Span | None) -> OutgoingMessage:
    return message.in_trace(trace_of(held.properties.headers) if span is None else span.trace)


def _process_of(sent: SentMessage) -> str | None:
    process = sent.original.get("process_instance_id")
    return process if isinstance(process, str) else None


def age_of(sent: SentMessage, now: float) -> float | None:
    """Return the seconds since the result was stored; None where the message does not say when."""
    stored = sent.fields.get("processed_at")
    if isinstance(stored, int | float) and 0 <= stored <= now:
        return now - stored
    return None
