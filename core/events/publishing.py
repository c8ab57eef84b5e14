"""Events of messages on their way into a queue."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

from core.events.base import Event, QueueEvent
from core.texts import Text

PublishFault = Literal["nacked", "returned", "unconfirmed"]


@dataclass(frozen=True, slots=True)
class Published(Event):
    """The broker confirmed `count` messages of one queue; `seconds`: that the one took which was longest on its way."""

    count: int
    queue: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PublishFailed(Event):
    """One try to publish failed; the publisher tries again by itself.

    `result`: RabbitMQ refused it, there was no such queue, or the channel was lost before the confirm.
    """

    queue: str
    result: PublishFault = "unconfirmed"


@dataclass(frozen=True, slots=True)
class NotStoredYet(QueueEvent):
    """A queue does not take a message; `is_missing` when it only has to be created."""

    reason: Text
    is_missing: bool

    code = "publish.failed"
    levels = Text(
        "warning; info when the queue is missing, which is then created",
        "warning; info, если очереди нет: тогда она создаётся",
    )
    meaning = Text(
        "a queue is full, missing or gives no answer; its messages wait until it takes them, all others flow",
        "очередь полна, отсутствует или не отвечает; её сообщения ждут, пока она их не примет, остальные идут",
    )

    def severity(self) -> int:
        return logging.INFO if self.is_missing else logging.WARNING

    def line(self) -> str:
        return f"a message for {self.queue} is not stored yet: {self.reason.en}"

    def throttle(self) -> str:
        return f"publish {self.queue}"


@dataclass(frozen=True, slots=True)
class QueueBypassed(QueueEvent):
    count: int

    code = "queue.bypassed"
    level = logging.WARNING
    meaning = Text(
        "a wait queue or a shard takes nothing for a minute; what was for it goes into the next longer one, "
        "or stays in the sent queue",
        "очередь ожидания или часть минуту ничего не принимает; то, что для неё, попадает в следующую, с паузой "
        "подлиннее, или остаётся в очереди отправленных",
    )

    def line(self) -> str:
        return f"{self.queue} takes nothing: {self.count} messages are put into another queue instead"

    def throttle(self) -> str:
        return f"bypassed {self.queue}"


@dataclass(frozen=True, slots=True)
class QueueReplaced(QueueEvent):
    code = "queue.replaced"
    level = logging.WARNING
    meaning = Text(
        "a queue that the worker had created took nothing after RabbitMQ was killed, and is made anew if it is empty",
        "очередь, созданная программой, после гибели RabbitMQ ничего не принимает; если пуста, создаётся заново",
    )

    def line(self) -> str:
        return f"{self.queue} has never taken a message: it is made anew if it is empty"


@dataclass(frozen=True, slots=True)
class PublisherChannelClosed(QueueEvent):
    reason: str

    code = "publisher.channel_closed"
    level = logging.WARNING
    meaning = Text(
        "the channel for a queue is opened anew; its unconfirmed messages are sent again",
        "канал для очереди открывается заново; неподтверждённое в неё отправляется снова",
    )

    def line(self) -> str:
        return f"the channel for {self.queue} was closed: {self.reason}"


@dataclass(frozen=True, slots=True)
class PublishGivenUp(QueueEvent):
    count: int

    code = "publish.given_up"
    level = logging.WARNING
    meaning = Text(
        "stop: messages for such a queue were not stored; what they came from is still in RabbitMQ",
        "остановка: сообщения для такой очереди не сохранены; то, из чего они получены, осталось в RabbitMQ",
    )

    def line(self) -> str:
        told = f"{self.count} messages for {self.queue} were not stored"
        return f"{told}; what they came from stays in RabbitMQ and comes again"


@dataclass(frozen=True, slots=True)
class PublisherBlocked(Event):
    reason: str

    code = "publisher.blocked"
    level = logging.WARNING
    meaning = Text(
        "RabbitMQ is short of memory or disk: no new tasks are created meanwhile",
        "у RabbitMQ кончается память или диск: новые задачи пока не создаются",
    )

    def line(self) -> str:
        return f"RabbitMQ blocks publishing: {self.reason}"


@dataclass(frozen=True, slots=True)
class PublisherUnblocked(Event):
    code = "publisher.unblocked"
    meaning = Text(
        "it takes messages again",
        "он снова принимает сообщения",
    )

    def line(self) -> str:
        return "RabbitMQ takes messages again"
