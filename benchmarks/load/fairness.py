"""Six queues, one with a backlog, one slow, one down: what do the others notice?"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.load import bystander
from benchmarks.load.bystander import Bystander
from benchmarks.load.traffic import Probes, publish_backlog, sent_queue
from benchmarks.measure import usage
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from testbench.daemon import Daemon

BACKLOG, DOWN = "backlog.queue", "down.queue"
HANDLERS = {
    "quick.queue": "QuickHandler",
    "second.queue": "QuickHandler",
    "steady.queue": "SteadyHandler",
    "slow.queue": "SlowHandler",
    DOWN: "DownHandler",
}
BACKLOGS = {"that is answered at once": "QuickHandler", "for a system that takes 5 ms": "NearbyHandler"}
# tasks per second
RATES = {bystander.QUEUE: 40.0, "quick.queue": 40.0, "second.queue": 40.0, "steady.queue": 20.0, "slow.queue": 0.5}
WAITING = 1000  # messages for the system that is down
DRAIN_TIMEOUT = 600.0  # seconds


@dataclass(slots=True)
class FairnessResult:
    """Latencies in seconds by queue, over all rounds; `drained` are the seconds that the backlog took, per round."""

    system: str  # one of BACKLOGS
    backlog: int
    idle: dict[str, list[float]] = field(default_factory=lambda: {queue: [] for queue in RATES})
    loaded: dict[str, list[float]] = field(default_factory=lambda: {queue: [] for queue in RATES})
    drained: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # seconds of the worker, per loaded round


def worker_variables(handlers: Mapping[str, str], **changes: str) -> dict[str, str]:
    """The daemon's own defaults, with these handlers only."""
    entries: dict[str, Any] = {
        queue: {"module": "benchmarks.load.handlers", "handler_class": name} for queue, name in handlers.items()
    }
    return {
        "QUEUE_HANDLERS": json.dumps({"bitrix24.queue": None, **entries}),
        "HEARTBEAT_INTERVAL": "60",
        "PROBE_INTERVAL": "1",
        "RABBITMQ_HEARTBEAT": "30",
        **changes,
    }


def measure(address: BrokerAddress, system: str, *, backlog: int, rounds: int, idle_seconds: float) -> FairnessResult:
    """Alternates an idle and a loaded run, each with a worker of its own, on a virtual host of its own."""
    broker = Broker(address)
    result = FairnessResult(system, backlog)
    handlers = {**HANDLERS, BACKLOG: BACKLOGS[system]}
    for queue in (*handlers, bystander.QUEUE):
        broker.declare(queue)
        broker.declare(sent_queue(queue))
    publish_backlog(address, DOWN, WAITING)
    for number in range(rounds):
        with _probed(address, handlers, f"idle-{number}") as (_, probes):
            time.sleep(idle_seconds)
        _collect(probes, result.idle)
        publish_backlog(address, BACKLOG, backlog)
        with _probed(address, handlers, f"load-{number}") as (worker, probes):
            started, before = time.monotonic(), usage(worker.pid).cpu_seconds
            broker.wait_for_count(sent_queue(BACKLOG), backlog, DRAIN_TIMEOUT)
            result.drained.append(time.monotonic() - started)
            result.cpu.append(usage(worker.pid).cpu_seconds - before)
        _collect(probes, result.loaded)
        with broker.channel() as channel:
            channel.queue_purge(sent_queue(BACKLOG))
    broker.wait_for_count(DOWN, WAITING)  # an outage of any length spends and loses nothing
    return result


@contextlib.contextmanager
def _probed(address: BrokerAddress, handlers: Mapping[str, str], name: str) -> Iterator[tuple[Daemon, Probes]]:
    """A worker that has just started to consume, with probes running against it; both end with the block."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Bystander(address),
        Daemon(address, Path(folder), worker_variables(handlers)) as daemon,
    ):
        with Probes(address, {"quick.queue": 20.0}, f"{name}-warm-up") as warm_up:
            while not warm_up.latencies["quick.queue"]:
                time.sleep(0.05)
            warm_up.finish(60)
        with Probes(address, RATES, name) as probes:
            yield daemon, probes
            probes.finish(60)
        if daemon.stop() != 0:
            raise RuntimeError(f"the worker did not end in order:\n{daemon.output()[-2000:]}")


def _collect(probes: Probes, into: dict[str, list[float]]) -> None:
    for queue, latencies in probes.latencies.items():
        into[queue] += latencies
