"""How much memory a strike costs the worker at its peak, compared with what the row allows."""

from __future__ import annotations

import random
from collections.abc import Sequence

from benchmarks.faults.row import Strike
from benchmarks.faults.stage import Stage
from benchmarks.measure import MIB, usage


class MemoryWatch:
    """Strikes in place of `strike`; `check` complains when the peak has grown by more than `allowed` bytes."""

    def __init__(self, strike: Strike, allowed: int) -> None:
        self._strike = strike
        self._allowed = allowed
        self._complaints: list[str] = []

    def prepare(self, _stage: Stage) -> None:
        self._complaints = []

    def strike(self, stage: Stage, chance: random.Random) -> None:
        # By the peak that the kernel keeps: between two looks, a body could come and go unseen.
        pid = stage.worker.pid
        before = usage(pid).memory
        self._strike(stage, chance)
        peak = usage(pid).peak_memory
        if peak - before > self._allowed:
            self._complaints.append(
                f"the worker's memory went from {before // MIB} to {peak // MIB} MiB "
                f"in round {stage.round}, {self._allowed // MIB} MiB more are allowed"
            )

    def check(self, _stage: Stage) -> Sequence[str]:
        return self._complaints
