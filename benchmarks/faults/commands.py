"""`python -m benchmarks.faults`: which rows, how often, what to do with the result. Exit code 1 if any row is red."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from rich.console import Console

from benchmarks.broker import add_rabbitmq_option, wanted_server
from benchmarks.faults import report, results
from benchmarks.faults.expectations import MUTATIONS
from benchmarks.faults.lanes import open_lanes, play_all
from benchmarks.faults.row import Row
from benchmarks.faults.rows import all_rows, matching
from benchmarks.faults.runner import Orders, Result
from benchmarks.faults.soak import soak
from benchmarks.faults.systems import SYSTEMS
from sandbox.rabbitmq_server import Server

EXIT_OK, EXIT_RED, EXIT_WRONG, EXIT_INTERRUPTED = 0, 1, 2, 130

ROUNDS, SHORT_ROUNDS = 5, 2
SHORT_SCALE = 0.3  # of the tasks of a row
MUTATION_PATIENCE = 15.0  # seconds: what is stuck without a protection stays stuck
NARROWEST = 160  # columns that the tables need; a narrower terminal wraps them
_UNITS = {"s": 1, "m": 60, "h": 3600}


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    console = Console()
    console = Console(width=max(console.width, NARROWEST))
    try:
        rows = matching(all_rows(), options.only, options.system)
    except LookupError as error:
        print(error, file=sys.stderr)
        return EXIT_WRONG
    if options.list:
        for row in rows:
            console.print(f"{row.group:9} {row.name:42} {row.story}", soft_wrap=True, highlight=False)
        return EXIT_OK
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(options, rows, console)
    except results.ResultsError as error:
        print(error, file=sys.stderr)
        return EXIT_WRONG
    except KeyboardInterrupt:
        console.print("interrupted; everything is stopped")
        return EXIT_INTERRUPTED


def _run(options: argparse.Namespace, rows: Sequence[Row], console: Console) -> int:
    if options.merge:
        return _merge(options, console)
    if options.soak:
        return _soak(options, console)
    return _mutations(options, console) if options.mutations else _matrix(options, rows, console)


def _matrix(options: argparse.Namespace, rows: Sequence[Row], console: Console) -> int:
    if options.short and not options.only:
        rows = [row for row in rows if row.short]
    server = wanted_server(options)
    made = report.surroundings(report.version_of(server), _to_repeat(options))
    earlier = _earlier(options, made["RabbitMQ"])
    rows = [row for row in rows if row.name not in earlier.green] if earlier else rows
    orders = _orders(options)
    played: list[Result] = []

    def keep(result: Result) -> None:
        played.append(result)
        if options.json:
            results.write(options.json, _together(earlier, results.Results(made["RabbitMQ"], made, played)))

    _play([(row, orders) for row in rows], server, options.jobs, console, keep)
    return _show(_together(earlier, results.Results(made["RabbitMQ"], made, played)), options, console)


def _earlier(options: argparse.Namespace, rabbitmq: str) -> results.Results | None:
    """What is in the file of a run that is resumed. Raises ResultsError."""
    if not (options.resume and options.json and options.json.exists()):
        return None
    found = results.read(options.json, all_rows())
    if found.rabbitmq != rabbitmq:
        raise results.ResultsError(f"{options.json} is of RabbitMQ {found.rabbitmq}, and this one is {rabbitmq}")
    return found


def _together(earlier: results.Results | None, now: results.Results) -> results.Results:
    return results.merged([*([earlier] if earlier else []), now], all_rows())


def _merge(options: argparse.Namespace, console: Console) -> int:
    """The table of results that were played before. Raises ResultsError."""
    parts = [results.read(path, all_rows()) for path in options.merge]
    return _show(results.merged(parts, all_rows()), options, console)


def _show(found: results.Results, options: argparse.Namespace, console: Console) -> int:
    report.matrix(found.results).show(console)
    red = [result for result in found.results if not result.is_green]
    for result in red:  # once more: whoever sees the end of a long output alone must know what was lost
        console.print(report.complaints(result), soft_wrap=True, highlight=False, markup=False)
    console.print(f"{len(found.results) - len(red)} of {len(found.results)} rows are green", highlight=False)
    if options.record:
        section = f"matrix {report.series(found.rabbitmq)}"
        report.record(section, report.matrix(found.results, with_stories=True), found.surroundings)
    return EXIT_RED if red else EXIT_OK


def _mutations(options: argparse.Namespace, console: Console) -> int:
    """The rows that must notice are played without the protection; they are green with it, says the matrix."""
    rows = {row.name: row for row in all_rows()}
    orders = replace(_orders(options), patience=MUTATION_PATIENCE, logs=None)
    chosen = [each for each in MUTATIONS if not options.without or each.name in options.without]
    jobs = [(rows[name], replace(orders, without=mutation.name)) for mutation in chosen for name in mutation.rows]
    server = wanted_server(options)
    played = iter(_play(jobs, server, options.jobs, console))
    outcomes = [(mutation, [next(played) for _ in mutation.rows]) for mutation in chosen]
    table = report.mutation_table(outcomes)
    table.show(console)
    if options.record:
        report.record("mutations", table, report.surroundings(report.version_of(server), _to_repeat(options)))
    return EXIT_RED if table.red else EXIT_OK


def _soak(options: argparse.Namespace, console: Console) -> int:
    server = wanted_server(options)
    with open_lanes(1, server) as [lane]:
        table, complaints = soak(lane, options.soak, options.seed, console, quorum=options.quorum)
    table.show(console)
    for complaint in complaints:
        console.print(f"✘ {complaint}", style="bold red", soft_wrap=True)
    if options.record:
        made = report.surroundings(report.version_of(server), _to_repeat(options))
        report.record("soak", table, made, f" {table.title}.")
    return EXIT_RED if complaints else EXIT_OK


def _play(
    jobs: Sequence[tuple[Row, Orders]],
    server: Server,
    lanes: int,
    console: Console,
    keep: Callable[[Result], None] = lambda _result: None,
) -> list[Result]:
    """`keep` is told each result as soon as it is known."""
    done = 0

    def told(result: Result, orders: Orders) -> None:
        nonlocal done
        done += 1
        without = f" [without {orders.without}]" if orders.without else ""
        console.print(report.line(result, done, len(jobs)) + without, soft_wrap=True, highlight=False, markup=False)
        keep(result)

    if not jobs:
        return []
    with open_lanes(min(lanes, len(jobs)), server) as opened:
        return play_all(jobs, opened, threading.Event(), told)


def _orders(options: argparse.Namespace) -> Orders:
    return Orders(
        rounds=options.rounds or (SHORT_ROUNDS if options.short else ROUNDS),
        scale=SHORT_SCALE if options.short else 1.0,
        seed=options.seed,
        short=options.short,
        logs=options.logs,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    add = parser.add_argument
    add("--only", action="append", default=[], metavar="NAME", help="row or group, * is allowed; repeatable")
    add("--system", action="append", default=[], choices=sorted(SYSTEMS), help="rows of that system; repeatable")
    add("--list", action="store_true", help="show the rows and end")
    add("--rounds", type=_count, metavar="N", help=f"strikes of each row (default {ROUNDS})")
    add("--short", action="store_true", help=f"{SHORT_ROUNDS} rounds, fewer tasks, quick rows only")
    add("--jobs", type=_count, default=2, metavar="N", help="rows at the same time (default 2)")
    add("--seed", type=int, default=1, help="of everything that is left to chance")
    add("--mutations", action="store_true", help="take protections out, one at a time: rows must turn red")
    names = [mutation.name for mutation in MUTATIONS]
    add("--without", action="append", default=[], choices=names, help="these mutations only; repeatable")
    add("--soak", type=_duration, metavar="30m", help="steady load with faults every few seconds")
    add("--quorum", action="store_true", help="the soak on quorum queues")
    add_rabbitmq_option(parser)
    add("--json", type=Path, metavar="FILE", help="write the account of every row, after each of them")
    add("--resume", action="store_true", help="do not play again what is green in the file of --json")
    add("--merge", type=Path, action="append", default=[], metavar="FILE", help="play nothing: the table of such files")
    add("--logs", type=Path, metavar="FOLDER", help="keep what the workers of red rows have said")
    add("--record", action="store_true", help="write the table into docs/guarantees.md")
    return parser


def _to_repeat(options: argparse.Namespace) -> list[str]:
    """The arguments that make the same table; where somebody keeps logs is nobody else's business."""
    parser = _parser()
    told = {"--only": options.only, "--system": options.system}
    told |= {"--rounds": options.rounds, "--seed": options.seed, "--jobs": options.jobs}
    told |= {"--rabbitmq": options.rabbitmq, "--short": options.short, "--mutations": options.mutations}
    told |= {"--without": options.without, "--quorum": options.quorum}
    arguments = []
    for name, value in told.items():
        if value is None or (value == parser.get_default(name.removeprefix("--")) and name != "--rabbitmq"):
            continue
        for each in value if isinstance(value, list) else [value]:
            arguments += [name] if each is True else [name, str(each)]
    if options.soak:
        whole_minutes = options.soak % 60 == 0
        arguments += ["--soak", f"{options.soak / 60:g}m" if whole_minutes else f"{options.soak:g}s"]
    return arguments


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 1000):
        raise argparse.ArgumentTypeError(f"{text!r}: 1..1000")
    return int(text)


def _duration(text: str) -> float:
    """`90s`, `30m`, `8h` in seconds."""
    match = re.fullmatch(r"([0-9]{1,5})([smh])", text)
    if not match or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: a number and s, m or h, as in 30m")
    return float(match[1]) * _UNITS[match[2]]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
