"""What it costs to follow 1,000, 10,000 and 100,000 open tasks, against the origin's design.

    python -m benchmarks.track                       every shape: some half an hour on two cores
    python -m benchmarks.track --open 1000 --open 10000 --cycles 3
    python -m benchmarks.track --record              also into docs/performance.md

Exit code 0: every target reached; 1 otherwise, and the last lines say what.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import verdict
from benchmarks.broker import add_rabbitmq_option, wanted_server
from benchmarks.track import report
from benchmarks.track.stage import ORIGIN, OURS, Cost, Shape, Stage
from sandbox.bitrix24 import BitrixSandbox
from sandbox.rabbitmq import RabbitNode

# Room for 100,000 messages: a node that pages to disk or blocks publishers would be the thing that is measured.
NODE = {"vm_memory_high_watermark.absolute": "3GB"}

_QUEUE_TYPES = ("classic", "quorum")


def main(arguments: Sequence[str]) -> int:
    console = Console(width=None if sys.stdout.isatty() else 150)
    options = _options(arguments)
    results: report.Results = {}
    for shape in _shapes(options.open, options.queue):
        console.print(f"[dim]{shape.name}: filling the portal and the queue …[/dim]")
        with tempfile.TemporaryDirectory() as folder:
            results[shape] = _measure(shape, options, Path(folder))
        report.table({shape: results[shape]}).show(console)
    console.print(f"RabbitMQ {options.version}", highlight=False)
    verdicts = report.verdicts(results)
    if options.record:
        report.record(results, verdicts, options.version, interval=options.interval, cycles=options.cycles)
    return verdict.conclude(verdicts, console)


def _shapes(sizes: Sequence[int], queue_types: Sequence[str]) -> list[Shape]:
    """Every size on every type of queue, and the largest once more with messages of the origin."""
    shapes = [Shape(size, queue_type) for queue_type in queue_types for size in sizes]
    return [*shapes, *([Shape(max(sizes), headers=False)] if "classic" in queue_types else [])]


def _measure(shape: Shape, options: argparse.Namespace, folder: Path) -> dict[report.Case, Cost]:
    share = max(1, shape.open // 100)
    costs: dict[report.Case, Cost] = {}
    with RabbitNode(wanted_server(options), NODE) as node, BitrixSandbox() as portal:
        options.version = node.version
        stage = Stage(node, portal, shape, options.interval, folder)
        # First, for it knows no shards. Its returns would be counted against every message of a quorum queue.
        if shape.queue_type == "classic":
            with stage.tracker(ORIGIN) as origin:
                origin.first_cycle()
                costs[ORIGIN, report.QUIET] = origin.cycles(options.cycles, finishing=0)
                costs[ORIGIN, report.BUSY] = origin.cycles(options.cycles, finishing=share)
        with stage.tracker(OURS) as ours:
            costs[OURS, report.FULL] = ours.first_cycle()
            costs[OURS, report.QUIET] = ours.cycles(options.cycles, finishing=0)
            costs[OURS, report.BUSY] = ours.cycles(options.cycles, finishing=share)
        stage.finish(share)
        with stage.tracker(OURS) as ours:
            costs[OURS, report.FULL_BUSY] = ours.first_cycle()
    return costs


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.track", description=__doc__)
    parser.add_argument("--open", type=int, action="append", metavar="N", help="open tasks; may be repeated")
    parser.add_argument(
        "--queue", choices=_QUEUE_TYPES, action="append", help="type of the sent queue; may be repeated"
    )
    parser.add_argument("--cycles", type=int, default=4, metavar="N", help="cycles of each kind")
    parser.add_argument("--interval", type=float, default=10.0, metavar="SECONDS", help="HEARTBEAT_INTERVAL")
    add_rabbitmq_option(parser)
    parser.add_argument("--record", action="store_true", help="write docs/performance.md")
    options = parser.parse_args(arguments)
    options.open = options.open or [1_000, 10_000, 100_000]
    options.queue = options.queue or list(_QUEUE_TYPES)
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
