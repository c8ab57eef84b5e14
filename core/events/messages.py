"""Events of one message, from its delivery to the response that Camunda gets."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.events.base import Identity, MessageEvent
from core.outcomes import Outcome
from core.texts import Text


@dataclass(frozen=True, slots=True)
class MessageReceived(MessageEvent):
    """A delivery was taken from a queue; `redelivered` when a worker had held it before.

    `title` and `business_key` are what people know the task by, where the message says it. `sent_at` is when it was
    sent, as its sender says (unix seconds). `waited`: seconds since then; None where nobody tells, or a worker has seen
    it before.
    """

    identity: Identity
    redelivered: bool
    title: str | None = None
    business_key: str | None = None
    sent_at: float | None = None
    waited: float | None = None


@dataclass(frozen=True, slots=True)
class MessageProcessed(MessageEvent):
    """A handler succeeded and its result is durable.

    `created`: something stays open and is tracked; otherwise it was done at once. `stored`: its result is in a sent
    queue, and Camunda is answered from there. `seconds` in all events here: since the delivery was taken.
    """

    identity: Identity
    created: bool
    stored: bool
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TaskAccepted(MessageProcessed):
    """A task was created; it is open."""

    code = "task.accepted"
    meaning = Text(
        "created (`ext` is its number in the system); a person will finish it, its result is in the sent queue",
        "создана (`ext` – её номер в системе); завершит человек, результат в очереди отправленных",
    )

    def line(self) -> str:
        return f"task created{_as(self)}"


@dataclass(frozen=True, slots=True)
class TaskDone(MessageProcessed):
    """A task was done at once, as a mail is sent; nothing stays open."""

    code = "task.done"
    meaning = Text(
        "done at once (a mail is sent); its result is in the sent queue, the tracker answers Camunda",
        "сделано сразу (письмо отправлено); результат в очереди отправленных, трекер ответит Camunda",
    )

    def line(self) -> str:
        return "task done" if self.stored else "task done; its handler keeps no result"


@dataclass(frozen=True, slots=True)
class TaskFound(MessageProcessed):
    """An earlier attempt had created the task, or done it."""

    code = "task.found"
    meaning = Text(
        "an earlier attempt had created or done it: a duplicate was avoided",
        "её создала или сделала прежняя попытка: дубль предотвращён",
    )

    def line(self) -> str:
        return f"task had been created{_as(self)}" if self.created else "task had been done"


def _as(event: MessageProcessed) -> str:
    external_id = event.identity.external_id
    return "" if external_id is None else f" as {external_id}"


@dataclass(frozen=True, slots=True)
class MessageFailed(MessageEvent):
    """A handler did not succeed.

    `is_postponed`: that says nothing about the message, which comes again and has lost no attempt.
    """

    identity: Identity
    outcome: Outcome
    is_postponed: bool = False
    error_code: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class MessageHandedBack(MessageEvent):
    """A message is in its queue again, because its system is paused: nothing was done for it, and nothing is spent."""

    identity: Identity
    reason: Text
    error_code: str | None = None  # of the error that it met, if it met one itself


@dataclass(frozen=True, slots=True)
class ResultStored(MessageEvent):
    """A result was confirmed in the sent queue."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class ResultNotStored(MessageEvent):
    """A result could not be put into the sent queue; its input message stays in its queue."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class DeliveryLost(MessageEvent):
    """A delivery is not ours any more; `is_done` when it has been worked on, which is reported with the next one."""

    identity: Identity
    is_done: bool
    seconds: float = 0.0

    code = "delivery.lost"
    levels = Text.of("info, warning")
    meaning = Text(
        "it may be another worker's by now: nothing is told of it, RabbitMQ delivers it again",
        "возможно, сообщение уже у другого воркера: о нём ничего не сообщается, RabbitMQ доставит его снова",
    )

    def severity(self) -> int:
        return logging.WARNING if self.is_done else logging.INFO

    def line(self) -> str:
        if self.is_done:
            return "has been worked on, and is not ours any more: told when it is delivered again"
        return "not ours any more, nothing is told of it: it is delivered again"


@dataclass(frozen=True, slots=True)
class LateOutcomeTold(MessageEvent):
    """The outcome of an earlier delivery of the same message is reported now."""

    identity: Identity

    code = "task.late"
    level = logging.WARNING
    meaning = Text(
        "the work took longer than RabbitMQ leaves a message with a consumer (`consumer_timeout`), or the "
        "connection was lost meanwhile; its outcome is told now, once. Raise the time-out if it comes often",
        "работа длилась дольше, чем RabbitMQ оставляет сообщение потребителю (`consumer_timeout`), или "
        "соединение тем временем потеряно; её итог сообщается сейчас, один раз. Если бывает часто, увеличьте "
        "тайм-аут",
    )

    def line(self) -> str:
        return "was worked on when an earlier delivery of it was ours: told now"


@dataclass(frozen=True, slots=True)
class MessageRenewed(MessageEvent):
    """A copy has taken the place of a message that its queue would drop one day."""

    identity: Identity
    reason: str
    message_id: str

    code = "task.renewed"
    meaning = Text(
        "the message has been returned more than once, by lost connections or killed workers; a copy takes "
        "its place, which RabbitMQ does not drop (`delivery-limit`)",
        "сообщение не раз возвращалось в очередь (потерянные соединения, убитые воркеры); его заменила копия, "
        "которую RabbitMQ не удалит (`delivery-limit`)",
    )

    def line(self) -> str:
        return self.reason

    def fields(self) -> Mapping[str, Any]:
        return {**MessageEvent.fields(self), "message_id": self.message_id}


@dataclass(frozen=True, slots=True)
class RetryScheduled(MessageEvent):
    """A copy waits `delay` seconds for the next try."""

    identity: Identity
    reason: Text
    error_code: str
    delay: float
    outcome: Outcome = Outcome.TRANSIENT
    seconds: float = 0.0

    code = "task.retry"
    level = logging.WARNING
    meaning = Text(
        "will be tried again later",
        "будет новая попытка",
    )

    def line(self) -> str:
        return self.reason.en

    def fields(self) -> Mapping[str, Any]:
        return {**MessageEvent.fields(self), "code": self.error_code, "retry_in": self.delay}


@dataclass(frozen=True, slots=True)
class MessageParked(MessageEvent):
    """A message was confirmed in the error queue."""

    identity: Identity
    reason: Text
    error_code: str
    outcome: Outcome
    seconds: float = 0.0

    code = "task.parked"
    level = logging.ERROR
    meaning = Text(
        "is in the error queue",
        "в очереди ошибок",
    )

    def line(self) -> str:
        return self.reason.en

    def fields(self) -> Mapping[str, Any]:
        return {**MessageEvent.fields(self), "code": self.error_code, "outcome": self.outcome}


@dataclass(frozen=True, slots=True)
class MessageRerouted(MessageEvent):
    """A message was confirmed in another input queue; `is_consumed` when this worker consumes that one."""

    identity: Identity
    target: str
    is_consumed: bool
    seconds: float = 0.0

    code = "task.rerouted"
    levels = Text.of("info, warning")
    meaning = Text(
        "is in another input queue; a warning when this worker does not consume that one",
        "в другой входной очереди; warning, если этот воркер её не читает",
    )

    def severity(self) -> int:
        return logging.INFO if self.is_consumed else logging.WARNING

    def line(self) -> str:
        return f"put into {self.target}" + ("" if self.is_consumed else ", which this worker does not consume")

    def fields(self) -> Mapping[str, Any]:
        return {**MessageEvent.fields(self), "target": self.target}


@dataclass(frozen=True, slots=True)
class MessageStuck(MessageEvent):
    """Neither its result nor a report could be stored; it stays unacked."""

    identity: Identity
    reason: str

    code = "task.stuck"
    level = logging.ERROR
    meaning = Text(
        "could be neither stored nor parked; RabbitMQ delivers it again after the next reconnect or restart",
        "не удалось ни сохранить, ни отложить; RabbitMQ доставит снова после переподключения или перезапуска",
    )

    def line(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class PartDown(MessageEvent):
    """A message met a part of its system (a service) that is down; it waits, the others flow."""

    identity: Identity
    part: Text
    reason: Text


@dataclass(frozen=True, slots=True)
class TaskCompleted(MessageEvent):
    """The response to Camunda was confirmed. `lifetime`: seconds since the task was created; None where unknown."""

    identity: Identity
    lifetime: float | None = None

    code = "task.completed"
    meaning = Text(
        "finished; Camunda is answered",
        "завершена; ответ отдан Camunda",
    )

    def line(self) -> str:
        return "task finished, Camunda is answered"


@dataclass(frozen=True, slots=True)
class TaskRejected(MessageEvent):
    """The report on a tracked task that will never be finished was confirmed in the error queue.

    `outcome`: BUSINESS is a person's verdict, PERMANENT a response that cannot be written. `lifetime` as in
    TaskCompleted.
    """

    identity: Identity
    reason: Text
    error_code: str
    outcome: Outcome = Outcome.BUSINESS
    lifetime: float | None = None

    code = "task.rejected"
    level = logging.ERROR
    meaning = Text(
        "deleted or declined; is in the error queue",
        "удалена или отклонена; в очереди ошибок",
    )

    def line(self) -> str:
        return self.reason.en

    def fields(self) -> Mapping[str, Any]:
        return {**MessageEvent.fields(self), "code": self.error_code}


@dataclass(frozen=True, slots=True)
class SentMessageUnreadable(MessageEvent):
    """A message of a sent queue that cannot be read was confirmed in the error queue."""

    identity: Identity
    reason: Text
    error_code: str

    code = "sent.unreadable"
    level = logging.ERROR
    meaning = Text(
        "a message of a sent queue is broken; is in the error queue",
        "сообщение очереди отправленных испорчено; в очереди ошибок",
    )

    def line(self) -> str:
        return self.reason.en

    def fields(self) -> Mapping[str, Any]:
        return {**MessageEvent.fields(self), "code": self.error_code}
