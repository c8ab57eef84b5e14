"""Takes deliveries out and settlements in: one connection, one channel per queue, each with its own prefetch.

Knows no handler. An acknowledgement is bound to the channel it came from: a delivery tag of an earlier channel would
make the broker close the present one, and the message is already on its way again.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pika
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker
from pika.frame import Method
from pika.spec import Basic

from broker.connection_thread import ConnectionThread
from broker.declarations import Declared
from broker.deliveries import Delivery, OnDelivery
from broker.errors import ACCESS_REFUSED, RESOURCE_LOCKED, describe
from broker.mailbox import Mailbox
from broker.nodes import Parameters
from broker.properties import ReceivedProperties
from broker.starvation import PATIENCE
from broker.subscription import Subscription
from broker.topology import Topology, owner_queue_name
from broker.undeliverable import Undeliverable, is_internal_error
from broker.watch import Watch
from core.events.base import EventStream, Log
from core.events.queues import ChannelClosed, ConsumerCancelled, ConsumerStarved, QueueStandby, QueueTakenOver
from core.policy import LONGEST_LEASE
from core.texts import Text

RESUBSCRIBE_DELAY = 1.0  # seconds between tries to get a lost queue or channel back


class RabbitMQConsumer:
    """The worker's consumer. `subscribe` before `start`; the other public methods from any thread."""

    def __init__(
        self,
        parameters: Parameters,
        topology: Topology,
        *,
        reconnect_max_delay: float,
        lease: float = LONGEST_LEASE,
        events: EventStream | None = None,
        undeliverable: Undeliverable | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """`lease`: seconds after RabbitMQ's last answer in which a delivery counts as ours (core.policy.lease_for).

        `undeliverable` takes out of the queues what RabbitMQ closes the connection over. `patience`: seconds without a
        delivery until RabbitMQ is asked whether there would be any.
        """
        self._events = events or EventStream([Log()])
        self._thread = ConnectionThread(
            "rabbitmq-consumer",
            parameters,
            topology,
            reconnect_max_delay=reconnect_max_delay,
            on_open=self._on_connection_open,
            on_lost=self._on_connection_lost,
            events=self._events,
        )
        self._subscriptions: dict[str, Subscription] = {}
        self._on_delivery: dict[str, OnDelivery] = {}
        self._settled: Mailbox[tuple[Delivery, bool]] = Mailbox(self._thread, self._flush)  # True: acked
        self._arrived: list[Delivery] = []
        self._lease = lease
        self._undeliverable = undeliverable
        self._met_internal_error = False
        self._watch = Watch(
            self._thread, self._subscriptions.values(), self._on_starved, lease=lease, patience=patience
        )
        self._intake = threading.Event()
        self._intake.set()

    # -- any thread -----------------------------------------------------------------------------------------------

    def consumes(self, queue: str) -> bool:
        """Return whether this worker takes the messages of that queue."""
        return queue in self._subscriptions

    def subscribe(self, queue: str, prefetch: int, on_delivery: OnDelivery, *, exclusive: bool = False) -> None:
        """Register a queue, before start().

        `on_delivery` is called in the I/O thread and must only hand the delivery on.

        `exclusive`: of several workers one consumes the queue, the others stand by and take over when it ends.
        """
        self._subscriptions[queue] = Subscription(queue, prefetch, exclusive=exclusive)
        self._on_delivery[queue] = on_delivery

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def seconds_since_tick(self) -> float:
        """Return the age of the I/O thread's last sign of life."""
        return self._thread.seconds_since_tick()

    def is_consuming(self) -> bool:
        """True while every queue that should be read has a live consumer, here or in the worker that has it."""
        return all(
            not each.wanted or each.standing_by or each.consumer_tag is not None
            for each in self._subscriptions.values()
        )

    def is_current(self, delivery: Delivery) -> bool:
        """False when the channel is gone: the broker delivers the message again, working on it would be in vain."""
        return self._subscriptions[delivery.queue].generation == delivery.generation

    def is_proved(self, queue: str) -> bool:
        """Return whether RabbitMQ has shown within the lease that the queue's channel lives."""
        return self._subscriptions[queue].silence() < self._lease

    def owns(self, delivery: Delivery) -> bool:
        """False when another worker may have the message by now: nothing may be begun for it, or reported about it."""
        return self.is_current(delivery) and self.is_proved(delivery.queue)

    def ack(self, delivery: Delivery) -> None:
        self._settle(delivery, acked=True)

    def give_back(self, delivery: Delivery) -> None:
        """Give back a delivery that nobody works on any more; does nothing when it is settled already."""
        self._settle(delivery, acked=False)

    def _settle(self, delivery: Delivery, *, acked: bool) -> None:
        self._settled.put((delivery, acked))

    def pause(self, queue: str) -> None:
        """Take no more messages from the queue; those already delivered stay unsettled."""
        self._set_wanted(queue, wanted=False)

    def resume(self, queue: str) -> None:
        self._set_wanted(queue, wanted=True)

    def stop_intake(self) -> None:
        """Cancel every consumer; running work may still be acked."""
        self._intake.clear()
        self._thread.call(self._cancel_all)

    def close(self, timeout: float) -> None:
        """Send the acks that are due and close; what is unsettled goes back to its queue."""
        self._thread.close(timeout, last=self._flush)

    def _set_wanted(self, queue: str, *, wanted: bool) -> None:
        subscription = self._subscriptions[queue]
        subscription.wanted = wanted  # kept while there is no connection, applied when there is one
        self._thread.call(partial(self._consume_or_cancel, subscription))

    # -- I/O thread -----------------------------------------------------------------------------------------------

    def _on_connection_open(self, connection: pika.SelectConnection) -> None:
        connection.add_on_close_callback(self._on_connection_closed)
        self._settled.look()
        for subscription in self._subscriptions.values():
            self._open_channel(subscription)
        self._watch.start()

    def _on_starved(self, subscription: Subscription, ready: int) -> None:
        self._events.emit(ConsumerStarved(subscription.queue, ready))
        if subscription.channel is not None and subscription.channel.is_open:
            subscription.channel.close()

    def _on_connection_closed(self, _connection: pika.SelectConnection, reason: BaseException) -> None:
        self._met_internal_error = is_internal_error(reason)

    def _on_connection_lost(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.forget_channel()
            subscription.is_ensured = False
        self._settled.clear()
        self._arrived.clear()
        self._watch.forget()
        if self._met_internal_error and self._undeliverable is not None and not self._thread.is_closing():
            # Before the next connection, which would meet the same message. Nothing else could go on meanwhile.
            consumed = [each for each in self._subscriptions.values() if each.wanted and not each.standing_by]
            self._undeliverable.remove({each.queue: each.prefetch for each in consumed})
        self._met_internal_error = False

    def _open_channel(self, subscription: Subscription) -> None:
        if not self._thread.is_open() or subscription.channel is not None or subscription.is_opening:
            return
        subscription.is_opening = True
        if subscription.is_ensured:  # each try of a worker that stands by would ask in vain
            self._on_queue_ensured(subscription, usable=True)
        else:
            self._thread.ensure_queue(
                subscription.queue,
                lambda declared: self._on_queue_ensured(subscription, usable=declared is not Declared.REFUSED),
            )

    def _on_queue_ensured(self, subscription: Subscription, *, usable: bool) -> None:
        connection = self._thread.connection
        subscription.is_ensured = usable
        if usable and connection is not None and connection.is_open:
            self._thread.open_channel(partial(self._on_channel_open, subscription))
        else:
            subscription.is_opening = False
            self._open_channel_later(subscription)  # the other queues go on

    def _open_channel_later(self, subscription: Subscription) -> None:
        self._thread.call_later(RESUBSCRIBE_DELAY, partial(self._open_channel, subscription))

    def _on_channel_open(self, subscription: Subscription, channel: Channel) -> None:
        subscription.is_opening = False
        subscription.channel = channel
        channel.add_on_close_callback(partial(self._on_channel_closed, subscription))
        channel.add_on_cancel_callback(partial(self._on_cancelled_by_broker, subscription))
        subscription.ask_for_proof()
        self._consume(subscription)

    def _consume(self, subscription: Subscription) -> None:
        channel = subscription.channel
        if channel is None or not channel.is_open or subscription.consumer_tag is not None:
            return
        if subscription.wanted and self._intake.is_set():
            if subscription.exclusive:
                # Quorum queues ignore that a consumer is exclusive. This queue is our connection's own: it is refused
                # to any other, and goes with the connection.
                channel.queue_declare(owner_queue_name(subscription.queue), exclusive=True)
            on_message = partial(self._on_message, subscription, subscription.generation)
            subscription.consumer_tag = channel.basic_consume(
                subscription.queue,
                on_message,
                exclusive=subscription.exclusive,
                callback=partial(self._on_consuming, subscription),
            )

    def _on_consuming(self, subscription: Subscription, _frame: Method[Any]) -> None:
        if subscription.standing_by:
            subscription.standing_by = False
            self._events.emit(QueueTakenOver(subscription.queue))

    def _on_message(
        self,
        subscription: Subscription,
        generation: int,
        _channel: Channel,
        method: Basic.Deliver,
        properties: ReceivedProperties,
        body: bytes,
    ) -> None:
        tag = method.delivery_tag or 0
        subscription.unsettled[tag] = False
        subscription.delivered += 1
        if not self._arrived:
            self._thread.at_end_of_turn(self._hand_over)
        delivery = Delivery(
            subscription.queue,
            generation,
            tag,
            bool(method.redelivered),
            properties,
            body,
            method.exchange or "",
            method.routing_key or "",
        )
        self._arrived.append(delivery)

    def _hand_over(self) -> None:
        # Not one by one as they are read: a thread that is woken while more is being read takes the interpreter's lock
        # away at every turn of the reading, and goes to sleep again after a message or two.
        arrived, self._arrived = self._arrived, []
        for delivery in arrived:
            self._on_delivery[delivery.queue](delivery)

    def _on_channel_closed(self, subscription: Subscription, channel: Channel, reason: Exception) -> None:
        if subscription.channel is not channel:
            return
        subscription.forget_channel()
        if _is_in_exclusive_use(reason):
            self._stand_by(subscription)
        elif self._thread.is_open():
            subscription.is_ensured = subscription.standing_by = False  # the queue may have been deleted
            if isinstance(reason, ChannelClosedByBroker) and reason.reply_code == ACCESS_REFUSED:
                self._thread.tell_unusable(subscription.queue, Text.of(reason.reply_text))
            self._events.emit(ChannelClosed(subscription.queue, describe(reason)))
            self._open_channel_later(subscription)

    def _stand_by(self, subscription: Subscription) -> None:
        if not subscription.standing_by:
            subscription.standing_by = True
            self._events.emit(QueueStandby(subscription.queue))
        self._open_channel_later(subscription)

    def _on_cancelled_by_broker(self, subscription: Subscription, _frame: Method[Any]) -> None:
        # The queue was deleted or moved, or RabbitMQ 4.3 timed the consumer out. pika keeps the channel open and
        # raises nothing. A fresh channel returns what is unsettled and declares the queue again; what was delivered may
        # be another worker's from this moment on.
        subscription.revoke()
        self._events.emit(ConsumerCancelled(subscription.queue))
        channel = subscription.channel
        if channel is not None and channel.is_open:
            channel.close()

    def _consume_or_cancel(self, subscription: Subscription) -> None:
        if subscription.wanted:
            self._consume(subscription)
        else:
            self._cancel(subscription)

    def _cancel_all(self) -> None:
        for subscription in self._subscriptions.values():
            self._cancel(subscription)

    def _cancel(self, subscription: Subscription) -> None:
        channel, consumer_tag = subscription.channel, subscription.consumer_tag
        if channel is not None and channel.is_open and consumer_tag is not None:
            subscription.consumer_tag = None
            channel.basic_cancel(consumer_tag)

    def _flush(self) -> None:
        touched: set[str] = set()
        while self._settled:
            delivery, acked = self._settled.take()
            subscription = self._subscriptions[delivery.queue]
            is_ours = delivery.generation == subscription.generation  # else RabbitMQ has it back
            if is_ours and subscription.settle(delivery.tag, acked=acked):
                touched.add(delivery.queue)
        for queue in touched:
            self._subscriptions[queue].send_acks()


def _is_in_exclusive_use(reason: Exception) -> bool:
    if not isinstance(reason, ChannelClosedByBroker):
        return False
    consumed = reason.reply_code == ACCESS_REFUSED and "exclusive use" in reason.reply_text
    return consumed or reason.reply_code == RESOURCE_LOCKED
