"""A channel that publishes to one queue through the default exchange: persistent, mandatory and confirmed.

It opens itself again with growing pauses while its connection lives, and reports the fate of each message once.
"""

from __future__ import annotations

import itertools
import re
import time
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

import pika
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from broker.backoff import Backoff
from broker.connection_thread import PROVEN, ConnectionThread
from broker.errors import MessageTooLargeError, describe
from broker.properties import OutgoingProperties
from core.events.publishing import PublisherChannelClosed
from core.messages import OutgoingMessage

_TOO_LARGE = re.compile(r"message size \d+ (?:is larger than|larger than) (?:configured )?max size (?P<limit>\d+)")


class Publication:
    """A message on its way to a queue; `confirmed` is done when the broker has it."""

    __slots__ = ("began", "confirmed", "is_doubted", "message", "queue")

    def __init__(self, queue: str, message: OutgoingMessage) -> None:
        self.queue = queue
        self.message = message
        self.is_doubted = False  # given up once when the broker said nothing: it may be stored already
        self.confirmed: Future[None] = Future()
        self.began = time.monotonic()


class Owner(Protocol):
    """The object that a channel reports to, in the I/O thread: what becomes of it and of its messages."""

    def on_change(self) -> None:
        """Called when the channel is open or can be opened again, or when what one answer has settled is reported."""

    def on_stored(self, publications: list[Publication]) -> None: ...

    def on_refused(self, publication: Publication) -> None:
        """Called when the queue has not taken the message."""

    def on_returned(self, publication: Publication) -> None:
        """Called when there is no such queue."""

    def on_closed(self, unconfirmed: list[Publication]) -> None:
        """Called when the fate of these messages is unknown. They are in the order of publishing."""


class PublishingChannel:
    """A channel to one queue. I/O thread only, except for `len`: how many messages are sent and not settled."""

    def __init__(self, queue: str, thread: ConnectionThread, owner: Owner, *, longest: float) -> None:
        """`longest`: seconds of the longest pause before it is opened again."""
        self._queue = queue
        self._thread = thread
        self._owner = owner
        self._backoff = Backoff(0.2, longest)
        self._channel: Channel | None = None
        self._new: Channel | None = None  # opened, and the confirms not switched on yet
        self._is_opening = False
        self._is_resting = False
        self._opened_at = 0.0
        self._next_tag = 1
        self._unconfirmed: dict[int, Publication] = {}  # by delivery tag, in the order of publishing
        self._returned: set[Publication] = set()  # what may have come back as unroutable, its confirm still to come

    def __len__(self) -> int:
        return len(self._unconfirmed)

    @property
    def is_open(self) -> bool:
        """Whether the channel is open.

        False also while the connection closes it: answers to what was asked before arrive until then.
        """
        return self._channel is not None and self._channel.is_open

    @property
    def is_opening(self) -> bool:
        """Whether the channel has been asked for and is not there yet."""
        return self._is_opening

    def oldest(self) -> Publication | None:
        """Return the oldest publication that is not settled."""
        return next(iter(self._unconfirmed.values()), None)

    def open(self) -> None:
        """Open the channel unless it is open, on its way or has just been closed; `on_change` reports the end."""
        if self._channel is not None or self._is_opening or self._is_resting or not self._thread.is_open():
            return
        self._is_opening = True
        self._thread.open_channel(self._on_open)

    def send(self, publication: Publication) -> None:
        """Publish a message. Raises RuntimeError when the channel has never been opened."""
        if self._channel is None:
            raise RuntimeError("there is no channel to publish on")
        message = publication.message
        self._unconfirmed[self._next_tag] = publication
        self._next_tag += 1
        properties = OutgoingProperties(
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            delivery_mode=pika.DeliveryMode.Persistent.value,
            message_id=message.message_id,
            headers=dict(message.headers),
            **message.properties,
        )
        self._channel.basic_publish("", self._queue, message.body, properties, mandatory=True)

    def forget(self) -> None:
        """Note that the connection is gone, and its timers with it."""
        self._is_resting = False
        self._lose()

    def close(self) -> None:
        """Close the channel until `open`. Nothing more is reported of what is unconfirmed."""
        channel, self._channel = self._channel, None
        if channel is not None and channel.is_open:
            channel.close()

    def give_up(self) -> None:
        """Close the channel until `open`; the fate of what is unconfirmed is unknown."""
        for publication in self._unconfirmed.values():
            publication.is_doubted = True
        self.close()
        self._lose()

    def take_all(self) -> list[Publication]:
        """Return what is not settled, for good."""
        left = list(self._unconfirmed.values())
        self._unconfirmed.clear()
        return left

    def _on_open(self, channel: Channel) -> None:
        self._new = channel
        channel.add_on_close_callback(self._on_closed)
        channel.add_on_return_callback(self._on_returned)
        channel.confirm_delivery(partial(self._on_confirm, channel), callback=partial(self._on_confirms_on, channel))

    def _on_confirms_on(self, channel: Channel, _frame: Method[Any]) -> None:
        self._is_opening = False
        self._channel, self._new = channel, None
        self._opened_at = time.monotonic()
        self._next_tag = 1
        self._owner.on_change()

    def _on_closed(self, channel: Channel, reason: Exception) -> None:
        if channel not in (self._channel, self._new):
            return  # closed by us
        if match := _TOO_LARGE.search(str(reason)):
            self._fail_larger_than(int(match["limit"]))
        if self._channel is not None and time.monotonic() - self._opened_at > PROVEN:
            self._backoff.reset()
        if self._thread.is_open():
            self._thread.events.emit(PublisherChannelClosed(self._queue, describe(reason)))
            self._is_resting = True
            self._thread.call_later(self._backoff.delay(), self._end_rest)
        self._lose()

    def _end_rest(self) -> None:
        self._is_resting = False
        self._owner.on_change()

    def _lose(self) -> None:
        self._channel = self._new = None
        self._is_opening = False
        self._returned.clear()
        self._owner.on_closed(self.take_all())

    def _fail_larger_than(self, limit: int) -> None:
        for tag, publication in list(self._unconfirmed.items()):
            size = len(publication.message.body)
            if size > limit:
                del self._unconfirmed[tag]
                publication.confirmed.set_exception(MessageTooLargeError(size, limit))

    def _on_returned(
        self, _channel: Channel, _method: Basic.Return, properties: pika.BasicProperties, _body: bytes
    ) -> None:
        # The broker sends the return before the confirm of the same message, which follows in _on_confirm.
        # A return tells no delivery tag. Of several messages with this id any may be meant: all are sent again, since
        # one that is sent twice is recognised, and one that is taken for stored is lost.
        waiting = self._unconfirmed.values()
        self._returned.update(each for each in waiting if each.message.message_id == properties.message_id)

    def _on_confirm(self, channel: Channel, frame: Method[Any]) -> None:
        if channel is not self._channel:
            return  # given up
        method = frame.method
        tags = [method.delivery_tag]
        if method.multiple:
            tags = list(itertools.takewhile(lambda tag: tag <= method.delivery_tag, self._unconfirmed))
        stored: list[Publication] = []
        for tag in tags:
            publication = self._unconfirmed.pop(tag)
            if isinstance(method, Basic.Nack):
                self._owner.on_refused(publication)
            elif self._returned and publication in self._returned:
                self._returned.remove(publication)
                self._owner.on_returned(publication)
            else:
                stored.append(publication)
        if stored:
            self._owner.on_stored(stored)
        self._owner.on_change()
