"""Ensures queues on a connection that runs in an I/O loop: asked by callbacks, each queue by itself."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker
from pika.frame import Method

from broker.channels import Channels
from broker.errors import NOT_FOUND, describe, refusal
from broker.topology import Topology, declaring, replacing
from core.texts import Text

PATIENCE = 10.0  # seconds without an answer after which it is told; a queue that has lost its majority gives none


class Declared(Enum):
    """The end of a declaration; all but REFUSED can be used."""

    REFUSED = auto()
    THERE = auto()
    CREATED = auto()
    YOUNG = auto()  # created, and a quorum queue


OnDone = Callable[[Declared], None]


class Declaration:
    """Ensures one queue, on channels of its own.

    `on_done` is called in the I/O thread; never if the connection is lost before. `on_complaint` gets the queue and why
    it cannot be used. `anew`: a queue that is empty is deleted first.

    A queue that gives no answer is waited for: closing the channel would need one, too, and what is asked again and
    again would use up the channels.
    """

    def __init__(
        self,
        channels: Channels,
        topology: Topology,
        queue: str,
        on_done: OnDone,
        on_complaint: Callable[[str, Text], None],
        *,
        anew: bool = False,
    ) -> None:
        self._channels = channels
        self._connection = channels.connection
        self._queue = queue
        is_quorum = topology.queue(queue).arguments.get("x-queue-type") == "quorum"
        self._created = Declared.YOUNG if is_quorum else Declared.CREATED
        self._on_done = on_done
        self._on_complaint = on_complaint
        self._steps = replacing(topology, queue) if anew else declaring(topology, queue)
        self._step = next(self._steps)
        self._channel: Channel | None = None
        self._is_over = False
        self._timer = self._connection.ioloop.call_later(PATIENCE, self._on_silence)
        self._open_channel()

    def _open_channel(self) -> None:
        self._channels.open(self._on_channel_open)

    def _on_channel_open(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._on_channel_closed)
        self._ask(channel)

    def _ask(self, channel: Channel) -> None:
        getattr(channel, self._step.method)(**self._step.arguments, callback=self._on_answer)

    def _on_answer(self, frame: Method[Any]) -> None:
        if self._channel is None or not self._channel.is_open:
            return  # the connection is closing it, and it does not take any more
        self._go_on(getattr(frame.method, "message_count", 0))

    def _on_channel_closed(self, _channel: Channel, reason: Exception) -> None:
        self._channel = None
        if self._is_over or not self._connection.is_open:
            return
        if not isinstance(reason, ChannelClosedByBroker):
            self._refused(Text.of(describe(reason)))
        elif self._step.is_passive and reason.reply_code == NOT_FOUND:
            self._go_on(None)
        else:
            self._refused(refusal(self._queue, reason).text)

    def _go_on(self, answer: int | None) -> None:
        try:
            self._step = self._steps.send(answer)
        except StopIteration:
            self._end(Declared.THERE if self._step.is_passive else self._created)
            return
        if self._channel is None:
            self._open_channel()
        else:
            self._ask(self._channel)

    def _on_silence(self) -> None:
        told = Text("RabbitMQ gives no answer about it", "RabbitMQ не отвечает на вопрос о ней")
        self._on_complaint(self._queue, told)

    def _refused(self, reason: Text) -> None:
        self._on_complaint(self._queue, reason)
        self._end(Declared.REFUSED)

    def _end(self, declared: Declared) -> None:
        self._is_over = True
        self._connection.ioloop.remove_timeout(self._timer)
        if self._channel is not None:
            self._channel.close()
        self._on_done(declared)
