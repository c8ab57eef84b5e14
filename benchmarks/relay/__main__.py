"""What one message costs between two queues, against bare pika and the known frameworks.

    python -m benchmarks.relay                     all contestants, all shapes: some fifteen minutes
    python -m benchmarks.relay --only "Task Creator" --only "bare pika" --messages 5000 --rounds 1
    python -m benchmarks.relay --record            also into docs/performance.md

Exit code 0: nothing lost or doubled and every target reached; 1 otherwise, and the last lines say what.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import verdict
from benchmarks.broker import add_rabbitmq_option, wanted_server
from benchmarks.environment import rivals_python
from benchmarks.relay import report
from benchmarks.relay.contest import Score, Shape, turn
from benchmarks.relay.contestants import BARE_PIKA, OURS, OURS_FORGETTING, Contestant, contestants
from sandbox.rabbitmq import RabbitNode

# Room for 100 KB messages: a node that pages to disk would be the thing that is measured.
NODE = {"vm_memory_high_watermark.absolute": "2GB"}


def main(arguments: Sequence[str]) -> int:
    console = Console()
    options = _options(arguments)
    everybody = contestants(rivals_python(options.environment))
    some = _named(everybody, (OURS, OURS_FORGETTING, BARE_PIKA))
    shapes = [
        (Shape("1 KB", options.messages), everybody),
        (Shape("1 KB, 5 queues", options.messages, queues=5), some),
        (
            Shape("100 KB", options.messages // 10, size=100 * 1024),
            _named(everybody, (OURS, OURS_FORGETTING, BARE_PIKA)),
        ),
    ]
    results: report.Results = {}
    with RabbitNode(wanted_server(options), NODE) as node:
        rabbitmq = node.version
        console.print(f"RabbitMQ {rabbitmq}", highlight=False)
        for shape, field in shapes:
            if options.shape in (None, shape.name):
                chosen = _named(field, options.only) if options.only else field
                if not chosen:
                    console.print(f"{shape.name}: nobody chosen plays it")
                    continue
                scores = _rounds(node, shape, chosen, options, console)
                results[shape.name] = (shape, scores)
                report.table(shape, scores).show(console)
    verdicts = report.verdicts(results)
    if options.record:
        report.record(results, verdicts, rabbitmq, options)
    return verdict.conclude(verdicts, console)


def _rounds(
    node: RabbitNode, shape: Shape, field: Sequence[Contestant], options: argparse.Namespace, console: Console
) -> dict[str, list[Score]]:
    """Alternating: what the machine does beside it meets everybody."""
    scores: dict[str, list[Score]] = {contestant.name: [] for contestant in field}
    for number in range(1, options.rounds + 1):
        for contestant in field:
            vhost = node.add_vhost(uuid.uuid4().hex)
            with tempfile.TemporaryDirectory(prefix="task-creator-relay-") as folder:
                score = turn(contestant, shape, vhost, Path(folder), options.prefetch)
            node.delete_vhost(vhost.vhost)
            scores[contestant.name].append(score)
            console.print(f"{shape.name}, round {number}: {contestant.name} {score.rate:,.0f} msg/s", highlight=False)
    return scores


def _named(field: Sequence[Contestant], names: Sequence[str]) -> list[Contestant]:
    return [contestant for contestant in field if contestant.name in names]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relay", description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=20_000, help="of 1 KB; of 100 KB a tenth (default 20000)")
    parser.add_argument("--rounds", type=int, default=3, help="alternating turns, of which the median counts")
    parser.add_argument("--prefetch", type=int, default=100, help="the same for all (default 100, the daemon's own)")
    names = [contestant.name for contestant in contestants(Path(sys.executable))]
    parser.add_argument(
        "--only", action="append", choices=names, metavar="NAME", help=f"one of: {', '.join(names)}; may be repeated"
    )
    parser.add_argument("--shape", choices=["1 KB", "1 KB, 5 queues", "100 KB"])
    parser.add_argument("--environment", type=Path, help="folder for the rivals' environment")
    add_rabbitmq_option(parser)
    parser.add_argument("--record", action="store_true", help="write docs/performance.md and docs/performance/")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
