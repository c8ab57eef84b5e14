"""Confirmed, mandatory, persistent publish from any thread: `publish(queue, message) -> Future`.

One connection of its own: RabbitMQ blocks a publishing connection under memory or disk alarm, acks included, and the
consumer's acks must not wait for that. Confirms are pipelined. A publish without a confirm has perhaps happened, so
it is sent again with the same message id until the broker confirms it: duplicates are possible, losses are not.
A queue that does not take its messages holds up nobody else's (runtime.held_queues).
"""

from __future__ import annotations

import itertools
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import pika
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from core.events import EventStream, Published, PublishFailed
from core.messages import OutgoingMessage
from runtime.amqp import Backoff, Topology, describe
from runtime.amqp_properties import OutgoingProperties
from runtime.amqp_thread import PROVEN, ConnectionThread
from runtime.held_queues import HeldQueues
from runtime.inbox import Inbox
from runtime.nodes import Parameters

log = logging.getLogger(__name__)

# Seconds that a quorum queue is left alone when it has been created. What RabbitMQ confirms in a younger one is gone if
# its node is killed: with one node always within the first second, on 3.10.8, 4.0.5 and 4.3.6 (findings/).
GROWTH = 3.0
SILENCE = 10.0  # seconds between looks at how long confirms take
WINDOW = 1000  # unconfirmed publishes in flight; bounds what is sent twice after a lost connection

_TOO_LARGE = re.compile(r"message size \d+ (?:is larger than|larger than) (?:configured )?max size (?P<limit>\d+)")


class PublisherClosedError(Exception):
    """The publisher was closed before the broker confirmed the message; it may or may not be in the queue."""


class MessageTooLargeError(Exception):
    """The broker refuses messages of this size (its max_message_size)."""


class _Publication:
    __slots__ = ("confirmed", "message", "queue")

    def __init__(self, queue: str, message: OutgoingMessage) -> None:
        self.queue = queue
        self.message = message
        self.confirmed: Future[None] = Future()


