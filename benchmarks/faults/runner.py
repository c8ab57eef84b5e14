"""Plays one row: tasks flow, the fault strikes again and again, everything ends, and every task id is accounted for."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults import standstill
from benchmarks.faults.account import Account, Allowed, make_account
from benchmarks.faults.api_answers import api_answers_of
from benchmarks.faults.leaks import leaks, metrics_of
from benchmarks.faults.row import Row
from benchmarks.faults.stage import Stage
from sandbox.address import BrokerAddress
from sandbox.rabbitmq import RabbitNode
from sandbox.rabbitmq_server import NodeError

LONGEST_HESITATION = 0.5  # seconds of random pause before a strike


@dataclass(frozen=True, slots=True)
class Orders:
    """How all rows are played. `rounds`: strikes per row, unless the row knows better; `scale`: of the tasks."""

    rounds: int = 5
    scale: float = 1.0
    seed: int = 1
    short: bool = False
    without: str | None = None
    patience: float | None = None  # in place of the rows' own
    logs: Path | None = None  # a folder for what the workers of red rows have said


@dataclass(slots=True)
class Result:
    """`first` and `done`: seconds from the last heal to the first progress and to the end of everything."""

    row: Row
    rounds: int = 0
    account: Account = field(default_factory=Account)
    complaints: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    first: float | None = None  # the longest of all rounds
    done: float | None = None
    seconds: float = 0.0
    in_flight: int = 0  # of a system that recognises no repetition, when something broke

    @property
    def is_green(self) -> bool:
        return not self.complaints


def play(row: Row, node: RabbitNode, address: BrokerAddress, orders: Orders, interrupted: threading.Event) -> Result:
    """Raises StageInterruptedError when `interrupted` is set; otherwise every fault of the daemon is in the result."""
    begun = time.monotonic()
    rounds = row.rounds or orders.rounds
    if orders.short:
        rounds = min(rounds, orders.rounds)
    result = Result(row, rounds)
    chance = random.Random(f"{orders.seed} {row.name}")
    with Stage(
        row,
        node,
        address,
        chance=chance,
        interrupted=interrupted,
        short=orders.short,
        without=orders.without,
        patience=orders.patience,
    ) as stage:
        row.prepare(stage)
        stage.start()
        try:
            healed = _strike_again_and_again(row, stage, result, orders.scale, chance)
        except (TimeoutError, NodeError) as error:  # the rest of the account is worth having all the same
            _complain(error, result, stage, orders)
            healed = time.monotonic()
        try:
            result.done = stage.quiesce() - healed
        except TimeoutError as error:
            _complain(error, result, stage, orders)
            if unpublished := stage.driver.unpublished:
                result.complaints.append(f"no queue takes the last {unpublished} tasks")
        told = metrics_of(stage) + api_answers_of(stage)
        result.complaints += stage.stop_workers()
        result.tracebacks = stage.tracebacks()
        result.complaints += [f"a traceback in the log: {error}" for error in result.tracebacks]
        evidence = stage.evidence()
        result.account = make_account(evidence)
        result.complaints += dict.fromkeys(leaks(stage, [*evidence.messages], told))
        result.complaints += row.check(stage)
        result.in_flight = stage.in_flight()
        result.complaints += result.account.violations(
            Allowed(row.may_answer_twice, row.may_be_suspected, result.in_flight)
        )
        if orders.logs is not None and result.complaints:
            _keep_logs(stage, orders.logs)
    result.seconds = time.monotonic() - begun
    return result


def _complain(error: Exception, result: Result, stage: Stage, orders: Orders) -> None:
    result.complaints.append(str(error))
    if orders.logs is not None:  # now: it may have healed by the end
        standstill.write(stage, orders.logs)


def _strike_again_and_again(row: Row, stage: Stage, result: Result, scale: float, chance: random.Random) -> float:
    """When the last fault was healed (monotonic seconds)."""
    portion = max(1, round(row.tasks * scale / (result.rounds + 1)))
    for stage.round in range(1, result.rounds + 1):
        stage.feed(portion, row.spread)
        _wait_for_progress(stage)
        stage.pause(chance.uniform(0, LONGEST_HESITATION))
        row.strike(stage, chance)
        healed = time.monotonic()
        took = _wait_for_progress(stage)
        if took is not None:
            result.first = max(took, result.first or 0.0)
        elif not stage.seems_over():
            raise TimeoutError(f"nothing moved for {stage.patience:.0f} s after round {stage.round}")
    stage.feed(portion, 0.0)
    return healed


def _wait_for_progress(stage: Stage) -> float | None:
    """Seconds until something is created or answered; None when nothing was for long, or nothing is to do."""
    begun, before = time.monotonic(), stage.progress()
    if stage.wait_for(lambda: _moved(before, stage.progress()) or stage.seems_over(), stage.patience):
        return time.monotonic() - begun if _moved(before, stage.progress()) else None
    return None


def _moved(before: tuple[int, int | None], now: tuple[int, int | None]) -> bool:
    return now[0] > before[0] or (now[1] is not None and now[1] > (before[1] or 0))


def _keep_logs(stage: Stage, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, worker in enumerate(stage.workers):
        (folder / f"{stage.spec.name}-{number}.log").write_text(worker.output())
