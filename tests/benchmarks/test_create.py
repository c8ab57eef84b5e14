"""The benchmark of creation counts what it says: it would prove nothing if it could not see a fault."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

from benchmarks.create import report
from benchmarks.create.contest import Score, Shape, daemon_turn, rival_turn
from sandbox.process import ROOT
from sandbox.rabbitmq import RabbitNode

GOOD = Score(
    tasks=1000,
    seconds=2.0,
    requests=22,
    refused=0,
    created_twice=0,
    missing=0,
    stored=1000,
    in_error_queue=0,
    busy=0.95,
    cpu=0.5,
    memory=60 * 2**20,
)
SLOW = dataclasses.replace(GOOD, requests=1000, seconds=100.0)


def results(ours: Score) -> report.Results:
    free = Shape(1000, latency=0.1)
    return report.Results(Shape(1000, 5.0), {report.OURS: [ours], report.RIVAL: [SLOW]}, {free: [ours]}, rounds=1)


def missed(ours: Score) -> list[str]:
    return [verdict.text for verdict in report.verdicts(results(ours)) if not verdict.kept]


def test_a_good_run_keeps_every_target() -> None:
    assert missed(GOOD) == []


def test_each_target_can_be_missed() -> None:
    for wrong in ({"created_twice": 1}, {"missing": 1}, {"stored": 999}, {"in_error_queue": 1}):
        assert missed(dataclasses.replace(GOOD, **wrong)) == ["every task created once and its result stored once"]
    assert "tasks per request" in missed(dataclasses.replace(GOOD, requests=26))[0]
    assert "refused" in missed(dataclasses.replace(GOOD, refused=1))[0]
    assert "rate of one request per task" in missed(dataclasses.replace(GOOD, seconds=10.0))[0]
    assert "busy" in missed(dataclasses.replace(GOOD, busy=0.89))[0]


def test_the_daemon_and_its_rival_create_every_task_of_a_backlog_once(node: RabbitNode) -> None:
    shape = Shape(tasks=120, time_scale=50.0)
    ours, rival = daemon_turn(node, shape), rival_turn(node, shape)
    assert ours.is_right
    assert rival.is_right
    assert rival.requests == 120
    assert ours.requests < 20
    assert (ours.refused, ours.busy > 0) == (0, True)


def test_the_programs_explain_themselves() -> None:
    for name in ("create", "startup"):
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", "--help"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "--record" in done.stdout
