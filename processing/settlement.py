"""Settles a message by its handler's outcome: what is stored where, and the ack after the confirm."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from broker.errors import MessageTooLargeError, PublisherClosedError
from broker.returns import times_returned
from broker.topology import wait_queue_name
from core.envelopes import Failure, encode_failed_task, encode_sent, encode_unreadable
from core.errors import (
    BusyError,
    ConfigurationError,
    InvalidMessageError,
    OutageError,
    OutcomeError,
    PartialOutageError,
    PermanentError,
    TransientError,
)
from core.events.base import Event, EventStream
from core.events.messages import (
    DeliveryLost,
    LateOutcomeTold,
    MessageFailed,
    MessageHandedBack,
    MessageParked,
    MessageRenewed,
    MessageRerouted,
    MessageStuck,
    PartDown,
    ResultNotStored,
    ResultStored,
    RetryScheduled,
    TaskAccepted,
    TaskDone,
    TaskFound,
)
from core.lone_failures import met_alone
from core.messages import OutgoingMessage, decode_task
from core.outcomes import Outcome
from core.policy import Drop, Park, Pause, RetryLater, decide, is_postponed
from core.results import Accepted, Acknowledged, Done, Rerouted
from core.texts import Text
from processing.confirmations import Confirmations
from processing.consumed_queue import ConsumedQueue, ProcessingSettings
from processing.gate import SystemGate
from processing.in_flight import InFlight
from processing.late_results import LateResults
from processing.renewals import Renewals
from rabbitmq_consumer import RabbitMQConsumer
from rabbitmq_publisher import RabbitMQPublisher

PAUSED = Text("its system is paused", "её система на паузе")


class Settler:
    """Settles the messages of one queue. Usable from any thread."""

    def __init__(
        self,
        consumed: ConsumedQueue,
        settings: ProcessingSettings,
        gate: SystemGate,
        *,
        consumer: RabbitMQConsumer,
        publisher: RabbitMQPublisher,
        events: EventStream,
        confirmations: Confirmations,
        on_done: Callable[[str], None],
    ) -> None:
        self._consumed = consumed
        self._settings = settings
        self._gate = gate
        self._consumer = consumer
        self._publisher = publisher
        self._events = events
        self._confirmations = confirmations
        self._on_done = on_done
        self.late = LateResults(consumer.owns)
        self._renewals = Renewals(partial(self._publish, consumed.queue), consumer.ack)

    def settle_late(self, work: InFlight) -> bool:
        """Settle with the outcome of an earlier delivery of the same message; return False if it is to be worked on."""
        outcome = self.late.find(work)
        if outcome is None:
            return False
        if not isinstance(outcome, BusyError):
            self._events.emit(LateOutcomeTold(work.identity()))
        self.settle(work, outcome)
        return True

    def settle(self, work: InFlight, outcome: object) -> None:
        """Settle a message.

        `outcome` is what the handler gave: foreign code may return None or a dictionary, no Result.
        """
        if not self._consumer.owns(work.delivery):
            self._drop(work, outcome)
            return
        match outcome:
            case Acknowledged():
                self._on_handled(work, outcome)
            case Accepted() | Done():
                try:
                    self._store_result(work, outcome)
                except PermanentError as error:
                    self.fail(work, error)
            case Rerouted():
                self._reroute(work, outcome.queue)
            case OutcomeError():
                self.fail(work, outcome)
            case _:
                system, kind = self._consumed.system, type(outcome).__name__
                reason = Text(
                    f"{system} handler returned {kind} instead of a result",
                    f"обработчик {system} вернул {kind} вместо результата",
                )
                self.fail(work, TransientError(reason, code="no_outcome"))

    def _store_result(self, work: InFlight, result: Accepted | Done) -> None:
        if self._consumed.sent_queue is None:
            self._on_handled(work, result)
            return
        message = encode_sent(work.require_task(), self._consumed.queue, result, time.time())
        self._publish(self._consumed.sent_queue, message.in_trace(work.trace), partial(self._on_stored, work, result))

    def _on_stored(self, work: InFlight, result: Accepted | Done, stored: Future[None]) -> None:
        error = stored.exception()
        if error is None:
            self._events.emit(ResultStored(work.identity()))
            if not self._consumer.is_current(work.delivery):
                self.late.keep_stored(work)
            self._on_handled(work, result)
            if isinstance(result, Done) and self._consumed.sent_queue is not None:
                self._on_done(self._consumed.sent_queue)
            return
        self._events.emit(ResultNotStored(work.identity()))
        if isinstance(error, MessageTooLargeError):
            reason = Text(f"the result cannot be stored: {error}", f"результат нельзя сохранить: {error.text.ru}")
            self.fail(work, PermanentError(reason, code="result_too_large"))
        else:
            work.end(error)

    def _reroute(self, work: InFlight, queue: str) -> None:
        self._publish(queue, work.rerouted(), partial(self._on_rerouted, work, queue))

    def _on_rerouted(self, work: InFlight, queue: str, confirmed: Future[None]) -> None:
        self._ack_if_confirmed(work, confirmed)
        if confirmed.exception() is None:
            is_consumed = self._consumer.consumes(queue)
            self._gate.succeeded(work.task_id)
            self._events.emit(MessageRerouted(work.identity(), queue, is_consumed, work.seconds()))
        work.end(confirmed.exception())

    def _on_handled(self, work: InFlight, result: Accepted | Done | Acknowledged) -> None:
        self._consumer.ack(work.delivery)
        work.end()
        self._gate.succeeded(work.task_id)
        if isinstance(result, Acknowledged):
            self._events.emit(TaskDone(work.identity(), created=False, stored=False, seconds=work.seconds()))
            return
        is_open = isinstance(result, Accepted)
        kind = TaskFound if result.duplicate else TaskAccepted if is_open else TaskDone
        about, is_stored = work.identity(result.external_id), self._consumed.sent_queue is not None
        self._events.emit(kind(about, is_open, is_stored, work.seconds()))

    def fail(self, work: InFlight, error: OutcomeError, *, blame: bool = True) -> None:
        if (masked := error.text.map(self._settings.mask)) != error.text:
            error = error.retold(masked)
        if not self._consumer.owns(work.delivery):
            self._drop(work, error)
            return
        if error.row() is None:
            error = _unknown(error)
        # An error raised for the whole batch says nothing about one of its messages.
        if blame and isinstance(error, OutageError | ConfigurationError) and self._gate.is_suspect(work.task_id):
            error = met_alone(error)
        decision = decide(error, work.tries, self._settings.retry, random.random())
        if isinstance(decision, Drop):
            self._drop(work, error)
            return
        work.failed(error.code)
        postponed = is_postponed(decision, work.tries)
        self._events.emit(MessageFailed(work.identity(), error.outcome, postponed, error.code, work.seconds()))
        if isinstance(error, PartialOutageError) and error.part is not None:
            self._events.emit(PartDown(work.identity(), error.part, error.text))
        match decision:
            case RetryLater():
                self._retry_later(work, error, decision)
            case Pause():
                self._gate.close(error, decision)
                self.hand_back(work, error.text, error.code)
            case Park():
                self._park(work, error)

    def _retry_later(self, work: InFlight, error: OutcomeError, retry: RetryLater) -> None:
        copy = work.copy(retry.tries, str(error), due=time.time() + retry.delay)
        told = RetryScheduled(work.identity(), error.text, error.code, retry.delay, error.outcome, work.seconds())
        self._send_and_ack(wait_queue_name(self._consumed.queue, retry.delay), copy, work, told)

    def _drop(self, work: InFlight, outcome: object) -> None:
        """Give the delivery back and report nothing: another worker may have reported something else by now."""
        # Does nothing if the channel is gone. If it is only slow, or another message of the batch was lost and this one
        # was not begun for that reason, this is what brings the message back.
        kept = self.late.keep(work, outcome)
        self._consumer.give_back(work.delivery)
        work.failed(Outcome.LOST)
        work.end()
        self._events.emit(DeliveryLost(work.identity(), kept, work.seconds()))

    def hand_back(self, work: InFlight, reason: Text = PAUSED, code: str | None = None) -> None:
        """Put the message back into its queue, whose system is paused. `code` is that of the error that it met."""
        # A confirmed copy to the tail, then ack: RabbitMQ 4 drops a quorum queue's message after 20 plain returns,
        # and a delivery that is merely held closes its channel after 30 minutes.
        # What was not even decoded has been told of to nobody.
        told = None if work.task is None else MessageHandedBack(work.identity(), reason, code)
        self._send_and_ack(self._consumed.queue, work.renewed(reason.en), work, told)

    def renew(self, work: InFlight) -> None:
        """Replace a message that its queue drops one day if it is returned.

        A copy begins at zero, and nobody minds it.
        """
        with contextlib.suppress(InvalidMessageError):  # told when its copy comes
            work.task = decode_task(work.delivery.body, self._settings.limits)
        times = times_returned(work.delivery.properties.headers)
        reason = f"returned {times} times: a copy takes its place before RabbitMQ drops it"
        self._renewals.renew(work, reason, partial(self._on_renewed, reason))

    def _on_renewed(self, reason: str, work: InFlight, confirmed: Future[None]) -> None:
        self._ack_if_confirmed(work, confirmed)
        if confirmed.exception() is None:
            self._events.emit(MessageRenewed(work.identity(), reason, work.message_id))

    def _park(self, work: InFlight, error: OutcomeError) -> None:
        failure = Failure(
            error,
            self._consumed.queue,
            self._consumed.system,
            work.tries.attempt,
            work.first_seen,
            failed_at=time.time(),
            properties=work.delivery.properties.told(),
        )
        if work.task is None:
            message = encode_unreadable(work.delivery.body, work.message_id, failure)
        else:
            message = encode_failed_task(work.task, failure)
        # Its words, not the error: a traceback would keep the handler's frames until the broker has confirmed.
        told = MessageParked(work.identity(), error.text, error.code, error.outcome, work.seconds())
        self._send_and_ack(self._settings.errors_queue, message.in_trace(work.trace), work, told)

    def _send_and_ack(self, queue: str, message: OutgoingMessage, work: InFlight, told: Event | None = None) -> None:
        """Send, and ack when it is confirmed.

        `told` is emitted when the broker has the message: nothing is claimed before.
        """
        self._publish(queue, message, partial(self._on_sent, work, told))

    def _on_sent(self, work: InFlight, told: Event | None, confirmed: Future[None]) -> None:
        self._ack_if_confirmed(work, confirmed)
        if confirmed.exception() is None and told is not None:
            self._events.emit(told)
        work.end(confirmed.exception())

    def _publish(self, queue: str, message: OutgoingMessage, follow_up: Callable[[Future[None]], None]) -> None:
        self._publisher.publish(queue, message).add_done_callback(partial(self._confirmations.put, follow_up))

    def _ack_if_confirmed(self, work: InFlight, confirmed: Future[None]) -> None:
        error = confirmed.exception()
        if error is None:
            self._consumer.ack(work.delivery)
        elif not isinstance(error, PublisherClosedError):
            # Stays unacked: the broker delivers it again when the channel closes; a person is told.
            self._events.emit(MessageStuck(work.identity(), str(error)))


def _unknown(error: OutcomeError) -> PermanentError:
    """Return an error for a system's own class with a word of its own, which nothing here knows what to do about."""
    name = type(error).__name__
    reason = Text(
        f"{name} has no outcome of core.outcomes: {error.text.en}",
        f"у {name} нет исхода из core.outcomes: {error.text.ru}",
    )
    return PermanentError(reason, code="unknown_outcome")
