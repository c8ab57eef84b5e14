"""Variables in every form in which engines send them: read as what they are, or refused by name, never changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import values
from core.errors import OutcomeError
from core.inputs import Inputs
from core.messages import CamundaTask, Limits, decode_task
from core.variables import UnreadableError, Variables

JAVA = {
    "type": "Object",
    "value": "rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA==",
    "valueInfo": {
        "objectTypeName": "java.util.HashMap",
        "serializationDataFormat": "application/x-java-serialized-object",
    },
}


def typed(kind: str, value: Any, **info: Any) -> dict[str, Any]:
    return {"type": kind, "value": value, "valueInfo": info}


def as_json(value: Any) -> dict[str, Any]:
    return typed(
        "Object",
        json.dumps(value),
        objectTypeName="java.util.ArrayList<String>",
        serializationDataFormat="application/json",
    )


def task(**fields: Any) -> CamundaTask:
    return decode_task(json.dumps({"task_id": "a", "topic": "t", **fields}).encode(), Limits())


def read(value: Any) -> Any:
    return task(variables={"x": value}).variables["x"]


@pytest.mark.parametrize(
    ("told", "plain"),
    [
        (typed("String", "П-17"), "П-17"),
        ({"value": "П-17", "type": "string"}, "П-17"),  # VariableValueDto takes a small first letter
        ({"value": "П-17", "type": "String", "local": True}, "П-17"),
        (typed("String", None), None),
        (typed("Integer", 7), 7),
        (typed("Long", 9007199254740993), 9007199254740993),
        (typed("Long", "9007199254740993"), 9007199254740993),
        (typed("Double", 125000.0), 125000),
        (typed("Double", 0.1), 0.1),
        (typed("Boolean", True), True),
        (typed("Boolean", "false"), False),
        (typed("Date", "2026-12-01T12:00:00.000+0300"), "2026-12-01T12:00:00.000+0300"),
        (typed("Null", None), None),
        ({"type": "Null"}, None),
        (typed("Xml", "<a/>"), "<a/>"),
        (typed("Json", '{"a": [1, 9007199254740993]}'), {"a": [1, 9007199254740993]}),
        (typed("Json", {"a": 1}), {"a": 1}),
        (as_json(["договор", "срочно"]), ["договор", "срочно"]),
        (typed("Object", ["a"], objectTypeName="java.util.ArrayList"), ["a"]),  # deserializeValues=true
        ({"value": 7, "valueInfo": {}}, 7),
    ],
)
def test_a_typed_value_is_read_as_its_type_says(told: Any, plain: Any) -> None:
    assert read(told) == plain
    assert type(read(told)) is type(plain)


@pytest.mark.parametrize(
    "business",
    [
        {"type": "percent", "value": 10, "reason": "loyalty"},
        {"type": "percent", "value": 10},
        {"type": "String", "value": "x", "label": "a field more than an engine has"},
        {"type": "JSON", "value": "{}"},  # engines refuse this spelling
        {"type": "Json", "name": "x"},
        {"type": 5, "value": 1},
        {"value": 1},
        {"type": "String"},
    ],
)
def test_a_business_object_that_looks_alike_stays_whole(business: dict[str, Any]) -> None:
    assert read(business) == business


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (JAVA, ["java.util.HashMap", "application/x-java-serialized-object", "Json"]),
        (typed("Object", "<a/>", serializationDataFormat="application/xml"), ["application/xml"]),
        (typed("Object", "{}"), ["an unknown format"]),
        (typed("Json", "{broken"), ["not JSON", "line 1"]),
        (typed("Json", '{"a": 1, "a": 2}'), ["stands twice"]),
        (typed("Integer", "много"), ["много", "a number"]),
        (typed("Long", 1.5), ["1.5", "a whole number"]),
        (typed("Double", "NaN"), ["NaN"]),
        (typed("Boolean", "yes"), ["yes", "neither true nor false"]),
        (typed("Date", "завтра"), ["завтра", "2026-12-31"]),
        (typed("Date", 1796115600000), ["1796115600000"]),
        (typed("String", {"a": 1}), ["declared as a text"]),
        (typed("Null", 5), ["declared as Null", "5"]),
        (typed("Bytes", "AAEC"), ["Bytes", "no text"]),
        (typed("File", None, filename="договор.pdf", mimeType="application/pdf"), ["договор.pdf", "link"]),
    ],
)
def test_what_cannot_be_read_is_refused_by_name_and_only_where_it_is_asked_for(told: Any, words: list[str]) -> None:
    incoming = task(variables={"бланк": told, "title": "x"})
    assert Inputs(incoming).text("title") == "x"
    with pytest.raises(UnreadableError) as refused:
        Inputs(incoming).text("бланк")
    for word in ["бланк", *words]:
        assert word in refused.value.reason
    assert incoming.variables.as_told() == {"бланк": told, "title": "x"}, "a receiver may be able to read it"


def test_a_java_object_that_the_live_side_sends_as_a_text_becomes_no_title() -> None:
    # It strips the type in `variables` and leaves it in `process_variables`.
    incoming = task(variables={"title": JAVA["value"]}, process_variables={"title": JAVA})
    with pytest.raises(UnreadableError, match=r"title: a Java java\.util\.HashMap"):
        Inputs(incoming).text("title")


@pytest.mark.parametrize(
    "declared",
    [
        {**JAVA, "value": "another value, of another scope"},
        typed("Json", JAVA["value"]),
        typed("String", JAVA["value"]),
        None,
        5,
    ],
)
def test_a_text_that_is_declared_as_a_text_stays_one(declared: Any) -> None:
    incoming = task(variables={"title": JAVA["value"]}, process_variables={"title": declared})
    assert Inputs(incoming).text("title") == JAVA["value"]


class TestTheEmptyDateOfClients:
    """camunda-external-task-client-js 3.1.0 reads a Date without a value as 1970 and writes it back."""

    @pytest.mark.parametrize(
        "epoch",
        [
            "1970-01-01T00:00:00.000+0000",
            "1970-01-01T00:00:00Z",
            "1970-01-01T03:00:00.000+0300",
            "1969-12-31T19:00:00.000-0500",
            "1970-01-01T03:00+03:00[Europe/Moscow]",
        ],
    )
    def test_it_counts_as_not_given_and_is_told(self, epoch: str) -> None:
        inputs = Inputs(task(variables={"deadline": typed("Date", epoch), "due_date": "2026-12-01"}))
        assert inputs.first("deadline", "due_date") == ("due_date", "2026-12-01")
        assert [each.en for each in inputs.empty_dates()] == [
            f"deadline: {epoch} is what clients make of an empty date; it counts as not given"
        ]

    @pytest.mark.parametrize("day", ["1970-01-01", "1970-01-01T00:00:00", "1970-01-01T00:00:01+0000"])
    def test_a_day_that_somebody_has_written_is_one(self, day: str) -> None:
        inputs = Inputs(task(variables={"birthday": day}))
        assert inputs.first("birthday") == ("birthday", day)
        assert inputs.empty_dates() == []


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NUMBERS = ("Integer", "Short", "Long", "Double", "Number")
KINDS = ("String", *NUMBERS, "Boolean", "Date", "Null", "Bytes", "File", "Json", "Xml", "Object", "percent")


@settings(deadline=None)
@given(
    st.sampled_from(KINDS),
    plain_values,
    st.sampled_from([None, "application/json", "application/x-java-serialized-object"]),
)
def test_any_value_of_any_type_is_kept_or_refused_by_name(kind: str, value: Any, written: str | None) -> None:
    told = typed(kind, value, serializationDataFormat=written)
    variables = Variables({"имя": told})
    refused, found = outcome(lambda: variables["имя"])
    if refused is not None:
        assert refused.startswith("имя: ")
        assert variables.as_told() == {"имя": told}
    elif kind == "percent":
        assert found == told
    elif isinstance(value, str) and kind in {"Json", "Object"}:
        assert found == json.loads(value)
    elif isinstance(value, str) and kind in {*NUMBERS, "Boolean"}:
        assert isinstance(found, int | float)
    else:
        assert found == value


@settings(deadline=None)
@given(plain_values)
def test_any_value_becomes_a_text_that_every_system_takes(value: Any) -> None:
    text = values.text(read(value))
    assert "\0" not in text
    assert text.encode("utf-8").decode("utf-8") == text


def outcome(reading: Callable[[], Any]) -> tuple[str | None, Any]:
    try:
        return None, reading()
    except OutcomeError as error:
        return error.reason, None
