"""Camunda's side under load: publishes tasks at the row's rhythm and remembers what the broker has confirmed.

An independent client with a connection and a thread of its own. A publish without a confirm is repeated, on a new
connection if need be, and the account is told that there may be a copy more.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Sequence
from dataclasses import replace

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, NackError, UnroutableError

from benchmarks.faults.account import Published
from sandbox.camunda import TASKS_EXCHANGE

_RECONNECT_PAUSE = 0.2  # seconds
_JOIN_TIMEOUT = 30.0


class Driver:
    """`feed` tasks from any thread; `confirmed` is what has come through so far, in the order of publishing.

    Without a routing key it publishes into the input queue itself: through the exchange of the contract, RabbitMQ
    routes what comes while the queue is missing into `default.queue`.
    """

    def __init__(self, parameters: pika.ConnectionParameters, input_queue: str, routing_key: str | None) -> None:
        self._parameters = parameters
        self._target = (TASKS_EXCHANGE, routing_key) if routing_key is not None else ("", input_queue)
        self._outbox: queue.SimpleQueue[tuple[Published, float] | None] = queue.SimpleQueue()
        self._confirmed: list[Published] = []
        self._fed = 0
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._connection: pika.BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._thread = threading.Thread(target=self._work, name="camunda-driver", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def feed(self, tasks: Sequence[Published], over: float = 0.0) -> None:
        """Publishes the tasks at an even pace over so many seconds, after what was fed before."""
        self._fed += len(tasks)
        for task in tasks:
            self._outbox.put((task, over / len(tasks)))

    @property
    def confirmed(self) -> list[Published]:
        return list(self._confirmed)

    @property
    def unpublished(self) -> int:
        """What was fed and is not confirmed."""
        return self._fed - len(self._confirmed)

    @property
    def is_idle(self) -> bool:
        return self.unpublished == 0

    def stop(self) -> None:
        """Ends the thread; what was not confirmed by then does not count as published."""
        self._stop.set()
        self._outbox.put(None)
        self._thread.join(_JOIN_TIMEOUT)
        self._disconnect()

    def _work(self) -> None:
        while (item := self._outbox.get()) is not None and not self._stop.is_set():
            task, pause = item
            repeats = 0
            for _ in range(task.copies):
                repeats += self._publish(task)
            if self._stop.is_set():
                return
            with self._changed:
                self._confirmed.append(replace(task, maybe_more=repeats > 0))
                self._changed.notify_all()
            self._stop.wait(pause)

    def _publish(self, task: Published) -> int:
        """Until the broker confirms; how many tries may have put a copy into the queue unnoticed."""
        doubts = 0
        while not self._stop.is_set():
            try:
                self._connected().basic_publish(
                    *self._target,
                    task.body,
                    pika.BasicProperties(
                        delivery_mode=2, content_type="application/json", headers=dict(task.headers) or None
                    ),
                    mandatory=True,
                )
            except (UnroutableError, NackError):  # the broker says that it has not taken it
                self._stop.wait(_RECONNECT_PAUSE)
            except (AMQPError, OSError):
                doubts += 1
                self._disconnect()
                self._stop.wait(_RECONNECT_PAUSE)
            else:
                return doubts
        return doubts

    def _connected(self) -> BlockingChannel:
        if self._channel is None or not self._channel.is_open:
            self._disconnect()
            self._connection = pika.BlockingConnection(self._parameters)
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        return self._channel

    def _disconnect(self) -> None:
        if self._connection is not None and self._connection.is_open:
            with contextlib.suppress(AMQPError, OSError):  # it is being given up because it is broken
                self._connection.close()
        self._connection = self._channel = None
