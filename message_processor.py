"""Takes a delivery to its settlement: decode, dispatch to the handler, settle each message as its outcome says.

Every queue has its own threads (bulkhead): a slow or dead system holds up its own messages only. A message is acked
after its result, its copy for a retry or its error report is confirmed by the broker, never before
(processing.settlement). What a worker died with is handled in small groups, so that a message that kills the process is
found out and the others flow (processing.crash_journal).
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from base_handler import MoreMessages
from broker.deliveries import Delivery
from broker.returns import RENEW_AT, times_returned
from core.errors import InvalidMessageError, OutcomeError, PermanentError, StoppingError, TransientError
from core.events.base import EventStream
from core.events.messages import MessageReceived
from core.events.worker import HandlerFailed, ProcessorFailed
from core.messages import IncomingMessage, decode_task, title_of
from core.policy import suspect_group_size
from core.texts import Text
from core.traces import TakenUp, widen, within
from processing.confirmations import Confirmations
from processing.consumed_queue import ConsumedQueue, ProcessingSettings
from processing.crash_journal import CrashJournal, CrashSlot, key_of
from processing.gate import SystemGate
from processing.in_flight import InFlight
from processing.intake import Intake
from processing.settlement import Settler
from rabbitmq_consumer import RabbitMQConsumer
from rabbitmq_publisher import RabbitMQPublisher

FAILURE_PAUSE = 1.0  # seconds between two tries when processing itself fails
READY_POLL = 0.5  # seconds between looks at the stop flag while the broker takes no messages

_Messages = dict[IncomingMessage, InFlight]


def _no_more(_limit: int) -> tuple[()]:
    return ()


class MessageProcessor:
    """One queue: its threads, its handler, its gate."""

    def __init__(
        self,
        consumed: ConsumedQueue,
        settings: ProcessingSettings,
        *,
        consumer: RabbitMQConsumer,
        publisher: RabbitMQPublisher,
        events: EventStream,
        starts: CrashJournal,
        stop: threading.Event,
        on_done: Callable[[str], None],
    ) -> None:
        self.consumed = consumed
        self._settings = settings
        self._consumer = consumer
        self._publisher = publisher
        self._events = events
        self._starts = starts
        self._stop = stop
        self._deliveries = Intake()
        self._slots = [starts.slot(consumed.handler.batch_size) for _ in range(consumed.threads)]
        self._threads: dict[int, threading.Thread] = {}  # by the number of their slot
        self.gate = SystemGate(
            consumed.system,
            probe=consumed.handler.probe,
            probe_interval=settings.probe_interval,
            on_close=partial(consumer.pause, consumed.queue),
            on_open=partial(consumer.resume, consumed.queue),
            events=events,
            stop=stop,
            mask=settings.mask,
        )
        self.confirmations = Confirmations(consumed.queue, events)
        self._settler = Settler(
            consumed,
            settings,
            self.gate,
            consumer=consumer,
            publisher=publisher,
            events=events,
            confirmations=self.confirmations,
            on_done=on_done,
        )
        self._generation = 0  # of the channel that the latest delivery came through
        consumer.subscribe(consumed.queue, consumed.prefetch, self._take_in, exclusive=consumed.handler.exclusive)

    def start(self) -> None:
        """Start the threads that are missing; also the way to replace a dead one."""
        self.confirmations.start()
        for number, slot in enumerate(self._slots):
            if number not in self._threads or not self._threads[number].is_alive():
                name = f"{self.consumed.queue}-{number}"
                self._threads[number] = threading.Thread(target=self._work, args=(slot,), name=name, daemon=True)
                self._threads[number].start()

    def is_alive(self) -> bool:
        threads = self._threads.values()
        complete = self.confirmations.is_alive() and len(threads) == len(self._slots)
        return complete and all(thread.is_alive() for thread in threads)

    def in_progress(self) -> int:
        """Return how many messages the handler has in hand. From any thread."""
        return self._settler.late.running()

    def finish(self, deadline: float) -> bool:
        """Wait until running work is done; return False at the deadline (monotonic seconds).

        To be called after the stop event is set.
        """
        for _ in self._threads:
            self._deliveries.wake()
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads.values())

    # -- the consumer's I/O thread ----------------------------------------------------------------------------------

    def _take_in(self, delivery: Delivery) -> None:
        if delivery.generation != self._generation:
            self._generation = delivery.generation
            self._forget_deliveries()
        # At once: one that waits here behind slow work is returned again with the next connection that is lost.
        if self._is_to_be_renewed(delivery) and self._consumer.owns(delivery):
            self._settler.renew(InFlight.begin(delivery, self.consumed.system))
        else:
            self._deliveries.put(delivery)

    @staticmethod
    def _is_to_be_renewed(delivery: Delivery) -> bool:
        if not delivery.redelivered:
            return False
        properties = delivery.properties
        return times_returned(properties.headers) >= RENEW_AT and properties.refusal() is None

    def _forget_deliveries(self) -> None:
        # Those of the lost channel come again. Threads that hang in a system or wait for the publisher would take them
        # out too late: with every reconnection another prefetch would pile up.
        self._deliveries.forget()

    # -- worker threads -------------------------------------------------------------------------------------------

    def _work(self, slot: CrashSlot) -> None:
        while not self._stop.is_set():
            batch = self._deliveries.next(self.consumed.handler.batch_size)
            try:
                self._process(batch, slot)
            except StoppingError:
                return  # what was not settled goes back to the broker when the channel closes
            except BaseException as error:  # one of the four borders: what this thread held must not stay with it
                self._events.emit(ProcessorFailed(self.consumed.queue, "processing", error))
                for delivery in batch:
                    self._consumer.give_back(delivery)
                if not isinstance(error, Exception):
                    raise
                self._stop.wait(FAILURE_PAUSE)

    def _process(self, batch: list[Delivery], slot: CrashSlot) -> None:
        # No outside task is created whose result could not be stored.
        while not self._publisher.is_ready():
            self._publisher.wait_until_ready(READY_POLL)
            if self._stop.is_set():
                return
        # Nor one for a message that may be another worker's by now.
        while not self._consumer.is_proved(self.consumed.queue):
            if self._stop.wait(READY_POLL):
                return
        messages = self._admit(batch)
        if self._starts.has_suspects():
            self._handle_suspects(messages, batch, slot)
        if messages:
            self._handle(messages, slot, partial(self._more, messages, batch, slot))

    def _admit(self, deliveries: Sequence[Delivery]) -> _Messages:
        """Return the deliveries that a handler may be given; the others are settled, or left to the broker."""
        messages: _Messages = {}
        for delivery in deliveries:
            if self._stop.is_set():
                raise StoppingError
            if not self._consumer.is_current(delivery):
                continue  # the broker has it back already
            work = InFlight.begin(delivery, self.consumed.system)
            is_readable = delivery.properties.unreadable is None  # or its copy would be another message
            if self._is_to_be_renewed(delivery):
                self._settler.renew(work)
            elif is_readable and not self.gate.is_open():
                self._settler.hand_back(work)
            elif (message := self._decode(work)) is not None and not self._settler.settle_late(work):
                messages[message] = work
        return messages

    def _more(self, messages: _Messages, batch: list[Delivery], slot: CrashSlot, limit: int) -> list[IncomingMessage]:
        """Return what the handler fetches from the backlog while it works on `messages`, to which this is added."""
        room = min(limit, self.consumed.handler.batch_size - len(messages))
        connected = self._publisher.is_ready() and self._consumer.is_proved(self.consumed.queue)
        flows = connected and self.gate.is_open() and not self._starts.has_suspects()
        if room <= 0 or not flows or self._stop.is_set():
            return []
        further = self._deliveries.at_hand(room)
        if not further:
            return []
        # What is settled is forgotten: a backlog may keep this thread in one and the same call for hours.
        batch[:] = [work.delivery for work in messages.values()]
        batch += further
        admitted = self._admit(further)
        messages.update(admitted)
        widen(work.trace for work in messages.values())  # from here on a request may be for several messages
        self._begin(admitted)
        slot.begin([self._key(work) for work in messages.values()])
        return list(admitted)

    def _decode(self, work: InFlight) -> IncomingMessage | None:
        refusal = work.delivery.properties.refusal()
        try:
            work.task = decode_task(work.delivery.body, self._settings.limits)
        except InvalidMessageError as error:
            received = MessageReceived(work.identity(), work.may_be_begun, sent_at=work.sent_at, waited=work.waited)
            self._events.emit(received)
            self._begin_span(work)
            self._settler.fail(work, refusal or error)
            return None
        told = title_of(work.task), work.task.business_key, work.sent_at, work.waited
        self._events.emit(MessageReceived(work.identity(), work.may_be_begun, *told))
        self._begin_span(work)
        if refusal is not None:
            self._settler.fail(work, refusal)
            return None
        return IncomingMessage(
            work.task,
            self.consumed.queue,
            work.tries.attempt,
            work.may_be_begun,
            work.delivery.properties,
            work.tries.ambiguous,
            partial(self._consumer.owns, work.delivery),
            work.trace,
        )

    def _begin_span(self, work: InFlight) -> None:
        if self._settings.tracer is not None:
            delivery, process = work.delivery, work.task.process_instance_id if work.task else None
            way = delivery.queue, delivery.exchange, delivery.routing_key
            taken_up = TakenUp(*way, work.message_id, process, work.trace)
            work.begin_span(self._settings.tracer.begin("process", taken_up))

    def _handle_suspects(self, messages: _Messages, batch: list[Delivery], slot: CrashSlot) -> None:
        """Take out of `messages` what a worker died with, and handle it in small groups, one at a time."""
        suspects: defaultdict[int, list[IncomingMessage]] = defaultdict(list)
        for message, work in list(messages.items()):
            key = self._key(work)
            starts = self._starts.starts(key)
            if self._starts.is_killer(key):
                reason = Text(
                    f"the worker died {starts} times while it was working on this message",
                    f"воркер погиб на этом сообщении, раз: {starts}",
                )
                self._settler.fail(messages.pop(message), PermanentError(reason, code="kills_worker"))
                self._starts.convict([key])
            elif starts > 1 and (left := self._starts.seconds_to_prove()) > 0:
                batch.remove(messages.pop(message).delivery)  # no longer this thread's to give back
                self._set_aside(work.delivery, left)
            elif starts:
                suspects[starts].append(message)
        for starts, suspected in suspects.items():
            size = suspect_group_size(starts, self.consumed.handler.batch_size)
            for begin in range(0, len(suspected), size):
                group = {message: messages.pop(message) for message in suspected[begin : begin + size]}
                self._handle_suspected_group(group, starts, slot)

    def _set_aside(self, delivery: Delivery, seconds: float) -> None:
        """Leave a delivery unsettled; the threads take it up again later, if it is ours then."""
        timer = threading.Timer(seconds, self._deliveries.put, [delivery])
        timer.daemon = True
        timer.start()

    def _handle_suspected_group(self, group: _Messages, starts: int, slot: CrashSlot) -> None:
        with self._starts.alone(starts):
            if self._stop.is_set():
                return  # unsettled: goes back to the broker, and stays suspected
            if self.gate.is_open():
                keys = [self._key(work) for work in group.values()]
                self._handle(group, slot)
                self._starts.forget(keys)
            for work in group.values():  # none are left if they were handled
                self._settler.hand_back(work)

    def _handle(self, messages: _Messages, slot: CrashSlot, more: MoreMessages = _no_more) -> None:
        """Run the handler over the messages and settle each, out of the dict, as soon as its outcome is known."""
        failure: OutcomeError | None = None
        slot.begin([self._key(work) for work in messages.values()])
        self._begin(messages)
        try:
            with within(*[work.trace for work in messages.values()]):
                for message, outcome in self.consumed.handler.handle_backlog(list(messages), more):
                    work = messages.pop(message)
                    self._settler.settle(work, outcome)
                    self._settler.late.end(work)
        except StoppingError:
            for work in messages.values():
                work.end(StoppingError())
            raise
        except OutcomeError as error:
            failure = error
        except (Exception, SystemExit) as error:  # noqa: BLE001 - one of the four borders: a handler is foreign code
            self._events.emit(HandlerFailed(self.consumed.queue, error))
            failure = TransientError(Text.of(f"{type(error).__name__}: {error}"), code="handler_failed")
        finally:
            slot.end()
        if messages:
            if failure is None:
                system = self.consumed.system
                reason = Text(f"{system} handler gave no outcome", f"обработчик {system} не сообщил исхода")
                failure = TransientError(reason, code="no_outcome")
            for work in messages.values():
                self._settler.fail(work, failure, blame=False)
                self._settler.late.end(work)
            messages.clear()
        # Its traceback leads back to this frame: a cycle that would keep the messages until it is collected.
        del failure

    def _begin(self, messages: _Messages) -> None:
        for work in messages.values():
            self._settler.late.begin(work)

    def _key(self, work: InFlight) -> bytes:
        return key_of(self.consumed.queue, work.task_id)
