"""A span says what a person who looks for a message needs, and no secret."""

from __future__ import annotations

import contextlib

import pytest
from opentelemetry.trace import StatusCode

from core.traces import PARENT, STATE, Span, TakenUp, Trace, trace_of, within
from tests.support.spans import Recorded, ids, parent_of, told
from toolkit.http_calls import traced_call

QUEUE = "bitrix24.queue"
ONE, OTHER = "0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736"


def begin(recorded: Recorded, trace: Trace | None = None, message_id: str = "1:task") -> Span:
    return recorded.tracing.tracer.begin("process", TakenUp(QUEUE, "", QUEUE, message_id, None, trace))


def coming_from(trace_id: str, flags: str = "01") -> Trace:
    return Trace(trace_id, "b7ad6b7169203331", flags)


@pytest.mark.parametrize(
    ("exchange", "routing_key", "destination"),
    [
        ("camunda.external.tasks", "bitrix24.create", f"camunda.external.tasks:bitrix24.create:{QUEUE}"),
        ("camunda.external.tasks", "", f"camunda.external.tasks:{QUEUE}"),
        ("amq.direct", QUEUE, f"amq.direct:{QUEUE}"),
        ("", QUEUE, QUEUE),
    ],
)
def test_a_destination_is_where_a_message_was_published_and_taken_from(
    exchange: str, routing_key: str, destination: str
) -> None:
    recorded = Recorded()
    taken = TakenUp(QUEUE, exchange, routing_key, "1:task", None, None)
    recorded.tracing.tracer.begin("process", taken).end()
    attributes = told(recorded.one(f"process {QUEUE}"))
    assert attributes["messaging.destination.name"] == destination
    assert attributes.get("messaging.rabbitmq.destination.routing_key", "") == routing_key


def test_of_a_url_only_the_server_is_told() -> None:
    recorded = Recorded()
    work = begin(recorded)
    work.requesting("POST", "https://user:passw0rd@portal.example/rest/1/s3cret/tasks?auth=t0ken", []).end()
    work.requesting("GET", "http://[broken", []).end()
    assert told(recorded.one("POST")) == {
        "http.request.method": "POST",
        "server.address": "portal.example",
        "server.port": 443,
    }
    assert told(recorded.one("GET")) == {"http.request.method": "GET"}


def test_the_first_failure_that_is_noted_stays() -> None:
    recorded = Recorded()
    with within(begin(recorded).trace):
        with traced_call("POST", "http://portal") as refused:
            refused.answered(503)
        with contextlib.suppress(TimeoutError), traced_call("GET", "http://portal") as lost:
            lost.fail("timeout")
            raise TimeoutError
        with pytest.raises(LookupError), traced_call("PUT", "http://portal"):
            raise LookupError
    found = {span.name: (span.status.status_code, told(span)["error.type"]) for span in recorded.all()}
    assert found == {
        "POST": (StatusCode.ERROR, "503"),
        "GET": (StatusCode.ERROR, "timeout"),
        "PUT": (StatusCode.ERROR, "LookupError"),
    }


def test_a_request_for_messages_of_one_trace_stays_in_it_and_links_to_the_others() -> None:
    recorded = Recorded()
    first, second = (begin(recorded, coming_from(ONE)) for _ in range(2))
    with within(first.trace, second.trace), traced_call("POST", "http://portal") as call:
        sent = trace_of(call.headers)
    request = recorded.one("POST")
    assert sent is not None
    assert (sent.trace_id, sent.span_id) == ids(request)
    assert (ids(request)[0], parent_of(request)) == (ONE, first.trace.span_id)
    assert [f"{link.context.span_id:016x}" for link in request.links] == [second.trace.span_id]


def test_a_request_for_messages_of_several_traces_has_its_own_and_links_to_each() -> None:
    recorded = Recorded()
    works = [begin(recorded, coming_from(ONE)), begin(recorded, coming_from(OTHER)), begin(recorded)]
    with within(*(work.trace for work in works)), traced_call("POST", "http://portal"):
        pass
    request = recorded.one("POST")
    assert parent_of(request) is None
    assert ids(request)[0] not in {work.trace.trace_id for work in works}
    assert [f"{link.context.span_id:016x}" for link in request.links] == [work.trace.span_id for work in works]


def test_a_trace_that_nobody_keeps_is_passed_on_and_not_recorded() -> None:
    recorded = Recorded()
    work = begin(recorded, coming_from(ONE, flags="00"))
    sending = work.sending("bitrix24.sent.queue", "1:sent")
    sending.end()
    work.end()
    assert (sending.trace.trace_id, sending.trace.flags) == (ONE, "00")
    assert recorded.all() == []


@pytest.mark.parametrize("state", ["vendor=1", "no state at all", "a=1,a=2", "ключ=1"])
def test_no_state_of_a_vendor_is_too_odd(state: str) -> None:
    recorded = Recorded()
    begin(recorded, trace_of({PARENT: coming_from(ONE).headers()[PARENT], STATE: state})).end()
    assert ids(recorded.one(f"process {QUEUE}"))[0] == ONE


def test_bytes_that_are_no_text_cost_no_other_span() -> None:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    recorded = Recorded()
    work = begin(recorded, message_id="caf\udce9")
    work.fail("\ud800" * 500)
    work.end()
    assert encode_spans(recorded.all()).SerializeToString()
    assert told(recorded.one(f"process {QUEUE}"))["messaging.message.id"] == "caf\\udce9"
