"""A trace that comes in goes out again; what is no trace is nobody's."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages import OutgoingMessage
from core.traces import PARENT, STATE, Trace, common_trace, current_traces, trace_of, widen, within

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE_ID}-{SPAN_ID}-01"
hexadecimal = st.text("0123456789abcdef")


def test_a_trace_goes_through_unchanged() -> None:
    headers = {PARENT: HEADER, STATE: "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"}
    found = trace_of(headers)
    assert found == Trace(TRACE_ID, SPAN_ID, "01", headers[STATE])
    assert found is not None
    assert found.headers() == headers


@pytest.mark.parametrize(
    "told",
    [
        "",
        "00",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-01-more",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-1",
        f" {HEADER}",
        42,
        ["00"],
        None,
    ],
)
def test_what_is_no_trace_is_none(told: object) -> None:
    assert trace_of({PARENT: told}) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert trace_of({PARENT: f"01-{TRACE_ID}-{SPAN_ID}-01-what"}) == Trace(TRACE_ID, SPAN_ID, "01")
    assert trace_of({PARENT: HEADER.encode()}) == Trace(TRACE_ID, SPAN_ID, "01")
    assert trace_of({PARENT: HEADER, STATE: "x" * 513}) == Trace(TRACE_ID, SPAN_ID, "01")
    assert trace_of(None) is trace_of({}) is None


def test_a_child_is_another_span_of_the_same_trace() -> None:
    parent = Trace(TRACE_ID, SPAN_ID, "01", "a=b")
    child = parent.child()
    assert (child.trace_id, child.flags, child.state) == (TRACE_ID, "01", "a=b")
    assert child.span_id != SPAN_ID
    assert trace_of(child.headers()) == child


def test_a_message_without_a_trace_stays_the_same_object() -> None:
    message = OutgoingMessage(b"{}", "1", {"a": 1})
    assert message.in_trace(trace_of({"x": 1})) is message
    assert message.in_trace(trace_of({PARENT: HEADER})).headers == {"a": 1, PARENT: HEADER}


def test_threads_have_traces_of_their_own() -> None:
    seen: list[tuple[Trace | None, ...]] = []
    trace = Trace(TRACE_ID, SPAN_ID, "00")
    with within(trace):
        thread = threading.Thread(target=lambda: seen.append(current_traces()))
        thread.start()
        thread.join()
        assert current_traces() == (trace,)
        with within(None, None):
            assert current_traces() == ()
            widen([trace, None])
            assert current_traces() == (trace, None)
        assert current_traces() == (trace,)
    assert seen == [()]
    assert current_traces() == ()


def test_several_messages_have_a_trace_when_all_have_the_same() -> None:
    trace = Trace(TRACE_ID, SPAN_ID, "00")
    assert common_trace([trace, Trace(TRACE_ID, SPAN_ID, "00")]) == trace
    assert common_trace([trace, None]) is common_trace([trace, trace.child()]) is common_trace([]) is None


@given(st.one_of(st.text(), st.binary(), st.builds("-".join, st.lists(hexadecimal, max_size=5))), st.text())
def test_no_header_is_too_odd(parent: object, state: str) -> None:
    found = trace_of({PARENT: parent, STATE: state})
    assert found is None or trace_of(found.headers()) == found
