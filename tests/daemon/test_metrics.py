"""A live worker's metrics after faults, held against the queues, the portal and the statistics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assembly.worker import Worker
from base_handler import BaseMessageHandler
from core.errors import (
    AmbiguousError,
    BusinessError,
    ConfigurationError,
    OutageError,
    OutcomeError,
    PartialOutageError,
    PermanentError,
    TransientError,
)
from core.messages import IncomingMessage
from core.results import Accepted, Done, Rerouted, Result
from journal.settings import FILE
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox, faults
from sandbox.broker_view import Broker
from sandbox.prometheus import Promtool
from sandbox.proxy import TcpProxy
from testbench.harness import ERRORS, RESPONSES, camunda_message, wait_until
from tests.daemon.test_bitrix import QUEUE, SENT, finish_all
from tests.journal.support import rows
from tests.support.figures import Figures
from tests.support.live_worker import running, startup

SYSTEM = "bitrix24"
PROCESSED = "task_creator_messages_processed_total"
MESSAGE_ERRORS = "task_creator_message_errors_total"


@pytest.fixture
def portal() -> Iterator[BitrixSandbox]:
    with BitrixSandbox() as portal:
        yield portal


@pytest.fixture
def worker(vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path) -> Iterator[Worker]:
    for queue in (QUEUE, SENT, ERRORS, RESPONSES):
        broker.declare(queue)
    variables = {
        **vhost.environment(),
        "BITRIX_WEBHOOK_URL": portal.webhook_url,
        "BITRIX_AMBIGUOUS_WAIT": "0.5",
        "BITRIX_RATE_LIMIT_PER_SECOND": "1000",
        "BITRIX_RATE_LIMIT_BURST": "1000",
        "HEARTBEAT_INTERVAL": "2",  # a busy machine needs most of a second for two looks
    }
    made = startup(variables, tmp_path)
    with running(Worker(made.settings, made.handlers, made.trackers)) as worker:
        yield worker


def look(worker: Worker) -> Figures:
    return Figures(worker.metrics.exposition())


def shows(worker: Worker, holds: Callable[[Figures], bool], what: str) -> Figures:
    wait_until(lambda: holds(look(worker)), 60, what)
    return look(worker)


def results(figures: Figures, system: str = SYSTEM) -> dict[str, float]:
    return {each["result"]: value for each, value in figures.of(PROCESSED, system=system) if value}


def errors(figures: Figures) -> dict[tuple[str, ...], float]:
    shown = figures.of(MESSAGE_ERRORS, system=SYSTEM)
    return {(each["stage"], each["class"], each["code"]): value for each, value in shown if value}


def counted(stats: dict[str, Any]) -> dict[str, Any]:
    """The statistics without what changes by itself: times, and the systems' own figures."""
    left_out = ("uptime_seconds", "last_check", "api")
    return {
        name: counted(value) if isinstance(value, dict) else value
        for name, value in stats.items()
        if name not in left_out
    }


def agrees_with_the_statistics(worker: Worker) -> None:
    """Every figure of the specification, at a moment at which nothing moves."""
    seen: list[tuple[dict[str, Any], Figures, dict[str, Any]]] = []

    def stands_still() -> bool:
        seen.append((counted(worker.get_stats()), look(worker), counted(worker.get_stats())))
        before, _, after = seen[-1]
        return before == after

    try:
        wait_until(stands_still, 60, "a moment without a sweep")
    except TimeoutError as error:
        before, _, after = seen[-1]
        pytest.fail(f"{error}: at the end {before} became {after}")
    stats, figures, _ = seen[-1]
    processed = sum(figures.total(PROCESSED, result=result) for result in ("accepted", "done", "duplicate"))
    assert figures.total("task_creator_messages_received_total") == stats["total_messages"]
    assert processed == stats["processed_messages"]
    # Also what spends no attempt is an error of its class: how often a system is down is a question that people ask.
    tries = stats["failed_messages"] + stats["postponed_messages"]
    assert figures.total(MESSAGE_ERRORS, stage="create") == tries
    assert figures.total("task_creator_results_total", result="stored") == stats["sent_to_success_queue"]
    assert figures.total("task_creator_results_total", result="failed") == stats["success_queue_failures"]
    assert figures.value("task_creator_success_queue_ratio") * 100 == stats["success_queue_rate"]
    for system, of_system in stats["systems"].items():
        if not of_system.get("total"):
            continue
        told = results(figures, system)
        assert told.get("duplicate", 0) == of_system["duplicates"]
        assert told.get("retry", 0) == of_system["retries"]
        assert told.get("failed", 0) + told.get("rejected", 0) == of_system["parked"]
        assert told.get("rerouted", 0) == of_system["rerouted"]
    assert figures.total("task_creator_publishes_total", result="confirmed") == stats["publisher"]["published"]
    failed = ("nacked", "returned", "unconfirmed")
    assert (
        sum(figures.total("task_creator_publishes_total", result=each) for each in failed)
        == stats["publisher"]["failed"]
    )
    for system, tracker in stats["trackers"].items():
        if "checked" in tracker:
            told = {
                "checked": figures.value("task_creator_tracker_checked_total", system=system),
                "completed": figures.value("task_creator_tasks_completed_total", system=system, via="poll"),
                "moved": figures.value("task_creator_tracker_moved_total", system=system),
                "errors": figures.value("task_creator_tracker_errors_total", system=system),
            }
            assert told == {name: tracker[name] for name in told}


