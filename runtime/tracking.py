"""One sweep of a sent queue: take every message once, ask the system in bulk, answer what is finished, hold nothing.

What a person has not finished goes back: on a classic queue by closing the channel, which keeps the order and costs
nothing per message; on a quorum queue, which counts returns and drops a message after 20 of them (RabbitMQ 4.0-4.2),
by a confirmed copy to the tail. A message is acked only after its response or error report is confirmed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_all
from dataclasses import dataclass, field, replace
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

from base_tracker import BaseTracker
from core.envelopes import (
    PROCESSING_COMPLETED,
    PROCESSING_COMPLETED_BY_TRACKER,
    STATE_DONE,
    Failure,
    SentHeader,
    SentMessage,
    decode_sent,
    decode_sent_header,
    encode_failed_tracking,
    encode_response,
    encode_unreadable,
)
from core.errors import BusinessError, OutcomeError, PermanentError
from core.messages import InvalidMessageError, OutgoingMessage, TrackedTask
from core.results import Completed, Pending, Rejected, Verdict
from rabbitmq_publisher import RabbitMQPublisher
from runtime.amqp import Topology, connect, ensure_queues

log = logging.getLogger(__name__)

PUMP = 0.1  # seconds between looks at the connection while the system is asked, so that heartbeats go on
QUIET = 2.0  # seconds without a message after which the queue has no more for this sweep
SWEEP_LIMIT = 600.0  # seconds; RabbitMQ closes a channel that holds a message for 30 minutes
# A crash between a confirmed result and its ack leaves a second sent message: for this many seconds after the
# response it needs no second one. Later it is somebody's deliberate replay and is answered.
REMEMBER_ANSWERS = 900.0


_Taken = tuple[int, pika.BasicProperties, bytes]  # delivery tag, properties, body


class SweepInterruptedError(Exception):
    """The daemon is stopping: everything that is not settled goes back."""


@dataclass(frozen=True, slots=True)
class TrackedQueue:
    """One entry of TRACKER_CONFIG, made ready to run."""

    queue: str
    system: str
    tracker: BaseTracker
    responses_queue: str
    errors_queue: str
    echo_variables: bool


@dataclass(slots=True)
class SweepResult:
    checked: int = 0
    completed: int = 0
    moved: int = 0
    errors: int = 0


@dataclass(slots=True)
class _Held:
    """A message taken from the queue and not settled yet."""

    tag: int
    properties: pika.BasicProperties
    body: bytes
    header: SentHeader


@dataclass(slots=True)
class _Chunk:
    """Messages that are asked about together."""

    open: list[_Held] = field(default_factory=list)
    done: list[_Held] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)  # tags of copies whose response is confirmed already


class Sweeper:
    """Goes through one sent queue, on a connection of its own for each sweep. Used by one thread."""

    def __init__(
        self,
        route: TrackedQueue,
        topology: Topology,
        parameters: Sequence[pika.ConnectionParameters],
        publisher: RabbitMQPublisher,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._route = route
        self._topology = topology
        self._parameters = parameters
        self._publisher = publisher
        self._is_stopping = is_stopping
        self._answered: OrderedDict[str, float] = OrderedDict()  # task id -> when its response was confirmed
        self._returns_are_counted = False

    def sweep(self, result: SweepResult) -> None:
        """Counts into `result`. Raises what the broker or the system raises; what is unsettled then goes back."""
        ensure_queues(self._topology, self._parameters, (self._route.queue,))
        connection, _ = connect(self._parameters)
        try:
            self._sweep(connection, result)
        finally:
            if connection.is_open:
                connection.close()  # returns what is not settled, in its place

    def _sweep(self, connection: pika.BlockingConnection, result: SweepResult) -> None:
        channel = connection.channel()
        remaining = channel.queue_declare(self._route.queue, passive=True).method.message_count
        deadline = time.monotonic() + SWEEP_LIMIT
        self._forget_old_answers()
        while remaining > 0 and not self._is_stopping():
            size = min(remaining, self._route.tracker.chunk_size)
            messages = self._take(connection, channel, size)
            remaining = remaining - len(messages) if len(messages) == size else 0
            chunk = self._sort(channel, messages, result)
            verdicts = self._ask(connection, chunk.open)
            late = time.monotonic() > deadline
            self._settle(connection, channel, chunk, verdicts, result, rotate=late or self._returns_are_counted)
            if late:
                extra = {"event": "tracker.late", "queue": self._route.queue}
                log.warning("the sweep of %s takes too long and goes on later", self._route.queue, extra=extra)
                return

    def _take(self, connection: pika.BlockingConnection, channel: BlockingChannel, size: int) -> list[_Taken]:
        # A consumer of its own for each chunk: prefetch counts per consumer, so the chunk's size bounds the memory
        # although the messages of earlier chunks stay unsettled until the end of the sweep.
        taken: list[_Taken] = []
        channel.basic_qos(prefetch_count=size)
        consumer_tag = channel.basic_consume(
            self._route.queue,
            lambda _channel, method, properties, body: taken.append((method.delivery_tag or 0, properties, body)),
        )
        # pika's own consume() measures its time-out by the wall clock, which may jump.
        last_arrival, arrived = time.monotonic(), 0
        while len(taken) < size and time.monotonic() - last_arrival < QUIET and not self._is_stopping():
            connection.process_data_events(time_limit=PUMP)
            if len(taken) > arrived:
                last_arrival, arrived = time.monotonic(), len(taken)
        channel.basic_cancel(consumer_tag)
        return taken

    def _sort(
        self,
        channel: BlockingChannel,
        messages: Sequence[_Taken],
        result: SweepResult,
    ) -> _Chunk:
        chunk = _Chunk()
        for tag, properties, body in messages:
            headers = properties.headers or {}
            # Only quorum queues count; a classic queue never sets this header.
            self._returns_are_counted = self._returns_are_counted or "x-delivery-count" in headers
            try:
                held = _Held(tag, properties, body, decode_sent_header(body, headers))
            except InvalidMessageError as error:
                self._report_unreadable(body, properties, error, result).result()
                channel.basic_ack(tag)
                continue
            if held.header.task_id in self._answered:
                chunk.answered.append(tag)
            elif held.header.state == STATE_DONE:
                chunk.done.append(held)
            else:
                chunk.open.append(held)
        return chunk

    def _ask(self, connection: pika.BlockingConnection, held: Sequence[_Held]) -> Sequence[Verdict]:
        if not held:
            return []
        tasks = [TrackedTask(each.header.task_id, each.header.external_id) for each in held]
        answer: Future[Sequence[Verdict]] = Future()
        # A daemon thread, not an executor: a hanging request must not hold up the end of the process.
        name = f"ask-{self._route.system}"
        threading.Thread(target=_run_into, args=(answer, self._route.tracker, tasks), name=name, daemon=True).start()
        self._wait(connection, [answer])
        verdicts = answer.result()
        if len(verdicts) != len(tasks):
            tracker = type(self._route.tracker).__name__
            raise ValueError(f"{tracker}.check gave {len(verdicts)} verdicts for {len(tasks)} tasks")
        return verdicts

    def _settle(
        self,
        connection: pika.BlockingConnection,
        channel: BlockingChannel,
        chunk: _Chunk,
        verdicts: Sequence[Verdict],
        result: SweepResult,
        *,
        rotate: bool,
    ) -> None:
        result.checked += len(chunk.open) + len(chunk.done)
        published: list[tuple[_Held, Future[None]]] = []
        seen: dict[str, list[int]] = {}  # task id -> tags of further copies of a message answered in this chunk
        judged: list[tuple[_Held, Verdict | None]] = [*zip(chunk.open, verdicts, strict=True)]
        judged += ((held, None) for held in chunk.done)
        for held, verdict in judged:
            if isinstance(verdict, Pending):
                if rotate:
                    published.append((held, self._publish(self._route.queue, _copy(held))))
            elif held.header.task_id in seen:
                seen[held.header.task_id].append(held.tag)
            else:
                seen[held.header.task_id] = []
                published.append((held, self._answer(held, verdict, result)))
        self._wait(connection, [future for _, future in published])
        result.moved += len(seen)
        for held, verdict in judged:
            if verdict is None or isinstance(verdict, Completed):
                self._answered[held.header.task_id] = time.monotonic()
        for held, _ in published:
            channel.basic_ack(held.tag)
        for tag in [*chunk.answered, *(tag for copies in seen.values() for tag in copies)]:
            channel.basic_ack(tag)

    def _answer(self, held: _Held, verdict: Completed | Rejected | None, result: SweepResult) -> Future[None]:
        try:
            sent = decode_sent(held.body)
        except InvalidMessageError as error:
            return self._report_unreadable(held.body, held.properties, error, result)
        sent = replace(sent, external_id=held.header.external_id or sent.external_id)
        if isinstance(verdict, Rejected):
            return self._reject(held, sent, BusinessError(verdict.reason, code=verdict.code), result)
        if verdict is None:
            response, status = sent.fields.get("response_data") or {}, PROCESSING_COMPLETED
        else:
            response, status = verdict.response, PROCESSING_COMPLETED_BY_TRACKER
        echo, now = self._route.echo_variables, time.time()
        try:
            message = encode_response(sent, response, status=status, echo_variables=echo, now=now)
        except PermanentError as error:
            return self._reject(held, sent, error, result)
        result.completed += 1
        self._log(logging.INFO, "task.completed", "task finished, Camunda is answered", held, sent.original)
        return self._publish(self._route.responses_queue, message)

    def _reject(self, held: _Held, sent: SentMessage, error: OutcomeError, result: SweepResult) -> Future[None]:
        result.errors += 1
        self._log(logging.ERROR, "task.rejected", error.reason, held, sent.original)
        message = encode_failed_tracking(sent, self._failure(error, time.time()))
        return self._publish(self._route.errors_queue, message)

    def _report_unreadable(
        self, body: bytes, properties: pika.BasicProperties, error: OutcomeError, result: SweepResult
    ) -> Future[None]:
        result.errors += 1
        log.error("%s", error, extra={"event": "sent.unreadable", "queue": self._route.queue})
        message = encode_unreadable(body, properties.message_id or "unreadable:sent", self._failure(error, time.time()))
        return self._publish(self._route.errors_queue, message)

    def _failure(self, error: OutcomeError, now: float) -> Failure:
        return Failure(error, self._route.queue, self._route.system, attempts=1, first_seen=now, failed_at=now)

    def _publish(self, queue: str, message: OutgoingMessage) -> Future[None]:
        return self._publisher.publish(queue, message)

    def _wait(self, connection: pika.BlockingConnection, futures: Sequence[Future[Any]]) -> None:
        """Until all are done; keeps the connection's heartbeats going meanwhile. Raises the first failure."""
        pending = set(futures)
        while pending:
            done, pending = wait_for_all(pending, timeout=PUMP)
            for future in done:
                future.result()
            connection.process_data_events()
            if self._is_stopping() and pending:
                raise SweepInterruptedError

    def _forget_old_answers(self) -> None:
        oldest_kept = time.monotonic() - REMEMBER_ANSWERS
        while self._answered and next(iter(self._answered.values())) < oldest_kept:
            self._answered.popitem(last=False)

    def _log(self, level: int, event: str, text: str, held: _Held, original: Mapping[str, Any]) -> None:
        extra: dict[str, Any] = {
            "event": event,
            "system": self._route.system,
            "task_id": held.header.task_id,
            "external_id": held.header.external_id,
            "process_instance_id": original.get("process_instance_id"),
        }
        log.log(level, text, extra=extra)


def _run_into(answer: Future[Sequence[Verdict]], tracker: BaseTracker, tasks: Sequence[TrackedTask]) -> None:
    try:
        answer.set_result(tracker.check(tasks))
    except Exception as error:  # noqa: BLE001 - handed to the sweeping thread, the border that reports it
        answer.set_exception(error)


def _copy(held: _Held) -> OutgoingMessage:
    properties = held.properties
    headers = {name: value for name, value in (properties.headers or {}).items() if not name.startswith("x-")}
    return OutgoingMessage(
        held.body,
        properties.message_id or f"{held.header.task_id}:sent",
        headers,
        properties.content_type,
        properties.content_encoding,
    )
