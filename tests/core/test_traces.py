"""A trace that comes in goes out again; what is no trace is nobody's."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages import OutgoingMessage
from core.traces import PARENT, STATE, Trace, current_trace, trace_of, traced, within

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
    assert traced(message, {"x": 1}) is message
    assert traced(message, {PARENT: HEADER}).headers == {"a": 1, PARENT: HEADER}


def test_threads_have_traces_of_their_own() -> None:
    seen: list[Trace | None] = []
    with within(Trace(TRACE_ID, SPAN_ID, "00")):
        thread = threading.Thread(target=lambda: seen.append(current_trace()))
        thread.start()
        thread.join()
        assert current_trace() is not None
        with within(None):
            assert current_trace() is None
    assert seen == [None]
    assert current_trace() is None


@given(st.one_of(st.text(), st.binary(), st.builds("-".join, st.lists(hexadecimal, max_size=5))), st.text())
def test_no_header_is_too_odd(parent: object, state: str) -> None:
    found = trace_of({PARENT: parent, STATE: state})
    assert found is None or trace_of(found.headers()) == found
