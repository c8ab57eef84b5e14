"""How many tasks one request to Bitrix24 carries, and how fast a backlog is created.

    python -m benchmarks.create                    some ten minutes
    python -m benchmarks.create --rounds 1 --rival-tasks 300
    python -m benchmarks.create --record           also into docs/performance.md

Exit code 0: every task created once and every target reached; 1 otherwise, and the last lines say what.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console

from benchmarks import verdict
from benchmarks.broker import add_rabbitmq_option, wanted_server
from benchmarks.create import report
from benchmarks.create.contest import Score, Shape, daemon_turn, rival_turn
from sandbox.rabbitmq import RabbitNode


def main(arguments: Sequence[str]) -> int:
    console = Console()
    options = _options(arguments)
    shape = Shape(options.tasks, options.time_scale)
    slow = [
        Shape(options.tasks // 5, creation=options.latency),
        # As long a run for each: the share of the start, when one thread checks the portal, is alike.
        *(Shape(options.tasks * c // 2, latency=options.latency, concurrency=c) for c in (1, 4)),
    ]
    limited: defaultdict[str, list[Score]] = defaultdict(list)
    unlimited: defaultdict[Shape, list[Score]] = defaultdict(list)

    def note(who: str, score: Score) -> None:
        rate = f"{score.rate:,.0f} tasks/s, {score.per_request:.1f} per request, busy {score.busy:.0%}"
        console.print(f"{who}: {rate}", highlight=False)

    with RabbitNode(wanted_server(options)) as node:
        rabbitmq = node.version
        console.print(f"RabbitMQ {rabbitmq}", highlight=False)
        for number in range(1, options.rounds + 1):  # alternating: what the machine does beside it meets both
            limited[report.OURS].append(daemon_turn(node, shape))
            note(f"round {number}, {report.OURS}", limited[report.OURS][-1])
            if options.rival_tasks:
                limited[report.RIVAL].append(rival_turn(node, Shape(options.rival_tasks, options.time_scale)))
                note(f"round {number}, {report.RIVAL}", limited[report.RIVAL][-1])
            for free in slow:
                unlimited[free].append(daemon_turn(node, free))
                note(f"round {number}, no limit, CONCURRENCY={free.concurrency}", unlimited[free][-1])
    results = report.Results(shape, limited, unlimited, options.rounds)
    for table in report.tables(results):
        table.show(console)
    verdicts = report.verdicts(results)
    if options.record:
        report.record(results, verdicts, rabbitmq)
    return verdict.conclude(verdicts, console)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.create", description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=10_000, help="in the daemon's backlog (default 10000)")
    parser.add_argument("--rival-tasks", type=int, default=1000, help="in the rival's (default 1000; 0: no rival)")
    parser.add_argument("--rounds", type=int, default=3, help="alternating, of which the median counts")
    parser.add_argument("--time-scale", type=float, default=5.0, help="of the limit's clock on both sides (default 5)")
    parser.add_argument("--latency", type=float, default=0.1, help="seconds per task or request without a limit")
    add_rabbitmq_option(parser)
    parser.add_argument("--record", action="store_true", help="write docs/performance.md and docs/performance/")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
