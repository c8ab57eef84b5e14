"""Keeps one RabbitMQ connection in a thread of its own; it comes back by itself, for ever.

pika's objects may be touched by their I/O thread only; `call` is the one door for all other threads. Nothing that can
block stands in that thread: hosts are tried side by side (broker.racing), queues ensured by callbacks
(broker.declarations).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import pika
from pika.channel import Channel

from broker.backoff import Backoff
from broker.channels import Channels
from broker.declarations import Declaration, OnDone
from broker.errors import BROKER_ERRORS, describe_in_both
from broker.nodes import Nodes, Parameters
from broker.racing import Race
from broker.topology import Topology
from broker.turns import TurnLoop
from core.events.base import EventStream
from core.events.connections import ConnectionLost, ConnectionOpened, ConnectionUnstable, RabbitMQUnreachable
from core.events.queues import QueueUnusable
from core.texts import Text

TICK = 1.0  # seconds between signs of life of the I/O loop
ABANDON_TIMEOUT = 2.0  # seconds that a broken loop gets to close its connection
PROVEN = 10.0  # seconds that a connection must live so that its loss is a single one
STORM = 5  # connections lost sooner, one after the other, of which people are told

Callback = Callable[[], None]


class ConnectionThread:
    """Connects, runs pika's I/O loop, reconnects with backoff and jitter.

    `on_open(connection)` and `on_lost()` are called in the I/O thread; `on_lost` after every loop, also a failed one.
    """

    def __init__(
        self,
        name: str,
        parameters: Parameters,
        topology: Topology,
        *,
        reconnect_max_delay: float,
        on_open: Callable[[pika.SelectConnection], None],
        on_lost: Callback,
        make_room: Callback = lambda: None,
        events: EventStream,
    ) -> None:
        """`make_room` closes channels that have nothing to do, where RabbitMQ allows no more."""
        self._name = name
        self._nodes = Nodes.of(parameters)
        self._topology = topology
        self._unreachable = Backoff(0.2, reconnect_max_delay)
        self._unstable = Backoff(0.2, reconnect_max_delay)
        self._short_lives = 0  # in a row
        self._on_open = on_open
        self._on_lost = on_lost
        self._make_room = make_room
        self.events = events
        self._closing = threading.Event()
        self._running_loop: TurnLoop | None = None  # also while it connects
        self._ioloop: TurnLoop | None = None  # of the open connection
        self._race: Race | None = None
        self._opened_at: float | None = None
        self._failure: Exception | None = None  # why the loop has ended
        self._thread: threading.Thread | None = None
        self._last_tick = time.monotonic()
        self.connection: pika.SelectConnection | None = None  # I/O thread only
        self._channels: Channels | None = None  # of the connection

    # -- any thread -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def is_closing(self) -> bool:
        return self._closing.is_set()

    def seconds_since_tick(self) -> float:
        """Return the age of the thread's last sign of life: a tick of the I/O loop."""
        return time.monotonic() - self._last_tick

    def call(self, callback: Callback) -> None:
        """Run `callback` in the I/O thread, or never if the connection is lost before."""
        ioloop = self._ioloop
        if ioloop is not None:
            ioloop.add_callback_threadsafe(callback)

    def close(self, timeout: float, last: Callback) -> None:
        """Run `last` in the I/O thread, close the connection and wait up to `timeout` seconds for the thread."""
        self._closing.set()
        ioloop = self._running_loop
        if ioloop is not None:
            ioloop.add_callback_threadsafe(partial(self._close_connection, last))
        if self._thread is not None:
            self._thread.join(timeout)

    # -- I/O thread -----------------------------------------------------------------------------------------------

    def call_later(self, delay: float, callback: Callback) -> None:
        """Run `callback` after `delay` seconds unless the connection is lost before."""
        if self._ioloop is not None and not self._closing.is_set():
            self._ioloop.call_later(delay, callback)

    def at_end_of_turn(self, callback: Callback) -> None:
        """Run `callback` when all is done that the I/O loop is doing now, unless the connection is lost before."""
        if self._ioloop is not None and not self._closing.is_set():
            self._ioloop.at_end_of_turn(callback)

    def is_open(self) -> bool:
        return self.connection is not None and self.connection.is_open and not self._closing.is_set()

    def open_channel(self, on_open: Callable[[Channel], None]) -> None:
        """Open a channel as soon as RabbitMQ allows one more; never if the connection is lost before."""
        if self._channels is not None:
            self._channels.open(on_open)

    def ensure_queue(self, name: str, on_done: OnDone, *, anew: bool = False) -> None:
        """Create what is missing of a queue; REFUSED, with the reason in the log, when the broker does not allow it.

        `on_done` is called later, and never if the connection is lost before. `anew`: also what is there, if empty.
        """
        if self._channels is not None and self._channels.connection.is_open:
            Declaration(self._channels, self._topology, name, on_done, self.tell_unusable, anew=anew)

    def tell_unusable(self, queue: str, reason: Text) -> None:
        """Report to people that RabbitMQ refuses what the worker needs of that queue."""
        self.events.emit(QueueUnusable(queue, reason))

    def _run(self) -> None:
        while not self._closing.is_set():
            self._last_tick = time.monotonic()
            try:
                self._connect_and_loop()
            except BROKER_ERRORS as error:
                self._complain(error)
            if not self._closing.is_set():
                self._rest(self._pause())

    def _rest(self, seconds: float) -> None:
        """Wait, with signs of life: a long pause is no hang."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0 and not self._closing.wait(min(left, TICK)):
            self._last_tick = time.monotonic()

    def _complain(self, error: Exception) -> None:
        self.events.emit(RabbitMQUnreachable(self._name, describe_in_both(error)))

    def _pause(self) -> float:
        """Return the seconds until the next try. A single loss is made good at once; a storm is not."""
        opened_at, self._opened_at = self._opened_at, None
        if opened_at is None:
            return self._unreachable.delay()
        self._unreachable.reset()
        if time.monotonic() - opened_at >= PROVEN:
            self._short_lives = 0
            self._unstable.reset()
        self._short_lives += 1
        if self._short_lives >= STORM:
            self._tell_storm()
        return self._unstable.delay()

    def _tell_storm(self) -> None:
        closed = Text("it was closed", "его закрыли")
        reason = closed if self._failure is None else describe_in_both(self._failure)
        self.events.emit(ConnectionUnstable(self._name, self._short_lives, reason))

    def _connect_and_loop(self) -> None:
        self._failure = self._opened_at = None
        hosts = self._nodes.in_order()
        ioloop = TurnLoop()
        race = Race(
            ioloop,
            self._nodes.resolver,
            on_won=self._on_connection_open,
            on_lost=self._on_connection_lost,
            on_failed=partial(self._on_unreachable, ioloop),
        )
        self._race, self._running_loop = race, ioloop
        try:
            self._tick(ioloop)
            race.start(hosts)
            if self._closing.is_set():
                race.give_up()
            ioloop.start()
        except BaseException:
            self._abandon(ioloop, race)
            raise
        finally:
            self._race = self._running_loop = self._ioloop = None
            self.connection = self._channels = None
            self._on_lost()
            ioloop.close()

    def _abandon(self, ioloop: TurnLoop, race: Race) -> None:
        # A mistake in a callback has ended the loop. The socket must not stay behind: the broker would go on
        # delivering to a connection that nobody reads, and keep an exclusive queue from the next one.
        self._ioloop = None
        if self.connection is None:
            race.give_up()
        elif self.connection.is_open:
            self.connection.close()
        else:
            return
        ioloop.call_later(ABANDON_TIMEOUT, ioloop.stop)
        ioloop.start()
        if self.connection is not None and not self.connection.is_closed:
            ioloop.call_later(ABANDON_TIMEOUT, ioloop.stop)
            race.abort(ConnectionAbortedError("RabbitMQ does not answer to the closing of the connection"))
            ioloop.start()

    def _on_connection_open(self, connection: pika.SelectConnection, parameters: pika.ConnectionParameters) -> None:
        self.connection = connection
        if self._closing.is_set():
            connection.close()
            return
        self._nodes.answered(parameters)
        self._ioloop = self._running_loop
        self._opened_at = time.monotonic()
        self._channels = Channels(connection, self._make_room, self.events)
        self.events.emit(ConnectionOpened(self._name))
        self._on_open(connection)

    def _on_connection_lost(self, connection: pika.SelectConnection, reason: BaseException) -> None:
        if not self._closing.is_set():
            self.events.emit(ConnectionLost(self._name, describe_in_both(reason)))
        if isinstance(reason, Exception):
            self._failure = reason
        connection.ioloop.stop()

    def _on_unreachable(self, ioloop: TurnLoop, reason: Exception | None) -> None:
        if reason is not None and not self._closing.is_set():
            self._complain(reason)
        ioloop.stop()

    def _tick(self, ioloop: TurnLoop) -> None:
        self._last_tick = time.monotonic()
        ioloop.call_later(TICK, partial(self._tick, ioloop))

    def _close_connection(self, last: Callback) -> None:
        last()
        if self.connection is not None and self.connection.is_open:
            self.connection.close()
        elif self.connection is None and self._race is not None:
            self._race.give_up()
