"""Fills a journal as years of work do: through events, so that rows, words and indexes are what a worker writes."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core.events.base import Event, Identity
from core.events.messages import MessageParked, MessageReceived, RetryScheduled, TaskAccepted, TaskCompleted
from core.outcomes import Outcome
from core.texts import Text
from journal.entries import Batch
from journal.store import Store

BEGIN = 1_767_225_600.0  # unix seconds: the start of 2026
BETWEEN = 3.0  # seconds from message to message

_BATCH = 2000  # messages in one transaction
_INDEXED = 100_000  # messages whose words are indexed in one transaction
# The first system gets nearly everything, the last one next to nothing: the hardest page is that of the last one.
_SYSTEMS = (("bitrix24", 900), ("openproject", 80), ("1c", 19), ("telegram", 1))
_WORDS = (
    *("согласовать", "договор", "поставка", "счёт", "закупка", "проверить", "отчёт", "клиент", "заявка", "ремонт"),
    *("бюджет", "встреча", "договора", "договору", "оплата", "склад", "отгрузка", "приёмка", "претензия", "акт"),
)


@dataclass(frozen=True, slots=True)
class Known:
    """What somebody may know of one message."""

    task_id: str
    process: str
    business: str
    external: str
    rare: str  # a word that stands in no other title


def known(number: int) -> Known:
    """Return what is known of the message with this number: the same at each call."""
    chance = random.Random(number)
    ids = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(2)]
    return Known(ids[0], ids[1], f"ORD-{number:08}", str(1_000_000 + number), f"объект{number:08}")


def fill(store: Store, messages: int, progress: Callable[[int], None]) -> None:
    """Write the life of so many messages, four events each at the average."""
    for start in range(0, messages, _BATCH):
        batch = Batch()
        for number in range(start, min(messages, start + _BATCH)):
            for after, event in _life(number):
                batch.add(BEGIN + number * BETWEEN + after, event)
        store.write(batch)
        if (start + _BATCH) % _INDEXED == 0:
            while store.index(_INDEXED):
                pass
            progress(start + _BATCH)
    while store.index(_INDEXED):
        pass


def _life(number: int) -> Iterator[tuple[float, Event]]:
    told, chance = known(number), random.Random(-number)
    [system] = chance.choices([name for name, _ in _SYSTEMS], [weight for _, weight in _SYSTEMS])
    topic = f"{system}_{chance.choice(('create', 'update', 'approve'))}_task"
    title = f"{' '.join(chance.choices(_WORDS, k=4))} {told.rare}"
    about = Identity(f"{system}.queue", system, told.task_id, told.process, topic, 1)
    yield 0.0, MessageReceived(about, False, title, told.business)
    if number % 500 == 7:
        reason = f"RESPONSIBLE_ID: user {number} is not there, variant {'abcdefghij'[number // 500 % 10]}"
        yield 0.2, MessageParked(about, Text.of(reason), "no_user", Outcome.PERMANENT)
        return
    if number % 3 == 0:
        yield 0.2, RetryScheduled(about, Text.of("busy"), "http_503", 5.0)
        yield 5.2, MessageReceived(about._replace(attempt=2), True, title, told.business)
    created = about._replace(external_id=told.external)
    yield 5.5, TaskAccepted(created, created=True, stored=True)
    if number % 100:
        yield 90_000.0, TaskCompleted(created)
    if number % 3 == 1:
        yield 90_001.0, TaskCompleted(created)  # told twice, as after a crash
