"""Gives one thread a queue to go through: messages out, acknowledgements in, everything else back at the end."""

from __future__ import annotations

import contextlib
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_all
from typing import Any, cast

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from broker.connection import connect
from broker.depths import depth_on, depths_of
from broker.errors import refusal
from broker.frames import FramedConnection
from broker.nodes import Parameters
from broker.properties import ReceivedProperties
from broker.queue_types import queue_type
from broker.sieve import Sieve
from broker.topology import Topology, ensure_queues
from core.copies import carried, kept_properties
from core.messages import OutgoingMessage

PUMP = 0.1  # seconds between looks at the connection while the system is asked, so that heartbeats go on
QUICK_PUMP = 0.01  # the same where messages that go by wake nobody
QUIET = 2.0  # seconds without a message after which the queue has no more for this sweep
PREFETCH_LIMIT = 65_535  # 16 bits in AMQP

Taken = tuple[int, ReceivedProperties, bytes]  # delivery tag, properties, body


class TakingInterruptedError(Exception):
    """Whoever goes through the queue is told to stop: everything that is not settled goes back."""


def copy_of(properties: ReceivedProperties, body: bytes, unnamed: str) -> OutgoingMessage:
    """Return the same message for the tail of a queue; what the broker has added stays behind.

    `unnamed` is the id of a copy of a message that has none.
    """
    return OutgoingMessage(
        body,
        properties.message_id or unnamed,
        carried(properties.wire_headers()),
        properties.content_type,
        properties.content_encoding,
        kept_properties(properties),
    )


class Taking:
    """A connection to go through queues, one after the other. Used by one thread, through `opened`.

    All methods raise AMQPError when the connection is lost; what is not settled is back in its queue then.
    """

    def __init__(
        self, connection: pika.BlockingConnection, topology: Topology, is_stopping: Callable[[], bool]
    ) -> None:
        self.connection = connection
        self._topology = topology
        self.is_stopping = is_stopping

    @classmethod
    @contextlib.contextmanager
    def opened(cls, topology: Topology, parameters: Parameters, is_stopping: Callable[[], bool]) -> Iterator[Taking]:
        """Open a connection, whose end returns what is not settled, in its place."""
        connection, _ = connect(parameters)
        try:
            _framed(connection).read_much()
            yield cls(connection, topology, is_stopping)
        finally:
            if connection.is_open:
                connection.close()

    @contextlib.contextmanager
    def queue(self, name: str) -> Iterator[TakenQueue]:
        """Open a queue on a channel of its own, whose end returns what is not settled. A missing queue is created."""
        channel = self.connection.channel()
        depth = depth_on(channel, name)
        if depth is None:
            self.ensure([name])
            channel = self.connection.channel()
        queue = TakenQueue(name, self, channel, None if depth is None else depth.messages)
        yield queue
        queue.give_back()
        channel.close()

    def ready(self, names: Iterable[str]) -> dict[str, int | None]:
        """Return how many messages each queue holds that nobody has taken; None where there is no such queue."""
        found = depths_of(self.connection, names)
        return {name: None if depth is None else depth.messages for name, depth in found.items()}

    def ensure(self, names: Iterable[str]) -> None:
        """Create what is missing of the queues. Raises TopologyError when RabbitMQ refuses to."""
        ensure_queues(self.connection, self._topology, names)

    def ensure_readable(self, name: str) -> None:
        """Raise TopologyError when RabbitMQ refuses to hand out what is in this queue. Nothing is taken out of it."""
        channel = self.connection.channel()
        try:
            channel.basic_get(name)
        except ChannelClosedByBroker as error:
            raise refusal(name, error) from error
        channel.close()

    def rest(self, seconds: float) -> None:
        """Do nothing for so long, keeping the connection's heartbeats going."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.is_stopping():
                raise TakingInterruptedError
            self.connection.process_data_events(time_limit=min(left, PUMP))

    def wait(self, futures: Sequence[Future[Any]]) -> None:
        """Wait until all are done, keeping the connection's heartbeats going. Raises the first failure."""
        pending = set(futures)
        while pending:
            done, pending = wait_for_all(pending, timeout=PUMP)
            for future in done:
                future.result()
            self.connection.process_data_events()
            if self.is_stopping() and pending:
                raise TakingInterruptedError


