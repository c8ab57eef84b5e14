"""`main.py errors list`, `show` and `export`: what lies in the error queue. Everything stays there."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO

from cli.exit_codes import EXIT_NOT_FOUND, EXIT_OK
from cli.operator.error_choice import both, choice_of
from cli.operator.error_texts import GROUPS, MESSAGES, NOTHING_FOUND, lines_of, row_of_group, row_of_message
from cli.output import Output
from cli.running import CommandError
from core.texts import Text
from operation.choosing import Choice
from operation.desk import Desk
from operation.error_groups import grouped, overview
from operation.error_queue import ErrorQueue
from operation.exporting import as_data, writer_of
from operation.noting import this_user


def list_groups(desk: Desk, output: Output, options: Namespace) -> int:
    errors, choice = ErrorQueue(desk, this_user()), choice_of(options)
    if options.messages:
        found = list(errors.look(choice))
        if output.as_json:
            output.data({"messages": [as_data(each, desk.mask) for each in found]})
        else:
            output.table(MESSAGES, (row_of_message(output, each, desk.mask) for each in found))
        return EXIT_OK
    told = overview(desk, errors, choice)
    if output.as_json:
        groups = [{**asdict(each), "reason": both(desk, each.reason)} for each in told.groups]
        remarks = [both(desk, each) for each in told.remarks]
        output.data({"groups": groups, "in_queue": told.in_queue, "source": told.source, "remarks": remarks})
        return EXIT_OK
    if not told.groups:
        output.print(Text("nothing waits for a person", "никто не ждёт человека"), "good")
    else:
        output.table(GROUPS, (row_of_group(output, each, desk.mask) for each in told.groups))
        hint = Text(
            "more: main.py errors show GROUP; again: main.py errors retry --group GROUP",
            "подробнее: main.py errors show ГРУППА; повторить: main.py errors retry --group ГРУППА",
        )
        output.print(hint, "dim")
    for remark in told.remarks:
        output.note(remark.map(desk.mask), "warn")
    return EXIT_OK


def show(desk: Desk, output: Output, options: Namespace) -> int:
    errors = ErrorQueue(desk, this_user())
    found = list(errors.look(Choice(ids=[options.id])))
    is_archived = False
    if not found:
        found = list(errors.look(Choice(ids=[options.id]), archive=True))
        is_archived = bool(found)
    if not found:
        raise CommandError(EXIT_NOT_FOUND, NOTHING_FOUND)
    if output.as_json:
        output.data({"is_archived": is_archived, "messages": [as_data(each, desk.mask, whole=True) for each in found]})
        return EXIT_OK
    if len(found) > 1:
        output.table(GROUPS, (row_of_group(output, each, desk.mask) for each in grouped(found)))
        output.table(MESSAGES, (row_of_message(output, each, desk.mask) for each in found))
    else:
        for line in lines_of(output, found[0], desk.mask, is_archived=is_archived):
            output.print(line)
    return EXIT_OK


def export(desk: Desk, output: Output, options: Namespace) -> int:
    errors, count = ErrorQueue(desk, this_user()), 0
    with _file(options.output) as stream:
        write = writer_of(options.format, stream, desk.mask)
        for report in errors.look(choice_of(options), archive=options.archive):
            write(report)
            count += 1
    output.note(Text(f"{count} messages", f"сообщений: {count}"))
    return EXIT_OK


@contextmanager
def _file(path: str | None) -> Iterator[IO[str]]:
    if path is None or path == "-":
        yield sys.stdout
        return
    with open(path, "w", encoding="utf-8", newline="") as stream:
        yield stream
