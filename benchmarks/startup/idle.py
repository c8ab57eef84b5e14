"""What the daemon needs when there is nothing to do: connected, its tracker following open tasks."""

from __future__ import annotations

import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from benchmarks.create.backlog import SENT_QUEUE, fill
from benchmarks.create.contest import DEFAULTS
from benchmarks.measure import usage
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from sandbox.rabbitmq import RabbitNode
from testbench.daemon import Daemon

OPEN_TASKS = 200  # that nobody finishes: they have warmed it up, and the tracker asks about them
WARM_UP = 5.0  # seconds
TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class Idle:
    """`cpu` as a share of one core, `memory` in bytes as of the end, `requests` to the portal in that time."""

    seconds: float
    cpu: float
    memory: int
    threads: int
    descriptors: int
    requests: int


def idle(node: RabbitNode, seconds: float) -> Idle:
    """Default settings; with `seconds` above HEARTBEAT_INTERVAL (60) a sweep and a heartbeat fall into the time."""
    vhost = node.add_vhost(uuid.uuid4().hex)
    with tempfile.TemporaryDirectory(prefix="task-creator-startup-") as folder, BitrixSandbox() as portal:
        fill(vhost, OPEN_TASKS)
        with Daemon(vhost, Path(folder), {**DEFAULTS, "BITRIX_WEBHOOK_URL": portal.webhook_url}) as daemon:
            Broker(vhost).wait_for_count(SENT_QUEUE, OPEN_TASKS, TIMEOUT)
            time.sleep(WARM_UP)
            pid, requests = daemon.pid, portal.requests.http
            before, began = usage(pid), time.monotonic()
            time.sleep(seconds)
            after, took = usage(pid), time.monotonic() - began
            requests = portal.requests.http - requests
            daemon.stop()
    node.delete_vhost(vhost.vhost)
    cpu = (after.cpu_seconds - before.cpu_seconds) / took
    return Idle(took, cpu, after.memory, after.threads, after.descriptors, requests)
