"""Events of messages that a person has moved or found: out of the error queue, into the archive, in some queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.events.base import Identity, MessageEvent
from core.texts import Text

Place = Literal["sent", "done", "retry", "errors"]
NOTHING = Text("", "")


@dataclass(frozen=True, slots=True)
class MessageRetried(MessageEvent):
    """A person has put a failed message back; `identity.queue` is where.

    `is_response`: it is one that Camunda's side could not apply, and nobody here hears of it again.
    """

    identity: Identity
    by: str
    is_response: bool = False

    code = "operator.retried"
    meaning = Text(
        "a person has put a failed message back into its queue",
        "человек вернул упавшее сообщение в его очередь",
    )

    def line(self) -> str:
        return f"{self.by} has put it back into {self.identity.queue}"


@dataclass(frozen=True, slots=True)
class MessageDropped(MessageEvent):
    """A person has moved a failed message into the archive."""

    identity: Identity
    by: str
    reason: str

    code = "operator.dropped"
    meaning = Text(
        "a person has moved a failed message into the archive",
        "человек убрал упавшее сообщение в архив",
    )

    def line(self) -> str:
        return f"{self.by} has moved it into the archive" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class MessageSeen(MessageEvent):
    """A message was found in a queue, where somebody has looked or to which he has brought it back.

    `due` in unix seconds: when it is tried again. `code` and `reason` are those of the failure.
    """

    identity: Identity
    place: Place
    title: str | None = None
    business_key: str | None = None
    due: float | None = None
    error_code: str | None = None
    outcome: str | None = None
    reason: Text = NOTHING

    code = "operator.seen"
    meaning = Text(
        "a message was found in a queue where somebody has looked, or was brought back from the archive",
        "сообщение найдено в очереди при обходе или возвращено из архива",
    )

    def line(self) -> str:
        return f"found in {self.identity.queue}"
