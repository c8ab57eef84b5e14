"""The matrix as people read it: a line for each row as it ends, the tables, the documents, JSON."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from benchmarks.faults.expectations import Mutation
from benchmarks.faults.runner import Result
from benchmarks.faults.systems import SYSTEMS
from benchmarks.measure import machine
from benchmarks.record import DOCS, write_section
from benchmarks.tables import Table
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_server import Server

DOCUMENT = DOCS / "guarantees.md"


def line(result: Result, done: int, of: int) -> str:
    """One line of progress; what went wrong stands below it."""
    mark = "✔" if result.is_green else "✘"
    text = f"{done:3}/{of} {mark} {result.row.name}: {result.account.published} tasks, {result.seconds:.0f} s"
    return "\n".join([text, *_indented(result)])


def complaints(result: Result) -> str:
    """A red row, and what went wrong in it."""
    return "\n".join([f"✘ {result.row.name}", *_indented(result)])


def matrix(results: Sequence[Result], *, with_stories: bool = False) -> Table:
    """`with_stories`: what happens in each row, for which a terminal has no room."""
    counts = ("tasks", "times", "lost", "created twice", "stuck", "answered twice", "parked", "first, s", "done, s")
    table = Table("Fault matrix", ("row", *(("what happens",) if with_stories else ()), "a task is made", *counts))
    told: set[str] = set()
    for result in results:
        account, row = result.account, result.row
        name = row.name.partition("@")[0]
        story = "" if name in told else row.story  # that of the row with another system is the same
        told.add(name)
        table.add(
            row.name,
            *((story,) if with_stories else ()),
            row.promise or SYSTEMS[row.system].promise,
            account.published,
            result.rounds,
            len(account.lost),
            _doubtful(result),
            len(account.stuck),
            f"{len(account.answered_twice)}{' (may be)' if row.may_answer_twice else ''}",
            account.parked,
            _seconds(result.first),
            _seconds(result.done),
            red=not result.is_green,
        )
    return table


def _indented(result: Result) -> list[str]:
    return [f"        {complaint}" for complaint in result.complaints]


def _doubtful(result: Result) -> str:
    """Created twice; of a system that recognises no repetition with what was in flight, and what was told to people."""
    account = result.account
    if not SYSTEMS[result.row.system].at_once:
        return str(len(account.created_twice))
    told = f", {len(account.in_doubt)} told" if account.in_doubt else ""
    return f"{len(account.created_twice)}{told} (of {result.in_flight})"


def mutation_table(outcomes: Sequence[tuple[Mutation, Sequence[Result]]]) -> Table:
    table = Table("Mutation check", ("without", "what that means", "rows that turned red", "what they saw"))
    for mutation, results in outcomes:
        # A traceback says that the mutant is broken by itself: such a row proves nothing.
        red = [result for result in results if not result.is_green and not result.tracebacks]
        seen = "; ".join(result.complaints[0].partition(":")[0] for result in red)
        table.add(mutation.name, mutation.meaning, ", ".join(each.row.name for each in red), seen, red=not red)
    return table


def surroundings(rabbitmq: str, arguments: Sequence[str]) -> dict[str, str]:
    """What one must know to repeat it."""
    where = machine()
    command = shlex.join(["python", "-m", "benchmarks.faults", *arguments])
    return {"date": f"{datetime.now(UTC):%Y-%m-%d}", "RabbitMQ": rabbitmq, "pika": version("pika"), **where} | {
        "command": command
    }


def record(section: str, table: Table, made: Mapping[str, str], remark: str = "") -> None:
    """Writes the table into docs/guarantees.md. `made` are surroundings."""
    text = (
        f"{made['date']}, RabbitMQ {made['RabbitMQ']}, pika {made['pika']}, "
        f"{made['python']}, {made['processor']}, {made['system']}. Made by `{made['command']}`."
    )
    write_section(DOCUMENT, section, f"{text}{remark}\n\n{table.markdown()}")


def series(rabbitmq: str) -> str:
    """`3.10` of `3.10.8`: each has a table of its own."""
    return ".".join(rabbitmq.split(".")[:2])


def version_of(server: Server) -> str:
    with RabbitNode(server) as node:
        return node.version


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
