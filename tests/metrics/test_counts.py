"""What is counted of an event, and under which words."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import pytest
from prometheus_client import CollectorRegistry

from core.alerts import SILENCE
from core.events.alerts import AlertsDropped, AlertsSent, AlertsUnsent
from core.events.base import Event, EventStream, Sink
from core.events.connections import ConnectionLost, ConnectionOpened, RabbitMQUnreachable
from core.events.messages import (
    DeliveryLost,
    MessageFailed,
    MessageParked,
    MessageReceived,
    RetryScheduled,
    SentMessageUnreadable,
    TaskAccepted,
    TaskCompleted,
    TaskFound,
    TaskRejected,
)
from core.events.publishing import Published, PublishFailed
from core.events.systems import Swept, SystemHeld, SystemReleased, SystemResumed
from core.events.worker import QueueConsumed, QueueSkipped, QueueTracked
from core.holds import Hold
from core.outcomes import Outcome
from core.pauses import Pauses
from core.texts import Text
from metrics.exposition import Metrics
from metrics.messages import MessageCounts
from metrics.publishing import PublishCounts
from metrics.systems import SystemStates
from metrics.tracking import TrackerCounts
from metrics.worker import AlertCounts, ConnectionCounts
from tests.support.figures import Figures
from tests.support.made_events import about, part_down, paused, rerouted

REASON = Text.of("no")
STARTED = 1795416000.0


class Bench:
    """All sinks in one stream."""

    def __init__(self) -> None:
        self.now = 1000.0
        pauses = Pauses(lambda: self.now)
        counts = (
            MessageCounts(),
            SystemStates(pauses, lambda: self.now),
            TrackerCounts(STARTED, 60.0),
            PublishCounts(lambda queue: queue.replace(".queue", ".sent.queue"), ("responses", "errors")),
            ConnectionCounts(),
            AlertCounts(),
        )
        sinks: Sequence[Sink] = (pauses, *counts)
        self.events = EventStream(sinks)
        self.metrics = Metrics(counts, CollectorRegistry())
        self.emit(QueueConsumed("1c.queue", "Handler"), QueueTracked("1c.sent.queue", "Tracker"))

    def emit(self, *events: Event) -> None:
        for event in events:
            self.events.emit(event)

    def figures(self) -> Figures:
        return Figures(self.metrics.exposition())

    def results(self) -> dict[str, float]:
        return self.figures().told("task_creator_messages_processed_total", "result")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def failed(outcome: Outcome, code: str = "", seconds: float = 0.0) -> MessageFailed:
    return MessageFailed(about("1c"), outcome, error_code=code, seconds=seconds)


def retried(outcome: Outcome) -> RetryScheduled:
    return RetryScheduled(about("1c"), REASON, "code", 5.0, outcome, 0.3)


def parked(outcome: Outcome) -> MessageParked:
    return MessageParked(about("1c"), REASON, "code", outcome, 0.3)


@pytest.mark.parametrize(
    ("events", "result"),
    [
        ([TaskAccepted(about("1c"), created=True, stored=True, seconds=0.3)], "accepted"),
        ([TaskAccepted(about("1c"), created=False, stored=True, seconds=0.3)], "done"),
        ([TaskFound(about("1c"), created=True, stored=True, seconds=0.3)], "duplicate"),
        ([failed(Outcome.BUSINESS), parked(Outcome.BUSINESS)], "rejected"),
        ([failed(Outcome.PERMANENT), parked(Outcome.PERMANENT)], "failed"),
        ([failed(Outcome.TRANSIENT), retried(Outcome.TRANSIENT)], "retry"),
        ([failed(Outcome.TRANSIENT), parked(Outcome.TRANSIENT)], "failed"),
        ([failed(Outcome.AMBIGUOUS), retried(Outcome.AMBIGUOUS)], "retry"),
        ([failed(Outcome.AMBIGUOUS), parked(Outcome.AMBIGUOUS)], "failed"),
        ([failed(Outcome.PARTIAL_OUTAGE), retried(Outcome.PARTIAL_OUTAGE)], "retry"),
        ([failed(Outcome.OUTAGE, seconds=0.3)], "paused"),
        ([failed(Outcome.CONFIGURATION, seconds=0.3)], "paused"),
        ([DeliveryLost(about("1c"), is_done=True, seconds=0.3)], "lost"),
    ],
)
def test_what_a_delivery_has_come_to_is_counted_once_with_the_time_that_it_took(
    bench: Bench, events: Iterable[Event], result: str
) -> None:
    bench.emit(*events)
    figures = bench.figures()
    assert figures.told("task_creator_messages_processed_total", "result") == {result: 1}
    name = "task_creator_message_process_duration_seconds"
    assert figures.told(f"{name}_count", "result") == {result: 1}
    assert figures.told(f"{name}_sum", "result") == {result: 0.3}
    assert figures.value(f"{name}_bucket", system="1c", result=result, le="0.25") == 0
    assert figures.value(f"{name}_bucket", system="1c", result=result, le="0.5") == 1


def test_what_is_put_into_another_queue_is_a_result_of_its_own() -> None:
    bench = Bench()
    bench.emit(QueueConsumed("default.queue", "Handler"), rerouted("1c.queue", is_consumed=True))
    assert bench.results() == {"rerouted": 1}


@pytest.mark.parametrize(
    ("event", "labels"),
    [
        (failed(Outcome.OUTAGE, "http_503"), ("create", "outage", "http_503")),
        (failed(Outcome.OUTAGE, "QUERY_LIMIT_EXCEEDED"), ("create", "outage", "other")),
        (failed(Outcome.PERMANENT, "http_503"), ("create", "permanent", "other")),
        (failed(Outcome.PERMANENT, "user 17\nis not there"), ("create", "permanent", "other")),
        (TaskRejected(about("1c"), REASON, "task_deleted"), ("track", "business", "task_deleted")),
        (TaskRejected(about("1c"), REASON, "gone"), ("track", "business", "other")),
        (TaskRejected(about("1c"), REASON, "bad_result", Outcome.PERMANENT), ("respond", "permanent", "bad_result")),
        (SentMessageUnreadable(about("1c"), REASON, "not_json"), ("respond", "permanent", "other")),
    ],
)
def test_an_error_is_counted_by_a_code_of_the_list_or_as_other(
    bench: Bench, event: Event, labels: tuple[str, str, str]
) -> None:
    before = bench.figures().samples.keys()
    bench.emit(event)
    figures = bench.figures()
    stage, class_, code = labels
    errors = "task_creator_message_errors_total"
    assert figures.value(errors, system="1c", stage=stage, class_=class_, code=code) == 1
    assert figures.total(errors) == 1
    assert figures.samples.keys() == before, "no series that was not there from the start"


def test_a_wait_in_the_queue_is_counted_where_it_is_known(bench: Bench) -> None:
    bench.emit(
        MessageReceived(about("1c"), redelivered=False, waited=7.0),
        MessageReceived(about("1c"), redelivered=False),
        MessageReceived(about("1c"), redelivered=True),
    )
    figures = bench.figures()
    assert figures.value("task_creator_message_queue_wait_seconds_sum", system="1c") == 7
    assert figures.value("task_creator_message_queue_wait_seconds_count", system="1c") == 1
    assert figures.value("task_creator_messages_redelivered_total", system="1c") == 1


def test_a_task_has_lived_until_it_is_answered_or_reported(bench: Bench) -> None:
    day = 86400.0
    bench.emit(
        TaskCompleted(about("1c"), lifetime=2 * day),
        TaskCompleted(about("1c")),  # nobody knows since when
        TaskRejected(about("1c"), REASON, "task_deleted", lifetime=40 * day),
    )
    figures = bench.figures()
    name = "task_creator_task_lifetime_seconds"
    assert figures.told(f"{name}_count", "outcome") == {"completed": 1, "rejected": 1}
    assert figures.value(f"{name}_bucket", system="1c", outcome="completed", le="259200") == 1
    assert figures.value(f"{name}_bucket", system="1c", outcome="rejected", le="2.592e+06") == 0
    assert figures.value(f"{name}_bucket", system="1c", outcome="rejected", le="+Inf") == 1


@pytest.mark.parametrize(
    ("queue", "shown"),
    [
        ("1c.queue", "1c.queue"),
        ("1c.sent.queue", "1c.sent.queue"),
        ("1c.queue.retry.5000ms", "1c.queue.retry"),
        ("1c.queue.retry.3600000ms", "1c.queue.retry"),
        ("responses", "responses"),
        ("errors", "errors"),
        ("bitrix24.queue", "other"),
        ("bitrix24.queue.retry.100ms", "other"),
        ("queue-8f6c1a52", "other"),
    ],
)
def test_what_is_published_is_counted_by_queues_that_were_known_at_the_start(
    bench: Bench, queue: str, shown: str
) -> None:
    before = bench.figures().samples.keys()
    faults = [PublishFailed(queue, result) for result in ("nacked", "returned", "unconfirmed")]
    bench.emit(Published(20, queue, 0.02), Published(1, queue, 2.0), *faults)
    figures = bench.figures()
    by_result = {labels["result"]: labels["queue"] for labels in figures.label_sets("task_creator_publishes_total")}
    for result in by_result:
        expected = 21 if result == "confirmed" else 1
        assert figures.value("task_creator_publishes_total", queue=shown, result=result) == expected
        assert figures.total("task_creator_publishes_total", result=result) == expected
    assert figures.value("task_creator_publish_duration_seconds_count", queue=shown) == 2
    assert figures.samples.keys() == before


def test_a_tracker_s_passes_are_measured_and_its_success_is_the_last_one_that_came_through(bench: Bench) -> None:
    counts = (3, 1, 1, 0)
    bench.emit(Swept("1c", *counts, at=STARTED + 60, calls=2, left=17, seconds=0.7))
    bench.emit(Swept("1c", 0, 0, 0, 1, at=STARTED + 120, reason=REASON, calls=1, left=None, seconds=9.0))
    figures = bench.figures()
    assert figures.value("task_creator_tracked_tasks", system="1c") == 17, "nothing newer is known"
    assert figures.value("task_creator_tracker_calls_total", system="1c") == 3
    assert figures.value("task_creator_tracker_last_success_timestamp_seconds", system="1c") == STARTED + 60
    assert figures.value("task_creator_tracker_pass_duration_seconds_sum", system="1c") == pytest.approx(9.7)


def state(bench: Bench) -> str:
    [(name, value)] = bench.figures().told("task_creator_system_state", "state").items()
    assert value == 1
    return name


def breakers(bench: Bench) -> dict[str, float]:
    return bench.figures().told("task_creator_circuit_breaker_open", "class")


def test_a_system_is_in_one_state_at_a_time(bench: Bench) -> None:
    assert state(bench) == "ok"
    bench.emit(paused("1c", "connection refused"))
    assert (state(bench), breakers(bench)) == ("down", {"outage": 1})
    bench.emit(SystemResumed("1c"))
    assert (state(bench), breakers(bench)) == ("ok", {})
    bench.emit(paused("1c", "wrong password", alert=True))
    assert (state(bench), breakers(bench)) == ("down", {"configuration": 1})
    bench.emit(SystemHeld(Hold("1c", "ivanov", STARTED, None, "", "all")))
    assert (state(bench), breakers(bench)) == ("paused", {"configuration": 1}), "it is the person who decides"
    bench.emit(SystemReleased("1c", "ivanov"))
    assert (state(bench), breakers(bench)) == ("down", {"configuration": 1})


def test_a_system_whose_part_is_down_or_whose_tracker_fails_is_degraded(bench: Bench) -> None:
    bench.emit(part_down("1c", "service echo", "refused"))
    assert state(bench) == "degraded"
    bench.now += SILENCE
    assert state(bench) == "ok", "no message has met it for long"
    failure = Swept("1c", 0, 0, 0, 1, at=STARTED, reason=REASON)
    bench.emit(failure)
    assert state(bench) == "degraded"
    bench.emit(Swept("1c", 0, 0, 0, 0, at=STARTED))
    assert state(bench) == "ok"
    bench.emit(failure, paused("1c", "down"))
    assert state(bench) == "down", "the worst counts"


def test_a_queue_that_is_not_consumed_is_a_system_without_settings() -> None:
    bench = Bench()
    bench.emit(QueueSkipped("telegram.queue", "consumed", "no token"), QueueSkipped("1c.sent.queue", "tracked", "no"))
    figures = bench.figures()
    assert figures.value("task_creator_system_state", system="telegram", state="unconfigured") == 1
    assert figures.value("task_creator_system_state", system="1c", state="ok") == 1


def test_connections_are_open_or_not_and_each_later_opening_is_a_reconnect(bench: Bench) -> None:
    bench.emit(ConnectionOpened("rabbitmq-consumer"), ConnectionOpened("rabbitmq-publisher"))
    bench.emit(ConnectionLost("rabbitmq-consumer", REASON), RabbitMQUnreachable("rabbitmq-consumer", REASON))
    figures = bench.figures()
    assert figures.told("task_creator_rabbitmq_connected", "connection") == {"publisher": 1}
    assert figures.told("task_creator_rabbitmq_reconnects_total", "connection") == {}
    bench.emit(ConnectionOpened("rabbitmq-consumer"))
    figures = bench.figures()
    assert figures.told("task_creator_rabbitmq_connected", "connection") == {"consumer": 1, "publisher": 1}
    assert figures.told("task_creator_rabbitmq_reconnects_total", "connection") == {"consumer": 1}


def test_alerts_are_counted_by_the_kind_of_their_channel(bench: Bench) -> None:
    bench.emit(
        AlertsUnsent("mail to duty@example.ru", "refused", "no_connection", "mail", 2),
        AlertsSent("mail", 3),
        AlertsDropped("too many", "telegram", 1),
    )
    text = bench.metrics.exposition()
    figures = Figures(text)
    shown = {(each["channel"], each["result"]) for each in figures.label_sets("task_creator_alerts_sent_total")}
    assert len(shown) == 6
    assert figures.value("task_creator_alerts_sent_total", channel="mail", result="sent") == 3
    assert figures.value("task_creator_alerts_sent_total", channel="mail", result="failed") == 2
    assert figures.value("task_creator_alerts_sent_total", channel="telegram", result="dropped") == 1
    assert b"duty" not in text


def test_several_threads_lose_no_count_while_somebody_looks(bench: Bench) -> None:
    rounds, count = 500, 6
    start = threading.Barrier(count + 1)

    def work() -> None:
        start.wait()
        for _ in range(rounds):
            bench.emit(
                MessageReceived(about("1c"), redelivered=True, waited=1.0),
                TaskAccepted(about("1c"), created=True, stored=True, seconds=0.5),
                Published(1, "1c.sent.queue", 0.01),
            )

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    start.wait()
    seen = []
    while any(thread.is_alive() for thread in threads):
        seen.append(bench.figures().total("task_creator_messages_processed_total"))
    for thread in threads:
        thread.join()
    figures = bench.figures()
    assert seen == sorted(seen), "a count never falls"
    assert figures.value("task_creator_messages_processed_total", system="1c", result="accepted") == rounds * count
    assert figures.value("task_creator_messages_redelivered_total", system="1c") == rounds * count
    assert figures.value("task_creator_publishes_total", queue="1c.sent.queue", result="confirmed") == rounds * count
    assert figures.value("task_creator_message_queue_wait_seconds_sum", system="1c") == rounds * count
