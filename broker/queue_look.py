"""Asks RabbitMQ once how many messages and consumers queues have, on a connection for that alone.

Nothing is created, taken or changed. A look ends in time whatever hangs: a queue that gives no answer keeps its
channel, and the others are asked for on the rest of a few.
A quorum queue without its majority is told to be empty (findings/rabbitmq-no-majority-is-empty.sh).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import pika
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker
from pika.frame import Method

from broker.channels import Channels
from broker.errors import NOT_FOUND
from broker.nodes import Nodes
from broker.racing import Race
from broker.turns import TurnLoop
from core.events.base import EventStream

LIMIT = 10.0  # seconds
LANES = 4  # channels; a user of RabbitMQ may be allowed few, and the work needs them
_PARTING = 1.0  # seconds that RabbitMQ gets to answer to the closing of the connection
_TICK = 0.1  # seconds between looks at the time and at whether the worker stops


class Counts(NamedTuple):
    """How many messages are ready to be delivered, and how many consumers there are."""

    messages: int
    consumers: int


class QueueLook:
    """One look at some queues. Used by one thread.

    `found` holds what RabbitMQ has answered: None for a queue that is not there. Of a queue that is not in it nothing
    is known.
    """

    def __init__(
        self, nodes: Nodes, queues: Iterable[str], *, is_stopping: Callable[[], bool], limit: float = LIMIT
    ) -> None:
        self.found: dict[str, Counts | None] = {}
        self._nodes = nodes
        self._waiting = deque(queues)  # to be asked for
        self._asked: dict[Channel, str] = {}  # without an answer yet
        self._is_stopping = is_stopping
        self._deadline = time.monotonic() + limit
        self._ioloop = TurnLoop()
        self._race = Race(
            self._ioloop, nodes.resolver, on_won=self._on_connected, on_lost=self._on_closed, on_failed=self._on_failed
        )
        self._connection: pika.SelectConnection | None = None
        self._channels: Channels | None = None
        self._is_closing = False
        self._failure: Exception | None = None

    def run(self) -> None:
        """Ask, until everything is answered, the time is over or the worker stops.

        Raises AMQPError or OSError when RabbitMQ cannot be reached, or is gone before it has answered everything.
        """
        try:
            hosts = self._nodes.in_order()
            self._watch()
            self._race.start(hosts)
            self._ioloop.start()
        finally:
            self._ioloop.close()
        if self._failure is not None:
            raise self._failure

    def _watch(self) -> None:
        now = time.monotonic()
        if now > self._deadline + _PARTING:
            self._race.abort(ConnectionAbortedError("RabbitMQ does not answer to the closing of the connection"))
        elif now > self._deadline or self._is_stopping():
            self._deadline = min(self._deadline, now)
            self._end()
        self._ioloop.call_later(_TICK, self._watch)

    def _end(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        if self._connection is None:
            self._race.give_up()
        elif self._connection.is_open:
            self._connection.close()

    def _on_failed(self, reason: Exception | None) -> None:
        self._failure = reason or TimeoutError("no host of RabbitMQ has answered in time")
        self._ioloop.stop()

    def _on_closed(self, _connection: pika.SelectConnection, reason: BaseException) -> None:
        if not self._is_closing and isinstance(reason, Exception):
            self._failure = reason
        self._ioloop.stop()

    def _on_connected(self, connection: pika.SelectConnection, parameters: pika.ConnectionParameters) -> None:
        self._nodes.answered(parameters)
        self._connection = connection
        # Where even fewer channels are allowed, they take turns: nobody has to know.
        self._channels = Channels(connection, lambda: None, EventStream([]))
        for _ in range(min(LANES, len(self._waiting))):
            self._channels.open(self._on_channel_open)
        self._end_if_answered()

    def _on_channel_open(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        self._ask_next(channel)

    def _ask_next(self, channel: Channel) -> None:
        if self._waiting and channel.is_open:
            self._asked[channel] = queue = self._waiting.popleft()
            channel.queue_declare(queue, passive=True, callback=partial(self._on_answer, queue, channel))
        self._end_if_answered()

    def _on_answer(self, queue: str, channel: Channel, answer: Method[Any]) -> None:
        self.found[queue] = Counts(int(answer.method.message_count), int(answer.method.consumer_count))
        self._asked.pop(channel, None)
        self._ask_next(channel)

    def _on_channel_closed(self, channel: Channel, reason: Exception) -> None:
        queue = self._asked.pop(channel, None)
        if self._channels is None or not self._channels.connection.is_open:
            return  # all of it has ended
        if queue is not None and isinstance(reason, ChannelClosedByBroker) and reason.reply_code == NOT_FOUND:
            self.found[queue] = None
        if self._waiting:
            self._channels.open(self._on_channel_open)
        self._end_if_answered()

    def _end_if_answered(self) -> None:
        if not self._waiting and not self._asked:
            self._end()
