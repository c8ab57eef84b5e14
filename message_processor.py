"""From a delivery to a settlement: decode, dispatch to the handler, make the result durable, then acknowledge.

Every queue has its own threads (bulkhead): a slow or dead system holds up its own messages only. A message is acked
after its result, its copy for a retry or its error report is confirmed by the broker, never before.
"""

from __future__ import annotations

import logging
import queue as queues
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from base_handler import BaseMessageHandler, HandlerOutcome
from core.envelopes import Failure, encode_failed_task, encode_sent, encode_unreadable
from core.errors import (
    ConfigurationError,
    OutageError,
    OutcomeError,
    PermanentError,
    StoppingError,
    TransientError,
)
from core.events import (
    EventStream,
    MessageFailed,
    MessageParked,
    MessageProcessed,
    MessageReceived,
    ResultNotStored,
    ResultStored,
    RetryScheduled,
)
from core.messages import IncomingMessage, InvalidMessageError, Limits, OutgoingMessage, decode_task
from core.policy import Park, Pause, RetryLater, RetryPolicy, settle
from core.results import Accepted, Acknowledged, Done
from rabbitmq_consumer import Delivery, RabbitMQConsumer
from rabbitmq_publisher import MessageTooLargeError, PublisherClosedError, RabbitMQPublisher
from runtime.amqp import wait_queue_name
from runtime.gate import SystemGate
from runtime.work import Work

log = logging.getLogger(__name__)