def test_what_a_worker_has_done_is_what_its_metrics_tell(
    worker: Worker, broker: Broker, portal: BitrixSandbox, judge: Promtool
) -> None:
    earlier = int(time.time()) - 100
    broker.publish_all(QUEUE, [camunda_message(f"good-{number}") for number in range(20)], timestamp=earlier)
    broker.publish_all(QUEUE, ["{", "[]", camunda_message("odd", topic="bitrix_dance")])
    broker.wait_for_count(ERRORS, 3)
    figures = shows(worker, lambda seen: results(seen) == {"accepted": 20, "failed": 3}, "the results")

    assert figures.value("task_creator_ready") == 1
    assert figures.told("task_creator_rabbitmq_connected", "connection") == {"consumer": 1, "publisher": 1}
    assert figures.value("task_creator_messages_received_total", system=SYSTEM) == 23
    assert errors(figures) == {
        ("create", "permanent", "not_json"): 1,
        ("create", "permanent", "other"): 1,
        ("create", "permanent", "unknown_topic"): 1,
    }
    waits = "task_creator_message_queue_wait_seconds"
    assert figures.value(f"{waits}_count", system=SYSTEM) == 20, "the others bear no time"
    assert 20 * 99 < figures.value(f"{waits}_sum", system=SYSTEM) < 20 * 600
    assert figures.value("task_creator_message_process_duration_seconds_sum", system=SYSTEM, result="accepted") > 0
    assert figures.value("task_creator_publishes_total", queue=SENT, result="confirmed") == 20
    assert figures.value("task_creator_publishes_total", queue=ERRORS, result="confirmed") == 3
    assert figures.value("task_creator_messages_in_progress", system=SYSTEM) == 0
    assert figures.value("task_creator_circuit_breaker_open", system=SYSTEM, class_="outage") == 0

    shows(worker, lambda seen: seen.value("task_creator_tracked_tasks", system=SYSTEM) == 20, "the open tasks")
    finish_all(portal)
    broker.wait_for_count(RESPONSES, 20)
    figures = shows(worker, lambda seen: seen.value("task_creator_tracked_tasks", system=SYSTEM) == 0, "the end of all")
    assert figures.value("task_creator_tasks_completed_total", system=SYSTEM, via="poll") == 20
    assert figures.value("task_creator_task_lifetime_seconds_count", system=SYSTEM, outcome="completed") == 20
    assert figures.value("task_creator_tracker_calls_total", system=SYSTEM) > 0
    success = figures.value("task_creator_tracker_last_success_timestamp_seconds", system=SYSTEM)
    assert success > figures.value("task_creator_up_since_timestamp_seconds")
    asked = figures.total("task_creator_external_requests_total", system=SYSTEM)
    assert figures.total("task_creator_external_requests_total", system=SYSTEM, status="2xx") == asked
    assert asked <= portal.requests.http, "the portal has been asked since"
    wait_until(lambda: ((worker.journal and worker.journal.size()) or 0) > 0, 30, "the journal")
    assert look(worker).value("task_creator_journal_bytes") > 0
    agrees_with_the_statistics(worker)
    judgement = judge.check_metrics(worker.metrics.exposition())
    assert judgement.is_good, judgement.text


