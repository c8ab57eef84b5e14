"""Events of the journal, which is an index: whatever becomes of it, no message is lost or held up."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.events.base import Event
from core.texts import Text


@dataclass(frozen=True, slots=True)
class JournalUnusable(Event):
    """Nothing can be written into the journal now; it is tried again, and events are kept for a while."""

    place: str
    reason: Text

    code = "journal.unusable"
    level = logging.WARNING
    meaning = Text(
        "the journal cannot be written to now (locked, disk full, of a later version); messages flow on, and it is "
        "tried again",
        "в журнал сейчас нельзя писать (занят, диск полон, более новая версия); сообщения идут дальше, попытки "
        "повторяются",
    )

    def line(self) -> str:
        return f"{self.place} cannot be written to, messages flow on: {self.reason.en}"

    def throttle(self) -> str:
        return f"journal {self.place}"


@dataclass(frozen=True, slots=True)
class JournalGap(Event):
    """What happened could not be kept until the journal was usable again."""

    events: int

    code = "journal.gap"
    level = logging.WARNING
    meaning = Text(
        "so many events are missing in the journal; `journal rebuild` fills in what the queues know",
        "столько событий в журнале нет; `journal rebuild` дополнит его тем, что знают очереди",
    )

    def line(self) -> str:
        return f"{self.events} events could not be kept and are missing in the journal"

    def fields(self) -> Mapping[str, Any]:
        return {"events": self.events}


@dataclass(frozen=True, slots=True)
class JournalReplaced(Event):
    """The journal was broken, or gone, and a new one is written."""

    place: str
    aside: str | None  # where the old one is

    code = "journal.replaced"
    level = logging.WARNING
    meaning = Text(
        "the journal was damaged (it was put aside) or deleted; a new one is written, and `journal rebuild` fills in "
        "what the queues know",
        "журнал был повреждён (он отложен) или удалён; пишется новый, `journal rebuild` дополнит его тем, что знают "
        "очереди",
    )

    def line(self) -> str:
        if self.aside is None:
            return f"{self.place} was gone: a new journal is written"
        return f"{self.place} was damaged and is kept as {self.aside}: a new journal is written"
