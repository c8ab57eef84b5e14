"""One row of the matrix as a value: what goes wrong, on which stage, and what is allowed to follow."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.faults.stage import Stage
from benchmarks.faults.stage_spec import StageSpec

Strike = Callable[[Stage, random.Random], None]
Check = Callable[[Stage], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Row(StageSpec):
    """A fault that strikes again and again while tasks flow.

    `strike(stage, chance)` makes it happen once and returns when it is healed. `prepare(stage)` comes before the
    workers start, `check(stage)` after everything has ended: what it returns are broken promises.
    """

    group: str
    story: str
    strike: Strike
    prepare: Callable[[Stage], None] = lambda _stage: None
    check: Check = lambda _stage: ()
    # -- judgement
    may_answer_twice: bool = False  # at-least-once: a copy with the same message id
    may_be_suspected: bool = False  # what is in hand at three deaths counts as their cause, though here it is not
    # -- runs
    rounds: int | None = None  # how often it strikes; None: as the command says
    short: bool = True  # part of --short
    soak: bool = False  # one of the faults of --soak: quick, and leaves the worker's process alive
