"""Queues made sure of on a connection that runs in an I/O loop: asked by callbacks, each queue by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pika
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from runtime.amqp import NOT_FOUND, Topology, declaring, describe, refusal

log = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds without an answer after which it is told; a queue that has lost its majority gives none

OnDone = Callable[[bool], None]


class Declaration:
    """One queue, on channels of its own. `on_done(usable)` in the I/O thread; never if the connection is lost before.

    A quorum queue that had to be created is usable after `growth` seconds.

    A queue that gives no answer is waited for: closing the channel would need one, too, and what is asked again and
    again would use up the channels.
    """

    def __init__(
        self,
        connection: pika.SelectConnection,
        topology: Topology,
        queue: str,
        on_done: OnDone,
        *,
        growth: float = 0.0,
    ) -> None:
        self._connection = connection
        self._queue = queue
        self._growth = growth if topology.queue(queue).arguments.get("x-queue-type") == "quorum" else 0.0
        self._on_done = on_done
        self._steps = declaring(topology, queue)
        self._step = next(self._steps)
        self._channel: Channel | None = None
        self._is_over = False
        self._timer = connection.ioloop.call_later(PATIENCE, self._on_silence)
        self._open_channel()

    def _open_channel(self) -> None:
        self._connection.channel(on_open_callback=self._on_channel_open)

    def _on_channel_open(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._on_channel_closed)
        self._ask(channel)

    def _ask(self, channel: Channel) -> None:
        getattr(channel, self._step.method)(**self._step.arguments, callback=self._on_answer)

    def _on_answer(self, _frame: Any) -> None:
        self._go_on(is_there=True)

    def _on_channel_closed(self, _channel: Channel, reason: Exception) -> None:
        self._channel = None
        if self._is_over or not self._connection.is_open:
            return
        if not isinstance(reason, ChannelClosedByBroker):
            self._refused(describe(reason))
        elif self._step.is_passive and reason.reply_code == NOT_FOUND:
            self._go_on(is_there=False)
        else:
            self._refused(str(refusal(self._queue, reason)))

    def _go_on(self, *, is_there: bool) -> None:
        try:
            self._step = self._steps.send(is_there)
        except StopIteration:
            is_new = not self._step.is_passive
            self._end(usable=True, after=self._growth if is_new else 0.0)
            return
        if self._channel is None:
            self._open_channel()
        else:
            self._ask(self._channel)

    def _on_silence(self) -> None:
        self._complain("RabbitMQ gives no answer about it")

    def _refused(self, reason: str) -> None:
        self._complain(reason)
        self._end(usable=False)

    def _complain(self, reason: str) -> None:
        extra = {"event": "queue.unusable", "queue": self._queue, "throttle": f"unusable {self._queue}"}
        log.error("%s cannot be used: %s", self._queue, reason, extra=extra)

    def _end(self, *, usable: bool, after: float = 0.0) -> None:
        self._is_over = True
        self._connection.ioloop.remove_timeout(self._timer)
        if self._channel is not None:
            self._channel.close()
        if after:
            self._connection.ioloop.call_later(after, partial(self._on_done, usable))
        else:
            self._on_done(usable)
