"""A long run at a steady rate with a fault every few seconds: the worker's process must not grow.

The worker lives through the whole run (a killed one would begin anew and show nothing), so only faults that leave its
process alive strike: rows with `soak`.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from benchmarks.faults.account import Allowed, make_account
from benchmarks.faults.lanes import Lane
from benchmarks.faults.row import Row
from benchmarks.faults.rows import all_rows, by_name
from benchmarks.measure import MIB, Usage, usage
from benchmarks.tables import Table

RATE = 5  # tasks per second
CALM = (2.0, 8.0)  # seconds between two faults
WARM_UP = 0.2  # part of the samples that does not count: pools and caches fill
FEWEST_SAMPLES = 6  # after the warm-up, below which nothing can be said

# What a median may gain from the first third to the last: noise of the allocator, one reconnect in between.
_MEMORY_FACTOR, _MEMORY_SLACK = 1.1, 4 * MIB
_THREADS_SLACK, _DESCRIPTORS_SLACK = 1, 3


def soak(lane: Lane, seconds: float, seed: int, console: Console, *, quorum: bool = False) -> tuple[Table, list[str]]:
    """The table of figures, and the broken promises: none means that the soak is green."""
    faults = [row for row in all_rows() if row.soak]
    row = Row("soak", "soak", "everything, again and again", strike=faults[0].strike, proxied=True, quorum=quorum)
    # What a quorum queue of RabbitMQ 4 would drop messages for, once each, at a third and at two thirds of the time.
    long = {1 / 3: by_name("connections-lost-25-times-quorum"), 2 / 3: by_name("outage-of-many-sweeps-quorum")}
    chance = random.Random(seed)
    samples: list[Usage] = []
    struck: Counter[str] = Counter()
    interrupted = threading.Event()
    with lane.stage(row, chance, interrupted) as stage:
        stage.start()
        try:
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                calm = chance.uniform(*CALM)
                stage.feed(max(1, round(calm * RATE)), calm)
                stage.pause(calm)
                samples.append(usage(stage.worker.pid))
                due = [part for part in long if left < (1 - part) * seconds]
                fault = long.pop(due[0]) if due else chance.choice(faults)
                console.print(f"{left:5.0f} s left, {_described(samples[-1])}; {fault.name}", highlight=False)
                fault.strike(stage, chance)
                struck[fault.name] += 1
                stage.take_responses()
        except BaseException:
            interrupted.set()
            raise
        complaints = []
        try:
            stage.quiesce()
        except TimeoutError as error:
            complaints.append(f"at the end: {error}")
        complaints += stage.stop_workers()
        account = make_account(stage.evidence())
    complaints += account.violations(Allowed(answered_twice=True))
    table, growth = judge_growth(samples)
    times = ", ".join(f"{name} {count} times" for name, count in sorted(struck.items()))
    table.title = f"Soak: {seconds / 60:.0f} min, {account.published} tasks, {times}"
    return table, complaints + growth


def judge_growth(samples: Sequence[Usage]) -> tuple[Table, list[str]]:
    """Compares the medians of the first and the last third of the samples after the warm-up."""
    counted = samples[round(len(samples) * WARM_UP) :]
    table = Table("Soak", ("the worker's", "first third (median)", "last third (median)", "highest", "may grow to"))
    if len(counted) < FEWEST_SAMPLES:
        return table, [f"only {len(counted)} samples after the warm-up: the soak is too short to say anything"]
    third = len(counted) // 3
    complaints = []
    for name, values, limit in (
        ("memory, MiB", [each.memory / MIB for each in counted], _memory_limit),
        ("threads", [float(each.threads) for each in counted], lambda first: first + _THREADS_SLACK),
        ("file descriptors", [float(each.descriptors) for each in counted], lambda first: first + _DESCRIPTORS_SLACK),
    ):
        first, last = statistics.median(values[:third]), statistics.median(values[-third:])
        grows = last > limit(first)
        table.add(name, *(f"{value:.1f}" for value in (first, last, max(values), limit(first))), red=grows)
        if grows:
            complaints.append(f"{name} grew from {first:.1f} to {last:.1f}")
    return table, complaints


def _memory_limit(first: float) -> float:
    return first * _MEMORY_FACTOR + _MEMORY_SLACK / MIB


def _described(sample: Usage) -> str:
    return f"{sample.memory / MIB:.1f} MiB, {sample.threads} threads, {sample.descriptors} descriptors"
