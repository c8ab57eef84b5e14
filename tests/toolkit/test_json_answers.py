"""Answers in JSON as servers really write them: one reading is taken and told, two are refused, nothing raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import AmbiguousError, PermanentError
from core.texts import Text
from toolkit.http import HttpAnswer
from toolkit.json_answers import read_answer, result_of

WHO = Text("Service x", "Сервис x")
CYRILLIC = '{"a": "Готово"}'


def answered(body: bytes, media_type: str = "application/json") -> HttpAnswer:
    return HttpAnswer(200, {"Content-Type": media_type}, body, 0.0)


@pytest.mark.parametrize(
    ("body", "media_type", "content", "note"),
    [
        (b'{"a": 1}', "application/json", {"a": 1}, None),
        (b'\xef\xbb\xbf{"a": 1}\r\n\t ', "application/json", {"a": 1}, None),
        (b"", "application/json", {}, None),
        (b"\xef\xbb\xbf \r\n", "", {}, None),
        (b"null", "application/json", {}, "no result"),
        (b'{"a": "x\ny\tz"}', "application/json", {"a": "x\ny\tz"}, "control characters"),
        (b'"{\\"a\\": 1}"', "application/json", {"a": 1}, "twice"),
        (CYRILLIC.encode("cp1251"), 'application/json; charset="Windows-1251"', {"a": "Готово"}, "cp1251"),
        (CYRILLIC.encode("koi8-r"), "text/plain;charset=KOI8-R", {"a": "Готово"}, "koi8-r"),
        (CYRILLIC.encode(), "application/json; charset=windows-1251", {"a": "Готово"}, None),
        (CYRILLIC.encode("utf-16"), "application/json", {"a": "Готово"}, "utf-16"),
        (CYRILLIC.encode("utf-32-be"), "application/json", {"a": "Готово"}, "utf-32-be"),
        (b'{"a": "\\ud83d"}', "application/json", {"a": "\N{REPLACEMENT CHARACTER}"}, "half of a character"),
        (b'{"a": "\\ud83d\\ude00"}', "application/json", {"a": "\N{GRINNING FACE}"}, None),
        (b'{"a": 1, "a": 2}', "application/json", {"a": 2}, "'a' stood"),
    ],
)
def test_what_has_one_reading_is_read_and_told(
    body: bytes, media_type: str, content: dict[str, Any], note: str | None
) -> None:
    """RFC 8259: 4 (names), 6 (numbers), 7 (control characters), 8.1 (UTF-8, byte order mark)."""
    found, notes = result_of(answered(body, media_type), WHO)
    assert found == content
    assert len(notes) == (note is not None)
    assert all(str(note) in each.en for each in notes)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"a": NaN}', "NaN"),
        (b'{"a": [-Infinity]}', "-Infinity"),
        (b'{"a": 1e999}', "1e999"),
        (b'{"a": ' + b"9" * 5000 + b"}", "5000 digits"),
        (b'{"a": ' * 600 + b"1" + b"}" * 600, "500 levels"),
        (b"[" * 100_000, "too deeply"),
        (b"[1]", "a list"),
        (b"7", "a number"),
        (b"true", "true or false"),
        (b'"done"', "a text"),
        (b'"{done"', "a text"),
        (b'{"a": 1} {"a": 2}', "not JSON"),
        (b"\xff\xfe", "not JSON"),  # UTF-16, and nothing in it
        (b"{'a': 1}", "not JSON"),
        (CYRILLIC.encode("cp1251"), "names no other charset"),
    ],
)
def test_what_cannot_be_a_result_is_refused_by_name_and_said_to_be_done(body: bytes, problem: str) -> None:
    with pytest.raises(PermanentError) as caught:
        result_of(answered(body), WHO)
    assert caught.value.code == "bad_result"
    assert "its work is done" in caught.value.reason
    assert problem in caught.value.reason


@pytest.mark.parametrize("body", [b'{"a": 1', b'{"a": "x', b'{"a": "x\ny', b'{"a":\n', b'[{"a": 1},', b'{"a": [1'])
def test_what_breaks_off_may_have_been_torn_on_its_way(body: bytes) -> None:
    with pytest.raises(AmbiguousError) as caught:
        result_of(answered(body), WHO)
    assert caught.value.code == "no_json"


@pytest.mark.parametrize("charset", ["base64", "idna", "undefined", "no-such-thing", "utf-8"])
def test_a_charset_that_is_none_is_not_tried(charset: str) -> None:
    with pytest.raises(PermanentError, match="no other charset"):
        result_of(answered(CYRILLIC.encode("cp1251"), f"application/json; charset={charset}"), WHO)


@pytest.mark.parametrize("body", [b"<html>", b"OK", b'{"a": 1', b"\xff"])
def test_what_does_not_call_itself_json_may_be_a_page_of_something_in_between(body: bytes) -> None:
    with pytest.raises(AmbiguousError) as caught:
        result_of(answered(body, "text/html"), WHO)
    assert caught.value.code == "no_json"


def test_a_status_is_readable_beside_a_number_that_is_none() -> None:
    """A job that is still running is not given up for it."""
    read = read_answer(answered(b'{"status": "running", "progress": NaN}'))
    assert (read.content, read.problem is None) == ({"status": "running", "progress": None}, False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()), st.text(max_size=30))
def test_any_bytes_are_read_or_explained_and_what_is_read_can_be_written(body: bytes, media_type: str) -> None:
    read = read_answer(answered(body, media_type))
    assert read.content is not None or read.problem
    if read.problem is None:
        json.dumps(read.content, ensure_ascii=False, allow_nan=False).encode()


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3))
def test_clean_json_is_what_it_was_and_nothing_is_told(content: dict[str, Any]) -> None:
    text = json.dumps(content)
    read = read_answer(answered(text.encode()))
    if read.problem is None and not read.notes:
        assert read.content == json.loads(text)
