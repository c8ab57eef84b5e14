"""The worker as one object in the test's own process: built from an environment, running in a thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from assembly.startup import Startup, read_configuration
from assembly.worker import Worker
from runtime.lifecycle import StopSignals
from runtime.systemd import Notifier
from testbench.harness import wait_until

QUICK = {
    "HEARTBEAT_INTERVAL": "0.5",
    "PROBE_INTERVAL": "0.2",
    "RETRY_DELAY": "0.2",
    "RABBITMQ_HEARTBEAT": "5",
    "RABBITMQ_RECONNECT_MAX_DELAY": "1",
}


def startup(variables: Mapping[str, str], folder: Path) -> Startup:
    places = {"STATE_DIR": str(folder / "state"), "LOG_DIR": str(folder / "logs")}
    return read_configuration({**QUICK, **places, **variables}, folder / "no.env")


@contextlib.contextmanager
def running(worker: Worker) -> Iterator[Worker]:
    """The worker consumes when this begins, and has ended in order when it is left."""
    signals = StopSignals()
    thread = threading.Thread(target=worker.run, args=(signals, Notifier()))
    thread.start()
    try:
        wait_until(lambda: worker.publisher.is_ready() and worker.consumer.is_consuming(), what="the start")
        yield worker
    finally:
        signals.count = 1
        thread.join(60)
        signals.close()
    assert not thread.is_alive()
