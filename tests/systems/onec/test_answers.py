"""An answer of 1C of any content costs one outcome or one verdict: nothing raises, nothing else is taken along."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base_tracker import Changes
from consumers.onec.handler import OneCHandler
from consumers.onec.metadata import Metadata, parse_metadata
from consumers.onec.tracker import OneCTracker
from core.envelopes import SentMessage, encode_response, encode_sent
from core.errors import AmbiguousError, BusinessError, ConfigurationError, OutageError, OutcomeError, PermanentError
from core.messages import IncomingMessage, TrackedTask
from core.results import Accepted, Completed, Done, Pending, Rejected, Verdict
from sandbox.http_front import RawAnswer
from sandbox.onec import OneCSandbox, faults
from sandbox.onec.schema import ENTITIES, metadata_xml
from tests.support.any_json import ANY, TEXT, objects, written
from tests.systems.onec.support import (
    FIRM,
    ORDER,
    TASK,
    external_id,
    failed,
    handler_for,
    mapping_file,
    message,
    outcome,
    tracker_for,
)

KEYS = [f"0ad5415a-0000-4000-8000-{number:012}" for number in range(3)]
TRACKED = [TrackedTask(f"key-{number}", f"{TASK}/{key}") for number, key in enumerate(KEYS)]
SENT = SentMessage({"original_message": {"task_id": "key-0"}}, "key-0", None)
MAPPING = f"""
[topics.task]
kind = "task"
entity = "{TASK}"
[topics.task.fields]
Description = "title"
"Исполнитель" = {{ from = "who", type = "{FIRM}", lookup = "ИНН" }}
[topics.post]
kind = "document"
entity = "{ORDER}"
action = "Post"
finish = {{ when = "status", attribute = "Статус", done = ["Готов"], failed = ["Нет"], moment = "ДатаСогласования" }}
[topics.up]
kind = "document"
entity = "{ORDER}"
operation = "update"
[topics.up.fields]
"ДополнительныеРеквизиты" = "extra"
"СуммаДокумента" = "amount"
[topics.service]
mode = "http_service"
root = "camunda"
path = "sync"
"""
NAMES = (
    *("Ref_Key", "DataVersion", "DeletionMark", "Number", "Description", "Executed", "Posted", "Статус", "value"),
    *("ДатаИсполнения", "ДатаСогласования", "РезультатВыполнения", "ДополнительныеРеквизиты", "odata.count", "error"),
)
KNOWN = st.sampled_from([*KEYS, "2026-12-01T12:00:00", "0001-01-01T00:00:00", "Готов", "5", "9" * 5000])
ROWS = st.lists(objects(*NAMES, known=KNOWN) | ANY, max_size=4)
PAGES = ROWS.map(lambda rows: {"value": rows}) | st.tuples(ROWS, ANY).map(
    lambda both: {"value": both[0], "odata.count": both[1]}
)


@pytest.fixture(scope="module")
def base() -> Iterator[OneCSandbox]:
    with OneCSandbox() as base:
        yield base


@pytest.fixture(scope="module")
def mapping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mapping_file(tmp_path_factory.mktemp("any"), MAPPING)


@pytest.fixture(scope="module")
def handler(base: OneCSandbox, mapping: Path) -> OneCHandler:
    base.clear_faults()  # of an earlier test
    made = handler_for(base, mapping_file=mapping)
    made.probe()
    return made


@pytest.fixture(scope="module")
def tracker(base: OneCSandbox, mapping: Path) -> OneCTracker:
    base.clear_faults()  # of an earlier test
    made = tracker_for(base, mapping_file=mapping)
    made.check(TRACKED)
    return made


def answer_with(base: OneCSandbox, content: Any, call: str = "*", status: int = 200) -> None:
    base.clear_faults()
    base.inject(faults.answer(RawAnswer(status, written(content))), call, count=None)


def handled(handler: OneCHandler, one: IncomingMessage) -> object:
    """The outcome, which can be stored: whatever 1C says must reach Camunda or people."""
    found = outcome(handler, one)
    if isinstance(found, Accepted | Done):
        encode_sent(one.task, one.queue, found, time.time())
    return found


# -- the tracker -----------------------------------------------------------------------------------------------------


@given(PAGES)
def test_rows_of_any_shape_give_each_task_its_verdict(
    base: OneCSandbox, tracker: OneCTracker, page: dict[str, Any]
) -> None:
    answer_with(base, page, "GET Task_*")
    try:
        verdicts = tracker.check(TRACKED)
    except (OutageError, ConfigurationError):
        return
    assert len(verdicts) == len(TRACKED)
    for verdict in verdicts:
        assert isinstance(verdict, Pending | Rejected | Completed)
        if isinstance(verdict, Completed):
            encode_response(SENT, verdict.response, status="x", echo_variables=True, now=time.time())


@given(PAGES)
def test_rows_of_any_shape_tell_changes_or_that_they_cannot_be_told(
    base: OneCSandbox, tracker: OneCTracker, page: dict[str, Any]
) -> None:
    base.clear_faults()
    start = tracker.changes(None)
    assert start is not None
    answer_with(base, page)
    for since in (None, start.mark):
        with contextlib.suppress(OutageError, ConfigurationError):
            assert isinstance(tracker.changes(since), Changes | None)


@pytest.mark.parametrize("bad", [None, 5, "x", [], {}, {"Ref_Key": None}, {"Ref_Key": "x"}, {"Executed": True}])
def test_one_bad_row_costs_one_verdict_and_calls_nothing_deleted(base: OneCSandbox, mapping: Path, bad: Any) -> None:
    tracker = tracker_for(base, mapping_file=mapping)
    open_one = {"Ref_Key": KEYS[0], "Executed": False, "DeletionMark": False}
    done = {"Ref_Key": KEYS[1], "Executed": True, "Description": "Готово"}
    base.clear_faults()
    # What is finished is read once more, whole: that answer comes in turns with the first.
    for page, turns in (([bad, open_one, done], [True, False]), ([done], [False, True])):
        turn = itertools.cycle(turns)
        answer = faults.answer(RawAnswer(200, written({"value": page})))
        base.inject(answer, "GET Task_*", count=None, match=lambda _body, turn=turn: next(turn))  # type: ignore[misc]
    for _ in range(5):
        first, second, third = tracker.check(TRACKED)
        assert first == Pending()
        assert isinstance(second, Completed)
        assert third == Pending(), "it may be the row that nobody can read"
    answer_with(base, {"value": [open_one]}, "GET Task_*")
    looks: list[Verdict] = [tracker.check(TRACKED)[2] for _ in range(3)]
    assert [type(each) for each in looks] == [Pending, Pending, Rejected]


def test_a_finished_one_that_cannot_be_read_whole_is_not_told_in_part(base: OneCSandbox, mapping: Path) -> None:
    tracker = tracker_for(base, mapping_file=mapping)
    base.clear_faults()
    for page, turns in (([{"Ref_Key": KEYS[0], "Executed": True}], [True, False]), ([None], [False, True])):
        turn = itertools.cycle(turns)
        answer = faults.answer(RawAnswer(200, written({"value": page})))
        base.inject(answer, "GET Task_*", count=None, match=lambda _body, turn=turn: next(turn))  # type: ignore[misc]
    assert tracker.check(TRACKED[:1]) == [Pending()]


def test_many_bad_rows_are_no_lost_right(base: OneCSandbox, mapping: Path) -> None:
    tracker = tracker_for(base, mapping_file=mapping)
    tasks = [TrackedTask(f"key-{number}", f"{TASK}/{KEYS[0][:-2]}{number:02}") for number in range(20)]
    answer_with(base, {"value": [None] * 20}, "GET Task_*")
    assert tracker.check(tasks) == [Pending()] * 20


def test_a_line_break_in_a_text_of_one_row_does_not_hold_up_the_others(base: OneCSandbox, mapping: Path) -> None:
    """RFC 8259, 7: control characters are escaped; a server that forgets it stops no sweep."""
    tracker = tracker_for(base, mapping_file=mapping)
    text = f'{{"value": [{{"Ref_Key": "{KEYS[0]}", "Executed": true, "Description": "две\nстроки"}}]}}'
    base.clear_faults()
    base.inject(faults.answer(RawAnswer(200, text.encode())), "GET Task_*", count=None)
    [verdict] = tracker.check(TRACKED[:1])
    assert isinstance(verdict, Completed)
    assert verdict.response["result"]["task"]["title"] == "две\nстроки"


# -- the handler -----------------------------------------------------------------------------------------------------


@given(objects(*NAMES, known=KNOWN) | ANY, st.sampled_from(["POST Task_*", "GET Task_*", "* Task_*"]), st.booleans())
def test_a_creation_has_an_outcome_whatever_is_answered(
    base: OneCSandbox, handler: OneCHandler, content: Any, call: str, again: bool
) -> None:
    answer_with(base, content, call)
    found = handled(handler, message("task", title="x", redelivered=again))
    assert isinstance(found, Accepted | OutcomeError), found


@given(objects(*NAMES, known=KNOWN) | ANY, st.sampled_from(["POST */Post", "GET *", "POST *", "*"]))
def test_steps_have_an_outcome_whatever_is_answered(
    base: OneCSandbox, handler: OneCHandler, content: Any, call: str
) -> None:
    answer_with(base, content, call)
    assert isinstance(handled(handler, message("post")), Accepted | OutcomeError)


@given(objects(*NAMES, known=KNOWN) | ANY, st.sampled_from(["PATCH *", "GET *", "*"]))
def test_an_update_has_an_outcome_whatever_is_answered(
    base: OneCSandbox, handler: OneCHandler, content: Any, call: str
) -> None:
    base.clear_faults()
    ref = external_id(outcome(handler, message("post", key="one")))
    answer_with(base, content, call)
    extra = [{"Свойство": KEYS[0], "Значение": True}]
    assert isinstance(handled(handler, message("up", ref=ref, amount=5, extra=extra)), Done | OutcomeError)


@given(PAGES)
def test_a_person_is_found_or_not_whatever_is_answered(
    base: OneCSandbox, handler: OneCHandler, page: dict[str, Any]
) -> None:
    answer_with(base, page, f"GET {FIRM}")
    assert isinstance(handled(handler, message("task", title="x", who="7701")), Accepted | OutcomeError)


@given(objects("id", "title", "status", "result", "warnings") | ANY)
def test_a_service_has_an_outcome_whatever_it_answers(base: OneCSandbox, handler: OneCHandler, content: Any) -> None:
    answer_with(base, content, "POST hs/*")
    assert isinstance(handled(handler, message("service")), Done | OutcomeError)


@given(objects("error", "odata.error", "exception", "code", "message", "descr", "inner") | ANY, st.integers(400, 599))
def test_a_refusal_has_an_outcome_whatever_it_says(
    base: OneCSandbox, handler: OneCHandler, content: Any, status: int
) -> None:
    answer_with(base, content, status=status)
    for topic in ("task", "service"):
        assert isinstance(outcome(handler, message(topic, title="x")), OutcomeError)


@given(st.binary(max_size=200) | TEXT.map(lambda text: f"<m:error>{text}</m:error>".encode("utf-8", "replace")))
def test_a_refusal_in_any_bytes_has_an_outcome(base: OneCSandbox, handler: OneCHandler, body: bytes) -> None:
    base.clear_faults()
    base.inject(faults.answer(RawAnswer(500, body)), "*", count=None)
    assert isinstance(outcome(handler, message("task", title="x")), OutcomeError)


@pytest.mark.parametrize(
    ("body", "topic", "kind", "code"),
    [
        ('{"odata.error": {"code": "4", "message": {"value": "две\nстроки"}}}', "task", PermanentError, "odata_4"),
        ('{"error": {"code": "NO_LIMIT", "message": "две\nстроки"}}', "service", BusinessError, "NO_LIMIT"),
    ],
)
def test_a_line_break_in_a_refusal_hides_no_code(
    base: OneCSandbox, handler: OneCHandler, body: str, topic: str, kind: type[OutcomeError], code: str
) -> None:
    base.clear_faults()
    base.inject(faults.answer(RawAnswer(422, body.encode())), "POST *", count=None)
    error = failed(outcome(handler, message(topic, title="x")))
    assert (type(error), error.code) == (kind, code)
    assert "две\nстроки" in error.reason


def test_a_right_that_is_refused_with_401_is_not_taken_for_a_password(base: OneCSandbox, handler: OneCHandler) -> None:
    """Developer guide 8.3.27, 17.4.5.4: data that the user may not see may bring 401."""
    base.clear_faults()
    base.inject(faults.odata(401, 20, "Недостаточно прав"), "POST *", count=None)
    error = failed(outcome(handler, message("task", title="x")))
    assert isinstance(error, ConfigurationError)
    assert "give the rights" in error.reason
    assert "ONEC_PASSWORD" not in error.reason


# -- services: what is read, and what is refused although it is done -------------------------------------------------

READY = '{"status": "готов"}'.encode("cp1251")


@pytest.mark.parametrize(
    ("raw", "result", "note"),
    [
        (RawAnswer(200, b'{"status": "a\nb"}'), {"status": "a\nb"}, "control characters"),
        (RawAnswer(200, READY, "application/json; charset=windows-1251"), {"status": "готов"}, "cp1251"),
        (RawAnswer(200, b'"{\\"status\\": \\"x\\"}"'), {"status": "x"}, "twice"),
        (RawAnswer(200, b"null"), {"status": "done"}, "no result"),
        (RawAnswer(204, b""), {"status": "done"}, None),
        (RawAnswer(200, b'\xef\xbb\xbf{"status": "x"}\n'), {"status": "x"}, None),
    ],
)  # fmt: skip
def test_what_has_one_reading_is_the_result_and_told(
    base: OneCSandbox, handler: OneCHandler, raw: RawAnswer, result: dict[str, Any], note: str | None
) -> None:
    base.clear_faults()
    base.inject(faults.answer(raw), "POST hs/*")
    done = outcome(handler, message("service", key="k"))
    assert isinstance(done, Done)
    assert result.items() <= done.response["result"]["task"].items()
    told = done.response.get("warnings", [])
    assert len(told) == (note is not None)
    assert all(str(note) in each for each in told)


@pytest.mark.parametrize("body", [b'{"sum": NaN}', b"[1]", b'"done"', b'{"sum": 1]', b"\xff\xfe"])
def test_work_that_is_done_with_an_answer_that_cannot_be_used_is_not_repeated(
    base: OneCSandbox, handler: OneCHandler, body: bytes
) -> None:
    base.clear_faults()
    base.inject(faults.answer(RawAnswer(200, body), after_execution=True), "POST hs/*")
    error = failed(outcome(handler, message("service", key=f"key {body!r}")))
    assert isinstance(error, PermanentError)
    assert "camunda/sync" in error.reason
    assert "its work is done" in error.reason


def test_an_answer_that_breaks_off_is_asked_for_again_with_the_same_key(
    base: OneCSandbox, handler: OneCHandler
) -> None:
    base.clear_faults()
    base.inject(faults.answer(RawAnswer(200, b'{"sum": 1'), after_execution=True), "POST hs/*")
    task = message("service", key="torn")
    assert isinstance(failed(outcome(handler, task)), AmbiguousError)
    assert isinstance(outcome(handler, task), Done)


# -- what 1C offers --------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_any_bytes_are_metadata_or_an_outage(body: bytes) -> None:
    head = b"<edmx:Edmx xmlns:edmx='x'>"
    for xml in (body, head + body, head + body + b"</edmx:Edmx>"):
        with contextlib.suppress(OutageError):
            assert isinstance(parse_metadata(xml, {ORDER}), Metadata)


@pytest.mark.parametrize("encoding", ["no-such-thing", "utf-7", "utf-16", "big5"])
def test_metadata_in_an_encoding_that_is_none_is_an_outage(encoding: str) -> None:
    whole = metadata_xml(ENTITIES).replace(b'encoding="UTF-8"', f'encoding="{encoding}"'.encode())
    with pytest.raises(OutageError):
        parse_metadata(whole, {ORDER})


def test_a_length_that_is_none_limits_nothing() -> None:
    for length in (b"9" * 5000, b"max", b"-1", b"0", b""):
        whole = metadata_xml(ENTITIES).replace(b'MaxLength="11"', b'MaxLength="%s"' % length)
        assert parse_metadata(whole, {ORDER}).entity(ORDER).properties["Number"].max_length is None


@given(ANY)
def test_a_probe_has_an_outcome_whatever_is_answered(base: OneCSandbox, content: Any) -> None:
    answer_with(base, content)
    with pytest.raises((OutageError, ConfigurationError)):
        handler_for(base).probe()
