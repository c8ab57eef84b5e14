"""Events of queues: what RabbitMQ does to them and to their consumers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.events.base import Event, QueueEvent
from core.texts import Text


@dataclass(frozen=True, slots=True)
class QueueCreated(Event):
    queue: str

    code = "queue.created"
    meaning = Text(
        "a missing queue was created",
        "создана недостающая очередь",
    )

    def line(self) -> str:
        return f"queue {self.queue} was missing and has been created"


@dataclass(frozen=True, slots=True)
class ExchangeCreated(Event):
    exchange: str

    code = "exchange.created"
    meaning = Text(
        "a missing exchange was created",
        "создан недостающий обменник",
    )

    def line(self) -> str:
        return f"exchange {self.exchange} was missing and has been created"


@dataclass(frozen=True, slots=True)
class QueueUnusable(QueueEvent):
    """RabbitMQ refuses what the worker needs of a queue, or says nothing about it; the worker asks again and again."""

    reason: Text

    code = "queue.unusable"
    level = logging.ERROR
    meaning = Text(
        "RabbitMQ does not allow a queue, gives no answer about it, or takes nothing for it for a minute "
        "(rights? limit of the virtual host? full?)",
        "RabbitMQ не даёт работать с очередью, не отвечает о ней или минуту ничего для неё не принимает "
        "(права? предел виртуального хоста? переполнена?)",
    )

    def line(self) -> str:
        return f"{self.queue} cannot be used: {self.reason.en}"

    def throttle(self) -> str:
        return f"unusable {self.queue}"


@dataclass(frozen=True, slots=True)
class QueueRemark(Event):
    """What RabbitMQ may do to the messages of these queues; no queues: RabbitMQ could not be asked."""

    queues: Sequence[str]
    text: Text

    code = "queue.remark"
    levels = Text.of("warning, info")
    meaning = Text(
        "RabbitMQ drops messages of this queue when they have been returned too often; the line names the "
        "policy that prevents it ([queues](#rabbitmq-drops-what-is-returned-too-often))",
        "RabbitMQ удаляет сообщения этой очереди, возвращённые слишком часто; в строке названа политика, "
        "которая это предотвращает ([очереди](#rabbitmq-удаляет-возвращённое-слишком-часто))",
    )

    def severity(self) -> int:
        return logging.WARNING if self.queues else logging.INFO

    def line(self) -> str:
        return self.text.en

    def fields(self) -> Mapping[str, Any]:
        return {"queue": ", ".join(self.queues) or None}


@dataclass(frozen=True, slots=True)
class DepthsUnknown(Event):
    """RabbitMQ could not be asked how many messages are in these queues; none: in any. Told once until it can."""

    queues: Sequence[str]
    reason: Text

    code = "queue.unknown"
    level = logging.WARNING
    meaning = Text(
        "RabbitMQ could not be asked how many messages are in queues: these figures are missing until it can, the work "
        "does not need them",
        "не удалось спросить RabbitMQ, сколько сообщений в очередях: этих цифр нет, пока не удастся, для работы они не "
        "нужны",
    )

    def line(self) -> str:
        return f"how many messages are there is not known: {self.reason.en}"

    def fields(self) -> Mapping[str, Any]:
        return {"queue": ", ".join(self.queues) or None}


@dataclass(frozen=True, slots=True)
class QueueStandby(QueueEvent):
    code = "queue.standby"
    meaning = Text(
        "another worker consumes this queue; this one waits",
        "эту очередь читает другой воркер; этот ждёт",
    )

    def line(self) -> str:
        return f"{self.queue} is consumed by another worker, standing by"


@dataclass(frozen=True, slots=True)
class QueueTakenOver(QueueEvent):
    code = "queue.taken_over"
    meaning = Text(
        "the other worker has ended; this one consumes now",
        "другой воркер завершился; теперь читает этот",
    )

    def line(self) -> str:
        return f"{self.queue} is taken over from another worker"


@dataclass(frozen=True, slots=True)
class ChannelClosed(QueueEvent):
    reason: str

    code = "channel.closed"
    level = logging.WARNING
    meaning = Text(
        "RabbitMQ closed the channel of a queue; it is opened anew",
        "RabbitMQ закрыл канал очереди; он открывается заново",
    )

    def line(self) -> str:
        return f"channel of {self.queue} closed: {self.reason}"

    def throttle(self) -> str:
        return f"closed {self.queue}"


@dataclass(frozen=True, slots=True)
class ConsumerCancelled(QueueEvent):
    code = "consumer.cancelled"
    level = logging.WARNING
    meaning = Text(
        "the queue was deleted or moved; it is declared and consumed again",
        "очередь удалена или переехала; она объявляется и читается снова",
    )

    def line(self) -> str:
        return f"RabbitMQ cancelled the consumer of {self.queue}"


@dataclass(frozen=True, slots=True)
class ConsumerStarved(QueueEvent):
    ready: int

    code = "consumer.starved"
    level = logging.WARNING
    meaning = Text(
        "RabbitMQ delivers nothing although messages are ready; the channel is opened anew",
        "RabbitMQ ничего не доставляет, хотя сообщения есть; канал открывается заново",
    )

    def line(self) -> str:
        ready = f"where {self.ready} messages are ready"
        return f"RabbitMQ delivers nothing of {self.queue}, {ready}: its channel is opened anew"


@dataclass(frozen=True, slots=True)
class UndeliverableParked(QueueEvent):
    code = "message.undeliverable"
    level = logging.ERROR
    meaning = Text(
        "RabbitMQ 4 closes the connection over an AMQP 1.0 client's message instead of handing it over; it is "
        "in the error queue",
        "RabbitMQ 4 вместо выдачи сообщения клиента AMQP 1.0 разрывает соединение; сообщение в очереди ошибок",
    )

    def line(self) -> str:
        return f"a message of {self.queue} that RabbitMQ cannot hand over is in the error queue"


@dataclass(frozen=True, slots=True)
class QueueNotLookedThrough(QueueEvent):
    reason: str

    code = "queue.not_looked_through"
    level = logging.WARNING
    meaning = Text(
        "the queue could not be searched for such a message; take it out with an AMQP 1.0 client",
        "не удалось поискать в очереди такое сообщение; заберите его клиентом AMQP 1.0",
    )

    def line(self) -> str:
        return f"{self.queue} cannot be looked through over AMQP 1.0: {self.reason}"

    def throttle(self) -> str:
        return f"not looked through {self.queue}"
