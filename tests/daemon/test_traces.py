"""Whoever traces a process finds its task's request and its response in the same trace."""

from __future__ import annotations

from pathlib import Path

from core.traces import PARENT, STATE, trace_of
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from sandbox.python_services import ServicesSandbox
from testbench.daemon import Daemon
from testbench.harness import ERRORS, RESPONSES
from tests.daemon.test_services import QUEUE, task, variables
from tests.systems.python_services.support import http

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {PARENT: f"00-{TRACE_ID}-b7ad6b7169203331-01", STATE: "vendor=1"}


def test_a_trace_leads_from_the_input_over_the_request_to_the_response(
    vhost: BrokerAddress, broker: Broker, tmp_path: Path
) -> None:
    broker.declare(QUEUE)
    with ServicesSandbox() as outside:
        settings = variables(tmp_path, {"echo": http(outside, "/sync/echo")})
        with Daemon(vhost, tmp_path, settings):
            broker.publish(QUEUE, task("traced"), headers=HEADERS)
            broker.publish(QUEUE, task("untraced"))
            broker.publish(QUEUE, b"no task", headers=HEADERS)
            broker.wait_for_count(RESPONSES, 2)
            broker.wait_for_count(ERRORS, 1)
        sent = {
            call.headers.get("idempotency-key", "").strip('"'): trace_of(call.headers) for call in outside.asked("POST")
        }
    requested = sent["traced"]
    assert requested is not None
    assert (requested.trace_id, requested.state) == (TRACE_ID, "vendor=1")
    assert requested.span_id != "b7ad6b7169203331", "the request is a span of its own"
    assert sent["untraced"] is None
    responses = {properties.message_id: trace_of(properties.headers) for properties, _ in broker.get_all(RESPONSES)}
    assert responses == {"traced:response": trace_of(HEADERS), "untraced:response": None}
    [(report, _)] = broker.get_all(ERRORS)
    assert trace_of(report.headers) == trace_of(HEADERS)
