"""OpenTelemetry sees the whole way of a message: one trace, also when a person takes days and the worker restarts."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from assembly.worker import Worker
from base_handler import BaseMessageHandler
from base_tracker import BaseTracker
from core.envelopes import encode_sent
from core.messages import IncomingMessage, Limits, TrackedTask, decode_task
from core.results import Accepted, Completed, Rejected, Rerouted, Result, Verdict
from core.traces import PARENT, STATE, trace_of
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from sandbox.process import ROOT
from sandbox.python_services import ServicesSandbox, faults
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES, Bench, camunda_message
from tests.daemon.test_services import QUEUE as SERVICES_QUEUE
from tests.daemon.test_services import task, variables
from tests.support.live_worker import running, startup
from tests.support.spans import Recorded, ids, parent_of, told
from tests.systems.python_services.support import http
from tracking.tracked_queue import SweepResult

QUEUE, SENT = "bitrix24.queue", "bitrix24.sent.queue"
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {PARENT: f"00-{TRACE_ID}-{SPAN_ID}-01", STATE: "vendor=1"}
PROCESS = "a8cb83b3-36b5-424a-9456-f6b5ec7367c2"
IMPORTED = """
import os, signal, sys, threading
import main
threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM)).start()
main.run_worker("en")
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


class Judge(BaseTracker):
    """Gives every task the same verdict."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__("test")
        self._verdict = verdict

    def check(self, tasks: Sequence[TrackedTask]) -> Sequence[Verdict]:
        return [self._verdict] * len(tasks)


class Giving(BaseMessageHandler):
    """Does every message with the same result."""

    def __init__(self, result: Result) -> None:
        super().__init__("test")
        self._result = result

    def handle(self, message: IncomingMessage) -> Result:
        return self._result


@pytest.fixture
def portal() -> Iterator[BitrixSandbox]:
    with BitrixSandbox() as portal:
        yield portal


def worker_on(vhost: BrokerAddress, folder: Path, settings: dict[str, str], recorded: Recorded) -> Worker:
    made = startup({**vhost.environment(), **settings}, folder)
    return Worker(made.settings, made.handlers, made.trackers, mask=made.secrets.mask, tracing=recorded.tracing)


def test_one_trace_leads_from_camunda_over_a_person_to_the_response(
    vhost: BrokerAddress, broker: Broker, portal: BitrixSandbox, tmp_path: Path
) -> None:
    settings = {"BITRIX_WEBHOOK_URL": portal.webhook_url}
    broker.declare(QUEUE)
    broker.publish(QUEUE, camunda_message("traced"), headers=HEADERS, message_id="camunda-1")
    created, answered = Recorded(), Recorded()
    with running(worker_on(vhost, tmp_path, settings, created)):
        broker.wait_for_count(SENT, 1)
    [(stored, _)] = broker.peek(SENT)
    portal.finish(int(portal.tasks[0]["ID"]), answer="ДА")
    with running(worker_on(vhost, tmp_path, settings, answered)):
        broker.wait_for_count(RESPONSES, 1)
    [(response, _)] = broker.get_all(RESPONSES)

    process, sent = created.one(f"process {QUEUE}"), created.one(f"send {SENT}")
    track, responded = answered.one(f"track {SENT}"), answered.one(f"send {RESPONSES}")
    way = [process, sent, track, responded]
    assert {ids(span)[0] for span in way} == {TRACE_ID}
    assert [parent_of(span) for span in way] == [SPAN_ID, *(ids(span)[1] for span in way[:-1])]
    assert [span.kind for span in way] == [SpanKind.CONSUMER, SpanKind.PRODUCER] * 2
    assert {span.status.status_code for span in way} == {StatusCode.UNSET}
    for properties, span in ((stored, sent), (response, responded)):
        trace = trace_of(properties.headers)
        assert trace is not None
        assert ((trace.trace_id, trace.span_id), trace.flags, trace.state) == (ids(span), "01", "vendor=1")

    requests = created.named("POST")
    assert {span.kind for span in requests} == {SpanKind.CLIENT}
    assert {(ids(span)[0], parent_of(span)) for span in requests} == {(TRACE_ID, ids(process)[1])}
    assert told(requests[0])["http.response.status_code"] == 200
    assert told(requests[0])["server.address"] == "127.0.0.1"
    assert told(process) == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": QUEUE,
        "messaging.rabbitmq.destination.routing_key": QUEUE,
        "messaging.message.id": "camunda-1",
        "messaging.message.conversation_id": PROCESS,
    }
    assert told(responded) == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": RESPONSES,
        "messaging.rabbitmq.destination.routing_key": RESPONSES,
        "messaging.message.id": "traced:response",
        "messaging.message.conversation_id": PROCESS,
    }
    assert portal.webhook_token not in str([span.to_json() for span in (*created.all(), *answered.all())])


def test_a_message_without_a_trace_begins_one_that_its_retries_stay_in(
    vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    recorded = Recorded()
    broker.declare(SERVICES_QUEUE)
    with ServicesSandbox() as outside:
        outside.inject(faults.refusal(500, retryable=True), "post *", count=None)
        settings = variables(tmp_path, {"echo": http(outside, "/sync/echo")})
        with running(worker_on(vhost, tmp_path, {**settings, "RETRY_ATTEMPTS": "1"}, recorded)):
            broker.publish(SERVICES_QUEUE, task("untraced"))
            broker.wait_for_count(ERRORS, 1)
        asked = [trace_of(call.headers) for call in outside.asked("POST")]
    [(report, _)] = broker.get_all(ERRORS)

    first, second = recorded.named(f"process {SERVICES_QUEUE}")
    sent = recorded.one(f"send {ERRORS}")
    trace, root = ids(first)
    assert (parent_of(first), parent_of(second), parent_of(sent)) == (None, root, ids(second)[1])
    assert {ids(span)[0] for span in recorded.all()} == {trace}
    assert [(trace.trace_id, trace.span_id) for trace in asked if trace] == [
        ids(span) for span in recorded.named("POST")
    ]
    for span in (first, second):
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, told(span)["error.type"])
    in_report = trace_of(report.headers)
    assert in_report is not None
    assert (in_report.trace_id, in_report.span_id) == ids(sent)


@pytest.mark.parametrize("verdict", [Rejected("somebody has deleted the task", "task_deleted"), Completed({})])
def test_a_tracked_task_ends_its_trace_as_it_ends(vhost: BrokerAddress, broker: Broker, verdict: Verdict) -> None:
    recorded = Recorded()
    sent = encode_sent(decode_task(camunda_message("tracked"), Limits()), QUEUE, Accepted({}, "7"), now=1.0)
    broker.declare(SENT)
    broker.publish(SENT, sent.body, headers={**sent.headers, **HEADERS}, message_id=sent.message_id)
    bench = Bench(vhost, tracer=recorded.tracing.tracer)
    with bench.running():
        bench.sweeper(SENT, Judge(verdict)).sweep(SweepResult())

    is_rejected = isinstance(verdict, Rejected)
    track, told_on = recorded.one(f"track {SENT}"), recorded.one(f"send {ERRORS if is_rejected else RESPONSES}")
    assert (ids(track)[0], parent_of(track), parent_of(told_on)) == (TRACE_ID, SPAN_ID, ids(track)[1])
    status = (StatusCode.ERROR, "task_deleted") if is_rejected else (StatusCode.UNSET, None)
    assert (track.status.status_code, track.status.description) == status
    assert told(track).get("error.type") == status[1]
    assert told_on.status.status_code is StatusCode.UNSET


def test_a_message_that_finds_its_queue_by_another_stays_in_one_trace(vhost: BrokerAddress, broker: Broker) -> None:
    recorded = Recorded()
    broker.declare("default.queue")
    bench = Bench(vhost, tracer=recorded.tracing.tracer)
    bench.add("default.queue", Giving(Rerouted(QUEUE)))
    bench.add(QUEUE, Giving(Accepted({}, "7")), sent_queue=SENT)
    with bench.running():
        broker.publish("default.queue", camunda_message("rerouted"))
        broker.wait_for_count(SENT, 1)
    first, second = recorded.one("process default.queue"), recorded.one(f"process {QUEUE}")
    assert (parent_of(first), parent_of(second)) == (None, ids(first)[1])
    assert {ids(span)[0] for span in recorded.all()} == {ids(first)[0]}


def test_a_worker_without_it_loads_nothing_of_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        cwd=ROOT,
        env={"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": "1", "STATE_DIR": str(tmp_path), "LOG_DIR": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "[]\n", done.stderr


def test_a_collector_that_is_down_or_silent_holds_up_neither_work_nor_stop(
    vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    broker.declare(SERVICES_QUEUE)
    with ServicesSandbox() as outside, socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {
            **variables(tmp_path, {"echo": http(outside, "/sync/echo")}),
            "OPENTELEMETRY": "on",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        for number, port in enumerate((1, silent.getsockname()[1])):
            endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
            with Daemon(vhost, tmp_path / str(number), {**settings, **endpoint}) as daemon:
                broker.publish(SERVICES_QUEUE, task(f"task-{number}"))
                broker.wait_for_count(RESPONSES, number + 1)
                assert daemon.stop(20) == 0
            assert "spans are lost" in daemon.output()
    assert broker.count(ERRORS) == 0
