"""One turn: a portal, a backlog, a process that creates the tasks; measured and counted from outside the process."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.create.backlog import ERRORS_QUEUE, SENT_QUEUE, fill
from benchmarks.measure import usage
from sandbox.bitrix24 import STANDARD_RATE, BitrixSandbox, RateLimit, faults
from sandbox.broker_view import Broker
from sandbox.rabbitmq import RabbitNode
from testbench.daemon import Daemon

FIRST_REQUEST_TIMEOUT = 60.0
LOOK = 0.02  # seconds between two looks at the portal
WITHOUT_LIMIT = 100_000.0  # requests per second and at once: the daemon's own limiter is out of the way

# What tests set for their own purposes goes back to the defaults: an empty value counts as not set.
DEFAULTS = dict.fromkeys(
    (
        "HEARTBEAT_INTERVAL",
        "PROBE_INTERVAL",
        "RETRY_DELAY",
        "RABBITMQ_HEARTBEAT",
        "RABBITMQ_RECONNECT_MAX_DELAY",
        "BITRIX_AMBIGUOUS_WAIT",
    ),
    "",
)


@dataclass(frozen=True, slots=True)
class Shape:
    """`time_scale` times the published limit, at the portal and at its client; None: no limit.

    `latency` is in seconds per request, `creation` in seconds per task created in it: a real portal needs both.
    """

    tasks: int
    time_scale: float | None = None
    latency: float = 0.0
    creation: float = 0.0
    concurrency: int = 4


@dataclass(frozen=True, slots=True)
class Score:
    """Of one turn. `seconds` from the first request to the last creation, `requests` of any kind, `busy` the share of
    the time in which each of the configured threads had a request at the portal, `cpu` in seconds per 1,000 tasks,
    `memory` in bytes at the worst."""

    tasks: int
    seconds: float
    requests: int
    refused: int
    created_twice: int
    missing: int
    stored: int  # results in the sent queue
    in_error_queue: int
    busy: float
    cpu: float
    memory: int

    @property
    def rate(self) -> float:
        """Tasks per second."""
        return self.tasks / self.seconds

    @property
    def per_request(self) -> float:
        return self.tasks / self.requests

    @property
    def is_right(self) -> bool:
        """Every task was created once, and its result is in the sent queue once."""
        return not (self.created_twice or self.missing or self.in_error_queue) and self.stored == self.tasks


def daemon_turn(node: RabbitNode, shape: Shape) -> Score:
    """The real daemon with its default settings."""
    return _turn(node, shape, ())


def rival_turn(node: RabbitNode, shape: Shape) -> Score:
    """One request for each task."""
    rate = _rate(shape)
    bucket = (str(rate.drain), str(int(rate.capacity)))
    return _turn(node, shape, ("-m", "benchmarks.create.rival", *bucket))


def _turn(node: RabbitNode, shape: Shape, arguments: tuple[str, ...]) -> Score:
    vhost = node.add_vhost(uuid.uuid4().hex)
    limit = None if shape.time_scale is None else STANDARD_RATE
    with (
        tempfile.TemporaryDirectory(prefix="task-creator-create-") as folder,
        BitrixSandbox(rate=limit, time_scale=shape.time_scale or 1.0, latency=shape.latency) as portal,
    ):
        if shape.creation:
            portal.inject(faults.delay(shape.creation), "tasks.task.add", count=None)
        keys = fill(vhost, shape.tasks)
        with Daemon(vhost, Path(folder), _variables(portal, shape), arguments=arguments) as process:
            began = _moment(lambda: portal.requests.http > 0, FIRST_REQUEST_TIMEOUT)
            seconds = _moment(lambda: portal.task_count >= shape.tasks, _longest(shape)) - began
            counts = portal.requests
            broker = Broker(vhost)
            broker.wait_for_at_least(SENT_QUEUE, shape.tasks, timeout=120)
            stored = broker.count(SENT_QUEUE)
            used = usage(process.pid)
        created = portal.tasks_by_key()
        score = Score(
            tasks=shape.tasks,
            seconds=seconds,
            requests=counts.http,
            refused=counts.limited,
            created_twice=sum(len(ids) > 1 for ids in created.values()),
            missing=len(keys - created.keys()),
            stored=stored,
            in_error_queue=broker.count(ERRORS_QUEUE),
            busy=counts.seconds / (seconds * shape.concurrency),
            cpu=used.cpu_seconds / shape.tasks * 1000,
            memory=used.peak_memory,
        )
    node.delete_vhost(vhost.vhost)
    return score


def _moment(come: Callable[[], bool], timeout: float) -> float:
    """When it had come true (monotonic seconds). Looks now and then: the portal's own waiting wakes up at every call,
    and that would be measured, too. Raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while not come():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {timeout:.0f} s")
        time.sleep(LOOK)
    return time.monotonic()


def _variables(portal: BitrixSandbox, shape: Shape) -> Mapping[str, str]:
    rate = _rate(shape)
    return {
        **DEFAULTS,
        "BITRIX_WEBHOOK_URL": portal.webhook_url,
        "BITRIX_RATE_LIMIT_PER_SECOND": str(rate.drain),
        "BITRIX_RATE_LIMIT_BURST": str(int(rate.capacity)),
        "CONCURRENCY": str(shape.concurrency),
    }


def _rate(shape: Shape) -> RateLimit:
    if shape.time_scale is None:
        return RateLimit(WITHOUT_LIMIT, WITHOUT_LIMIT)
    return RateLimit(STANDARD_RATE.capacity, STANDARD_RATE.drain * shape.time_scale)


def _longest(shape: Shape) -> float:
    """Seconds after which a turn has failed: twice what one request for each task would take."""
    return 120 + 2 * shape.tasks * max(1 / _rate(shape).drain, shape.latency + shape.creation)
