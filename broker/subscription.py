"""One queue's channel: what is unsettled on it, and since when RabbitMQ has not shown that it lives.

What arrives by itself proves nothing: a process that was frozen finds old heartbeats in its socket. The answer to a
question proves that our deliveries were ours when it was asked.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from pika.channel import Channel
from pika.frame import Method


class Subscription:
    """One queue's channel and its deliveries.

    I/O thread only, except for `generation` and `silence`, which any may read.
    """

    def __init__(self, queue: str, prefetch: int, *, exclusive: bool) -> None:
        self.queue = queue
        self.prefetch = prefetch
        self.exclusive = exclusive
        self.standing_by = False  # another worker has the exclusive queue
        self.wanted = True  # False while the queue's system is paused
        self.generation = 0
        self.is_opening = False  # a channel is on its way
        self.is_ensured = False  # the queue was there when this connection looked
        self.channel: Channel | None = None
        self.consumer_tag: str | None = None
        self.delivered = 0  # so many messages have come, through all channels
        self.unsettled: dict[int, bool] = {}  # delivery tag -> acked by us but not yet told to the broker
        self._proved_at = 0.0  # when the question was asked that RabbitMQ has answered last
        self.asked_at: float | None = None  # when such a question was sent that is not answered yet

    def forget_channel(self) -> None:
        self.revoke()
        self.asked_at = None
        self.is_opening = False
        self.channel = None
        self.consumer_tag = None

    def revoke(self) -> None:
        """Treat what was delivered so far as RabbitMQ's again: every tag of it is stale from now on."""
        self.generation += 1
        self.unsettled = {}

    def is_waiting(self) -> bool:
        """Return whether the next message could come at once: there is a consumer, and it holds nothing."""
        return self.wanted and self.consumer_tag is not None and not self.unsettled

    def silence(self) -> float:
        """Return the seconds since the question that RabbitMQ has answered last."""
        return _now() - self._proved_at

    def unanswered_for(self) -> float:
        """Return the seconds since a question that RabbitMQ has not answered, 0.0 without one."""
        return 0.0 if self.asked_at is None else _now() - self.asked_at

    def ask_for_proof(self) -> None:
        """Ask something that changes nothing: each consumer has its prefetch already."""
        if self.channel is not None and self.channel.is_open and self.asked_at is None:
            self.asked_at = _now()
            on_proof = partial(self._on_proof, self.channel, self.asked_at)
            self.channel.basic_qos(prefetch_count=self.prefetch, callback=on_proof)

    def settle(self, tag: int, *, acked: bool) -> bool:
        """Send the message back at once, or note the ack for `send_acks`; return True when there is one to be sent."""
        if self.unsettled.get(tag) is not False:
            return False  # it is settled already
        if acked:
            self.unsettled[tag] = True
        elif self.channel is not None and self.channel.is_open:
            del self.unsettled[tag]
            self.channel.basic_nack(tag, requeue=True)
        return acked

    def send_acks(self) -> None:
        channel = self.channel
        if channel is None or not channel.is_open:
            return
        acked_in_order = 0
        for tag, acked in self.unsettled.items():
            if not acked:
                break
            acked_in_order = tag
        if acked_in_order:
            channel.basic_ack(acked_in_order, multiple=True)
        out_of_order = [tag for tag, acked in self.unsettled.items() if acked and tag > acked_in_order]
        for tag in out_of_order:
            channel.basic_ack(tag)
        self.unsettled = {tag: False for tag, acked in self.unsettled.items() if not acked}

    def _on_proof(self, channel: Channel, asked_at: float, _frame: Method[Any]) -> None:
        if channel is self.channel:
            self.asked_at = None
            self._proved_at = asked_at


def _now() -> float:
    """Return seconds, counting also those in which the machine was suspended."""
    return time.clock_gettime(_CLOCK)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
