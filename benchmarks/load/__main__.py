"""Whether one full queue delays the others, and how far memory grows.

    python -m benchmarks.load                      some nine minutes
    python -m benchmarks.load --only fairness --rounds 1 --backlog 10000
    python -m benchmarks.load --record             also into docs/performance.md

Exit code 0: every target reached; 1 otherwise, and the last lines say what.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from benchmarks import verdict
from benchmarks.broker import add_rabbitmq_option, wanted_server
from benchmarks.load import fairness, memory, report
from benchmarks.measure import MIB
from sandbox.rabbitmq import RabbitNode

SMALLEST = 10_000  # messages


def main(arguments: Sequence[str]) -> int:
    console = Console()
    options = _options(arguments)
    results = report.Results(
        _fairness(options) if options.only != "memory" else [],
        _memory(options) if options.only != "fairness" else [],
    )
    for table in report.tables(results):
        table.show(console)
    console.print(f"RabbitMQ {options.version}", highlight=False)
    verdicts = report.verdicts(results)
    if options.record:
        report.record(results, verdicts, options.version)
    return verdict.conclude(verdicts, console)


def _fairness(options: argparse.Namespace) -> list[fairness.FairnessResult]:
    with RabbitNode(wanted_server(options)) as node:
        options.version = node.version
        return [
            fairness.measure(
                node.add_vhost(f"fairness-{number}"),
                system,
                backlog=options.backlog,
                rounds=options.rounds,
                idle_seconds=options.idle,
            )
            for number, system in enumerate(fairness.BACKLOGS)
        ]


def _memory(options: argparse.Namespace) -> list[memory.Measured]:
    # One case is a message of 64 MiB; RabbitMQ 4 takes 16 when nobody tells it otherwise (4.0.5, 4.3.6).
    with RabbitNode(wanted_server(options), {"max_message_size": str(128 * MIB)}) as node:
        options.version = node.version
        return memory.measure(node)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=["fairness", "memory"])
    parser.add_argument("--backlog", type=int, default=50_000, help="messages in the full queue (default 50,000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs at rest and under load, alternating (default 3)")
    parser.add_argument("--idle", type=float, default=15.0, help="seconds of a run at rest (default 15)")
    add_rabbitmq_option(parser)
    parser.add_argument("--record", action="store_true", help="write docs/performance.md and docs/performance/")
    options = parser.parse_args(arguments)
    if options.record and options.only:
        parser.error("only a whole run is recorded")
    if options.backlog < SMALLEST:
        parser.error(f"--backlog {options.backlog}: at least {SMALLEST}, or it is gone before a slow queue sees a task")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
