"""How long a question to a journal takes that has grown for years.

    python -m benchmarks.journal                       10 million messages: some twenty minutes, 8 GB of disk
    python -m benchmarks.journal --messages 100000
    python -m benchmarks.journal --file /big/journal.sqlite    stays there, and is asked again the next time
    python -m benchmarks.journal --record                      also into docs/performance.md

Exit code 0: every search and every page came within 50 ms (the median of its turns); 1 otherwise.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks import verdict
from benchmarks.journal.filling import BEGIN, BETWEEN, fill, known
from benchmarks.measure import machine
from benchmarks.record import DOCS, write_figures, write_section
from benchmarks.tables import Table
from benchmarks.verdict import Verdict, markdown
from journal.engines import engine_of_file
from journal.reading import JournalReader
from journal.records import Wanted
from journal.settings import FILE
from journal.sqlite_store import SqliteStore
from journal.states import State

WANTED = 0.05  # seconds
TURNS = 9

Question = tuple[str, Callable[[int], int]]  # what is asked about the message with a number; how many were found


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="task-creator-journal-") as folder:
        path = options.file or Path(folder) / FILE
        if not path.exists():
            _make(path, options.messages, console)
        reader = JournalReader(engine_of_file(path))
        messages, events = _counted(path)
        size = path.stat().st_size
        table = Table(
            f"{messages:,} messages, {events:,} events: {size / 2**30:.2f} GiB, {size / messages:.0f} bytes a message",
            ("question", "median, ms", "slowest, ms", "found"),
        )
        verdicts = list(_asked(reader, messages, table))
        reader.close()
    table.show(console)
    if options.record:
        _record(table, verdicts)
    return verdict.conclude(verdicts, console)


def _make(path: Path, messages: int, console: Console) -> None:
    store = SqliteStore(path)
    store.open()
    fill(store, messages, lambda done: console.print(f"{done:,} messages", highlight=False))
    store.close()


def _counted(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as connection:
        [(messages, events)] = connection.execute(
            "select (select count(*) from message), (select count(*) from event)"
        ).fetchall()
    return messages, events


def _record(table: Table, judged: Sequence[Verdict]) -> None:
    date = datetime.now(UTC).date().isoformat()
    answers = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    write_figures("journal", {"date": date, "machine": machine(), "journal": table.title, "answers": answers})
    parts = (
        f"{date}, {'; '.join(machine().values())}. `python -m benchmarks.journal`, {TURNS} turns of each question, "
        "about other messages each time.",
        "The journal is filled by events, as a worker does it, with random ids: an index takes them worse than those "
        "of Camunda, which follow the clock. One system has 90 % of all messages, another one 0.1 %.",
        "The file lies in the operating system's cache. Where it does not, the first searches read from the disk: "
        "asked an hour after it was filled, ids took 80 to 120 ms (median) and 0.5 s at the most.",
        f"### {table.title}",
        table.markdown(),
        markdown(judged),
    )
    write_section(DOCS / "performance.md", "journal", "\n\n".join(parts))


def _asked(reader: JournalReader, messages: int, table: Table) -> Iterator[Verdict]:
    for name, ask in _questions(reader, messages):
        seconds, found = [], 0
        for turn in range(TURNS):
            number = (turn * 2 + 1) * messages // (2 * TURNS) // 500 * 500 + 3  # one that has not failed
            began = time.perf_counter()
            found = ask(number)
            seconds.append(time.perf_counter() - began)
        kept = median(seconds) <= WANTED
        table.add(name, f"{1000 * median(seconds):.1f}", f"{1000 * max(seconds):.1f}", found, red=not kept)
        yield Verdict(f"{name}: {1000 * median(seconds):.1f} ms, wanted {1000 * WANTED:.0f}", kept)


def _questions(reader: JournalReader, messages: int) -> list[Question]:
    end = BEGIN + messages * BETWEEN

    def search(words: Callable[[int], str]) -> Callable[[int], int]:
        return lambda number: len(reader.search(words(number)))

    def page(wanted: Callable[[int], Wanted]) -> Callable[[int], int]:
        return lambda number: len(reader.messages(wanted(number), 50))

    def timeline(number: int) -> int:
        message = reader.message(known(number).task_id)
        return 0 if message is None else len(reader.events(message))

    return [
        ("one message with its events", timeline),
        ("search: task id", search(lambda number: known(number).task_id)),
        ("search: the beginning of a task id", search(lambda number: known(number).task_id[:13])),
        ("search: process instance", search(lambda number: known(number).process)),
        ("search: business key", search(lambda number: known(number).business)),
        ("search: number in the system", search(lambda number: known(number).external)),
        ("search: a rare word", search(lambda number: known(number).rare)),
        ("search: the beginning of a rare word", search(lambda number: known(number).rare[:-1])),
        ("search: a word of every fifth title", search(lambda _: "договор")),
        ("search: the beginning of such words", search(lambda _: "догов")),
        ("search: two such words", search(lambda _: "договор поставка")),
        ("search: a word that is nowhere", search(lambda _: "крокодил")),
        ("page: the latest", page(lambda _: Wanted())),
        ("page: from the middle", page(lambda number: Wanted(before=int((BEGIN + number * BETWEEN) * 1e6)))),
        ("page: a system with everything", page(lambda _: Wanted(system="bitrix24"))),
        ("page: a system with next to nothing", page(lambda _: Wanted(system="telegram"))),
        ("page: a topic", page(lambda _: Wanted(topic="telegram_update_task"))),
        ("page: failed", page(lambda _: Wanted(states=[State.FAILED]))),
        ("page: failed, of a system", page(lambda _: Wanted(states=[State.FAILED], system="telegram"))),
        ("page: open for a month", page(lambda _: Wanted([State.TRACKING], older_than=end - 2_592_000))),
        ("page: of an hour", page(lambda number: Wanted(until=BEGIN + number * 3, since=BEGIN + number * 3 - 3600))),
        ("groups of errors", lambda _: len(reader.error_groups(Wanted()))),
        ("what stands where", lambda _: len(reader.standing())),
    ]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journal", description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--file", type=Path, help="where it is made, if it is not there, and left (default: nowhere)")
    parser.add_argument("--record", action="store_true", help="write docs/performance.md and docs/performance/")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
