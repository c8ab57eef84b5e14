"""`main.py messages` and `main.py events`: lists from the journal, the latest first."""

from __future__ import annotations

import logging
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from cli.exit_codes import EXIT_CHECK_FAILED, EXIT_OK
from cli.operator.state_texts import STATES
from cli.output import Cell, Output
from cli.running import CommandError
from core.events.control import OperatorActed
from core.texts import Text
from journal.reading import MOST, JournalReader
from journal.records import MessageRecord, OccurrenceRecord, Wanted
from journal.states import State
from operation.desk import Desk

_NO_JOURNAL = Text("there is no journal to read: JOURNAL_URL, STATE_DIR", "журнала нет: JOURNAL_URL, STATE_DIR")
_MESSAGES = (
    Text("came", "пришло"),
    Text("state", "состояние"),
    Text("for", "уже"),
    Text("system", "система"),
    Text("id", "id"),
    Text("number", "номер"),
    Text("title", "название"),
)
_EVENTS = (Text("when", "когда"), Text("event", "событие"), Text("system", "система"), Text("what", "что"))
_TONES = {State.FAILED: "bad", State.REJECTED: "bad", State.STUCK: "bad", State.RETRY_WAIT: "warn", State.DONE: "good"}


def messages(desk: Desk, output: Output, options: Namespace) -> int:
    now = time.time()
    wanted = Wanted(
        states=[State[each.upper()] for each in options.state],
        system=options.system,
        topic=options.topic,
        code=options.code,
        since=options.since,
        older_than=None if options.older_than is None else now - options.older_than,
    )
    found = list(_pages(_journal(desk), wanted, options.limit))[: options.limit]
    if output.as_json:
        output.data({"messages": [_plain(each) for each in found]})
        return EXIT_OK
    output.table(_MESSAGES, (_row(desk, output, each) for each in found))
    _tell_limit(output, len(found), options.limit)
    return EXIT_OK


def events(desk: Desk, output: Output, options: Namespace) -> int:
    code = OperatorActed.code if options.audit else options.code
    found: list[OccurrenceRecord] = []
    before: int | None = None
    while len(found) < options.limit:
        page = _journal(desk).occurrences(before=before, code=code, most=MOST)
        fitting = [
            each
            for each in page
            if (options.system in (None, each.system)) and (options.since is None or each.at >= options.since)
        ]
        found += fitting
        if len(page) < MOST or (options.since is not None and page[-1].at < options.since):
            break
        before = page[-1].id
    found = found[: options.limit]
    if output.as_json:
        output.data({"events": [asdict(each) for each in found]})
        return EXIT_OK
    output.table(_EVENTS, (_row_of_event(desk, output, each) for each in found))
    _tell_limit(output, len(found), options.limit)
    return EXIT_OK


def _journal(desk: Desk) -> JournalReader:
    if desk.journal is None:
        raise CommandError(EXIT_CHECK_FAILED, _NO_JOURNAL)
    return desk.journal


def _pages(journal: JournalReader, wanted: Wanted, limit: int) -> Iterator[MessageRecord]:
    left = limit
    while left > 0 and (page := journal.messages(wanted, min(left, MOST))):
        yield from page
        left -= len(page)
        wanted = replace(wanted, before=page[-1].cursor)


def _plain(record: MessageRecord) -> Mapping[str, Any]:
    """Return the message by the names that people and messages use, not by those of the columns."""
    named = {"process": "process_instance_id", "business": "business_key", "external": "external_id", "name": "id"}
    told = {named.get(name, name): value for name, value in asdict(record).items() if name not in ("id", "cursor")}
    told["state"] = None if record.state is None else record.state.name.lower()
    told["reason"] = None if record.reason is None else {"en": record.reason, "ru": record.reason_ru or record.reason}
    del told["reason_ru"]
    return told


def _row(desk: Desk, output: Output, record: MessageRecord) -> list[str | Text | Cell]:
    state = record.state
    return [
        output.moment(record.first),
        "–" if state is None else Cell(output.say(STATES[state]), _TONES.get(state, "")),
        output.age(record.last),
        record.system or "–",
        record.name,
        record.external or "–",
        desk.mask(record.title or "–"),
    ]


def _row_of_event(desk: Desk, output: Output, event: OccurrenceRecord) -> list[str | Text | Cell]:
    tone = "bad" if event.level >= logging.ERROR else "warn" if event.level >= logging.WARNING else ""
    return [output.moment(event.at), Cell(event.code, tone), event.system or "–", desk.mask(event.line)]


def _tell_limit(output: Output, count: int, limit: int) -> None:
    if count == limit:
        output.note(Text(f"these are {limit}; more: --limit", f"здесь {limit}; больше: --limit"))
