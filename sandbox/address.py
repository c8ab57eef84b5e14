"""Where a broker is and how to log in: the same value for a configured broker and for a private node."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import pika


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """One virtual host of one RabbitMQ, without TLS. `queue_type` is the daemon's RABBITMQ_QUEUE_TYPE for it."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    vhost: str = "/"
    queue_type: Literal["classic", "quorum"] = "classic"

    def at(self, vhost: str) -> BrokerAddress:
        """The same broker, another virtual host."""
        return replace(self, vhost=vhost)

    def through(self, port: int) -> BrokerAddress:
        """The same broker, reached through a proxy on this machine."""
        return replace(self, host="127.0.0.1", port=port)

    def amqp_parameters(self, *, heartbeat: int = 30) -> pika.ConnectionParameters:
        """For pika; `heartbeat` in seconds, 0 switches it off. One attempt only: whoever retries decides how."""
        return pika.ConnectionParameters(
            host=self.host,
            port=self.port,
            virtual_host=self.vhost,
            credentials=pika.PlainCredentials(self.username, self.password),
            heartbeat=heartbeat,
            connection_attempts=1,
        )

    def environment(self) -> dict[str, str]:
        """The daemon's own variables for this broker."""
        return {
            "RABBITMQ_HOST": self.host,
            "RABBITMQ_PORT": str(self.port),
            "RABBITMQ_USERNAME": self.username,
            "RABBITMQ_PASSWORD": self.password,
            "RABBITMQ_VIRTUAL_HOST": self.vhost,
            **({"RABBITMQ_QUEUE_TYPE": self.queue_type} if self.queue_type != "classic" else {}),
        }