LINGER = 0.02  # seconds that a batch handler waits for more messages of a burst
FAILURE_PAUSE = 1.0  # seconds between two tries when processing itself fails
READY_POLL = 0.5  # seconds between looks at the stop flag while the broker takes no messages


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of QUEUE_HANDLERS, made ready to run. `sent_queue` None: results are not stored."""

    queue: str
    system: str
    handler: BaseMessageHandler
    sent_queue: str | None
    prefetch: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class ProcessingSettings:
    """What all queues share. `probe_interval` in seconds."""

    errors_queue: str
    limits: Limits
    retry: RetryPolicy
    probe_interval: float


class MessageProcessor:
    """One queue: its threads, its handler, its gate."""

    def __init__(
        self,
        route: Route,
        settings: ProcessingSettings,
        *,
        consumer: RabbitMQConsumer,
        publisher: RabbitMQPublisher,
        events: EventStream,
        stop: threading.Event,
        on_done: Callable[[str], None],
    ) -> None:
        self.route = route
        self._settings = settings
        self._consumer = consumer
        self._publisher = publisher
        self._events = events
        self._stop = stop
        self._on_done = on_done
        self._deliveries: queues.SimpleQueue[Delivery | None] = queues.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self.gate = SystemGate(
            route.system,
            probe=route.handler.probe,
            probe_interval=settings.probe_interval,
            on_close=partial(consumer.pause, route.queue),
            on_open=partial(consumer.resume, route.queue),
            events=events,
            stop=stop,
        )
        consumer.subscribe(route.queue, route.prefetch, self._deliveries.put, exclusive=route.handler.exclusive)

    def start(self) -> None:
        """Starts the threads that are missing; also the way to replace a dead one."""
        alive = [thread for thread in self._threads if thread.is_alive()]
        for number in range(len(alive), self.route.concurrency):
            thread = threading.Thread(target=self._work, name=f"{self.route.queue}-{number}", daemon=True)
            thread.start()
            alive.append(thread)
        self._threads = alive

    def is_alive(self) -> bool:
        return len(self._threads) == self.route.concurrency and all(thread.is_alive() for thread in self._threads)

    def finish(self, deadline: float) -> bool:
        """After the stop event is set: waits until running work is done, False at the deadline (monotonic seconds)."""
        for _ in self._threads:
            self._deliveries.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    # -- worker threads -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stop.is_set():
            batch = self._next_batch()
            try:
                self._process(batch)
            except StoppingError:
                return  # what was not settled goes back to the broker when the channel closes
            except BaseException as error:  # one of the four borders: what this thread held must not stay with it
                log.exception("processing failed", extra={"event": "processor.failed", "queue": self.route.queue})
                for delivery in batch:
                    self._consumer.give_back(delivery)
                if not isinstance(error, Exception):
                    raise
                self._stop.wait(FAILURE_PAUSE)

    def _next_batch(self) -> list[Delivery]:
        first = self._deliveries.get()
        batch = [] if first is None else [first]
        deadline = time.monotonic() + LINGER
        while batch and len(batch) < self.route.handler.batch_size:
            try:
                delivery = self._deliveries.get(timeout=max(0.0, deadline - time.monotonic()))
            except queues.Empty:
                break
            if delivery is None:
                break
            batch.append(delivery)
        return batch

    def _process(self, batch: Sequence[Delivery]) -> None:
        # No outside task is created whose result could not be stored.
        while not self._publisher.wait_until_ready(READY_POLL):
            if self._stop.is_set():
                return
        work: dict[IncomingMessage, Work] = {}
        for delivery in batch:
            if self._stop.is_set():
                return
            if not self._consumer.is_current(delivery):
                continue  # the broker has it back already
            started = Work.begin(delivery, self.route.system)
            if not self.gate.is_open():
                self._hand_back(started, "its system is paused")
            elif (message := self._decode(started)) is not None:
                work[message] = started
        if work:
            self._handle(work)

    def _decode(self, work: Work) -> IncomingMessage | None:
        self._events.emit(MessageReceived(self.route.system, work.delivery.redelivered))
        try:
            work.task = decode_task(work.delivery.body, self._settings.limits)
        except InvalidMessageError as error:
            self._fail(work, error)
            return None
        return IncomingMessage(
            work.task, self.route.queue, work.tries.attempt, work.delivery.redelivered, work.delivery.properties
        )

    def _handle(self, work: dict[IncomingMessage, Work]) -> None:
        """Runs the handler over the messages and settles each as soon as its outcome is known."""
        failure: OutcomeError = TransientError(f"{self.route.system} handler gave no outcome", code="no_outcome")
        try:
            for message, outcome in self.route.handler.handle_batch(list(work)):
                self._settle(work.pop(message), outcome)
        except StoppingError:
            raise
        except OutcomeError as error:
            failure = error
        except (Exception, SystemExit) as error:  # one of the four borders: a handler is foreign code
            log.exception("handler failed", extra={"event": "handler.failed", "queue": self.route.queue})
            failure = TransientError(f"{type(error).__name__}: {error}", code="handler_failed")
        for remaining in work.values():
            self._fail(remaining, failure, blame=False)

    # -- settlement -----------------------------------------------------------------------------------------------

    def _settle(self, work: Work, outcome: HandlerOutcome) -> None:
        match outcome:
            case Acknowledged():
                self._on_handled(work, outcome)
            case Accepted() | Done():
                try:
                    self._store_result(work, outcome)
                except PermanentError as error:
                    self._fail(work, error)
            case OutcomeError():
                self._fail(work, outcome)

    def _store_result(self, work: Work, result: Accepted | Done) -> None:
        if self.route.sent_queue is None:
            self._on_handled(work, result)
            return
        message = encode_sent(work.require_task(), self.route.queue, result, time.time())
        stored = self._publisher.publish(self.route.sent_queue, message)
        stored.add_done_callback(partial(self._on_stored, work, result))

    def _on_stored(self, work: Work, result: Accepted | Done, stored: Future[None]) -> None:
        error = stored.exception()
        if error is None:
            self._events.emit(ResultStored(self.route.system))
            self._on_handled(work, result)
            if isinstance(result, Done) and self.route.sent_queue is not None:
                self._on_done(self.route.sent_queue)
            return
        self._events.emit(ResultNotStored(self.route.system))
        if isinstance(error, MessageTooLargeError):
            self._fail(work, PermanentError(f"the result cannot be stored: {error}", code="result_too_large"))

    def _on_handled(self, work: Work, result: Accepted | Done | Acknowledged) -> None:
        self._consumer.ack(work.delivery)
        duplicate = not isinstance(result, Acknowledged) and result.duplicate
        self.gate.succeeded(work.task_id)
        self._events.emit(MessageProcessed(self.route.system, duplicate))
        external_id = None if isinstance(result, Acknowledged) else result.external_id
        work.log(logging.INFO, "task.found" if duplicate else "task.accepted", "task done", external_id=external_id)

    def _fail(self, work: Work, error: OutcomeError, *, blame: bool = True) -> None:
        # An error raised for the whole batch says nothing about one of its messages.
        if blame and isinstance(error, OutageError | ConfigurationError) and self.gate.is_suspect(work.task_id):
            error = TransientError(f"only this message meets it: {error}", code=error.code)
        self._events.emit(MessageFailed(self.route.system, error.outcome))
        decision = settle(error, work.tries, self._settings.retry, random.random())
        match decision:
            case RetryLater():
                self._retry_later(work, error, decision)
            case Pause():
                self.gate.close(error, decision)
                self._hand_back(work, str(error))
            case Park():
                self._park(work, error)

    def _retry_later(self, work: Work, error: OutcomeError, retry: RetryLater) -> None:
        work.log(logging.WARNING, "task.retry", str(error), code=error.code, retry_in=retry.delay)
        copy = work.copy(retry.tries, str(error))
        self._send_and_ack(wait_queue_name(self.route.queue, retry.delay), copy, work)
        self._events.emit(RetryScheduled(self.route.system))

    def _hand_back(self, work: Work, reason: str) -> None:
        # A confirmed copy to the tail, then ack: RabbitMQ 4 drops a quorum queue's message after 20 plain returns,
        # and a delivery that is merely held closes its channel after 30 minutes.
        self._send_and_ack(self.route.queue, work.copy(work.tries, reason), work)

    def _park(self, work: Work, error: OutcomeError) -> None:
        failure = Failure(
            error, self.route.queue, self.route.system, work.tries.attempt, work.first_seen, failed_at=time.time()
        )
        if work.task is None:
            message = encode_unreadable(work.delivery.body, work.message_id, failure)
        else:
            message = encode_failed_task(work.task, failure)
        work.log(logging.ERROR, "task.parked", str(error), code=error.code, outcome=error.outcome)
        self._send_and_ack(self._settings.errors_queue, message, work)
        self._events.emit(MessageParked(self.route.system, error.code))

    def _send_and_ack(self, queue: str, message: OutgoingMessage, work: Work) -> None:
        self._publisher.publish(queue, message).add_done_callback(partial(self._ack_if_confirmed, work))

    def _ack_if_confirmed(self, work: Work, confirmed: Future[None]) -> None:
        error = confirmed.exception()
        if error is None:
            self._consumer.ack(work.delivery)
        elif not isinstance(error, PublisherClosedError):
            # Stays unacked: the broker delivers it again when the channel closes; a person is told.
            work.log(logging.ERROR, "task.stuck", str(error))
