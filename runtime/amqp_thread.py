"""One RabbitMQ connection that lives in its own thread and comes back by itself, for ever.

pika's objects may be touched by their I/O thread only; `call` is the one door for all other threads.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import pika
from pika.adapters.select_connection import IOLoop

from runtime.amqp import BROKER_ERRORS, Backoff, Topology, connect, describe, ensure_queues
from runtime.amqp_properties import ToleratingConnection
from runtime.gathering import GatheringServices

log = logging.getLogger(__name__)

TICK = 1.0  # seconds between signs of life of the I/O loop
ABANDON_TIMEOUT = 2.0  # seconds that a broken loop gets to close its connection

Callback = Callable[[], None]


class ConnectionThread:
    """Connects, runs pika's I/O loop, reconnects with backoff and jitter.

    `on_open(connection)` and `on_lost()` are called in the I/O thread; `on_lost` after every loop, also a failed one.
    """

    def __init__(
        self,
        name: str,
        parameters: Sequence[pika.ConnectionParameters],
        topology: Topology,
        *,
        reconnect_max_delay: float,
        on_open: Callable[[pika.SelectConnection], None],
        on_lost: Callback,
    ) -> None:
        self._name = name
        self._parameters = parameters
        self._topology = topology
        self._backoff = Backoff(0.2, reconnect_max_delay)
        self._on_open = on_open
        self._on_lost = on_lost
        self._closing = threading.Event()
        self._ioloop: IOLoop | None = None
        self._thread: threading.Thread | None = None
        self._last_tick = time.monotonic()
        self.connection: pika.SelectConnection | None = None  # I/O thread only

    # -- any thread -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def is_closing(self) -> bool:
        return self._closing.is_set()

    def seconds_since_tick(self) -> float:
        """Age of the thread's last sign of life: a tick of the I/O loop or a try to connect."""
        return time.monotonic() - self._last_tick

    def call(self, callback: Callback) -> None:
        """Runs `callback` in the I/O thread, or never if the connection is lost before."""
        ioloop = self._ioloop
        if ioloop is not None:
            ioloop.add_callback_threadsafe(callback)

    def close(self, timeout: float, last: Callback) -> None:
        """Runs `last` in the I/O thread, closes the connection and waits up to `timeout` seconds for the thread."""
        self._closing.set()
        self.call(partial(self._close_connection, last))
        if self._thread is not None:
            self._thread.join(timeout)

    # -- I/O thread -----------------------------------------------------------------------------------------------

    def call_later(self, delay: float, callback: Callback) -> None:
        """Runs `callback` after `delay` seconds unless the connection is lost before."""
        if self._ioloop is not None and not self._closing.is_set():
            self._ioloop.call_later(delay, callback)

    def is_open(self) -> bool:
        return self.connection is not None and self.connection.is_open and not self._closing.is_set()

    def ensure_queues(self, names: Iterable[str]) -> bool:
        """Creates what is missing; False, with the reason in the log, when the broker does not allow it.

        Blocks the loop for a few milliseconds: at start and after a loss only.
        """
        names = tuple(names)
        try:
            ensure_queues(self._topology, self._parameters, names)
        except BROKER_ERRORS as error:
            unusable = ", ".join(names)
            extra = {"event": "queue.unusable", "throttle": f"unusable {unusable}"}
            log.error("%s cannot be used: %s", unusable, describe(error), extra=extra)
            return False
        return True

    def _run(self) -> None:
        while not self._closing.is_set():
            self._last_tick = time.monotonic()
            try:
                self._connect_and_loop()
            except BROKER_ERRORS as error:
                extra = {"event": "rabbitmq.unreachable", "throttle": f"{self._name} unreachable"}
                log.warning("RabbitMQ is not reachable: %s", describe(error), extra=extra)
            if not self._closing.is_set():
                self._closing.wait(self._backoff.delay())

    def _connect_and_loop(self) -> None:
        # SelectConnection knows one host only: a short blocking connection finds the one that answers.
        probe, parameters = connect(self._parameters)
        probe.close()
        connection = ToleratingConnection(
            parameters,
            on_open_callback=self._on_connection_open,
            on_open_error_callback=self._on_connection_lost,
            on_close_callback=self._on_connection_lost,
            custom_ioloop=GatheringServices(IOLoop()),
        )
        self.connection = connection
        self._ioloop = connection.ioloop
        try:
            connection.ioloop.start()
        except BaseException:
            self._abandon(connection)
            raise
        finally:
            self._ioloop = None
            self.connection = None
            self._on_lost()
            connection.ioloop.close()

    def _abandon(self, connection: pika.SelectConnection) -> None:
        # A mistake in a callback has ended the loop. The socket must not stay behind: the broker would go on
        # delivering to a connection that nobody reads, and keep an exclusive queue from the next one.
        self._ioloop = None
        if connection.is_open:
            connection.close()
            connection.ioloop.call_later(ABANDON_TIMEOUT, connection.ioloop.stop)
            connection.ioloop.start()

    def _on_connection_open(self, connection: pika.SelectConnection) -> None:
        if self._closing.is_set():
            connection.close()
            return
        self._backoff.reset()
        log.info("%s connected to RabbitMQ", self._name, extra={"event": "rabbitmq.connected"})
        self._tick(connection.ioloop)
        self._on_open(connection)

    def _on_connection_lost(self, connection: pika.SelectConnection, reason: BaseException) -> None:
        if not self._closing.is_set():
            log.warning("%s lost RabbitMQ: %s", self._name, describe(reason), extra={"event": "rabbitmq.disconnected"})
        connection.ioloop.stop()

    def _tick(self, ioloop: IOLoop) -> None:
        self._last_tick = time.monotonic()
        ioloop.call_later(TICK, partial(self._tick, ioloop))

    def _close_connection(self, last: Callback) -> None:
        last()
        if self.connection is not None and self.connection.is_open:
            self.connection.close()
