"""Watches the consumer's channels: asks each for proof that it lives, and looks for silent and for starved ones."""

from __future__ import annotations

from collections.abc import Callable, Collection

from broker.connection_thread import ConnectionThread
from broker.silence import Silence
from broker.starvation import Starvation
from broker.subscription import Subscription

_PROOFS = 8  # proofs that are asked for within a lease


class Watch:
    """The looks at all subscriptions of a connection. I/O thread only.

    `lease` and `patience` are seconds, as of RabbitMQConsumer; `on_starved` as of Starvation.
    """

    def __init__(
        self,
        thread: ConnectionThread,
        subscriptions: Collection[Subscription],
        on_starved: Callable[[Subscription, int], None],
        *,
        lease: float,
        patience: float,
    ) -> None:
        self._thread = thread
        self._subscriptions = subscriptions
        self._starvation = Starvation(on_starved, patience)
        self._silence = Silence(max(2 * lease, patience))
        self._proof_interval = lease / _PROOFS
        self._look_interval = min(self._proof_interval, patience / 2)

    def start(self) -> None:
        """Look now and then, as long as the connection that has just been opened is there."""
        self._thread.call_later(self._proof_interval, self._ask_for_proofs)
        self._thread.call_later(self._look_interval, self._look_for_starvation)

    def forget(self) -> None:
        """Note that the connection is gone."""
        self._starvation.forget()
        self._silence.forget()

    def _ask_for_proofs(self) -> None:
        self._silence.look(self._thread.open_channel, self._subscriptions)
        for subscription in self._subscriptions:
            subscription.ask_for_proof()
        self._thread.call_later(self._proof_interval, self._ask_for_proofs)

    def _look_for_starvation(self) -> None:
        if self._thread.is_open():
            self._starvation.look(self._thread.open_channel, self._subscriptions)
            self._thread.call_later(self._look_interval, self._look_for_starvation)
