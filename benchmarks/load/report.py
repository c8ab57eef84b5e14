"""Tables, targets, the section of the document and its plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from benchmarks import plot
from benchmarks.load import bystander
from benchmarks.load.fairness import FairnessResult
from benchmarks.load.memory import COPIES, Measured
from benchmarks.load.traffic import percentile
from benchmarks.measure import MIB, machine
from benchmarks.record import DOCS, FIGURES, write_figures, write_section
from benchmarks.tables import Table
from benchmarks.verdict import Verdict, markdown

ALLOWED = 2.0  # times the idle 99th percentile

FAIRNESS_NOTE = (
    f"Milliseconds from publishing a task to its result in the sent queue, seen from outside: 50th / 95th / 99th "
    f"percentile. All queues are served by one worker with its default settings, but for `{bystander.QUEUE}`: that is "
    "a bare pika loop in a process of its own, so its row is what the broker and the machine alone make of the load. "
    "In both runs another queue holds 1,000 messages for a system that is down; they are all there afterwards."
)
MEMORY_NOTE = (
    f"The bound is what may be in flight, whatever waits in the queue: idle + PREFETCH × size × {COPIES} copies "
    "(delivery, decoded object at four bytes a character, result, frames) + CONCURRENCY × size × 4 (text being "
    "decoded) + 32 MiB. RabbitMQ has delivered a message before the worker can see its size: one over "
    "MAX_MESSAGE_BYTES is not decoded, but costs three times its size while it goes to the error queue. Its own "
    "`max_message_size` is the only limit to that."
)


@dataclass(frozen=True, slots=True)
class Results:
    """Empty: not measured in this run."""

    fairness: Sequence[FairnessResult]
    memory: Sequence[Measured]


def ratios(result: FairnessResult) -> dict[str, float]:
    """Loaded by idle 99th percentile, by queue."""
    return {queue: percentile(result.loaded[queue], 99) / percentile(result.idle[queue], 99) for queue in result.idle}


def tables(results: Results) -> list[Table]:
    made = [_fairness_table(each) for each in results.fairness]
    if results.memory:
        made.append(_memory_table(results.memory))
    return made


def verdicts(results: Results) -> list[Verdict]:
    found = []
    for result in results.fairness:
        ratio = ratios(result)
        nobody = ratio.pop(bystander.QUEUE)
        worst = max(ratio, key=lambda queue: ratio[queue])
        text = (
            f"beside a backlog {result.system}, 99th percentile of {worst} {ratio[worst]:.1f} × that at rest, wanted "
            f"at most {ALLOWED:g} × (a process that shares nothing but the broker with the worker: {nobody:.1f} ×)"
        )
        found.append(Verdict(text, ratio[worst] <= ALLOWED))
    for each in results.memory:
        text = f"{each.case.name}: peak {each.peak / MIB:,.0f} MiB, bound {each.bound / MIB:,.0f} MiB"
        found.append(Verdict(text, each.peak <= each.bound))
    return found


def record(results: Results, judged: Sequence[Verdict], rabbitmq: str) -> None:
    """Figures, plot and section. Only a whole run is recorded: raises ValueError when a part is missing."""
    if not results.fairness or not results.memory:
        raise ValueError("a part was not measured")
    first = results.fairness[0]
    date = datetime.now(UTC).date().isoformat()
    figures = {
        "date": date,
        "machine": machine(rabbitmq),
        "fairness": [
            {
                "system": result.system,
                "backlog": result.backlog,
                "drained_seconds": result.drained,
                "cpu_seconds": result.cpu,
                "idle": _percentiles(result.idle),
                "loaded": _percentiles(result.loaded),
            }
            for result in results.fairness
        ],
        "memory": [asdict(each) for each in results.memory],
    }
    write_figures("load", figures)
    plot.bars(
        FIGURES / "load.svg",
        "99th percentile beside a full queue",
        unit="milliseconds, less is better",
        groups=[*first.idle],
        series={
            "at rest": _plotted(first.idle),
            **{f"beside a backlog {result.system}": _plotted(result.loaded) for result in results.fairness},
        },
        highlight=f"beside a backlog {first.system}",
        log_scale=True,
    )
    head = f"{date}, {'; '.join(machine(rabbitmq).values())}. `python -m benchmarks.load`."
    *fairness, memory = tables(results)
    parts = [head, "![99th percentile beside a full queue](performance/load.svg)"]
    for each in fairness:
        parts += [f"### {each.title}", each.markdown()]
    parts.append(FAIRNESS_NOTE)
    parts += [f"### {memory.title}", memory.markdown(), MEMORY_NOTE]
    write_section(DOCS / "performance.md", "load", "\n\n".join([*parts, markdown(judged)]))


def _fairness_table(result: FairnessResult) -> Table:
    seconds = sum(result.drained) / len(result.drained)
    cpu = sum(result.cpu) / len(result.cpu)
    made = Table(
        f"Beside a queue with {result.backlog:,} messages {result.system}, worked off in {seconds:.1f} s "
        f"({result.backlog / seconds:,.0f} per second, {cpu / seconds:.0%} of a core)",
        ["queue", "tasks", "at rest", "tasks", "under load", "p99 ratio"],
    )
    for queue, ratio in ratios(result).items():
        idle, loaded = result.idle[queue], result.loaded[queue]
        red = ratio > ALLOWED and queue != bystander.QUEUE
        made.add(queue, len(idle), _cell(idle), len(loaded), _cell(loaded), f"{ratio:.2f}", red=red)
    return made


def _memory_table(results: Sequence[Measured]) -> Table:
    made = Table("Memory of the worker, MiB", ["backlog", "at rest", "peak", "bound"])
    for each in results:
        cells = (f"{value / MIB:,.0f}" for value in (each.idle, each.peak, each.bound))
        made.add(each.case.name, *cells, red=each.peak > each.bound)
    return made


def _percentiles(run: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    return {queue: {f"p{each}": percentile(values, each) for each in (50, 95, 99)} for queue, values in run.items()}


def _plotted(run: Mapping[str, Sequence[float]]) -> list[float]:
    return [percentile(latencies, 99) * 1000 for latencies in run.values()]


def _cell(latencies: Sequence[float]) -> str:
    return " / ".join(f"{percentile(latencies, each) * 1000:,.1f}" for each in (50, 95, 99))