class TakenQueue:
    """A queue in the hands of whoever goes through it. Used by one thread, through `opened` or `Taking.queue`.

    `ready` is how many messages it held when it was opened, `is_new` whether it had to be created. All methods raise
    AMQPError when the connection is lost; what is not settled is back in the queue then.
    """

    def __init__(
        self,
        name: str,
        taking: Taking,
        channel: BlockingChannel,
        ready: int | None,
    ) -> None:
        self.name = name
        self.is_new = ready is None
        self.ready = ready or 0
        self.passed = 0  # messages of the last `take` that were let go by
        self._connection = taking.connection
        self._channel = channel
        self._is_stopping = taking.is_stopping
        self._unsettled: dict[int, None] = {}  # delivery tags, which only rise: the oldest comes first

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls,
        name: str,
        topology: Topology,
        parameters: Parameters,
        is_stopping: Callable[[], bool],
    ) -> Iterator[TakenQueue]:
        """Open the queue on a connection of its own, whose end returns what is not settled, in its place.

        A missing queue is created.
        """
        with Taking.opened(topology, parameters, is_stopping) as taking, taking.queue(name) as queue:
            yield queue

    def type(self) -> str | None:
        """Return `classic` or `quorum`; None when RabbitMQ does not say.

        RabbitMQ writes a line into its log at each question.
        """
        return queue_type(self._connection, self.name)

    def ensure_ours(self) -> None:
        """Raise AMQPError when what is held may be another worker's by now: to be asked before it is answered.

        RabbitMQ gives it to others when the connection is lost, or silent for too long, and when it is held for longer
        than the consumer time-out, which ends the channel: it answers on a channel that it has not ended only.
        """
        self._channel.basic_qos(prefetch_count=1)

    def take(self, size: int, is_passed: Callable[[bytes], bool] | None = None) -> list[Taken]:
        """Return the next `size` messages, fewer when the queue has no more. They stay held until `ack` or the end.

        `is_passed` is asked with the properties of a message as they came: those that it lets go by are held and not
        returned; `passed` tells their number. It is not asked about all of them.
        """
        # A consumer of its own for each portion: prefetch counts per consumer, so the portion's size bounds the
        # memory although the messages of earlier portions stay unsettled until the end of the sweep.
        taken: list[Taken] = []
        size = min(size, PREFETCH_LIMIT)
        sieve = Sieve((lambda _properties: False) if is_passed is None else is_passed)
        pump = PUMP if is_passed is None else QUICK_PUMP
        if is_passed is not None:
            self._sift(sieve)
        self._channel.basic_qos(prefetch_count=size)
        consumer_tag = self._channel.basic_consume(
            self.name,
            lambda _channel, method, properties, body: taken.append(
                (method.delivery_tag or 0, cast(ReceivedProperties, properties), body)
            ),
        )
        # pika's own consume() measures its time-out by the wall clock, which may jump.
        last_arrival, arrived = time.monotonic(), 0
        while arrived < size and time.monotonic() - last_arrival < QUIET and not self._is_stopping():
            self._connection.process_data_events(time_limit=pump)
            if (now_here := len(taken) + len(sieve.tags)) > arrived:
                last_arrival, arrived = time.monotonic(), now_here
        self._channel.basic_cancel(consumer_tag)
        self._sift(None)
        self.passed = len(sieve.tags)
        self._unsettled.update(dict.fromkeys(sorted([*sieve.tags, *(tag for tag, _, _ in taken)])))
        return taken

    def _sift(self, sieve: Sieve | None) -> None:
        _framed(self._connection).sieve = sieve

    def ack(self, tags: Iterable[int]) -> None:
        """Acknowledge messages; with one word for all of them, where these are all that is held up to some tag."""
        settled = sorted(tags)
        for tag in settled:
            del self._unsettled[tag]
        oldest_kept = next(iter(self._unsettled), None)
        together = len(settled) if oldest_kept is None else bisect_left(settled, oldest_kept)
        if together:
            self._channel.basic_ack(settled[together - 1], multiple=True)
        for tag in settled[together:]:
            self._channel.basic_ack(tag)

    def give_back(self) -> None:
        """Give back what is not settled and wait until it is in the queue."""
        # Closing would return it, too, but what is much takes the queue some seconds, and the next sweep, here or in
        # another worker, would see half of it. A passive declaration overtakes the return; a get waits its turn.
        if self._unsettled:
            self._channel.basic_nack(0, multiple=True, requeue=True)
            method, _, _ = self._channel.basic_get(self.name)
            if method is not None:
                self._channel.basic_nack(method.delivery_tag or 0, requeue=True)
            self._unsettled.clear()

    def pump(self) -> None:
        """Give the connection its turn for a moment, as whoever waits for something else must."""
        self._connection.process_data_events(time_limit=PUMP)


def _framed(connection: pika.BlockingConnection) -> FramedConnection:
    """Return what is behind the blocking connection, as broker.connection has made it."""
    return cast(FramedConnection, connection._impl)  # type: ignore[attr-defined]
