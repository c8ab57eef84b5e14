"""Tables, targets, the section of the document and its plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median

from benchmarks import plot
from benchmarks.measure import machine
from benchmarks.record import DOCS, FIGURES, write_figures, write_section
from benchmarks.startup.idle import OPEN_TASKS, Idle
from benchmarks.tables import Table
from benchmarks.verdict import Verdict, markdown

START = 1.5  # targets: seconds
CPU_SHARE = 0.01
MEMORY = 80 * 2**20


@dataclass(frozen=True, slots=True)
class Results:
    """`first_task`: seconds of the daemon as in operation; `first_result`: seconds by contestant, no-op handler."""

    first_task: Sequence[float]
    first_result: Mapping[str, Sequence[float]]
    idle: Idle | None


def tables(results: Results) -> list[Table]:
    columns = ("", "median, s", "fastest, s", "slowest, s")
    operation = Table("From the start to the first task created, default settings", columns)
    operation.add("Task Creator", *_spread(results.first_task))
    contest = Table("From the start to the first result, a handler that does nothing", columns)
    for name, seconds in sorted(results.first_result.items(), key=lambda item: median(item[1])):
        contest.add(name, *_spread(seconds))
    made = [operation] if not results.first_result else [operation, contest]
    if results.idle:
        one = results.idle
        idle = Table(
            f"Idle for {one.seconds:.0f} s, {OPEN_TASKS} open tasks followed",
            ("", "CPU, share of a core", "memory, MiB", "threads", "descriptors", "requests"),
        )
        memory = f"{one.memory / 2**20:.0f}"
        idle.add("Task Creator", f"{one.cpu:.2%}", memory, one.threads, one.descriptors, one.requests)
        made.append(idle)
    return made


def verdicts(results: Results) -> list[Verdict]:
    seconds = median(results.first_task)
    text = f"{seconds:.2f} s from the start to the first task created, wanted at most {START} s"
    found = [Verdict(text, seconds <= START)]
    if results.idle:
        cpu, memory = results.idle.cpu, results.idle.memory
        found += [
            Verdict(f"{cpu:.2%} of a core when idle, wanted at most {CPU_SHARE:.0%}", cpu <= CPU_SHARE),
            Verdict(f"{memory / 2**20:.0f} MiB when idle, wanted at most {MEMORY / 2**20:.0f} MiB", memory <= MEMORY),
        ]
    return found


def record(results: Results, judged: Sequence[Verdict], rabbitmq: str) -> None:
    """Figures, plot and section."""
    date = datetime.now(UTC).date().isoformat()
    write_figures("startup", {"date": date, "machine": machine(rabbitmq), **asdict(results)})
    names = sorted(results.first_result, key=lambda name: median(results.first_result[name]))
    plot.bars(
        FIGURES / "startup.svg",
        "From the start to the first result",
        unit="seconds, less is better",
        groups=["a handler that does nothing"],
        series={name: [median(results.first_result[name])] for name in names},
    )
    head = (
        f"{date}, {'; '.join(machine(rabbitmq).values())}. `python -m benchmarks.startup`, medians of "
        f"{len(results.first_task)} alternating rounds. One task waits in the queue; the clock runs from the start "
        "of the process, seen from outside. Python's own compiled files are warm, as after any first start."
    )
    parts = [head, "![From the start to the first result](performance/startup.svg)"]
    for table in tables(results):
        parts += [f"### {table.title}", table.markdown()]
    write_section(DOCS / "performance.md", "startup", "\n\n".join([*parts, markdown(judged)]))


def _spread(seconds: Sequence[float]) -> tuple[str, str, str]:
    return f"{median(seconds):.2f}", f"{min(seconds):.2f}", f"{max(seconds):.2f}"
