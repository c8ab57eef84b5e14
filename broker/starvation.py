"""Finds consumers that RabbitMQ gives nothing although messages are ready, and opens their channel anew.

Seen once on 3.10.8, on a machine under a load of twenty: a quorum queue with 140 ready messages and a consumer with all
its prefetch free, and nothing came for a minute and a half. Whatever the reason, a queue must not stand until somebody
restarts the worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pika.channel import Channel
from pika.frame import Method

from broker.channels import OpenChannel
from broker.subscription import Subscription

PATIENCE = 15.0  # seconds without a delivery after which RabbitMQ is asked whether there would be any


@dataclass(slots=True)
class _Idle:
    """A consumer without deliveries: since when, and after which delivery of which channel, nothing has come."""

    delivered: int
    generation: int
    since: float
    patience: float
    is_hungry: bool = False  # at the last look messages were ready
    is_asked: bool = False


class Starvation:
    """Finds starved consumers. I/O thread only.

    `on_starved(subscription, ready)` is called for a consumer that two looks in a row found without deliveries beside
    ready messages; each time it takes twice as long until the next.

    It asks on a channel of its own: a queue that may not be asked for costs that channel, and is not asked for again on
    this connection.
    """

    def __init__(self, on_starved: Callable[[Subscription, int], None], patience: float = PATIENCE) -> None:
        self._on_starved = on_starved
        self._patience = patience
        self._idle: dict[str, _Idle] = {}

    def forget(self) -> None:
        """Note that the connection is gone."""
        self._idle.clear()

    def look(self, open_channel: OpenChannel, subscriptions: Iterable[Subscription]) -> None:
        """Look for starved consumers, now and then."""
        for subscription in subscriptions:
            idle, now = self._idle.get(subscription.queue), time.monotonic()
            if idle is not None and idle.is_asked:
                continue
            if not subscription.is_waiting():
                self._idle.pop(subscription.queue, None)
            elif idle is None or idle.delivered != subscription.delivered:
                patience = self._patience
                self._idle[subscription.queue] = _Idle(subscription.delivered, subscription.generation, now, patience)
            elif idle.generation != subscription.generation:  # opened anew, and still nothing
                idle.generation, idle.since, idle.is_hungry = subscription.generation, now, False
            elif now - idle.since >= idle.patience:
                idle.is_asked = True
                open_channel(partial(self._ask, subscription, idle))

    def _ask(self, subscription: Subscription, idle: _Idle, channel: Channel) -> None:
        answered = partial(self._on_answer, subscription, idle, channel)
        channel.queue_declare(subscription.queue, passive=True, callback=answered)

    def _on_answer(self, subscription: Subscription, idle: _Idle, channel: Channel, answer: Method[Any]) -> None:
        if not channel.is_open:
            return  # the connection is closing it, and it does not take any more
        channel.close()
        ready = int(answer.method.message_count)
        idle.is_asked, idle.since = False, time.monotonic()
        if idle.delivered != subscription.delivered or not subscription.is_waiting():
            return
        if ready and idle.is_hungry:
            idle.patience, idle.is_hungry = 2 * idle.patience, False
            self._on_starved(subscription, ready)
        else:
            idle.is_hungry = ready > 0
