"""Takes one protection out of the running daemon: what the matrix must notice, or it proves nothing.

Each removal patches the daemon's own classes in a process of its own (benchmarks.faults.daemon); the daemon's code has
no switch for any of this.
"""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pika
from pika.channel import Channel

import message_processor
from benchmarks.faults.patching import instead
from broker.outgoing_queue import OutgoingQueue
from broker.properties import ReceivedProperties
from broker.publishing_channel import PublishingChannel
from broker.subscription import Subscription
from consumers.bitrix import BitrixTaskHandler
from consumers.bitrix.creation import TaskCreation
from core import copies
from core.messages import IncomingMessage
from processing.settlement import Settler
from rabbitmq_consumer import RabbitMQConsumer
from rabbitmq_publisher import RabbitMQPublisher
from tracking import passage
from tracking import responses as answers


def _confirm() -> None:
    """A publish counts as done as soon as it is handed to the socket."""

    def send(original: Any, self: Any, publication: Any) -> None:
        original(self, publication)
        self._unconfirmed.clear()
        publication.confirmed.set_result(None)

    instead(PublishingChannel, "send", send)
    instead(PublishingChannel, "_on_confirm", lambda *_args: None)


def _mandatory() -> None:
    """What cannot be routed is confirmed and gone."""

    def publish(original: Any, *args: Any, **kwargs: Any) -> None:
        original(*args, **{**kwargs, "mandatory": False})

    instead(Channel, "basic_publish", publish)


def _persistence() -> None:
    """Messages live in the broker's memory only."""

    def publish(original: Any, *args: Any, **kwargs: Any) -> None:
        *_, properties = args
        properties.delivery_mode = pika.DeliveryMode.Transient.value
        original(*args, **kwargs)

    instead(Channel, "basic_publish", publish)


def _resend() -> None:
    """What a lost connection left without a confirm is forgotten."""

    def closed(original: Any, self: Any, _unconfirmed: Any) -> None:
        original(self, [])

    instead(OutgoingQueue, "on_closed", closed)


def _publish_before_ack() -> None:
    """The input is acknowledged first, then its result is published."""

    def store(original: Any, self: Any, work: Any, result: Any) -> None:
        self._consumer.ack(work.delivery)
        original(self, work, result)

    instead(Settler, "_store_result", store)


def _confirm_before_answered() -> None:
    """The tracker does not wait for the confirm of a response before it acknowledges the sent message."""

    def publish(original: Any, self: Any, queue: str, message: Any) -> Future[None]:
        future: Future[None] = original(self, queue, message)
        if threading.current_thread().name.startswith("tracker-"):
            future = Future()
            future.set_result(None)
        return future

    instead(RabbitMQPublisher, "publish", publish)


def _generation() -> None:
    """Delivery tags of a lost channel are sent on the next one, where they mean other messages."""

    def forget(_original: Any, self: Subscription) -> None:
        self.asked_at = None
        self.is_opening = False
        self.channel = None
        self.consumer_tag = None
        self.unsettled = {}

    instead(Subscription, "forget_channel", forget)
    instead(RabbitMQConsumer, "_on_connection_lost", _forget_channels)


def _forget_channels(_original: Any, self: Any) -> None:
    for subscription in self._subscriptions.values():
        subscription.forget_channel()


def _look_up() -> None:
    """Tasks are created without asking whether they exist."""
    instead(TaskCreation, "_check_found", lambda original, self, group, _found: original(self, group, {}))


def _redelivered_wait() -> None:
    """A message that another worker may have begun is treated like a new one."""

    def init(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        object.__setattr__(self, "redelivered", False)

    instead(IncomingMessage, "__init__", init)


def _exclusive_consumer() -> None:
    """Several workers consume the queue of a system that cannot refuse a second task with the same key."""
    BitrixTaskHandler.exclusive = False


def _cancel_callback() -> None:
    """A consumer that the broker has cancelled is not subscribed again."""
    instead(RabbitMQConsumer, "_on_cancelled_by_broker", lambda *_args: None)


def _message_id() -> None:
    """Every copy of a response has an id of its own."""

    def encode(original: Any, *args: Any, **kwargs: Any) -> Any:
        return dataclasses.replace(original(*args, **kwargs), message_id=uuid.uuid4().hex)

    instead(answers, "encode_response", encode)


def _ownership() -> None:
    """Nobody asks before a write whether the message is still ours."""
    instead(IncomingMessage, "ensure_ours", lambda *_args: None)


def _routing_headers() -> None:
    """Copies take along what the broker reads as further queues."""
    instead(copies, "speaks_to_the_broker", lambda *_args: False)


def _quarantine() -> None:
    """Properties that cannot be read end the connection, as with pika alone."""

    def decode(original: Any, self: ReceivedProperties, *args: Any) -> ReceivedProperties:
        original(self, *args)
        if self.unreadable is not None:
            raise OverflowError(self.unreadable)
        return self

    instead(ReceivedProperties, "decode", decode)


def _return_counting() -> None:
    """What comes back to its queue again and again is left there until the broker drops it."""
    for module in (message_processor, passage):
        instead(module, "times_returned", lambda *_args: 0)


REMOVALS: dict[str, Callable[[], None]] = {
    "confirm": _confirm,
    "mandatory": _mandatory,
    "persistence": _persistence,
    "resend": _resend,
    "publish-before-ack": _publish_before_ack,
    "confirm-before-answered": _confirm_before_answered,
    "generation": _generation,
    "look-up": _look_up,
    "redelivered-wait": _redelivered_wait,
    "exclusive-consumer": _exclusive_consumer,
    "cancel-callback": _cancel_callback,
    "ownership": _ownership,
    "routing-headers": _routing_headers,
    "quarantine": _quarantine,
    "return-counting": _return_counting,
    "message-id": _message_id,
}
