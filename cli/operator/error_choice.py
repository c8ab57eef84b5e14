"""Which failed messages a command means, and how they are told as JSON."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cli.exit_codes import EXIT_NOT_FOUND, EXIT_USAGE
from cli.operator.error_texts import NOTHING_CHOSEN, NOTHING_FOUND
from cli.output import Output
from cli.running import CommandError
from core.texts import Text
from operation.choosing import Choice
from operation.desk import Desk
from operation.error_groups import Group, grouped
from operation.error_queue import ErrorQueue
from operation.pacing import Watch
from operation.reports import Report


def choice_of(options: Namespace, before: float | None = None) -> Choice:
    return Choice(
        ids=options.ids,
        group=options.group,
        system=options.system,
        code=options.code,
        topic=options.topic,
        since=options.since,
        text=options.text,
        before=before,
    )


def wanted_by(options: Namespace, before: float | None) -> Choice:
    choice = choice_of(options, before)
    if not options.all and choice == Choice(ids=options.ids, before=before) and not options.ids:
        raise CommandError(EXIT_USAGE, NOTHING_CHOSEN)
    return choice


@dataclass(slots=True)
class Chosen:
    """What a choice comes to. `only` is the message where it is one, with its original."""

    count: int = 0
    usable: int = 0  # have a way back
    groups: Sequence[Group] = ()
    only: Report | None = None

    def through(self, reports: Iterable[Report]) -> Iterator[Report]:
        """Count what passes by: ten thousand reports are too many to be kept."""
        for report in reports:
            self.count += 1
            self.usable += report.target is not None
            self.only = report if self.count == 1 else None
            yield report


def chosen_by(errors: ErrorQueue, output: Output, choice: Choice, *, archive: bool = False) -> Chosen:
    """Look through the queue and say what is chosen. Raises CommandError when that is nothing."""
    chosen = Chosen()
    depth = errors.depth(archive=archive)
    with output.progress(Text("looking through the queue", "просматриваю очередь"), depth) as advance:
        chosen.groups = grouped(chosen.through(errors.look(choice, archive=archive, watch=Watch(advance))))
    if not chosen.count:
        raise CommandError(EXIT_NOT_FOUND, NOTHING_FOUND)
    return chosen


def both(desk: Desk, text: Text | Mapping[str, str]) -> dict[str, str]:
    told = text if isinstance(text, Text) else Text(text["en"], text["ru"])
    return told.map(desk.mask)._asdict()


def masked(desk: Desk, text: str | None) -> str | None:
    return None if text is None else desk.mask(text)
