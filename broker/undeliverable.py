"""Moves messages that RabbitMQ 4 cannot give an AMQP 0-9-1 consumer into the error queue, over AMQP 1.0.

A client of AMQP 1.0 may give a property a type that 0-9-1 lacks (uuid, char), or a content type over 255 bytes.
RabbitMQ takes the message and closes the connection of its consumer, each time (541 INTERNAL_ERROR; measured on
4.0.5 and 4.3.6). On a quorum queue it reaches the delivery limit, and so do the good messages that were on their way
beside it.
"""

from __future__ import annotations

import base64
import contextlib
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import pika
from pika.exceptions import ConnectionClosedByBroker

from broker.amqp10_link import Link, LinkError
from broker.amqp10_values import (
    ANNOTATIONS,
    APPLICATION_PROPERTIES,
    DATA,
    PROPERTIES,
    VALUE,
    Lacking,
    lacking,
    sections,
)
from broker.errors import MessageTooLargeError, PublisherClosedError
from broker.nodes import Nodes, Parameters
from broker.topology import whole_queue_name
from core.envelopes import Failure, encode_failed_task, encode_unreadable
from core.errors import InvalidMessageError
from core.events.base import EventStream
from core.events.queues import QueueNotLookedThrough, UndeliverableParked
from core.messages import Limits, OutgoingMessage, decode_task
from core.texts import Text

INTERNAL_ERROR = 541
LOOKED_AT = 2000  # messages at the head of a queue; more are never on their way to one consumer
LOOKS = 4  # what the closed connection held is back in its queue a moment later
BETWEEN_LOOKS = 0.5  # seconds
LONGEST = 20.0  # seconds, and a time-out of the link; RabbitMQ has just answered, so this is for the strangest day
CONFIRM_TIMEOUT = 30.0  # seconds
SHORT_TEXT = 255  # bytes
_TEXTS_OF_PROPERTIES = {6: "content-type", 7: "content-encoding"}  # by their place
_NAMES = {
    ANNOTATIONS: "message_annotations",
    PROPERTIES: "properties",
    APPLICATION_PROPERTIES: "application_properties",
}
_UNREADABLE = (ValueError, IndexError, struct.error, RecursionError)
_FAILURES = (LinkError, OSError, PublisherClosedError, MessageTooLargeError, *_UNREADABLE)

Publish = Callable[[str, OutgoingMessage], "Future[None]"]


def is_internal_error(reason: BaseException) -> bool:
    """Return whether RabbitMQ has closed the connection over a mistake of its own."""
    return isinstance(reason, ConnectionClosedByBroker) and reason.reply_code == INTERNAL_ERROR


class Undeliverable:
    """Takes such messages out of their queues. Blocks: to be called when nothing else can go on."""

    def __init__(self, parameters: Parameters, publish: Publish, errors_queue: str, events: EventStream) -> None:
        """`publish` is that of the publisher, whose future is done when the broker has confirmed."""
        self._nodes = Nodes.of(parameters)
        self._publish = publish
        self._errors_queue = errors_queue
        self._events = events

    def remove(self, queues: Mapping[str, int]) -> int:
        """Look at the head of each queue, as far as its consumer's prefetch; return how many messages were parked."""
        deadline = time.monotonic() + LONGEST
        parked = 0
        for _ in range(LOOKS):
            for queue, prefetch in queues.items():
                if time.monotonic() < deadline:
                    parked += self._look_at(queue, min(prefetch, LOOKED_AT))
            if parked or time.monotonic() > deadline:
                break
            time.sleep(BETWEEN_LOOKS)
        return parked

    @contextlib.contextmanager
    def taken_out(self, queues: Mapping[str, int]) -> Iterator[None]:
        """Look at the queues when the block ends because RabbitMQ has closed the connection over such a message."""
        try:
            yield
        except ConnectionClosedByBroker as error:
            if is_internal_error(error):
                self.remove(queues)
            raise

    def _look_at(self, queue: str, credit: int) -> int:
        failure: Exception | None = None
        try:
            for parameters in self._nodes.in_order():
                try:
                    return self._look_through(parameters, queue, credit)
                except _FAILURES as error:
                    failure = error
        except OSError as error:  # a certificate cannot be read at the moment
            failure = error
        self._events.emit(QueueNotLookedThrough(queue, str(failure)))
        return 0

    def _look_through(self, parameters: pika.ConnectionParameters, queue: str, credit: int) -> int:
        parked = 0
        with Link.opened(parameters, queue) as link:
            for transfer in link.take(credit):
                report = _report(transfer.message, queue)
                if report is None:
                    link.release(transfer.id)
                    continue
                self._publish(self._errors_queue, report).result(CONFIRM_TIMEOUT)
                link.accept(transfer.id)
                parked += 1
                self._events.emit(UndeliverableParked(queue))
        return parked


def _report(message: bytes, queue: str) -> OutgoingMessage | None:
    try:
        return undeliverable(message, queue)
    except _UNREADABLE:
        return None  # whatever it is, it stays where it is


def undeliverable(message: bytes, queue: str) -> OutgoingMessage | None:
    """Return the error report of an AMQP 1.0 message that no AMQP 0-9-1 consumer can be given; None for any other."""
    told: dict[str, Any] = {}
    reasons: list[Text] = []
    raw, body = b"", b""
    for code, value, section in sections(message):
        if code in (DATA, VALUE):
            body += value if code == DATA and isinstance(value, bytes) else section
            continue
        raw += section
        if code not in _NAMES:
            continue
        told[_NAMES[code]] = _plain(value)
        match value:
            case list():
                reasons += _long_texts(value)
            case dict():
                reasons += (
                    Text(f"{name} holds a {kind}", f"в {name} есть {kind}")
                    for name, inner in value.items()
                    for kind in lacking(inner)
                )
    if not reasons:
        return None
    why = Text.join("; ", reasons[:5])
    reason = Text(
        f"RabbitMQ cannot hand this message of an AMQP 1.0 client over: {why.en}",
        f"RabbitMQ не может передать это сообщение клиента AMQP 1.0: {why.ru}",
    )
    error = InvalidMessageError(reason, code="unreadable_properties")
    properties = {"properties": told, "properties_base64": base64.b64encode(raw).decode("ascii")}
    now = time.time()
    source = whole_queue_name(queue)
    system = source.removesuffix(".sent.queue").removesuffix(".queue")
    failure = Failure(error, source, system, attempts=1, first_seen=now, failed_at=now, properties=properties)
    try:
        return encode_failed_task(decode_task(body, Limits()), failure)
    except InvalidMessageError:
        return encode_unreadable(body, "unreadable:task", failure)


def _long_texts(fields: list[Any]) -> list[Text]:
    texts = {name: fields[place] for place, name in _TEXTS_OF_PROPERTIES.items() if place < len(fields)}
    return [
        Text(f"{name} has more than {SHORT_TEXT} bytes", f"{name} длиннее {SHORT_TEXT} байт")
        for name, text in texts.items()
        if isinstance(text, str) and len(text.encode()) > SHORT_TEXT
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(_plain(name)): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Lacking):
        return value.text
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value if value is None or isinstance(value, str | int | float) else str(value)
