"""Goes through a queue without changing it, but for the messages that somebody wants moved.

On a classic queue nothing is settled until the end, and the end of the connection puts everything back in its place.
Any other queue counts what is returned and drops it one day (broker.returns): there each message that stays is replaced
by a confirmed copy at the tail, all of them in their order, so that after the walk they stand as before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from broker.connection import connection_parameters
from broker.queue_types import CLASSIC
from broker.taken_queue import Taken, TakenQueue
from core.copies import kept_properties, speaks_to_the_broker
from core.envelopes import unreadable_name
from core.events.base import EventStream
from core.messages import OutgoingMessage
from operation.desk import Desk
from rabbitmq_publisher import RabbitMQPublisher

PORTION = 500  # messages that are taken, moved and acknowledged together
LONGEST = 600.0  # seconds; RabbitMQ closes a channel that holds a message for 30 minutes
CLOSE_TIMEOUT = 10.0  # seconds


class QueueWalk:
    """One walk through a queue. `total` is how many messages it held at the beginning."""

    def __init__(self, name: str, queue: TakenQueue, publisher: RabbitMQPublisher) -> None:
        self.name = name
        self.total = queue.ready
        self._queue = queue
        self._publisher = publisher
        self._is_classic = queue.ready == 0 or queue.type() == CLASSIC
        self._began = time.monotonic()

    @property
    def is_late(self) -> bool:
        """Whether the walk has to end, and another one to go on: nothing may be held for too long."""
        return time.monotonic() - self._began > LONGEST

    def portions(self, size: int = PORTION) -> Iterator[Sequence[Taken]]:
        """Yield the messages that were there at the beginning, each once. Raises AMQPError."""
        left = self.total
        while left > 0 and not self.is_late:
            taken = self._queue.take(min(size, left))
            if not taken:
                return
            left -= len(taken)
            yield taken

    def keep(self, taken: Sequence[Taken], copy: Callable[[Taken], OutgoingMessage | None] | None = None) -> None:
        """Leave these where they are.

        `copy` makes what takes the place of one where returns are counted; None: it is returned all the same.
        """
        if self._is_classic:
            return
        futures: list[Future[None]] = []
        copied: list[Taken] = []
        for each in taken:
            # What cannot be read cannot be copied: it is returned at the end.
            if each[1].refusal() is None and (whole := (copy or whole_copy)(each)) is not None:
                copied.append(each)
                futures.append(self.publish(self.name, whole))
        self.wait(futures)
        for future in futures:
            future.result()
        self.settle(copied)

    def leave(self, portions: Iterator[Sequence[Taken]]) -> None:
        """End a walk early: a queue that counts returns must not be left half turned round."""
        if self._is_classic:
            return
        for portion in portions:
            self.keep(portion)

    def publish(self, queue: str, message: OutgoingMessage) -> Future[None]:
        """Send a message; the future is done when RabbitMQ has it (mandatory, confirmed)."""
        return self._publisher.publish(queue, message)

    def wait(self, futures: Sequence[Future[None]]) -> None:
        """Wait until all are done, whatever has become of them."""
        while any(not future.done() for future in futures):
            self.pump()

    def settle(self, taken: Sequence[Taken]) -> None:
        """Take out of the queue what has been moved and confirmed. Raises AMQPError when it is not ours any more."""
        if taken:
            self._queue.ensure_ours()
            self._queue.ack([each[0] for each in taken])

    def pump(self) -> None:
        """Give the connection its turn for a moment."""
        self._queue.pump()


def whole_copy(taken: Taken) -> OutgoingMessage:
    """Return the same message with all its headers, but for those by which RabbitMQ would be told something."""
    _, properties, body = taken
    headers = {name: value for name, value in properties.wire_headers().items() if not speaks_to_the_broker(name)}
    return OutgoingMessage(
        body,
        properties.message_id or unreadable_name(body),
        headers,
        properties.content_type,
        properties.content_encoding,
        kept_properties(properties),
    )


@contextmanager
def walk_through(desk: Desk, queue: str) -> Iterator[QueueWalk]:
    """Open a walk; its end leaves everything that was not moved in its place. Raises BROKER_ERRORS."""
    rabbitmq = desk.settings.rabbitmq
    publisher = RabbitMQPublisher(
        connection_parameters(rabbitmq, "operator publisher"),
        desk.topology,
        EventStream([]),
        reconnect_max_delay=rabbitmq.reconnect_max_delay,
    )
    with TakenQueue.opened(queue, desk.topology, connection_parameters(rabbitmq, "operator"), lambda: False) as taken:
        publisher.start()
        try:
            yield QueueWalk(queue, taken, publisher)
        finally:
            publisher.close(CLOSE_TIMEOUT)
