"""How soon the daemon works after its start, and what it needs when there is nothing to do.

    python -m benchmarks.startup                   some three minutes
    python -m benchmarks.startup --rounds 3 --idle 0 --no-rivals
    python -m benchmarks.startup --record          also into docs/performance.md

Exit code 0: every target reached; 1 otherwise, and the last lines say what.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console

from benchmarks import verdict
from benchmarks.broker import add_rabbitmq_option, wanted_server
from benchmarks.environment import rivals_python
from benchmarks.relay.contestants import OURS_LOGGING, contestants
from benchmarks.startup import report
from benchmarks.startup.idle import idle
from benchmarks.startup.start import until_first_result, until_first_task
from sandbox.rabbitmq import RabbitNode


def main(arguments: Sequence[str]) -> int:
    console = Console()
    options = _options(arguments)
    field = [] if options.no_rivals else [each for each in contestants(rivals_python()) if each.name != OURS_LOGGING]
    first_task: list[float] = []
    first_result: defaultdict[str, list[float]] = defaultdict(list)
    with RabbitNode(wanted_server(options)) as node:
        rabbitmq = node.version
        console.print(f"RabbitMQ {rabbitmq}", highlight=False)
        until_first_task(node)  # not counted: Python writes its compiled files
        for number in range(1, options.rounds + 1):  # alternating: what the machine does beside it meets all
            first_task.append(until_first_task(node))
            for contestant in field:
                first_result[contestant.name].append(until_first_result(node, contestant))
            console.print(f"round {number}: first task created after {first_task[-1]:.2f} s", highlight=False)
        at_rest = idle(node, options.idle) if options.idle else None
    results = report.Results(first_task, dict(first_result), at_rest)
    for table in report.tables(results):
        table.show(console)
    verdicts = report.verdicts(results)
    if options.record:
        report.record(results, verdicts, rabbitmq)
    return verdict.conclude(verdicts, console)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="alternating, of which the median counts (default 5)")
    parser.add_argument("--idle", type=float, default=65.0, help="seconds at rest; 0: not measured (default 65)")
    parser.add_argument("--no-rivals", action="store_true", help="the daemon alone")
    add_rabbitmq_option(parser)
    parser.add_argument("--record", action="store_true", help="write docs/performance.md and docs/performance/")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
