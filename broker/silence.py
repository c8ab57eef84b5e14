"""Finds channels on which RabbitMQ answers nothing although their connection lives; their deliveries count as lost.

Heartbeats go on, which are not the channel's own. On a narrow link an answer may only be on its way, behind megabytes
for others: so a channel is called silent when a question that was asked later, on another channel, has been answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from pika.channel import Channel
from pika.exceptions import AMQPConnectionError

from broker.channels import OpenChannel
from broker.subscription import Subscription
from core.texts import BilingualError, Text

HOPELESS = 6  # times the limit, after which no other channel is waited for


class SilentChannelError(BilingualError, AMQPConnectionError):
    """RabbitMQ answers nothing on the channel of `queue`: only a new connection helps."""

    def __init__(self, queue: str, seconds: float) -> None:
        super().__init__(
            Text(
                f"no answer on the channel of {queue} for {seconds:.0f} s",
                f"в канале очереди {queue} нет ответа уже {seconds:.0f} с",
            )
        )


class Silence:
    """Finds silent channels.

    I/O thread only. `limit`: seconds without an answer after which it is doubted that one comes.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._doubted: dict[str, float] = {}  # queue -> the question that another channel has been opened for
        self._overtaken: dict[str, float] = {}  # queue -> the question that was asked before one that is answered

    def forget(self) -> None:
        """Note that the connection is gone."""
        self._doubted.clear()
        self._overtaken.clear()

    def look(self, open_channel: OpenChannel, subscriptions: Iterable[Subscription]) -> None:
        """Look for silent channels, now and then. Raises SilentChannelError."""
        for subscription in subscriptions:
            question, seconds = subscription.asked_at, subscription.unanswered_for()
            if question is None or seconds <= self._limit:
                continue
            queue = subscription.queue
            if self._overtaken.get(queue) == question or seconds > HOPELESS * self._limit:
                raise SilentChannelError(queue, seconds)
            if self._doubted.get(queue) != question:
                self._doubted[queue] = question
                open_channel(partial(self._on_answer_elsewhere, queue, question))

    def _on_answer_elsewhere(self, queue: str, question: float, channel: Channel) -> None:
        self._overtaken[queue] = question
        channel.close()
