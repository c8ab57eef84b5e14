"""Publishes confirmed, mandatory and persistent messages from any thread: `publish(queue, message) -> Future`.

One connection of its own: RabbitMQ blocks a publishing connection under memory or disk alarm, acks included, and the
consumer's acks must not wait for that. Confirms are pipelined. A publish without a confirm has perhaps happened, so
it is sent again with the same message id until the broker confirms it: duplicates are possible, losses are not.
A queue that does not take its messages holds up nobody else's (broker.outgoing_queue).
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

import pika
from pika.frame import Method

from broker.connection_thread import ConnectionThread
from broker.errors import PublisherClosedError
from broker.mailbox import Mailbox
from broker.nodes import Parameters
from broker.outgoing_queue import OutgoingQueue
from broker.publishing_channel import Publication
from broker.topology import Topology
from core.events.base import EventStream
from core.events.publishing import Published, PublisherBlocked, PublisherUnblocked, PublishGivenUp
from core.messages import OutgoingMessage
from core.traces import Span

# Seconds that a quorum queue is left alone when it has been created. What RabbitMQ confirms in a younger one is gone if
# its node is killed: with one node always within the first second, on 3.10.8, 4.0.5 and 4.3.6 (findings/).
GROWTH = 3.0
SILENCE = 10.0  # seconds between looks at how long confirms take


class RabbitMQPublisher:
    """The worker's publisher.

    `publish`, `is_ready`, `unconfirmed` and `close` from any thread; everything else runs in the I/O thread.
    """

    def __init__(
        self,
        parameters: Parameters,
        topology: Topology,
        events: EventStream,
        *,
        reconnect_max_delay: float,
        queues: Sequence[str] = (),
        growth: float = GROWTH,
    ) -> None:
        """`queues` are ensured at every connect; any other is created when a message comes back from it."""
        self._thread = ConnectionThread(
            "rabbitmq-publisher",
            parameters,
            topology,
            reconnect_max_delay=reconnect_max_delay,
            on_open=self._on_connection_open,
            on_lost=self._on_connection_lost,
            make_room=self._make_room,
            events=events,
        )
        self._topology = topology
        self._events = events
        self._queues = queues
        self._longest = reconnect_max_delay
        self._growth = growth
        self._inbox: Mailbox[Publication] = Mailbox(self._thread, self._sort)
        self._outgoing: dict[str, OutgoingQueue] = {}  # by name
        self._stored: list[Publication] = []  # in this turn of the I/O loop
        self._ready = threading.Event()
        self._blocked = False

    # -- any thread -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def seconds_since_tick(self) -> float:
        """Return the age of the I/O thread's last sign of life."""
        return self._thread.seconds_since_tick()

    def is_ready(self) -> bool:
        """True while the broker takes messages: no outside task should be created whose result cannot be stored."""
        return self._ready.is_set()

    def wait_until_ready(self, timeout: float) -> bool:
        return self._ready.wait(timeout)

    def publish(self, queue: str, message: OutgoingMessage) -> Future[None]:
        """Send to the queue through the default exchange. The future is done when the broker has confirmed.

        It fails with MessageTooLargeError, or PublisherClosedError when the daemon stops first. A missing queue is
        created and a full one waited for, however long it takes.
        """
        publication = Publication(queue, message)
        if self._thread.is_closing():
            publication.confirmed.set_exception(PublisherClosedError())
            return publication.confirmed
        if message.cause is not None:
            span = message.cause.sending(queue, message.message_id)
            publication.message = replace(message, headers={**message.headers, **span.trace.headers()}, cause=None)
            publication.confirmed.add_done_callback(partial(_end, span))
        self._inbox.put(publication)
        return publication.confirmed

    def unconfirmed(self) -> int:
        """Return how many publishes wait for their confirm, except those whose queue takes nothing at the moment."""
        return len(self._inbox) + sum(outgoing.expected() for outgoing in list(self._outgoing.values()))

    def close(self, timeout: float) -> None:
        """Close the connection; what is not confirmed by then fails with PublisherClosedError."""
        self._thread.close(timeout, last=self._sort)
        left = {queue: outgoing.take_all() for queue, outgoing in self._outgoing.items()}
        for queue, publications in left.items():
            if publications and self._outgoing[queue].is_held:
                self._events.emit(PublishGivenUp(queue, len(publications)))
        for publication in [each for publications in left.values() for each in publications]:
            publication.confirmed.set_exception(PublisherClosedError())
        while self._inbox:
            self._inbox.take().confirmed.set_exception(PublisherClosedError())

    # -- I/O thread -----------------------------------------------------------------------------------------------

    def _on_connection_open(self, connection: pika.SelectConnection) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._blocked = False
        self._ready.set()
        for queue in self._queues:
            self._outgoing_to(queue)
        for queue, outgoing in self._outgoing.items():
            outgoing.connected(make_sure=outgoing.is_held or queue in self._queues)
        self._inbox.look()
        self._thread.call_later(SILENCE, self._look_at_queues)

    def _on_connection_lost(self) -> None:
        self._ready.clear()
        self._tell_stored()
        for outgoing in self._outgoing.values():
            outgoing.disconnected()

    def _on_blocked(self, _connection: pika.SelectConnection, frame: Method[Any]) -> None:
        self._blocked = True
        self._ready.clear()
        self._events.emit(PublisherBlocked(str(frame.method.reason)))

    def _on_unblocked(self, _connection: pika.SelectConnection, _frame: Method[Any]) -> None:
        self._blocked = False
        self._ready.set()
        self._events.emit(PublisherUnblocked())
        for outgoing in self._outgoing.values():
            outgoing.flow()

    def _sort(self) -> None:
        """Put what has come with what waits for the same queue."""
        inbox, changed = self._inbox, {}
        while inbox:
            publication = inbox.first()
            outgoing = self._outgoing_to(publication.queue)
            outgoing.put(publication)
            inbox.take()  # not before: `unconfirmed` may be counting
            changed[outgoing.name] = outgoing
        for outgoing in changed.values():
            outgoing.flow()

    def _outgoing_to(self, queue: str) -> OutgoingQueue:
        outgoing = self._outgoing.get(queue)
        if outgoing is None:
            outgoing = self._outgoing[queue] = OutgoingQueue(
                queue,
                self._thread,
                self._events,
                is_blocked=lambda: self._blocked,
                on_stored=self._on_stored,
                detour=partial(self._put_into, detour) if (detour := self._topology.detour(queue)) else None,
                longest=self._longest,
                growth=self._growth,
            )
        return outgoing

    def _put_into(self, queue: str, publications: Sequence[Publication]) -> None:
        outgoing = self._outgoing_to(queue)
        for publication in publications:
            publication.queue = queue
            outgoing.put(publication)
        outgoing.flow()

    def _look_at_queues(self) -> None:
        self._thread.call_later(SILENCE, self._look_at_queues)
        if self._blocked:
            return
        for queue, outgoing in list(self._outgoing.items()):
            if outgoing.is_idle and queue not in self._queues:
                outgoing.close_channel()
                del self._outgoing[queue]
            else:
                outgoing.look()

    def _make_room(self) -> None:
        for outgoing in self._outgoing.values():
            outgoing.close_channel()

    def _on_stored(self, publications: list[Publication]) -> None:
        # Not one by one: the threads that wait for them would take the interpreter's lock away at every turn.
        if not self._stored:
            self._thread.at_end_of_turn(self._tell_stored)
        self._stored += publications

    def _tell_stored(self) -> None:
        stored, self._stored = self._stored, []
        by_queue: defaultdict[str, list[Publication]] = defaultdict(list)
        for publication in stored:
            by_queue[publication.queue].append(publication)
        now = time.monotonic()
        for queue, publications in by_queue.items():
            self._events.emit(Published(len(publications), queue, now - publications[0].began))
        for publication in stored:
            publication.confirmed.set_result(None)


def _end(span: Span, confirmed: Future[None]) -> None:
    if (error := confirmed.exception()) is not None:
        span.fail(type(error).__name__)
    span.end()
