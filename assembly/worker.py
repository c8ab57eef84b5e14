"""Builds the worker from its settings: one place where every object is made and connected."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from assembly.alerting import make_alerting
from assembly.answers import Worked
from assembly.door import make_door, make_holding, served_by
from assembly.figures import Figures, Role
from assembly.heartbeat import Pulse
from assembly.inspection import inspect_all
from assembly.journaling import make_journal
from assembly.metering import make_counts, make_metrics
from assembly.queue_remarks import tell_remarks
from base_handler import BaseMessageHandler
from base_tracker import BaseTracker
from broker.connection import connection_parameters
from broker.nodes import LastGood, Nodes
from broker.queue_depths import QueueDepths
from broker.resolving import Resolver
from broker.topology import Topology
from broker.undeliverable import Undeliverable
from config import Settings
from core.errors import NotConfiguredError
from core.events.base import EventStream, Log, Sink
from core.events.files import SettingsNotice
from core.events.worker import QueueConsumed, QueueSkipped, QueueTracked, Started
from core.pauses import Pauses
from core.policy import RetryPolicy, lease_for
from core.stats import Statistics
from core.texts import Text
from core.version import VERSION
from message_processor import MessageProcessor
from processing.consumed_queue import ConsumedQueue, ProcessingSettings
from processing.crash_journal import CrashJournal
from rabbitmq_consumer import RabbitMQConsumer
from rabbitmq_publisher import RabbitMQPublisher
from runtime.alert_settings import AlertSettings
from runtime.lifecycle import Lifecycle, Service, StopSignals
from runtime.loader import make_handler, make_tracker, settings_of
from runtime.overhearing import overheard_by
from runtime.systemd import Notifier
from tracking.sweeper import Sweeper
from tracking.tracked_queue import TrackedQueue
from tracking.tracker_thread import TrackerThread

if TYPE_CHECKING:
    from tracing.exporting import Tracing

_Made = TypeVar("_Made")

CLOSE_TIMEOUT = 5.0  # seconds that a connection may take to close after the work is done
FLUSH_POLL = 0.02  # seconds between looks at the confirms that are still due


class Worker:
    """The running daemon: consumer, publisher, one processor per queue, one thread per tracker."""

    def __init__(
        self,
        settings: Settings,
        handlers: Mapping[str, type[Any]],
        trackers: Mapping[str, type[Any]],
        *,
        mask: Callable[[str], str] = lambda text: text,
        tracing: Tracing | None = None,
    ) -> None:
        self._settings = settings
        self._mask = mask
        self._tracing = tracing
        self._tracer = None if tracing is None else tracing.tracer
        self._started_at = time.time()
        self._unused: dict[str, Text] = {}  # input queue -> why it is not read
        self._stop = threading.Event()
        self.pauses = Pauses(time.monotonic, settings.for_system(AlertSettings).delay)
        self._statistics = Statistics(self._started_at, self.pauses)
        self._alerting = make_alerting(settings, self.pauses, self._stop, mask)
        self.journal = make_journal(settings, mask)
        counts = make_counts(settings, self._statistics, self.pauses, self._started_at)
        self._topology = Topology(settings.rabbitmq)
        self._last_good = LastGood()
        self._resolver = Resolver()
        interval = settings.worker.heartbeat_interval
        self.depths = QueueDepths(self._nodes("depths"), interval=interval, is_ready=self._is_ready, stop=self._stop)
        sinks: list[Sink] = [Log(), self.pauses, self._statistics, self._alerting, self.depths, *counts]
        self._events = EventStream(sinks if self.journal is None else [*sinks, self.journal])
        if self.journal is not None:
            self.journal.tell(self._events)
        self._alerting.tell(self._events)
        self._events.emit(Started(VERSION, platform.python_version()))
        for warning in settings.warnings:
            self._events.emit(SettingsNotice(warning.render("en")))
        self._handlers = handlers
        self._trackers = trackers
        longest = settings.rabbitmq.reconnect_max_delay
        made = self._make_handlers()
        self.publisher = RabbitMQPublisher(
            self._nodes("publisher"),
            self._topology,
            self._events,
            reconnect_max_delay=longest,
            queues=(
                *(settings.worker.sent_queue_of(queue) for queue in made),
                self._topology.responses_queue,
                self._topology.errors_queue,
            ),
        )
        way = self._nodes("consumer")
        self.consumer = RabbitMQConsumer(
            way,
            self._topology,
            reconnect_max_delay=longest,
            lease=lease_for(settings.rabbitmq.heartbeat),
            events=self._events,
            undeliverable=Undeliverable(way, self.publisher.publish, self._topology.errors_queue, self._events),
        )
        self._starts = CrashJournal(settings.worker.state_dir)
        self._tracking: dict[str, BaseTracker] = {}  # by system
        self.tracker_threads = self._make_trackers()
        self._alerting.watch(queue.removesuffix(".sent.queue") for queue in self.tracker_threads)
        self.processors = self._make_processors(made)
        self._roles = self._roles_of_queues()
        tracked = (queue for queue, role in self._roles.items() if role == "sent")
        self.depths.watch(self._roles, tracked=tracked, shards_of=self._shards_of, events=self._events)
        self._pulse = Pulse(self._roles)
        self._figures = Figures(
            *(self._statistics, self.depths),
            roles=self._roles,
            handlers={each.consumed.system: each.consumed.handler for each in self.processors.values()},
            trackers=self._tracking,
            is_connected=self.publisher.is_ready,
            is_consuming=self.consumer.is_consuming,
        )
        self.metrics = make_metrics(
            counts,
            settings,
            self._started_at,
            is_ready=self._is_ready,
            journal=self.journal,
            processors=tuple(self.processors.values()),
            trackers=self._tracking,
            depths=self.depths,
        )
        gates = {each.consumed.system: each.gate for each in self.processors.values()}
        threads = {queue.removesuffix(".sent.queue"): each for queue, each in self.tracker_threads.items()}
        self._holding = make_holding(settings.worker, gates, threads, self._events, self._stop)
        self._door = make_door(
            settings.worker,
            Worked(
                started_at=self._started_at,
                served=served_by(settings.worker, handlers, self.tracker_threads, self._unused),
                pauses=self.pauses,
                holding=self._holding,
                trackers=threads,
                is_ready=self._is_ready,
                stats=self.get_stats,
                exposition=self.metrics.exposition,
                events=self._events,
            ),
        )

    def get_stats(self) -> dict[str, Any]:
        """Return the specification's statistics, each system's own figures, the queues and the state of the whole."""
        return self._figures.snapshot()

    def run(self, signals: StopSignals, notifier: Notifier) -> bool:
        """Run until a signal comes; return True after an orderly stop."""
        services: list[Service] = [
            self.publisher,
            *self.processors.values(),
            self.consumer,
            *self.tracker_threads.values(),
            self._alerting,
            self.depths,
            *([] if self.journal is None else [self.journal]),
            self._holding,
            self._door,
        ]
        self._holding.restore()
        self._inspect()
        stop_steps = (self._stop_intake, self._finish_running, self._stop_trackers, self._flush, self._disconnect)
        lifecycle = Lifecycle(
            services,
            stop_steps,
            signals=signals,
            notifier=notifier,
            is_ready=self._is_ready,
            age=lambda: max(self.publisher.seconds_since_tick(), self.consumer.seconds_since_tick()),
            heartbeat=self._heartbeat,
            heartbeat_interval=self._settings.worker.heartbeat_interval,
            shutdown_timeout=self._settings.worker.shutdown_timeout,
        )
        with ExitStack() as at_the_end:
            if self.journal is not None:
                at_the_end.callback(self.journal.finish, CLOSE_TIMEOUT)
                at_the_end.enter_context(overheard_by(self.journal))
            if self._tracing is not None:
                at_the_end.callback(self._tracing.finish, CLOSE_TIMEOUT)
            at_the_end.callback(self._starts.close)
            at_the_end.callback(self._door.close)
            return lifecycle.run()

    def _inspect(self) -> None:
        """Look at the systems and at the queues, in threads that nobody waits for."""
        inspect_all({queue: each.consumed.handler for queue, each in self.processors.items()}, self._events)
        nodes = self._nodes("inspection")
        look = partial(tell_remarks, nodes, self._roles, self._is_ready, self._stop.wait, self._events)
        threading.Thread(target=look, name="inspect-queues", daemon=True).start()

    def _is_ready(self) -> bool:
        return self.publisher.is_ready() and self.consumer.is_consuming()

    def _nodes(self, role: str) -> Nodes:
        return Nodes(partial(connection_parameters, self._settings.rabbitmq, role), self._last_good, self._resolver)

    def _roles_of_queues(self) -> dict[str, Role]:
        """Return what each queue is used for that the worker uses."""
        sent = (self._settings.worker.sent_queue_of(queue) for queue in self.processors)
        return {
            **dict.fromkeys(self.processors, "input"),
            **dict.fromkeys((*sent, *self.tracker_threads), "sent"),
            self._topology.responses_queue: "responses",
            self._topology.errors_queue: "errors",
        }

    # -- building -------------------------------------------------------------------------------------------------

    def _make_handlers(self) -> dict[str, BaseMessageHandler]:
        """Return the handlers of the systems that are in use."""
        handlers = {}
        for queue, cls in self._handlers.items():
            make = partial(make_handler, cls, settings_of(cls, self._settings), self._stop)
            if (handler := self._made_or_skipped(queue, "consumed", make)) is not None:
                handlers[queue] = handler
        return handlers

    def _make_processors(self, handlers: Mapping[str, BaseMessageHandler]) -> dict[str, MessageProcessor]:
        worker = self._settings.worker
        shared = ProcessingSettings(
            errors_queue=self._topology.errors_queue,
            limits=worker.message_limits,
            retry=RetryPolicy(worker.retry_attempts, worker.retry_delay, worker.retry_max_delay),
            probe_interval=worker.probe_interval,
            mask=self._mask,
            tracer=self._tracer,
        )
        processors = {}
        for queue, handler in handlers.items():
            threads = handler.prepare_for(worker.concurrency_of(queue))
            consumed = ConsumedQueue(
                queue=queue,
                system=queue.removesuffix(".queue"),
                handler=handler,
                sent_queue=worker.sent_queue_of(queue),
                # Each thread holds a batch, and one waits for it: with less, threads take half-full batches.
                prefetch=worker.prefetch_of(queue, 2 * threads * handler.batch_size),
                threads=threads,
            )
            processors[queue] = MessageProcessor(
                consumed,
                shared,
                consumer=self.consumer,
                publisher=self.publisher,
                events=self._events,
                starts=self._starts,
                stop=self._stop,
                on_done=self._wake_tracker,
            )
            self._events.emit(QueueConsumed(queue, type(handler).__name__))
        for queue in worker.sent_queues:
            if queue not in self._handlers:
                self._events.emit(QueueSkipped(queue, "consumed", "it has no handler in QUEUE_HANDLERS"))
        return processors

    def _make_trackers(self) -> dict[str, TrackerThread]:
        threads = {}
        for queue, cls in self._trackers.items():
            tracker = self._made_or_skipped(
                queue, "tracked", partial(make_tracker, cls, settings_of(cls, self._settings), self._stop)
            )
            if tracker is None:
                continue
            system = queue.removesuffix(".sent.queue")
            self._tracking[system] = tracker
            tracked = TrackedQueue(
                queue=queue,
                system=system,
                tracker=tracker,
                responses_queue=self._topology.responses_queue,
                errors_queue=self._topology.errors_queue,
                echo_variables=self._settings.worker.response_echo_variables,
                full_sweep_interval=self._settings.worker.tracker_full_sweep_interval,
                has_shards=self._settings.worker.tracker_shards,
                mask=self._mask,
                tracer=self._tracer,
            )
            nodes = self._nodes(f"tracker {system}")
            sweeper = Sweeper(tracked, self._topology, nodes, self.publisher, self._stop.is_set, events=self._events)
            interval = self._settings.worker.heartbeat_interval
            threads[queue] = TrackerThread(
                queue, system, sweeper, events=self._events, interval=interval, stop=self._stop
            )
            self._events.emit(QueueTracked(queue, type(tracker).__name__))
        return threads

    def _made_or_skipped(self, queue: str, what: str, make: Callable[[], _Made]) -> _Made | None:
        try:
            return make()
        except NotConfiguredError as error:
            self._unused.setdefault(queue, error.text)
            self._events.emit(QueueSkipped(queue, what, str(error)))
            return None

    def _shards_of(self, queue: str) -> tuple[str, ...]:
        return self.tracker_threads[queue].shards if queue in self.tracker_threads else ()

    def _wake_tracker(self, sent_queue: str) -> None:
        if sent_queue in self.tracker_threads:
            self.tracker_threads[sent_queue].wake()

    # -- stopping, in this order ----------------------------------------------------------------------------------

    def _stop_intake(self, _deadline: float) -> bool:
        self.consumer.stop_intake()
        self._stop.set()
        return True

    def _finish_running(self, deadline: float) -> bool:
        finished = [processor.finish(deadline) for processor in self.processors.values()]
        return all(finished)

    def _stop_trackers(self, deadline: float) -> bool:
        for thread in self.tracker_threads.values():
            thread.wake()
        ended = [thread.join(_until(deadline)) for thread in self.tracker_threads.values()]
        return all(ended)

    def _flush(self, deadline: float) -> bool:
        while self.publisher.unconfirmed() and time.monotonic() < deadline:
            time.sleep(FLUSH_POLL)
        return not self.publisher.unconfirmed()

    def _disconnect(self, _deadline: float) -> bool:
        # The publisher first: its last confirms turn into the consumer's last acks.
        self.publisher.close(CLOSE_TIMEOUT)
        for processor in self.processors.values():
            processor.confirmations.finish(CLOSE_TIMEOUT)
        self.consumer.close(CLOSE_TIMEOUT)
        self.depths.finish(CLOSE_TIMEOUT)
        return True

    def _heartbeat(self) -> str:
        heartbeat = self._pulse.beat(self.get_stats())
        self._events.emit(heartbeat)
        return heartbeat.line()


def _until(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
