"""Invariant 8: no thread ends silently; what dies is started again and the work goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pydantic import SecretStr

from assembly.worker import Worker
from config import Settings, WorkerSettings
from consumers.bitrix import BitrixTaskHandler, BitrixTaskTracker
from consumers.bitrix.config import BitrixSettings
from journal.settings import JournalSettings
from runtime.alert_settings import AlertSettings
from runtime.lifecycle import StopSignals
from runtime.systemd import Notifier
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from testbench.harness import camunda_message, rabbitmq_settings, wait_until

QUEUE = "bitrix24.queue"
SENT = "bitrix24.sent.queue"
RESPONSES = "camunda.responses.queue"
NAMES = [
    *(f"{QUEUE}-0", f"{QUEUE}-1", f"{QUEUE}-settling", "journal", "queue-depths"),
    *("rabbitmq-consumer", "rabbitmq-publisher", f"tracker-{SENT}"),
]


@pytest.fixture
def portal() -> Iterator[BitrixSandbox]:
    with BitrixSandbox() as portal:
        yield portal


@pytest.fixture
def worker(vhost: BrokerAddress, portal: BitrixSandbox, tmp_path: Path) -> Iterator[Worker]:
    bitrix = BitrixSettings(webhook_url=SecretStr(portal.webhook_url), rate_limit_per_second=1000, ambiguous_wait=1)
    settings = Settings(
        rabbitmq_settings(vhost),
        WorkerSettings(heartbeat_interval=0.5, log_dir=tmp_path, state_dir=tmp_path, concurrency=1),
        {BitrixSettings: bitrix, AlertSettings: AlertSettings(), JournalSettings: JournalSettings(state_dir=tmp_path)},
    )
    worker = Worker(settings, {QUEUE: BitrixTaskHandler}, {SENT: BitrixTaskTracker})
    signals = StopSignals()
    running = threading.Thread(target=worker.run, args=(signals, Notifier()))
    running.start()
    yield worker
    signals.count = 1
    running.join(30)
    signals.close()


def end_this_thread() -> NoReturn:
    raise SystemExit("killed by the test")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_thread_is_replaced_and_the_loop_still_closes(
    worker: Worker, broker: Broker, portal: BitrixSandbox, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    wait_until(lambda: worker.publisher.is_ready() and worker.consumer.is_consuming(), what="the start")
    expected = 1
    victim = next(thread for thread in threading.enumerate() if thread.name == name)
    if name == "rabbitmq-consumer":
        worker.consumer._thread.call(end_this_thread)
    elif name == "rabbitmq-publisher":
        worker.publisher._thread.call(end_this_thread)
    elif name.startswith("tracker"):
        worker.tracker_threads[SENT].__dict__["_sweep_once"] = end_this_thread
    elif name == "queue-depths":
        worker.depths.__dict__["_look"] = end_this_thread
    elif name == "journal":
        worker.journal.__dict__["_gather"] = end_this_thread
        while victim.is_alive():  # it may be gathering already
            broker.publish(QUEUE, camunda_message(f"told-{expected}"))
            expected += 1
            victim.join(1)
    elif name.endswith("settling"):
        worker.processors[QUEUE].confirmations.put(lambda _confirmed: end_this_thread(), Future())
    else:
        process = worker.processors[QUEUE]._process

        def die_or_process(*arguments: Any) -> None:
            if threading.current_thread().name == name:
                end_this_thread()
            process(*arguments)

        worker.processors[QUEUE].__dict__["_process"] = die_or_process
        while victim.is_alive():  # the other thread may be quicker
            broker.publish(QUEUE, camunda_message(f"held-{expected}"))
            expected += 1  # what the dead thread held is not stuck with it
            victim.join(1)
    victim.join(30)
    assert not victim.is_alive()
    worker.tracker_threads[SENT].__dict__.pop("_sweep_once", None)
    worker.journal.__dict__.pop("_gather", None)
    worker.depths.__dict__.pop("_look", None)
    worker.processors[QUEUE].__dict__.pop("_process", None)

    broker.publish(QUEUE, camunda_message("task-1"))
    wait_until(lambda: portal.task_count == expected, what="the task")
    for task in portal.tasks:
        portal.finish(int(task["ID"]))
    broker.wait_for_at_least(RESPONSES, expected)
    wait_until(lambda: "thread.died" in events_of(caplog), what="the report of a dead thread")
    wait_until(lambda: events_of(caplog).count("task.accepted") == expected, what="the ack of every task")


def events_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [getattr(record, "event", "") for record in caplog.records]


def test_every_thread_of_the_worker_has_a_name(worker: Worker) -> None:
    wait_until(worker.publisher.is_ready, what="the start")

    def ours() -> list[str]:
        threads = threading.enumerate()
        return sorted(each.name for each in threads if each.name.startswith(tuple(NAMES)))

    wait_until(lambda: ours() == NAMES, what="all of them")  # the publisher may be ready before the last is started