def test_an_outage_is_seen_while_it_lasts_and_spends_nothing(
    worker: Worker, broker: Broker, portal: BitrixSandbox
) -> None:
    portal.go_down()
    broker.publish_all(QUEUE, [camunda_message(f"task-{number}") for number in range(5)])
    figures = shows(
        worker,
        lambda seen: seen.value("task_creator_system_state", system=SYSTEM, state="down") == 1,
        "the outage",
    )
    assert figures.value("task_creator_circuit_breaker_open", system=SYSTEM, class_="outage") == 1
    assert figures.value("task_creator_circuit_breaker_open", system=SYSTEM, class_="configuration") == 0
    assert figures.value("task_creator_system_state", system=SYSTEM, state="ok") == 0
    assert figures.total("task_creator_external_requests_total", system=SYSTEM, status="connect") > 0
    assert errors(figures).keys() <= {("create", "outage", "unreachable")}
    portal.come_back()
    broker.wait_for_count(SENT, 5)
    figures = shows(worker, lambda seen: results(seen).get("accepted") == 5, "all tasks")
    assert figures.value("task_creator_system_state", system=SYSTEM, state="ok") == 1
    assert figures.total("task_creator_circuit_breaker_open") == 0
    # One that was delivered while the intake stopped comes back redelivered, and then waits as a doubt.
    assert results(figures).keys() - {"retry"} == {"accepted", "paused"}
    assert figures.total("task_creator_message_retries_total", class_="transient") == 0
    agrees_with_the_statistics(worker)


def test_wrong_credentials_are_told_apart_from_an_outage(
    worker: Worker, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    portal.revoke_webhook()
    broker.publish(QUEUE, camunda_message("task-1"))
    figures = shows(
        worker,
        lambda seen: seen.value("task_creator_circuit_breaker_open", system=SYSTEM, class_="configuration") == 1,
        "the pause",
    )
    assert figures.value("task_creator_system_state", system=SYSTEM, state="down") == 1
    assert figures.total("task_creator_external_requests_total", system=SYSTEM, status="4xx") > 0
    assert portal.webhook_token.encode() not in worker.metrics.exposition()
    journal = tmp_path / "state" / FILE
    told = "select system from occurrence where code = 'alert.raised'"
    there_is = "select count(*) from sqlite_master where name = 'occurrence'"
    wait_until(lambda: journal.exists() and rows(journal, there_is) == [(1,)], 30, "the journal")
    wait_until(lambda: rows(journal, told) == [(SYSTEM,)], 30, "the alert in the journal")
    portal.restore_webhook()
    broker.wait_for_count(SENT, 1)


def test_a_request_without_an_answer_and_a_task_that_was_there_are_told_apart(
    worker: Worker, broker: Broker, portal: BitrixSandbox
) -> None:
    portal.inject(faults.reset(after_execution=True), "tasks.task.add")
    broker.publish(QUEUE, camunda_message("task-1"))
    figures = shows(worker, lambda seen: results(seen) == {"accepted": 1}, "the task")
    dropped = {"system": SYSTEM, "operation": "write", "status": "dropped"}
    assert figures.value("task_creator_external_requests_total", **dropped) == 1
    broker.publish(QUEUE, camunda_message("task-1"))
    figures = shows(worker, lambda seen: results(seen) == {"accepted": 1, "duplicate": 1}, "the same task")
    assert figures.value("task_creator_external_requests_total", **dropped) == 1
    assert len(portal.tasks) == 1
    assert errors(figures) == {}
    agrees_with_the_statistics(worker)


def test_a_deleted_task_is_an_error_of_tracking(worker: Worker, broker: Broker, portal: BitrixSandbox) -> None:
    broker.publish(QUEUE, camunda_message("task-1"))
    broker.wait_for_count(SENT, 1)
    [task] = portal.tasks
    portal.delete(int(task["ID"]))
    broker.wait_for_count(ERRORS, 1, 60)
    figures = shows(worker, lambda seen: bool(errors(seen)), "the report")
    assert errors(figures) == {("track", "business", "task_deleted"): 1}
    assert figures.value("task_creator_task_lifetime_seconds_count", system=SYSTEM, outcome="rejected") == 1


# -- every outcome, with a handler that does what the topic says

SOME = "default.queue"
OTHER_QUEUE = "other.queue"
RAISED: dict[str, Callable[[], OutcomeError]] = {
    "business": lambda: BusinessError("refused"),
    "permanent": lambda: PermanentError("never", code="bad_value"),
    "transient": lambda: TransientError("later", code="http_500"),
    "partial_outage": lambda: PartialOutageError("a part", code="service_down", part="echo"),
    "ambiguous": lambda: AmbiguousError("perhaps", code="timeout"),
    "outage": lambda: OutageError("down", code="http_503"),
    "configuration": lambda: ConfigurationError("wrong", code="http_401"),
}


class Obedient(BaseMessageHandler):
    """Raises once what a message asks for, then does it. A message that is `stubborn` is refused each time."""

    def __init__(self) -> None:
        super().__init__("default")
        self.met: set[str] = set()

    def handle(self, message: IncomingMessage) -> Result:
        name, stubborn = message.task.topic, bool(message.task.fields.get("stubborn"))
        if name == "rerouted":
            return Rerouted(OTHER_QUEUE)
        if name == "faulty":
            raise ZeroDivisionError
        if name in RAISED and (stubborn or name not in self.met):
            self.met.add(name)
            raise RAISED[name]()
        return Done({}) if name == "done" else Accepted({}, "1", duplicate=name == "duplicate")


@pytest.fixture
def obedient(vhost: BrokerAddress, broker: Broker, tmp_path: Path) -> Iterator[Worker]:
    for queue in (SOME, OTHER_QUEUE, ERRORS):
        broker.declare(queue)
    made = startup({**vhost.environment(), "RETRY_ATTEMPTS": "1"}, tmp_path)
    with running(Worker(made.settings, {SOME: Obedient}, {})) as worker:
        yield worker


def message(topic: str, **fields: Any) -> bytes:
    return camunda_message(f"{topic}-{len(fields)}", topic=topic, system="default", **fields)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (message("accepted"), {"accepted": 1}),
        (message("done"), {"done": 1}),
        (message("duplicate"), {"duplicate": 1}),
        (message("rerouted"), {"rerouted": 1}),
        (message("business"), {"rejected": 1}),
        (message("permanent"), {"failed": 1}),
        (message("transient"), {"retry": 1, "accepted": 1}),
        (message("transient", stubborn=True), {"retry": 1, "failed": 1}),
        (message("faulty"), {"retry": 1, "failed": 1}),
        (message("partial_outage"), {"retry": 1, "accepted": 1}),
        (message("ambiguous"), {"retry": 1, "accepted": 1}),
        (message("outage"), {"paused": 1, "accepted": 1}),
        (message("configuration"), {"paused": 1, "accepted": 1}),
        (b"{", {"failed": 1}),
    ],
)
def test_each_outcome_is_counted_as_what_it_has_come_to(
    obedient: Worker, broker: Broker, body: bytes, expected: dict[str, int]
) -> None:
    broker.publish(SOME, body)
    figures = shows(obedient, lambda seen: results(seen, "default") == expected, f"{expected}")
    retries = figures.total("task_creator_message_retries_total", system="default")
    assert retries == figures.value("task_creator_publishes_total", queue=f"{SOME}.retry", result="confirmed")
    assert retries == expected.get("retry", 0)
    received = figures.value("task_creator_messages_received_total", system="default")
    assert received == sum(expected.values()), "each delivery once"
    histogram = "task_creator_message_process_duration_seconds_count"
    assert {result: figures.value(histogram, system="default", result=result) for result in expected} == expected
    agrees_with_the_statistics(obedient)


