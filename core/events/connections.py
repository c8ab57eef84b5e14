"""Events of connections to RabbitMQ that come and go."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from core.events.base import Event
from core.texts import Text


@dataclass(frozen=True, slots=True)
class ConnectionOpened(Event):
    connection: str

    code = "rabbitmq.connected"
    meaning = Text(
        "a connection is open",
        "соединение открыто",
    )

    def line(self) -> str:
        return f"{self.connection} connected to RabbitMQ"


@dataclass(frozen=True, slots=True)
class ConnectionLost(Event):
    connection: str
    reason: Text

    code = "rabbitmq.disconnected"
    level = logging.WARNING
    meaning = Text(
        "a connection was lost",
        "соединение потеряно",
    )

    def line(self) -> str:
        return f"{self.connection} lost RabbitMQ: {self.reason.en}"


@dataclass(frozen=True, slots=True)
class RabbitMQUnreachable(Event):
    connection: str
    reason: Text

    code = "rabbitmq.unreachable"
    level = logging.WARNING
    meaning = Text(
        "no host answers, or a certificate cannot be read; tried again for ever",
        "ни один узел не отвечает или не читается сертификат; попытки не прекращаются",
    )

    def line(self) -> str:
        return f"RabbitMQ is not reachable: {self.reason.en}"

    def throttle(self) -> str:
        return f"{self.connection} unreachable"


@dataclass(frozen=True, slots=True)
class ConnectionUnstable(Event):
    """A connection to RabbitMQ was lost soon after it was made, the `losses`th time in a row."""

    connection: str
    losses: int
    reason: Text

    code = "rabbitmq.unstable"
    level = logging.ERROR
    meaning = Text(
        "a connection is lost again and again, each time within seconds; it is made anew with growing pauses",
        "соединение теряется снова и снова, каждый раз через секунды; оно открывается заново с растущими паузами",
    )

    def line(self) -> str:
        return f"{self.connection} loses its connection again and again, now the {self.losses}th time: {self.reason.en}"

    def throttle(self) -> str:
        return f"{self.connection} unstable"


@dataclass(frozen=True, slots=True)
class ConnectionCrowded(Event):
    """More channels are needed than RabbitMQ allows on a connection."""

    limit: int

    code = "rabbitmq.crowded"
    level = logging.WARNING
    meaning = Text(
        "RabbitMQ's `channel_max` allows fewer channels on a connection than there are queues in use: they take turns",
        "`channel_max` в RabbitMQ разрешает на соединении меньше каналов, чем используется очередей: они "
        "работают по очереди",
    )

    def line(self) -> str:
        told = f"RabbitMQ allows {self.limit} channels on a connection (channel_max)"
        return f"{told}, and more are needed: some work waits"

    def throttle(self) -> str:
        return "crowded"
