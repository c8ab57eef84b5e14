"""`main.py journal rebuild`, `info` and `prune`."""

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import asdict

from cli.exit_codes import EXIT_CONFLICT, EXIT_NOT_FOUND, EXIT_OK, EXIT_PARTLY
from cli.output import Output
from cli.running import CommandError
from core.texts import Text
from journal.entries import MICROSECONDS
from journal.migrations import VERSION
from journal.opening import open_store
from journal.settings import JournalSettings
from operation.desk import Desk
from operation.noting import acted, this_user
from operation.rebuild import rebuild as rebuild_journal
from operation.rebuild import size_of_all

_PORTION = 500  # messages that are deleted in one transaction
_OFF = Text("JOURNAL_URL=off: no journal is kept", "JOURNAL_URL=off: журнал не ведётся")
_NONE = Text("there is no journal yet", "журнала пока нет")
_DAY = 86400.0


def rebuild(desk: Desk, output: Output, _options: Namespace) -> int:
    _settings(desk)
    with output.progress(Text("looking through the queues", "просматриваю очереди"), size_of_all(desk)) as advance:
        result = rebuild_journal(desk, this_user(), advance)
    if output.as_json:
        output.data({**asdict(result), "remarks": [each._asdict() for each in result.remarks]})
    else:
        columns = (Text("queue", "очередь"), Text("messages#", "сообщений#"), Text("were unknown#", "были неизвестны#"))
        output.table(
            columns, ([queue, str(count), str(result.added[queue])] for queue, count in result.looked_at.items())
        )
        if result.unreadable:
            told = f"{result.unreadable}"
            output.note(Text(f"not readable: {told}", f"не читаются: {told}"), "warn")
        for remark in result.remarks:
            output.note(remark, "warn")
    return EXIT_PARTLY if result.remarks else EXIT_OK


def info(desk: Desk, output: Output, _options: Namespace) -> int:
    settings = _settings(desk)
    if desk.journal is None:
        raise CommandError(EXIT_NOT_FOUND, _NONE)
    figures, size, place = desk.journal.figures(), desk.journal.size(), open_store(settings).place
    limits = {"keep_days": settings.keep_days, "max_bytes": settings.max_bytes}
    if output.as_json:
        output.data({"place": place, "version": VERSION, "bytes": size, **asdict(figures), **limits})
        return EXIT_OK
    rows = (
        (Text("place", "место"), place),
        (Text("size", "размер"), f"{size / 1e6:.1f} MB"),
        (Text("messages", "сообщений"), f"{figures.messages}"),
        (Text("events", "событий"), f"{figures.events}"),
        (Text("other events", "прочих событий"), f"{figures.occurrences}"),
        (Text("oldest", "самое старое"), output.moment(figures.first)),
        (Text("latest", "самое новое"), output.moment(figures.last)),
        (Text("kept for days", "хранится дней"), f"{settings.keep_days or '∞'}"),
        (Text("bytes at the most", "не больше байт"), f"{settings.max_bytes or '∞'}"),
    )
    output.table((Text("journal", "журнал"), ""), ([output.say(name), value] for name, value in rows))
    return EXIT_OK


def prune(desk: Desk, output: Output, options: Namespace) -> int:
    settings = _settings(desk)
    if desk.journal is None:
        raise CommandError(EXIT_NOT_FOUND, _NONE)
    keep = settings.keep if options.older_than is None else options.older_than
    before = 0 if keep is None else int((time.time() - keep) * MICROSECONDS)
    store, gone = open_store(settings), 0
    try:
        with output.progress(Text("deleting", "удаляю"), desk.journal.figures().messages) as advance:
            while portion := store.prune(before, settings.max_bytes or None, _PORTION):
                gone += portion
                advance(gone)
                if portion < _PORTION:
                    break
    finally:
        store.close()
    acted(desk, time.time(), "journal prune", by=this_user(), count=gone)
    if output.as_json:
        output.data({"deleted": gone})
    else:
        output.print(Text(f"finished messages deleted: {gone}", f"удалено законченных сообщений: {gone}"))
    return EXIT_OK


def _settings(desk: Desk) -> JournalSettings:
    settings = desk.settings.for_system(JournalSettings)
    if not settings.is_wanted:
        raise CommandError(EXIT_CONFLICT, _OFF)
    return settings
