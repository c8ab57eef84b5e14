"""Reports what has changed since the last question, by the outside system's own clock, each change once.

A change may become visible after the moment that it carries (a transaction that was committed late), so every question
reaches back by an overlap, and what was reported already is left out. Our own clock is never asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from base_tracker import ChangedTask, Changes


@dataclass(frozen=True, slots=True)
class Change:
    """One object that a person may have finished, and when it was changed. The others as in ChangedTask."""

    external_id: str
    moment: datetime
    task_id: str | None = None
    is_ours: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """The latest moment known. `told` holds what the overlap would report again: id and moment of the change."""

    moment: datetime
    told: frozenset[tuple[str, datetime]] = frozenset()

    def since(self, overlap: timedelta) -> datetime:
        return self.moment - overlap

    def advanced(self, found: Iterable[Change], now: datetime, overlap: timedelta) -> Changes:
        """Return those of `found` that were not reported yet, and the mark for the next question.

        `now` is the system's.
        """
        changes = set(found)
        moment = max(now, self.moment)
        told = frozenset((each.external_id, each.moment) for each in changes if each.moment >= moment - overlap)
        fresh = [each for each in changes if (each.external_id, each.moment) not in self.told]
        return Changes(
            [ChangedTask(each.external_id, each.task_id, each.is_ours) for each in fresh], Mark(moment, told)
        )
