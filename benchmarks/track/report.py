"""What the cycles amount to: the table, the targets, the section of the document and its plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from benchmarks import plot
from benchmarks.measure import machine
from benchmarks.record import DOCS, FIGURES, write_figures, write_section
from benchmarks.tables import Table
from benchmarks.track.stage import ORIGIN, OURS, Cost, Shape
from benchmarks.verdict import Verdict, markdown

QUIET = "nothing finished"
BUSY = "1 % finished"
FULL = "all looked at"
FULL_BUSY = "all looked at, 1 % finished"

Case = tuple[str, str]  # who, what kind of cycle
Results = dict[Shape, dict[Case, Cost]]

LARGE = 100_000  # open tasks, for which the targets hold
QUIET_REQUESTS, QUIET_CPU = 5, 3.0
FULL_REQUESTS = 60
MEMORY = 400 * 2**20


def table(results: Results) -> Table:
    found = Table(
        "Following open tasks, per cycle",
        ("open tasks", "who", "cycle", "requests", "s", "CPU s", "messages moved", "peak MiB", "answered", "after s"),
    )
    for shape, costs in results.items():
        for (who, kind), cost in costs.items():
            found.add(shape.name, who, kind, *_cells(cost))
    return found


def _cells(cost: Cost) -> Sequence[str]:
    latency = cost.latency
    return (
        f"{cost.requests:,.1f}",
        f"{cost.seconds:.2f}",
        f"{cost.cpu:.3f}",
        f"{cost.moved:,.0f}",
        f"{cost.peak_memory / 2**20:.0f}",
        f"{cost.answered} of {cost.finished}" if cost.finished else "–",
        f"{latency[0]:.1f}, at most {latency[1]:.1f}" if latency else "–",
    )


def verdicts(results: Results) -> list[Verdict]:
    """The targets, as far as these results can decide them."""
    found = []
    for shape, costs in results.items():
        ours = {kind: cost for (who, kind), cost in costs.items() if who == OURS}
        busy = ours[BUSY]
        text = f"{shape.name}: {busy.answered} of {busy.finished} finished tasks answered"
        found.append(Verdict(text, busy.answered == busy.finished))
        if shape.open < LARGE:
            continue
        quiet = ours[QUIET]
        memory = max(cost.peak_memory for cost in ours.values())
        found += [
            Verdict(
                f"{shape.name}: a quiet cycle makes {quiet.requests:.1f} requests in {quiet.cpu:.3f} s of CPU, at most "
                f"{QUIET_REQUESTS} and {QUIET_CPU:g} wanted",
                quiet.requests <= QUIET_REQUESTS and quiet.cpu <= QUIET_CPU,
            ),
            *(
                Verdict(
                    f"{shape.name}, {kind}: {ours[kind].requests:.0f} requests, at most {FULL_REQUESTS} wanted",
                    ours[kind].requests <= FULL_REQUESTS,
                )
                for kind in (FULL, FULL_BUSY)
            ),
            Verdict(
                f"{shape.name}: at most {memory / 2**20:.0f} MiB of memory, {MEMORY / 2**20:.0f} allowed",
                memory <= MEMORY,
            ),
        ]
    return found


def record(results: Results, judged: Sequence[Verdict], rabbitmq: str, *, interval: float, cycles: int) -> None:
    """Figures, plot and section."""
    date = datetime.now(UTC).date().isoformat()
    figures = [
        {**asdict(shape), "who": who, "cycle": kind, **_figures(cost)}
        for shape, costs in results.items()
        for (who, kind), cost in costs.items()
    ]
    write_figures("track", {"date": date, "machine": machine(rabbitmq), "interval": interval, "cycles": figures})
    plot.lines(
        FIGURES / "track.svg",
        "CPU of the tracker's process per cycle",
        x="open tasks",
        y="seconds of CPU",
        series=_lines(results),
        highlight=f"{OURS}: {QUIET}",
        log_scale=True,
    )
    where = f"{date}, {'; '.join(machine(rabbitmq).values())}"
    write_section(DOCS / "performance.md", "track", _section(results, judged, interval, cycles, where))


def _figures(cost: Cost) -> Mapping[str, object]:
    figures = {name: value for name, value in asdict(cost).items() if name != "latencies"}
    return {**figures, "latency": cost.latency}


def _lines(results: Results) -> dict[str, list[tuple[float, float]]]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for shape, costs in results.items():
        if shape.queue_type == "classic" and shape.headers:
            for (who, kind), cost in costs.items():
                if kind != FULL_BUSY:
                    lines.setdefault(f"{who}: {kind}", []).append((shape.open, max(cost.cpu, 0.001)))
    return lines


def _section(results: Results, judged: Sequence[Verdict], interval: float, cycles: int, where: str) -> str:
    parts = [
        f"{where}. `python -m benchmarks.track`: {cycles} cycles of each kind, "
        f"{interval:g} s apart (`HEARTBEAT_INTERVAL`; the default is 60, and the delay of an answer grows with it).",
        "The tasks have been open for two weeks, their sent messages (1.4 KB) wait in `bitrix24.sent.queue`. People "
        "finish 1 % of them in the interval before each cycle. Requests are counted by the portal; messages moved are "
        "RabbitMQ's own counts of messages published and delivered; a cycle lasts from the log-in of the tracker's "
        "connection to its close; CPU and memory are those of the tracker's process. “After” is the time from a "
        "person's click to the response in `camunda.responses.queue`: the median and the longest.",
        "![CPU of the tracker's process per cycle](performance/track.svg)",
        table(results).markdown(),
        _growth(results),
        _FULL,
        _origin(results),
        markdown(judged),
    ]
    return "\n\n".join(part for part in parts if part)


def _growth(results: Results) -> str:
    quiet = {
        shape.open: costs[OURS, QUIET]
        for shape, costs in results.items()
        if shape.queue_type == "classic" and shape.headers
    }
    if len(quiet) < 2:
        return ""
    small, large = min(quiet), max(quiet)
    return (
        f"A quiet cycle over {small:,} open tasks takes {quiet[small].requests:.1f} requests, {quiet[small].cpu:.3f} s "
        f"of CPU and {quiet[small].moved:,.0f} messages; over {large:,} it takes {quiet[large].requests:.1f}, "
        f"{quiet[large].cpu:.3f} s and {quiet[large].moved:,.0f}. Up to 2,500 tasks the whole queue is looked at each "
        "time, since one request tells all their statuses; above that the portal is asked what has been finished since "
        "the last question, and the queue is not touched, so the cost does not depend on how many tasks are open. When "
        "something has been finished, the shards of those tasks are skimmed by headers, each a thirty-second part of "
        "what is open. The first cycle over more than 2,500 tasks is also the one that moves them into the shards."
    )


_FULL = (
    "A full look at 100,000 tasks of which 1,000 are finished cannot be made with fewer than 61 requests: 2,000 pages "
    "of statuses and 1,000 tasks read whole, 50 of either in a request, and one for the mark. It takes more as each "
    "2,500 tasks are settled before the next are taken, and the 25 finished ones among them leave half a request empty."
)


def _origin(results: Results) -> str:
    busy = [costs[ORIGIN, BUSY] for costs in results.values() if (ORIGIN, BUSY) in costs]
    if not busy:
        return ""
    answered, finished = sum(cost.answered for cost in busy), sum(cost.finished for cost in busy)
    return (
        "The origin's design asks about the first 50 messages and puts them back to the head: of "
        f"{finished:,} finished tasks it answered {answered:,}; the others it will never look at. On a quorum queue it "
        "is not measured: there each look counts as a return, and RabbitMQ 4.0–4.2 drops a message after 20 of them."
    )
