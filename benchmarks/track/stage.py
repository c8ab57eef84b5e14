"""One measurement: a stock of open tasks, a tracker process, people who finish tasks, and what that costs."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from benchmarks.measure import usage
from benchmarks.track.broker_view import BrokerView, Session
from benchmarks.track.responses import Responses
from benchmarks.track.stock import create_tasks, declare_queues, store
from sandbox.bitrix24 import BitrixSandbox
from sandbox.rabbitmq import RabbitNode
from testbench.daemon import Daemon
from testbench.harness import Bench

OURS = "Task Creator"
ORIGIN = "the origin's design"

_PATIENCE = 900.0  # seconds that one cycle may take
_SPREAD = 0.6  # of the interval, in which people finish the tasks of one cycle
_NEVER = "1000000"  # seconds until a full sweep that no measurement waits for


@dataclass(frozen=True, slots=True)
class Shape:
    """What is followed: `open` tasks in a queue of `queue_type`; `headers` False: messages of the origin."""

    open: int
    queue_type: str = "classic"
    headers: bool = True

    @property
    def name(self) -> str:
        return f"{self.open:,} {self.queue_type}{'' if self.headers else ', no headers'}"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one cycle on average, but for `peak_memory` (bytes) and what became of the finished tasks (seconds)."""

    requests: float
    seconds: float
    cpu: float
    moved: float
    peak_memory: int
    cycles: int
    finished: int = 0
    answered: int = 0
    latencies: Sequence[float] = field(default=(), repr=False)

    @property
    def latency(self) -> tuple[float, float] | None:
        """Median and longest, of those that were answered."""
        return (median(self.latencies), max(self.latencies)) if self.latencies else None


class Stage:
    """`interval` seconds between cycles."""

    def __init__(self, node: RabbitNode, portal: BitrixSandbox, shape: Shape, interval: float, folder: Path) -> None:
        self.address = node.address
        self.portal = portal
        self.broker = BrokerView(node)
        self.finished: dict[str, float] = {}  # Camunda task id -> when a person finished it (monotonic)
        self._interval = interval
        self._folder = folder
        declare_queues(self.address, shape.queue_type)
        self._open = create_tasks(portal, shape.open, keyed=shape.headers)
        with Bench(self.address).running() as bench:
            store(bench.publisher, self._open, headers=shape.headers)
        random.Random(shape.open).shuffle(self._open)

    @contextlib.contextmanager
    def tracker(self, name: str) -> Iterator[Tracker]:
        """A new process of ours or of the origin's design; killed at the end."""
        variables = {
            "BITRIX_WEBHOOK_URL": self.portal.webhook_url,
            "HEARTBEAT_INTERVAL": str(self._interval),
            "TRACKER_FULL_SWEEP_INTERVAL": _NEVER,
            "RABBITMQ_HEARTBEAT": "30",
        }
        origin = ("-m", "benchmarks.track.origin", str(self._interval), self.portal.webhook_url)
        daemon = Daemon(self.address, self._folder / name, variables, arguments=() if name == OURS else origin)
        with Responses(self.address) as responses:
            start = _Sample(0.0, self.portal.requests.http, self.broker.moved(), responses.count)
            cycles = len(self.broker.sessions())
            with daemon:
                self.portal.wait_until(lambda portal: portal.requests.http > start.requests, timeout=_PATIENCE)
                pid = daemon.pid
                start.cpu = usage(pid).cpu_seconds  # what the start of the process costs is another benchmark's matter
                yield Tracker(self, responses, pid, start, cycles)

    def finish(self, count: int) -> None:
        """People finish `count` tasks, spread evenly over a part of the interval."""
        pause = _SPREAD * self._interval / max(1, count)
        began = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, began + number * pause - time.monotonic()))
            task = self._open.pop()
            self.portal.finish(task.bitrix_id)
            self.finished[task.task_id] = time.monotonic()


@dataclass(slots=True)
class _Sample:
    cpu: float
    requests: int
    moved: int
    responses: int


class Tracker:
    """A running tracker process, measured from cycle to cycle."""

    def __init__(self, stage: Stage, responses: Responses, pid: int, start: _Sample, cycles: int) -> None:
        self._stage = stage
        self._responses = responses
        self._pid = pid
        self._start = start
        self._cycles = cycles  # seen to their end

    def first_cycle(self) -> Cost:
        """The cycle at the start of the process."""
        return self._cost(self._start, self._await_cycle())

    def cycles(self, count: int, *, finishing: int) -> Cost:
        """`count` cycles, in the interval before each of which people finish that many tasks.

        What was finished too late for the last one is given four more cycles, which do not count: one may have begun
        before the finishing, and a busy machine may lengthen the next. Two were too few: they made 184 to 197 of 200
        on 4.0 and 4.3, and the rest came later.
        """
        start, known = self._sample(), set(self._stage.finished)
        sessions: list[Session] = []
        for _ in range(count):
            self._stage.finish(finishing)
            sessions += self._await_cycle()
        cost = self._cost(start, sessions)
        finished = self._stage.finished.keys() - known
        for _ in range(4):
            if not finished <= self._responses.came.keys():
                self._await_cycle()
        came = [at - self._stage.finished[each] for each, at in self._responses.came.items() if each in finished]
        return replace(cost, finished=len(finished), answered=len(came), latencies=came)

    def _await_cycle(self) -> list[Session]:
        sessions = self._stage.broker.wait_for_sessions(self._cycles + 1, _PATIENCE)
        new = sessions[self._cycles :]
        self._cycles = len(sessions)
        return new

    def _sample(self) -> _Sample:
        cpu = usage(self._pid).cpu_seconds
        return _Sample(cpu, self._stage.portal.requests.http, self._stage.broker.moved(), self._responses.count)

    def _cost(self, start: _Sample, sessions: Sequence[Session]) -> Cost:
        end, cycles = self._sample(), len(sessions)
        taken_by_us = end.responses - start.responses
        return Cost(
            requests=(end.requests - start.requests) / cycles,
            seconds=sum(session.seconds for session in sessions) / cycles,
            cpu=(end.cpu - start.cpu) / cycles,
            moved=(end.moved - start.moved - taken_by_us) / cycles,
            peak_memory=usage(self._pid).peak_memory,
            cycles=cycles,
        )
