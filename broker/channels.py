"""Opens channels on connections that may have few: RabbitMQ's `channel_max`.

https://www.rabbitmq.com/docs/channels
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pika
from pika.channel import Channel
from pika.exceptions import NoFreeChannels

from core.events.base import EventStream
from core.events.connections import ConnectionCrowded

OpenChannel = Callable[[Callable[[Channel], None]], None]

PAUSE = 0.2  # seconds between looks whether a channel has become free


class Channels:
    """Opens channels of one connection, as many at a time as it may have. I/O thread only."""

    def __init__(self, connection: pika.SelectConnection, make_room: Callable[[], None], events: EventStream) -> None:
        """`make_room` closes channels that have nothing to do at the moment."""
        self.connection = connection
        self._make_room = make_room
        self._events = events

    def open(self, on_open: Callable[[Channel], None]) -> None:
        """Open a channel as soon as there may be one more; never if the connection is lost before."""
        if not self.connection.is_open:
            return
        try:
            self.connection.channel(on_open_callback=partial(self._opened, on_open))
        except NoFreeChannels:
            self._events.emit(ConnectionCrowded(self.connection.params.channel_max))
            self._make_room()
            self.connection.ioloop.call_later(PAUSE, partial(self.open, on_open))

    def _opened(self, on_open: Callable[[Channel], None], channel: Channel) -> None:
        # Answers to what was asked before arrive also while a connection closes. Nothing can be said any more then.
        if channel.is_open and self.connection.is_open:
            on_open(channel)
