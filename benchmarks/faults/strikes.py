"""Strikes made of the portal's own faults: what goes wrong with which calls, how often, while more tasks come."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.faults.row import Strike
from benchmarks.faults.stage import Stage
from benchmarks.faults.stage_spec import AT_MOST_ONCE
from sandbox.faults import Fault, Injection

Params = Mapping[str, Any]

FURTHER_TASKS = 20
FURTHER_SPREAD = 0.5  # seconds
PATIENCE = 20.0  # seconds in which every fault must have met its calls
_CONNECTED = "rabbitmq.connected"  # the log's event


@dataclass(frozen=True, slots=True)
class Blow:
    """A fault for calls of `method` (alone or inside a batch) whose parameters `match`.

    `count`: so many calls, all of which the strike waits for; None: those of the whole strike, one at least.
    """

    fault: Fault
    method: str
    count: int | None = None
    probability: float = 1.0
    match: Callable[[Params], bool] | None = None


def striking(*blows: Blow, seconds: float = 1.0) -> Strike:
    """All `blows` together for `seconds`, or longer if one of them has not met its calls by then."""
    return partial(strike_with, blows, seconds)


def in_turn(*strikes: Strike) -> Strike:
    """One after another: of two faults for the same call only the first would be felt."""

    def strike(stage: Stage, chance: random.Random) -> None:
        for each in strikes:
            each(stage, chance)

    return strike


def strike_with(blows: Sequence[Blow], seconds: float, stage: Stage, _chance: random.Random) -> None:
    """Tasks come until every fault has met its calls. Raises TimeoutError when one does not: it would prove nothing."""
    with armed(stage, *blows) as injections:
        stage.feed(FURTHER_TASKS, FURTHER_SPREAD)
        stage.pause(seconds)
        for _ in range(round(PATIENCE / FURTHER_SPREAD)):
            if all(each.hits >= (blow.count or 1) for blow, each in zip(blows, injections, strict=True)):
                return
            stage.feed(FURTHER_TASKS // 2, FURTHER_SPREAD)
            stage.pause(FURTHER_SPREAD)
        idle = [blow.method for blow, each in zip(blows, injections, strict=True) if each.hits < (blow.count or 1)]
        raise TimeoutError(f"no call met the fault of {', '.join(idle)}")


@contextmanager
def armed(stage: Stage, *blows: Blow) -> Iterator[list[Injection]]:
    """The faults are there within the block, and none of anybody's after it."""
    injections: list[Injection] = []
    try:
        injections += [
            stage.target.server.inject(
                blow.fault, blow.method, count=blow.count, probability=blow.probability, match=blow.match
            )
            for blow in blows
        ]
        yield injections
    finally:
        if stage.target.at_once:
            # Executed, and the worker was not told: with a system that recognises no repetition, a doubt each. Where
            # doubts are told, also what was not executed: the worker cannot know.
            is_told = stage.spec.promise == AT_MOST_ONCE
            doubtful = [each for each in injections if is_told or each.fault.after_execution or each.fault.delay]
            stage.in_doubt += sum(each.hits for each in doubtful)
        stage.target.server.clear_faults()


def cut_and_come_back(stage: Stage, timeout: float) -> None:
    """Reset all connections; end when the consumer and the publisher are back. Raises TimeoutError.

    Those of trackers and of looks at queues come and go, so the proxy cannot tell.
    """
    connected = stage.worker.output().count(_CONNECTED)
    stage.proxy.cut()
    if not stage.wait_for(lambda: stage.worker.output().count(_CONNECTED) >= connected + 2, timeout):
        raise TimeoutError("the worker did not come back")


def wait_for_hits(stage: Stage, injection: Injection, hits: int) -> None:
    """Raises TimeoutError unless the fault meets so many calls."""
    if not stage.wait_for(lambda: injection.hits >= hits, PATIENCE):
        raise TimeoutError(f"only {injection.hits} of {hits} calls met the fault")
