"""Places where the daemon kills itself by SIGKILL: between any two steps that must not be torn apart.

    create way   delivered · looked-up · on-the-wire · created · checklist · published · confirmed · acking · acked
    tracker way  status-read · moved · response-published · response-confirmed · answer-acking · answer-acked

A point is counted in messages, where nothing else is said below. pika, requests and the
public classes are patched where possible, so that the points outlive changes of the daemon's inner structure.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from pika.adapters.blocking_connection import BlockingChannel

from benchmarks.faults import system_points
from benchmarks.faults.patching import after, before, instead
from benchmarks.faults.system_points import Step
from broker.publishing_channel import PublishingChannel
from broker.subscription import Subscription
from broker.topology import whole_queue_name
from consumers.bitrix import BitrixTaskHandler
from rabbitmq_consumer import RabbitMQConsumer
from rabbitmq_publisher import RabbitMQPublisher
from sandbox.camunda import RESPONSES_QUEUE

_ACK_ON_THE_WIRE = 0.005


def install(point: str, count: int, system: str) -> None:
    """SIGKILL when `point` is reached for the `count`-th time. Raises KeyError for one that the system has not."""
    if point in POINTS_OF_SYSTEMS:
        POINTS_OF_SYSTEMS[point](system, _die_at(count))
    else:
        POINTS[point](_die_at(count))


def install_poison(word: str) -> None:
    """The handler ends the whole process for a task with `word` in its title, as a crash of a C library would."""

    def poison(_self: BitrixTaskHandler, task: Any) -> None:
        if word in str(task.variables.get("title")):
            os._exit(70)

    before(BitrixTaskHandler, "_translate", poison)


def _die_at(count: int) -> Step:
    remaining = count
    lock = threading.Lock()

    def step() -> None:
        nonlocal remaining
        with lock:
            remaining -= 1
            if remaining == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return step


def _delivered(step: Step) -> None:
    def subscribe(original: Any, self: Any, queue: str, prefetch: int, on_delivery: Any, **kwargs: Any) -> None:
        def on_message(delivery: Any) -> None:
            on_delivery(delivery)
            step()

        original(self, queue, prefetch, on_message, **kwargs)

    instead(RabbitMQConsumer, "subscribe", subscribe)


def _published(step: Step) -> None:
    _before_confirm_from(lambda queue: queue.endswith(".sent.queue"), step)


def _confirmed(step: Step) -> None:
    before(RabbitMQConsumer, "ack", lambda *_args, **_kwargs: step())


def _acking(step: Step) -> None:  # counts flushes: an ack may cover many messages
    before(Subscription, "send_acks", lambda *_args, **_kwargs: step())


def _acked(step: Step) -> None:  # counts flushes
    after(Subscription, "send_acks", lambda *_args, **_kwargs: threading.Timer(_ACK_ON_THE_WIRE, step).start())


def _response_published(step: Step) -> None:
    _before_confirm_from(lambda queue: queue == RESPONSES_QUEUE, step)


def _response_confirmed(step: Step) -> None:
    def published(future: Future[None], _self: RabbitMQPublisher, queue: str, _message: Any) -> None:
        if queue == RESPONSES_QUEUE:
            future.add_done_callback(lambda _future: step())

    after(RabbitMQPublisher, "publish", published)


def _answer_acking(step: Step) -> None:
    before(BlockingChannel, "basic_ack", lambda *_args, **_kwargs: step())  # only a sweep acks on such a channel


def _answer_acked(step: Step) -> None:
    after(BlockingChannel, "basic_ack", lambda *_args, **_kwargs: threading.Timer(_ACK_ON_THE_WIRE, step).start())


def _before_confirm_from(is_meant: Callable[[str], bool], step: Step) -> None:
    """The broker has the message, and its confirm has arrived but is not looked at yet."""

    def confirming(self: PublishingChannel, _channel: Any, frame: Any) -> None:
        last = frame.method.delivery_tag
        tags = [tag for tag in self._unconfirmed if tag == last or (frame.method.multiple and tag <= last)]
        for tag in tags:
            if is_meant(self._unconfirmed[tag].queue):
                step()

    before(PublishingChannel, "_on_confirm", confirming)


def _moved(step: Step) -> None:
    _before_confirm_from(lambda queue: whole_queue_name(queue) != queue, step)


POINTS: dict[str, Callable[[Step], None]] = {
    "delivered": _delivered,
    "published": _published,
    "confirmed": _confirmed,
    "acking": _acking,
    "acked": _acked,
    "response-published": _response_published,
    "response-confirmed": _response_confirmed,
    "answer-acking": _answer_acking,
    "answer-acked": _answer_acked,
    "moved": _moved,
}
POINTS_OF_SYSTEMS: dict[str, Callable[[str, Step], None]] = {
    "looked-up": system_points.looked_up,
    "on-the-wire": system_points.on_the_wire,
    "created": system_points.created,
    "checklist": system_points.checklist,
    "status-read": system_points.status_read,
}
