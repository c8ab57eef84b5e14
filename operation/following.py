"""Follows messages that were put back to what has become of them, by the journal: publishing is no outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.events.messages import TaskAccepted, TaskFound
from journal.reading import JournalReader
from journal.records import MessageRecord
from journal.states import State

Fate = Literal["done_anew", "already_there", "failed_again", "waiting", "unknown"]

POLL = 0.5  # seconds between looks
_FAILED = (State.FAILED, State.REJECTED, State.STUCK)
_SUCCEEDED = (State.TRACKING, State.COMPLETING, State.DONE)


@dataclass(slots=True)
class Fates:
    """What has become of each message, by name; `records` of those that the journal knows."""

    fates: dict[str, Fate] = field(default_factory=dict)
    records: dict[str, MessageRecord] = field(default_factory=dict)

    def count(self, fate: Fate) -> int:
        return sum(each == fate for each in self.fates.values())


def follow(
    journal: JournalReader,
    since: Mapping[str, float],
    patience: float,
    advance: Callable[[int], None] = lambda _done: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Fates:
    """Look until the fate of every message is known, or `patience` (seconds) is over.

    `since` holds for each name the moment (unix seconds) after which something counts. Raises StoreError.
    """
    told = Fates(dict.fromkeys(since, "unknown"))
    deadline = time.monotonic() + patience
    while True:
        open_ = [name for name, fate in told.fates.items() if fate in ("unknown", "waiting")]
        _look(journal, open_, since, told)
        open_ = [name for name in open_ if told.fates[name] in ("unknown", "waiting")]
        advance(len(since) - len(open_))
        if not open_ or time.monotonic() >= deadline:
            return told
        sleep(POLL)


def _look(journal: JournalReader, names: Iterable[str], since: Mapping[str, float], told: Fates) -> None:
    records = journal.named(list(names))
    news = {name: each for name, each in records.items() if each.last > since[name]}
    told.records.update(news)
    succeeded = {each.id: name for name, each in news.items() if each.state in _SUCCEEDED}
    codes = {}
    if succeeded:
        earliest = min(since[name] for name in succeeded.values())
        codes = journal.happened_since(list(succeeded), (TaskAccepted, TaskFound), earliest)
    for name, each in news.items():
        if each.state in _FAILED:
            told.fates[name] = "failed_again"
        elif each.state in _SUCCEEDED:
            told.fates[name] = "already_there" if codes.get(each.id) == TaskFound.code else "done_anew"
        else:
            told.fates[name] = "waiting"
