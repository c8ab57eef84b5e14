"""The matrix as people read it: a line for each row as it ends, the tables, the documents, JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.faults.mutations import Mutation
from benchmarks.faults.runner import Result
from benchmarks.measure import machine
from benchmarks.record import DOCS, write_section
from benchmarks.tables import Table
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_server import Server

DOCUMENT = DOCS / "guarantees.md"


def line(result: Result, done: int, of: int) -> str:
    """One line of progress; what went wrong stands below it."""
    mark = "✔" if result.is_green else "✘"
    account = result.account
    text = f"{done:3}/{of} {mark} {result.row.name}: {account.published} tasks, {result.seconds:.0f} s"
    return "\n".join([text, *(f"        {complaint}" for complaint in result.complaints)])


def matrix(results: Sequence[Result], *, with_stories: bool = False) -> Table:
    """`with_stories`: what happens in each row, for which a terminal has no room."""
    counts = ("tasks", "times", "lost", "created twice", "stuck", "answered twice", "parked", "first, s", "done, s")
    table = Table("Fault matrix", ("row", *(("what happens",) if with_stories else ()), *counts))
    for result in results:
        account, row = result.account, result.row
        table.add(
            row.name,
            *((row.story,) if with_stories else ()),
            account.published,
            result.rounds,
            len(account.lost),
            len(account.created_twice),
            len(account.stuck),
            f"{len(account.answered_twice)}{' (may be)' if row.may_answer_twice else ''}",
            account.parked,
            _seconds(result.first),
            _seconds(result.done),
            red=not result.is_green,
        )
    return table


def mutation_table(outcomes: Sequence[tuple[Mutation, Sequence[Result]]]) -> Table:
    table = Table("Mutation check", ("without", "what that means", "rows that turned red", "what they saw"))
    for mutation, results in outcomes:
        # A traceback says that the mutant is broken by itself: such a row proves nothing.
        red = [result for result in results if not result.is_green and not result.tracebacks]
        seen = "; ".join(result.complaints[0].partition(":")[0] for result in red)
        table.add(mutation.name, mutation.meaning, ", ".join(each.row.name for each in red), seen, red=not red)
    return table


def record(section: str, table: Table, server: Server, arguments: Sequence[str], remark: str = "") -> None:
    """Writes the table into docs/guarantees.md, with what one must know to repeat it."""
    command = shlex.join(["python", "-m", "benchmarks.faults", *arguments])
    where = machine()
    surroundings = (
        f"{datetime.now(UTC):%Y-%m-%d}, RabbitMQ {_version(server)}, pika {version('pika')}, "
        f"{where['python']}, {where['processor']}, {where['system']}. Made by `{command}`."
    )
    write_section(DOCUMENT, section, f"{surroundings}{remark}\n\n{table.markdown()}")


def write_json(path: Path, results: Sequence[Result]) -> None:
    path.write_text(json.dumps([_as_json(result) for result in results], indent=1, ensure_ascii=False) + "\n")


def _as_json(result: Result) -> dict[str, Any]:
    account = result.account
    return {
        "row": result.row.name,
        "group": result.row.group,
        "green": result.is_green,
        "complaints": result.complaints,
        "rounds": result.rounds,
        "published": account.published,
        "answered": account.answered,
        "parked": account.parked,
        "lost": account.lost,
        "created_twice": account.created_twice,
        "answered_twice": account.answered_twice,
        "stuck": account.stuck,
        "seconds_to_first_progress": result.first,
        "seconds_to_all_done": result.done,
        "seconds": result.seconds,
    }


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _version(server: Server) -> str:
    with RabbitNode(server) as node:
        return node.version
