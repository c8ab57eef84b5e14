"""What the turns amount to: medians, tables, targets, the section of the document and its plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median

from benchmarks import plot
from benchmarks.create.contest import Score, Shape
from benchmarks.measure import machine
from benchmarks.record import DOCS, FIGURES, write_figures, write_section
from benchmarks.tables import Table
from benchmarks.verdict import Verdict, markdown

OURS, RIVAL = "Task Creator", "one request per task"

PER_REQUEST = 40  # targets
TIMES_RIVAL = 20
REFUSED_SHARE = 0.01
BUSY_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Results:
    """Turns by contestant at the portal's limit (`shape`), and by shape without one."""

    shape: Shape
    limited: Mapping[str, Sequence[Score]]
    unlimited: Mapping[Shape, Sequence[Score]]
    rounds: int


def tables(results: Results) -> list[Table]:
    scale = results.shape.time_scale
    limited = Table(
        f"A backlog at Bitrix24's published limit (bucket of 50, 2 requests per second), clock × {scale:g}",
        ("", "tasks", "requests", "tasks per request", "tasks per second", "refused", "CPU s per 1,000", "MiB"),
    )
    for name, turns in results.limited.items():
        one = _median(turns)
        limited.add(
            name,
            f"{one.tasks:,}",
            f"{one.requests:,}",
            f"{one.per_request:.1f}",
            f"{one.rate:,.1f}",
            f"{one.refused / one.requests:.1%}",
            f"{one.cpu:.2f}",
            f"{one.memory / 2**20:.0f}",
            red=not all(turn.is_right for turn in turns),
        )
    unlimited = Table(
        "No limit, a portal that takes its time",
        ("the portal takes", "CONCURRENCY", "tasks per request", "tasks per second", "busy", "CPU s per s", "MiB"),
    )
    for shape, turns in results.unlimited.items():
        one = _median(turns)
        unlimited.add(
            _latency(shape),
            shape.concurrency,
            f"{one.per_request:.1f}",
            f"{one.rate:,.0f}",
            f"{one.busy:.0%}",
            f"{one.cpu * one.rate / 1000:.2f}",
            f"{one.memory / 2**20:.0f}",
            red=not all(turn.is_right for turn in turns),
        )
    return [limited, unlimited]


def verdicts(results: Results) -> list[Verdict]:
    everything = [turn for turns in (*results.limited.values(), *results.unlimited.values()) for turn in turns]
    found = [Verdict("every task created once and its result stored once", all(turn.is_right for turn in everything))]
    if OURS in results.limited:
        ours = _median(results.limited[OURS])
        refused = max(turn.refused / turn.requests for turn in results.limited[OURS])
        found += [
            Verdict(
                f"{ours.per_request:.1f} tasks per request, look-ups and the portal's check included, wanted at least "
                f"{PER_REQUEST}",
                ours.per_request >= PER_REQUEST,
            ),
            Verdict(f"{refused:.1%} of requests refused, wanted at most {REFUSED_SHARE:.0%}", refused <= REFUSED_SHARE),
        ]
        if RIVAL in results.limited:
            pairs = zip(results.limited[OURS], results.limited[RIVAL], strict=True)
            factor = median(turn.rate / rival.rate for turn, rival in pairs)
            text = f"{factor:.0f} × the rate of one request per task, wanted at least {TIMES_RIVAL}"
            found.append(Verdict(text, factor >= TIMES_RIVAL))
    for shape, turns in results.unlimited.items():
        busy = median(turn.busy for turn in turns)
        who = f"{_latency(shape)}, CONCURRENCY={shape.concurrency}"
        text = f"{who}: {busy:.1%} busy without a limit, wanted at least {BUSY_SHARE:.0%}"
        found.append(Verdict(text, busy >= BUSY_SHARE))
    return found


def record(results: Results, judged: Sequence[Verdict], rabbitmq: str) -> None:
    """Figures, plot and section."""
    date = datetime.now(UTC).date().isoformat()
    figures = {
        "date": date,
        "machine": machine(rabbitmq),
        "rounds": results.rounds,
        "limited": {name: [asdict(turn) for turn in turns] for name, turns in results.limited.items()},
        "unlimited": [
            {"shape": asdict(shape), "turns": [asdict(turn) for turn in turns]}
            for shape, turns in results.unlimited.items()
        ],
    }
    write_figures("create", figures)
    plot.bars(
        FIGURES / "create.svg",
        "Tasks created per second at the portal's limit",
        unit=f"tasks per second at {results.shape.time_scale:g} × the published limit, more is better",
        groups=["backlog"],
        series={name: [_median(turns).rate] for name, turns in results.limited.items()},
        log_scale=True,
    )
    where = f"{date}, {'; '.join(machine(rabbitmq).values())}"
    write_section(DOCS / "performance.md", "create", _section(results, judged, where))


def _section(results: Results, judged: Sequence[Verdict], where: str) -> str:
    limited, unlimited = tables(results)
    return "\n\n".join(
        [
            f"{where}. `python -m benchmarks.create`, medians of {results.rounds} alternating rounds.",
            "Tasks of about 2 KB without checklists wait in `bitrix24.queue`; the daemon runs with its defaults "
            "and a log line per task. Time runs from the first request to the last creation; every request counts, "
            "those of look-ups, of the portal's check and of the tracker, too. The clock of the portal's limit runs "
            f"{results.shape.time_scale:g} times as fast, and the limits set in both clients with it: divide the rates "
            "by that for the real ones. The rival has fewer tasks, which favours it: the burst at the start is a "
            "larger share. A real portal also bounds the running time of each method in ten minutes "
            "(`BITRIX_OPERATING_LIMIT_SECONDS`), which no way of asking can stretch.",
            "![Tasks created per second](performance/create.svg)",
            f"### {limited.title}",
            limited.markdown(),
            f"### {unlimited.title}",
            "Busy: how many requests were under way at the portal on average, divided by the configured threads. Where "
            "a request of 49 tasks takes no longer than one of them, the machine's cores are the limit: daemon, portal "
            "and broker share them.",
            unlimited.markdown(),
            markdown(judged),
        ]
    )


def _latency(shape: Shape) -> str:
    per_task = f"{shape.creation * 1000:.0f} ms per task" if shape.creation else ""
    per_request = f"{shape.latency * 1000:.0f} ms per request" if shape.latency else ""
    return " and ".join(filter(None, (per_request, per_task)))


def _median(turns: Sequence[Score]) -> Score:
    """The turn whose rate is the median one: its figures belong together."""
    return sorted(turns, key=lambda turn: turn.rate)[len(turns) // 2]
