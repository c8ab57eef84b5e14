"""`python -m benchmarks.faults`: which rows, how often, what to do with the result. Exit code 1 if any row is red."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from rich.console import Console

from benchmarks.broker import add_rabbitmq_option, wanted_server
from benchmarks.faults import report
from benchmarks.faults.lanes import open_lanes, play_all
from benchmarks.faults.mutations import MUTATIONS
from benchmarks.faults.row import Row
from benchmarks.faults.rows import all_rows, matching
from benchmarks.faults.runner import Orders, Result
from benchmarks.faults.soak import soak
from benchmarks.faults.systems import SYSTEMS

EXIT_OK, EXIT_RED, EXIT_INTERRUPTED = 0, 1, 130

ROUNDS, SHORT_ROUNDS = 5, 2
SHORT_SCALE = 0.3  # of the tasks of a row
MUTATION_PATIENCE = 15.0  # seconds: what is stuck without a protection stays stuck
NARROWEST = 130  # columns that the tables need; a narrower terminal wraps them
_UNITS = {"s": 1, "m": 60, "h": 3600}


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    console = Console()
    console = Console(width=max(console.width, NARROWEST))
    try:
        rows = matching(all_rows(), options.only, options.system)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    if options.list:
        for row in rows:
            console.print(f"{row.group:9} {row.name:42} {row.story}", soft_wrap=True, highlight=False)
        return EXIT_OK
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if options.soak:
            return _soak(options, console)
        return _mutations(options, console) if options.mutations else _matrix(options, rows, console)
    except KeyboardInterrupt:
        console.print("interrupted; everything is stopped")
        return EXIT_INTERRUPTED


def _matrix(options: argparse.Namespace, rows: Sequence[Row], console: Console) -> int:
    if options.short and not options.only:
        rows = [row for row in rows if row.short]
    orders = _orders(options)
    results = _play([(row, orders) for row in rows], options, console)
    table = report.matrix(results)
    table.show(console)
    if options.json:
        report.write_json(options.json, results)
    if options.record:
        report.record("matrix", report.matrix(results, with_stories=True), wanted_server(options), _to_repeat(options))
    return EXIT_OK if all(result.is_green for result in results) else EXIT_RED


def _mutations(options: argparse.Namespace, console: Console) -> int:
    """The rows that must notice are played without the protection; they are green with it, says the matrix."""
    rows = {row.name: row for row in all_rows()}
    orders = replace(_orders(options), patience=MUTATION_PATIENCE, logs=None)
    jobs = [(rows[name], replace(orders, without=mutation.name)) for mutation in MUTATIONS for name in mutation.rows]
    results = iter(_play(jobs, options, console))
    outcomes = [(mutation, [next(results) for _ in mutation.rows]) for mutation in MUTATIONS]
    table = report.mutation_table(outcomes)
    table.show(console)
    if options.record:
        report.record("mutations", table, wanted_server(options), _to_repeat(options))
    return EXIT_RED if table.red else EXIT_OK


def _soak(options: argparse.Namespace, console: Console) -> int:
    with open_lanes(1, wanted_server(options)) as [lane]:
        table, complaints = soak(lane, options.soak, options.seed, console)
    table.show(console)
    for complaint in complaints:
        console.print(f"✘ {complaint}", style="bold red", soft_wrap=True)
    if options.record:
        report.record("soak", table, wanted_server(options), _to_repeat(options), f" {table.title}.")
    return EXIT_RED if complaints else EXIT_OK


def _play(jobs: Sequence[tuple[Row, Orders]], options: argparse.Namespace, console: Console) -> list[Result]:
    done = 0

    def told(result: Result, orders: Orders) -> None:
        nonlocal done
        done += 1
        without = f" [without {orders.without}]" if orders.without else ""
        console.print(report.line(result, done, len(jobs)) + without, soft_wrap=True, highlight=False, markup=False)

    with open_lanes(min(options.jobs, len(jobs)), wanted_server(options)) as opened:
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
    add("--soak", type=_duration, metavar="30m", help="steady load with faults every few seconds")
    add_rabbitmq_option(parser)
    add("--json", type=Path, metavar="FILE", help="write the account of every row")
    add("--logs", type=Path, metavar="FOLDER", help="keep what the workers of red rows have said")
    add("--record", action="store_true", help="write the table into docs/guarantees.md")
    return parser


def _to_repeat(options: argparse.Namespace) -> list[str]:
    """The arguments that make the same table; where somebody keeps logs is nobody else's business."""
    parser = _parser()
    told = {"--only": options.only, "--system": options.system}
    told |= {"--rounds": options.rounds, "--seed": options.seed, "--jobs": options.jobs}
    told |= {"--rabbitmq": options.rabbitmq, "--short": options.short, "--mutations": options.mutations}
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
