"""From a person's click to the response in `camunda.responses.queue` when the portal sends a webhook.

    python -m benchmarks.hooks                       100,000 open tasks on classic and on quorum queues: ten minutes
    python -m benchmarks.hooks --open 10000 --queue quorum --clicks 5
    python -m benchmarks.hooks --compare --record    also without shards, and into docs/performance.md

A worker whose sweeps are an hour apart, the API beside it, and a portal that tells it of each change. A click is made
when the tracker rests, on the oldest task of the queue, on one in its middle, and on the newest. At last a burst: 1,000
hooks of ten tasks that nobody has finished, and what they cost. Exit code 0: every target reached; 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks import verdict
from benchmarks.broker import add_rabbitmq_option, wanted_server
from benchmarks.measure import machine
from benchmarks.record import DOCS, write_figures, write_section
from benchmarks.tables import Table
from benchmarks.track.broker_view import BrokerView
from benchmarks.track.responses import Responses
from benchmarks.track.stock import OpenTask, create_tasks, declare_queues, store
from benchmarks.verdict import Verdict, markdown
from sandbox.bitrix24 import BitrixSandbox
from sandbox.rabbitmq import RabbitNode
from testbench.api import Api
from testbench.daemon import Daemon
from testbench.harness import Bench, wait_until
from tracking.tracker_thread import PAUSE_FACTOR

WANTED = 2.0  # seconds from the click to the response
NODE = {"vm_memory_high_watermark.absolute": "3GB"}  # as benchmarks.track

_NEVER = "1000000"
_PATIENCE = 300.0  # seconds
_TRACKED = ("bitrix24.sent.queue", "default.sent.queue")  # each tracker sweeps once at the start
_BURST = 1000  # hooks
_FEW = 10  # tasks of a burst
_PLACES = {"the oldest": 0.0, "in the middle": 0.5, "the newest": 1.0}


@dataclass(frozen=True, slots=True)
class Click:
    """`seconds` to the response, `sweep`: what the whole sweep took, with the return of all it had in hand."""

    seconds: float
    sweep: float


class Stage:
    def __init__(self, node: RabbitNode, portal: BitrixSandbox, responses: Responses, tasks: list[OpenTask]) -> None:
        self._view = BrokerView(node)
        self._portal = portal
        self._responses = responses
        self._tasks = tasks

    def rest(self, after: int) -> float:
        """Wait until that many sweeps have ended and the tracker rests no more; return what the last one took."""
        last = max(each.seconds for each in self._view.wait_for_sessions(after, _PATIENCE)[after - 2 :])
        time.sleep((PAUSE_FACTOR + 1) * last + 1.0)
        return last

    def click(self, place: float) -> Click:
        sweeps = len(self._view.sessions())
        task = self._tasks.pop(round(place * (len(self._tasks) - 1)))
        began = time.monotonic()
        self._portal.finish(task.bitrix_id, answer="ДА")
        wait_until(lambda: task.task_id in self._responses.came, _PATIENCE, "the response")
        return Click(self._responses.came[task.task_id] - began, self.rest(sweeps + 1))

    def burst(self) -> tuple[int, int]:
        """Return how many requests the portal got for 1,000 hooks, and how many sweeps there were."""
        sweeps, requests = len(self._view.sessions()), self._portal.requests.http
        sent = self._portal.hooks_sent
        for number in range(_BURST):
            self._portal.change(self._tasks[number % _FEW].bitrix_id, TITLE=f"Договор {number}")
        wait_until(lambda: self._portal.hooks_sent >= sent + _BURST, _PATIENCE, "the hooks")
        time.sleep(2.0)  # the last look
        return self._portal.requests.http - requests, len(self._view.sessions()) - sweeps


@dataclass(frozen=True, slots=True)
class Shape:
    """`has_shards`: as the worker is delivered; else with TRACKER_SHARDS=false."""

    open: int
    queue_type: str
    has_shards: bool

    @property
    def name(self) -> str:
        return f"{self.open:,} {self.queue_type}{'' if self.has_shards else ', without shards'}"


@dataclass(frozen=True, slots=True)
class Measured:
    clicks: dict[str, list[Click]]
    requests: int
    sweeps: int


def main(arguments: Sequence[str]) -> int:
    console = Console(width=None if sys.stdout.isatty() else 150)
    options = _options(arguments)
    types = options.queue or ["classic", "quorum"]
    shapes = [Shape(options.open, each, has_shards=True) for each in types]
    if options.compare:
        shapes.append(Shape(options.open, "classic", has_shards=False))
    measured: dict[Shape, Measured] = {}
    for shape in shapes:
        console.print(f"[dim]{shape.name}: filling the portal and the queue …[/dim]")
        measured[shape] = _measure(shape, options)
        _table({shape: measured[shape]}).show(console)
    console.print(f"RabbitMQ {options.version}", highlight=False)
    verdicts = [each for shape, result in measured.items() if shape.has_shards for each in _judged(shape, result)]
    if options.record:
        _record(_table(measured), verdicts, options.version)
    return verdict.conclude(verdicts, console)


def _measure(shape: Shape, options: argparse.Namespace) -> Measured:
    with (
        tempfile.TemporaryDirectory() as folder,
        RabbitNode(wanted_server(options), NODE) as node,
        BitrixSandbox() as portal,
    ):
        options.version = node.version
        declare_queues(node.address, shape.queue_type)
        tasks = create_tasks(portal, shape.open, keyed=True)
        with Bench(node.address).running() as bench:
            store(bench.publisher, tasks, headers=True)
        variables = {
            "BITRIX_WEBHOOK_URL": portal.webhook_url,
            "HEARTBEAT_INTERVAL": "3600",
            "TRACKER_FULL_SWEEP_INTERVAL": _NEVER,
            "TRACKER_SHARDS": str(shape.has_shards),
            "RABBITMQ_QUEUE_TYPE": shape.queue_type,
            "RABBITMQ_HEARTBEAT": "30",
        }
        worker = Daemon(node.address, Path(folder), variables)
        state = {**node.address.environment(), "STATE_DIR": str(Path(folder) / "state")}
        api = Api(Path(folder) / "api", state)
        api.told_by(portal)
        with Responses(node.address) as responses, api, worker:
            api.wait_until_up()
            stage = Stage(node, portal, responses, tasks)
            stage.rest(len(_TRACKED))
            clicks = {name: [stage.click(at) for _ in range(options.clicks)] for name, at in _PLACES.items()}
            return Measured(clicks, *stage.burst())


def _judged(shape: Shape, result: Measured) -> list[Verdict]:
    kept = [
        Verdict(
            f"{shape.name}, {name}: {_middle(each):.2f} s to the response, at most {WANTED:g} wanted",
            _middle(each) <= WANTED,
        )
        for name, each in result.clicks.items()
    ]
    text = f"{shape.name}: a burst of {_BURST} hooks of {_FEW} open tasks costs {result.requests} requests and moves no"
    return [*kept, Verdict(f"{text} message: {result.sweeps} sweeps", not result.sweeps)]


def _middle(clicks: Sequence[Click]) -> float:
    return median(each.seconds for each in clicks)


def _table(measured: Mapping[Shape, Measured]) -> Table:
    columns = ["open tasks", "the finished one is", "to the response, s", "at most", "sweep, s", "clicks"]
    table = Table("From a click to the response, with a webhook", columns)
    for shape, result in measured.items():
        for name, made in result.clicks.items():
            sweep = median(each.sweep for each in made)
            longest = max(each.seconds for each in made)
            table.add(shape.name, name, f"{_middle(made):.2f}", f"{longest:.2f}", f"{sweep:.1f}", len(made))
    return table


def _record(table: Table, judged: Sequence[Verdict], version: str) -> None:
    date = datetime.now(UTC).date().isoformat()
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    write_figures("hooks", {"date": date, "machine": machine(), "rabbitmq": version, "clicks": rows})
    parts = (
        f"{date}, {'; '.join(machine().values())}; RabbitMQ {version}. `python -m benchmarks.hooks`.",
        "A portal sends a webhook for each change, and the sweeps of the worker are an hour apart. A task is finished "
        "when the tracker rests; what is measured ends with its response in `camunda.responses.queue`.",
        table.markdown(),
        markdown(judged),
    )
    write_section(DOCS / "performance.md", "hooks", "\n\n".join(parts))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hooks", description=__doc__)
    parser.add_argument("--open", type=int, default=100_000, metavar="N", help="open tasks")
    parser.add_argument(
        "--queue", choices=("classic", "quorum"), action="append", help="type of the queues; may be repeated"
    )
    parser.add_argument("--compare", action="store_true", help="also a classic queue without shards")
    parser.add_argument("--record", action="store_true", help="write docs/performance.md and docs/performance/")
    parser.add_argument("--clicks", type=int, default=3, metavar="N", help="on each place of the queue")
    add_rabbitmq_option(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
