"""Knows the hosts of RabbitMQ: how each is reached at the moment, and which comes first."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pika

from broker.resolving import Resolver


class LastGood:
    """The host and port that answered last; shared by all connections, of whatever thread."""

    endpoint: tuple[str, int] | None = None


class Nodes:
    """The way to RabbitMQ, asked for before each connection: a password or a certificate may be a new one by then.

    `read` raises OSError when a file cannot be read at the moment. The host that answered last comes first.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[pika.ConnectionParameters]],
        last_good: LastGood | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self._read = read
        self._last_good = last_good or LastGood()
        self.resolver = resolver or Resolver()

    @classmethod
    def of(cls, parameters: Parameters) -> Nodes:
        return parameters if isinstance(parameters, Nodes) else cls(lambda: parameters)

    def in_order(self) -> list[pika.ConnectionParameters]:
        good = self._last_good.endpoint
        return sorted(self._read(), key=lambda each: (each.host, each.port) != good)

    def answered(self, parameters: pika.ConnectionParameters) -> None:
        self._last_good.endpoint = parameters.host, parameters.port


Parameters = Sequence[pika.ConnectionParameters] | Nodes  # what a connection is made of


def limit_of(parameters: pika.ConnectionParameters) -> float:
    """Return how long a try may take, in seconds."""
    return float(parameters.stack_timeout or parameters.socket_timeout or 10.0)


def at_address(parameters: pika.ConnectionParameters, address: str) -> pika.ConnectionParameters:
    """Return the same parameters for one address of the host.

    The certificate is for the name, which stands in the SSL options.
    """
    own = copy.copy(parameters)
    own.host = address
    return own