class RabbitMQPublisher:
    """`publish`, `is_ready` and `close` from any thread; everything else runs in the I/O thread."""

    def __init__(
        self,
        parameters: Parameters,
        topology: Topology,
        events: EventStream,
        *,
        reconnect_max_delay: float,
        queues: Sequence[str] = (),
        growth: float = GROWTH,
    ) -> None:
        """`queues` are made sure of at every connect; any other is created when a message comes back from it."""
        self._thread = ConnectionThread(
            "rabbitmq-publisher",
            parameters,
            topology,
            reconnect_max_delay=reconnect_max_delay,
            on_open=self._on_connection_open,
            on_lost=self._on_connection_lost,
            events=events,
        )
        self._events = events
        self._queues = queues
        self._channel_backoff = Backoff(0.2, reconnect_max_delay)
        self._channel_opened_at = 0.0
        self._inbox: Inbox[_Publication] = Inbox(self._thread, self._drain)
        self._outbox = self._inbox.items
        self._unconfirmed: dict[int, _Publication] = {}  # by delivery tag, in the order of publishing
        self._held: HeldQueues[_Publication] = HeldQueues(
            self._thread, send=self._send, can_send=self._can_send, longest=reconnect_max_delay, growth=growth
        )
        self._oldest: dict[str, int] = {}  # by queue, the oldest unconfirmed tag at the last look
        self._confirmed: list[_Publication] = []  # in this turn of the I/O loop
        self._returned: set[_Publication] = set()  # what may have come back as unroutable, its confirm still to come
        self._next_tag = 1
        self._ready = threading.Event()
        self._blocked = False
        self._channel: Channel | None = None

    # -- any thread -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def seconds_since_tick(self) -> float:
        """Age of the I/O thread's last sign of life."""
        return self._thread.seconds_since_tick()

    def is_ready(self) -> bool:
        """True while the broker takes messages: no outside task should be created whose result cannot be stored."""
        return self._ready.is_set()

    def wait_until_ready(self, timeout: float) -> bool:
        return self._ready.wait(timeout)

    def publish(self, queue: str, message: OutgoingMessage) -> Future[None]:
        """Sends to the queue through the default exchange. The future is done when the broker has confirmed.

        It fails with MessageTooLargeError, or PublisherClosedError when the daemon stops first. A missing queue is
        created and a full one waited for, however long it takes.
        """
        publication = _Publication(queue, message)
        if self._thread.is_closing():
            publication.confirmed.set_exception(PublisherClosedError())
            return publication.confirmed
        self._inbox.put(publication)
        return publication.confirmed

    def unconfirmed(self) -> int:
        """How many publishes wait for their confirm, but for those whose queue takes nothing at the moment."""
        return len(self._outbox) + len(self._unconfirmed) - self._held.aside + self._held.hopeful()

    def close(self, timeout: float) -> None:
        """Closes the connection; what is not confirmed by then fails with PublisherClosedError."""
        self._thread.close(timeout, last=self._drain)
        self._put_back_unconfirmed()
        for queue, left in self._held.take_all().items():
            text = "%d messages for %s were not stored; what they came from stays in RabbitMQ and comes again"
            log.warning(text, len(left), queue, extra={"event": "publish.given_up", "queue": queue})
            self._outbox.extend(left)
        while self._outbox:
            self._outbox.popleft().confirmed.set_exception(PublisherClosedError())

    # -- I/O thread -----------------------------------------------------------------------------------------------

    def _on_connection_open(self, connection: pika.SelectConnection) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._blocked = False
        self._held.connected(self._queues)
        self._open_channel()
        self._thread.call_later(SILENCE, self._look_for_silence)

    def _on_connection_lost(self) -> None:
        self._forget_channel()

    def _open_channel(self) -> None:
        if self._thread.is_open() and self._thread.connection is not None:
            self._thread.connection.channel(on_open_callback=self._on_channel_open)

    def _on_channel_open(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_returned)
        channel.confirm_delivery(self._on_confirm, callback=partial(self._on_confirms_on, channel))

    def _on_confirms_on(self, channel: Channel, _frame: Method[Any]) -> None:
        self._channel = channel
        self._channel_opened_at = time.monotonic()
        self._next_tag = 1
        self._set_ready()
        self._inbox.look()

    def _on_channel_closed(self, channel: Channel, reason: Exception) -> None:
        if self._channel is not None and self._channel is not channel:
            return
        if match := _TOO_LARGE.search(str(reason)):
            self._fail_larger_than(int(match["limit"]))
        self._forget_channel()
        if self._thread.is_open():
            log.warning("publisher channel closed: %s", describe(reason), extra={"event": "publisher.channel_closed"})
            if time.monotonic() - self._channel_opened_at > PROVEN:
                self._channel_backoff.reset()
            self._thread.call_later(self._channel_backoff.delay(), self._open_channel)

    def _forget_channel(self) -> None:
        self._tell_confirmed()
        self._ready.clear()
        self._channel = None
        for publication in self._unconfirmed.values():
            self._events.emit(PublishFailed(publication.queue))
        self._held.disconnected()
        self._put_back_unconfirmed()
        self._oldest = {}
        self._returned = set()

    def _put_back_unconfirmed(self) -> None:
        # What was not confirmed has an unknown fate: it goes out again, before everything newer.
        back: list[_Publication] = []
        for publication in self._unconfirmed.values():
            if publication.queue in self._held.by_name:
                self._held.came_back(publication)
            else:
                back.append(publication)
        self._outbox.extendleft(reversed(back))
        self._unconfirmed = {}

    def _on_blocked(self, _connection: pika.SelectConnection, frame: Method[Any]) -> None:
        self._blocked = True
        self._ready.clear()
        log.warning("RabbitMQ blocks publishing: %s", frame.method.reason, extra={"event": "publisher.blocked"})

    def _on_unblocked(self, _connection: pika.SelectConnection, _frame: Method[Any]) -> None:
        self._blocked = False
        self._set_ready()
        log.info("RabbitMQ takes messages again", extra={"event": "publisher.unblocked"})
        self._drain()

    def _set_ready(self) -> None:
        if self._channel is not None and not self._blocked:
            self._ready.set()

    def _can_send(self) -> bool:
        return self._channel is not None and not self._blocked

    def _drain(self) -> None:
        held, room = self._held.by_name, WINDOW + self._held.aside
        while self._outbox and self._channel is not None and not self._blocked and len(self._unconfirmed) < room:
            publication = self._outbox.popleft()
            if held and publication.queue in held:
                self._held.hold(publication)
            else:
                self._send(publication)

    def _send(self, publication: _Publication) -> None:
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
        self._channel.basic_publish("", publication.queue, message.body, properties, mandatory=True)

    def _on_returned(
        self, _channel: Channel, method: Basic.Return, properties: pika.BasicProperties, _body: bytes
    ) -> None:
        # The broker sends the return before the confirm of the same message, which follows in _on_confirm.
        # A return tells no delivery tag. Of several messages with this id any may be meant: all are sent again, since
        # one that is sent twice is recognised, and one that is taken for stored is lost.
        back = method.routing_key, properties.message_id
        waiting = self._unconfirmed.values()
        self._returned.update(each for each in waiting if back == (each.queue, each.message.message_id))

    def _on_confirm(self, frame: Method[Any]) -> None:
        method = frame.method
        tags = [method.delivery_tag]
        if method.multiple:
            tags = list(itertools.takewhile(lambda tag: tag <= method.delivery_tag, self._unconfirmed))
        for tag in tags:
            publication = self._unconfirmed.pop(tag)
            if isinstance(method, Basic.Nack):
                self._publish_later(publication, "the broker refused it (queue full?)")
            elif self._returned and self._was_returned(publication):
                self._publish_later(publication, "the queue does not exist")
            else:
                if self._held.unproven:
                    self._held.proved(publication.queue)
                if self._held.by_name and publication.queue in self._held.by_name:
                    self._held.stored(publication.queue)
                if not self._confirmed:
                    self._thread.call_later(0, self._tell_confirmed)
                self._confirmed.append(publication)
        self._drain()

    def _tell_confirmed(self) -> None:
        # Not one by one: the threads that wait for them would take the interpreter's lock away at every turn.
        confirmed, self._confirmed = self._confirmed, []
        if confirmed:
            self._events.emit(Published(len(confirmed)))
        for publication in confirmed:
            publication.confirmed.set_result(None)

    def _was_returned(self, publication: _Publication) -> bool:
        if publication not in self._returned:
            return False
        self._returned.remove(publication)
        return True

    def _publish_later(self, publication: _Publication, reason: str) -> None:
        self._events.emit(PublishFailed(publication.queue))
        self._complain(publication.queue, reason)
        self._held.refused(publication)

    def _complain(self, queue: str, reason: str) -> None:
        extra = {"event": "publish.failed", "queue": queue, "throttle": f"publish {queue}"}
        log.warning("a message for %s is not stored yet: %s", queue, reason, extra=extra)

    def _look_for_silence(self) -> None:
        # A queue that has lost its majority neither takes nor refuses: its messages would fill the window for all.
        self._thread.call_later(SILENCE, self._look_for_silence)
        if self._blocked:
            return
        oldest: dict[str, int] = {}
        counts: Counter[str] = Counter()
        for tag, publication in self._unconfirmed.items():
            oldest.setdefault(publication.queue, tag)
            counts[publication.queue] += 1
        for queue, tag in oldest.items():
            if self._oldest.get(queue) == tag:
                self._held.silent(queue, counts[queue])
                self._complain(queue, "RabbitMQ gives no answer about it")
        self._oldest = oldest
        self._drain()

    def _fail_larger_than(self, limit: int) -> None:
        for tag, publication in list(self._unconfirmed.items()):
            size = len(publication.message.body)
            if size > limit:
                del self._unconfirmed[tag]
                reason = f"the message has {size} bytes, RabbitMQ takes at most {limit} (max_message_size)"
                publication.confirmed.set_exception(MessageTooLargeError(reason))
