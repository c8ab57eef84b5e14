"""A message as RabbitMQ has delivered it, and by which channel: what an acknowledgement is bound to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from broker.properties import ReceivedProperties


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """One message as it came. `generation` names the channel it came through."""

    queue: str
    generation: int
    tag: int
    redelivered: bool
    properties: ReceivedProperties
    body: bytes
    exchange: str = ""
    routing_key: str = ""

    @property
    def origin(self) -> str:
        """Where the message was published to, `exchange/routing key`."""
        return f"{self.exchange}/{self.routing_key}"


OnDelivery = Callable[[Delivery], None]