def test_a_part_that_is_down_degrades_its_system(obedient: Worker, broker: Broker) -> None:
    broker.publish(SOME, message("partial_outage", stubborn=True))
    figures = shows(obedient, lambda seen: results(seen, "default").get("retry", 0) >= 1, "the first try")
    assert figures.value("task_creator_system_state", system="default", state="degraded") == 1
    assert figures.total("task_creator_circuit_breaker_open") == 0


def test_a_lost_connection_is_counted_and_the_worker_not_ready_until_it_is_back(
    vhost: BrokerAddress, broker: Broker, proxy: TcpProxy, tmp_path: Path
) -> None:
    broker.declare(SOME)
    made = startup(vhost.through(proxy.port).environment(), tmp_path)
    with running(Worker(made.settings, {SOME: Obedient}, {})) as worker:
        proxy.refuse()
        proxy.cut()
        figures = shows(worker, lambda seen: not seen.total("task_creator_rabbitmq_connected"), "the loss")
        assert figures.value("task_creator_ready") == 0
        assert figures.total("task_creator_rabbitmq_reconnects_total") == 0
        proxy.restore()
        figures = shows(worker, lambda seen: seen.value("task_creator_ready") == 1, "the return")
        wait_until(lambda: look(worker).total("task_creator_rabbitmq_reconnects_total") == 2, 30, "both")
        assert look(worker).total("task_creator_rabbitmq_connected") == 2
