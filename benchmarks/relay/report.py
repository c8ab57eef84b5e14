"""What the turns amount to: medians, the table, the targets, the section of the document and its plot."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from statistics import median

from benchmarks import plot
from benchmarks.environment import PINS
from benchmarks.measure import machine
from benchmarks.record import DOCS, FIGURES, write_figures, write_section
from benchmarks.relay.contest import Score, Shape
from benchmarks.relay.contestants import BARE_PIKA, FRAMEWORKS, OURS, OURS_FORGETTING, OURS_LOGGING
from benchmarks.tables import Table
from benchmarks.verdict import Verdict, markdown

TARGET = 0.7  # of bare pika's rate
JOURNAL_RATE, JOURNAL_CPU, JOURNAL_MEMORY = 0.92, 1.15, 12 * 2**20  # with a journal, of what it is without one

Scores = Mapping[str, Sequence[Score]]
Results = dict[str, tuple[Shape, Scores]]


def medians(scores: Scores) -> dict[str, Score]:
    """One score for each contestant: medians of what is measured, sums of what must be nought."""
    return {
        name: Score(
            rate=median(each.rate for each in turns),
            cpu=median(each.cpu for each in turns),
            memory=round(median(each.memory for each in turns)),
            lost=sum(each.lost for each in turns),
            twice=sum(each.twice for each in turns),
            left=sum(each.left for each in turns),
        )
        for name, turns in scores.items()
    }


def ratios(scores: Scores, name: str) -> list[float]:
    """Rate of `name` over bare pika's, round by round: both met the same state of the machine."""
    return [ours.rate / bare.rate for ours, bare in zip(scores[name], scores[BARE_PIKA], strict=True)]


def table(shape: Shape, scores: Scores) -> Table:
    result = Table(
        f"{shape.messages:,} messages: {shape.name}",
        ("", "msg/s", "× bare pika", "CPU s per 1,000", "peak memory, MiB", "lost", "twice", "not acked"),
    )
    for name, score in sorted(medians(scores).items(), key=lambda item: -item[1].rate):
        ratio = f"{median(ratios(scores, name)):.2f}" if BARE_PIKA in scores else "–"
        result.add(
            name,
            f"{score.rate:,.0f}",
            ratio,
            f"{score.cpu:.3f}",
            f"{score.memory / 2**20:.0f}",
            score.lost,
            score.twice,
            score.left,
            red=bool(score.lost or score.twice or score.left),
        )
    return result


def verdicts(results: Results) -> list[Verdict]:
    """The targets, as far as these results can decide them."""
    found = []
    for name, (_, scores) in results.items():
        summary = medians(scores)
        ours = [score for who in (OURS, OURS_LOGGING, OURS_FORGETTING) for score in scores.get(who, ())]
        wrong = sum(score.lost + score.twice + score.left for score in ours)
        found.append(Verdict(f"{name}: {wrong} messages lost, doubled or left unacked by {OURS}", wrong == 0))
        if OURS in scores and BARE_PIKA in scores:
            ratio = median(ratios(scores, OURS))
            found.append(Verdict(f"{name}: {ratio:.2f} × bare pika, wanted at least {TARGET}", ratio >= TARGET))
        if OURS in scores and OURS_FORGETTING in scores:
            found += _of_the_journal(name, scores[OURS], scores[OURS_FORGETTING])
        frameworks = {each: summary[each] for each in FRAMEWORKS if each in summary}
        if OURS in scores and frameworks:
            fastest = max(frameworks, key=lambda each: frameworks[each].rate)
            factor = summary[OURS].rate / frameworks[fastest].rate
            found.append(Verdict(f"{name}: {factor:.1f} × the fastest framework, {fastest}", factor > 1))
            thriftiest = min(frameworks, key=lambda each: frameworks[each].cpu)
            share = summary[OURS].cpu / frameworks[thriftiest].cpu
            text = f"{name}: {share:.0%} of the CPU per message of the thriftiest framework, {thriftiest}"
            found.append(Verdict(text, share < 1))
    return found


def _of_the_journal(shape: str, on: Sequence[Score], off: Sequence[Score]) -> list[Verdict]:
    """What the journal costs, round by round: both met the same state of the machine."""
    turns = list(zip(on, off, strict=True))
    rate = median(with_it.rate / without.rate for with_it, without in turns)
    cpu = median(with_it.cpu / without.cpu for with_it, without in turns)
    memory = median(with_it.memory - without.memory for with_it, without in turns)
    return [
        Verdict(f"{shape}: {rate:.2f} × the rate without a journal, wanted {JOURNAL_RATE}", rate >= JOURNAL_RATE),
        Verdict(f"{shape}: {cpu:.2f} × the CPU per message, wanted {JOURNAL_CPU}", cpu <= JOURNAL_CPU),
        Verdict(f"{shape}: {memory / 2**20:+.1f} MiB, wanted +12", memory <= JOURNAL_MEMORY),
    ]


def record(results: Results, judged: Sequence[Verdict], rabbitmq: str, options: Namespace) -> None:
    """Figures, plot and section."""
    date = datetime.now(UTC).date().isoformat()
    figures = {
        name: {who: asdict(score) for who, score in medians(each).items()} for name, (_, each) in results.items()
    }
    write_figures("relay", {"date": date, "machine": machine(rabbitmq), "rounds": options.rounds, "results": figures})
    names = list(dict.fromkeys(who for each in figures.values() for who in each))
    rates = {who: [each[who]["rate"] if who in each else None for each in figures.values()] for who in names}
    plot.bars(
        FIGURES / "relay.svg",
        "Messages relayed per second",
        unit="messages per second, more is better",
        groups=list(figures),
        series=rates,
        environment=options.environment,
    )
    write_section(DOCS / "performance.md", "relay", _section(results, judged, rabbitmq, options, date))


def _section(results: Results, judged: Sequence[Verdict], rabbitmq: str, options: Namespace, date: str) -> str:
    pins = ", ".join(line for line in PINS.read_text().splitlines() if line and not line.startswith("#"))
    parts = [
        f"{date}, {'; '.join(machine(rabbitmq).values())}. `python -m benchmarks.relay`, medians of "
        f"{options.rounds} alternating rounds, prefetch {options.prefetch} for all. Versions: {pins}.",
        "Persistent task messages wait in a queue. Each contestant takes them, runs a handler that does nothing, "
        "stores the result in the sent queue, and acks the task when the result is confirmed (the origin's design asks "
        "for no confirm). Counted from outside, by task id. CPU and memory are those of the contestant's processes "
        "together. The daemon runs with its defaults and `LOG_LEVEL=WARNING`, because the others log nothing per "
        "message either; its row with a log line per message is `LOG_LEVEL=INFO`.",
        "![Messages relayed per second](performance/relay.svg)",
    ]
    for shape, scores in results.values():
        of = table(shape, scores)
        parts += [f"### {of.title}", of.markdown()]
    return "\n\n".join([*parts, markdown(judged)])
