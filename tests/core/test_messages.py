"""The way in: a message is read by rules on which two readers agree, or refused with a reason for people."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.envelopes import decode_sent, encode_sent
from core.errors import InvalidMessageError
from core.messages import TASK_ID_LIMIT, CamundaTask, Limits, decode_task
from core.results import Accepted
from core.strict_json import decode_object

REQUIRED = b'"task_id": "task-1", "topic": "bitrix_create_task"'
SMALLEST = b"{" + REQUIRED + b"}"

# Text that UTF-8 can hold, and identifiers by the contract's rules.
characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=20)
# No control characters, no separators: what is left is printable, and 20 of them stay below TASK_ID_LIMIT bytes.
identifiers = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


def decode(body: bytes, **limits: int) -> CamundaTask:
    return decode_task(body, Limits(**limits))


def task_with(member: bytes) -> bytes:
    return b"{" + REQUIRED + b", " + member + b"}"


def refusal(body: bytes, **limits: int) -> InvalidMessageError:
    with pytest.raises(InvalidMessageError) as refused:
        decode(body, **limits)
    return refused.value


def refusal_code(read: Callable[[], object]) -> str | None:
    """None when nothing is refused; an error of any other kind is the test's failure."""
    try:
        read()
    except InvalidMessageError as error:
        error.reason.encode("utf-8")  # the reason itself is going to be written
        return error.code
    return None


class TestWhatIsAccepted:
    def test_a_byte_order_mark_is_no_part_of_the_message(self) -> None:
        task = decode(codecs.BOM_UTF8 + SMALLEST)
        assert task.task_id == "task-1"
        assert task.body == SMALLEST, "it would stand in the middle of the sent message"

    def test_unknown_keys_are_kept(self) -> None:
        task = decode(task_with('"nowhere_documented": {"ключ": [1, null]}'.encode()))
        assert task.fields["nowhere_documented"] == {"ключ": [1, None]}

    def test_an_integer_beyond_every_double_stays_exact(self) -> None:
        digits = "1234567890" * 30 + "1"
        assert decode(task_with(f'"n": {digits}'.encode())).fields["n"] == int(digits)

    def test_an_integer_of_as_many_digits_as_python_reads_is_accepted(self) -> None:
        digits = b"9" * sys.get_int_max_str_digits()
        assert decode(task_with(b'"n": ' + digits)).fields["n"] % 10 == 9

    @pytest.mark.parametrize("member", [b'"x": "\\ud83d\\ude00"', '"x": "😀"'.encode()])
    def test_a_character_beyond_the_first_plane_is_the_same_escaped_and_raw(self, member: bytes) -> None:
        assert decode(task_with(member)).fields["x"] == "😀"

    def test_an_escaped_backslash_before_a_surrogate_s_digits_is_no_surrogate(self) -> None:
        assert decode(task_with(b'"path": "c:\\\\ud800"')).fields["path"] == "c:\\ud800"

    def test_the_same_key_in_two_different_objects_is_no_duplicate(self) -> None:
        assert decode(task_with(b'"a": {"k": 1}, "b": [{"k": 2}, {"k": 3}]')).fields["b"][1] == {"k": 3}

    @pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"x": ', b"}")])
    def test_nesting_up_to_the_limit_is_read_and_one_level_more_is_refused(
        self, opening: bytes, closing: bytes
    ) -> None:
        inner = b"" if opening == b"[" else b"0"
        at_limit = task_with(b'"x": ' + opening * 9 + inner + closing * 9)
        too_deep = task_with(b'"x": ' + opening * 10 + inner + closing * 10)
        assert decode(at_limit, max_depth=10).task_id == "task-1"
        assert refusal(too_deep, max_depth=10).code == "message_too_deep"

    def test_many_brackets_side_by_side_are_not_deep(self) -> None:
        assert len(decode(task_with(b'"x": [' + b"[]," * 999 + b"[]]"), max_depth=3).fields["x"]) == 1000

    def test_brackets_inside_a_text_are_not_deep(self) -> None:
        assert decode(task_with(b'"x": "' + b"[" * 1000 + b'"'), max_depth=2).task_id == "task-1"

    def test_a_message_of_exactly_the_allowed_size_is_read_and_one_byte_more_is_refused(self) -> None:
        assert decode(SMALLEST, max_bytes=len(SMALLEST)).task_id == "task-1"
        refused = refusal(SMALLEST + b" ", max_bytes=len(SMALLEST))
        assert refused.code == "message_too_large"
        assert "MAX_MESSAGE_BYTES" in refused.reason, "the operator can change it"

    def test_an_identifier_may_hold_letters_of_any_alphabet(self) -> None:
        task = decode('{"task_id": "задача №1/é", "topic": "тема.1"}'.encode())
        assert (task.task_id, task.topic) == ("задача №1/é", "тема.1")

    def test_an_identifier_of_exactly_the_allowed_bytes_is_read(self) -> None:
        longest = "я" * (TASK_ID_LIMIT // 2)
        assert decode(json.dumps({"task_id": longest, "topic": "t"}).encode()).task_id == longest


# Each broken body with the code and a word that its reader will look for.
REFUSED: list[tuple[str, bytes, str, str]] = [
    ("a number that is none", task_with(b'"x": NaN'), "bad_number", "NaN"),
    ("infinity", task_with(b'"x": Infinity'), "bad_number", "Infinity"),
    ("minus infinity", task_with(b'"x": [-Infinity]'), "bad_number", "-Infinity"),
    ("a number beyond a double", task_with(b'"x": 1e999'), "bad_number", "1e999"),
    ("a negative number beyond a double", task_with(b'"x": -1e999'), "bad_number", "-1e999"),
    ("an integer of 4,301 digits", task_with(b'"x": ' + b"9" * 4301), "bad_number", "4300"),
    ("the same key twice", task_with(b'"k": 1, "k": 1'), "duplicate_key", "'k'"),
    ("the same key twice, far inside", task_with(b'"x": [[{"y": {"k": 1, "k": 2}}]]'), "duplicate_key", "'k'"),
    ("a key twice, once escaped", task_with(b'"k": 1, "\\u006b": 2'), "duplicate_key", "'k'"),
    ("two task ids", b'{"task_id": "a", "task_id": "b", "topic": "t"}', "duplicate_key", "task_id"),
    ("half of a pair", task_with(b'"x": "\\ud83d"'), "lone_surrogate", "\\ud83d"),
    ("the other half", task_with(b'"x": ["\\uDE00"]'), "lone_surrogate", "\\ude00"),
    ("halves the wrong way round", task_with(b'"x": "\\ude00\\ud83d"'), "lone_surrogate", "\\ude00"),
    ("half of a pair in a key", task_with(b'"\\ud800": 1'), "lone_surrogate", "\\ud800"),
    ("half of a pair as raw bytes", task_with(b'"x": "\xed\xa0\x80"'), "not_utf8", "0xed"),
    ("Windows letters", '{"task_id": "задача"}'.encode("cp1251"), "not_utf8", "offset"),
    ("UTF-16", SMALLEST.decode().encode("utf-16"), "not_utf8", "0xff"),
    ("an overlong slash", task_with(b'"x": "\xc0\xaf"'), "not_utf8", "0xc0"),
    ("two byte order marks", codecs.BOM_UTF8 * 2 + SMALLEST, "not_json", "column 1"),
    ("nothing", b"", "not_json", "column 1"),
    ("a cut message", SMALLEST[:-1], "not_json", "line 1"),
    ("two messages in one", SMALLEST + SMALLEST, "not_json", "Extra data"),
    ("a raw line break in a text", task_with(b'"x": "a\nb"'), "not_json", "control character"),
    ("a comma too many", b"{" + REQUIRED + b",}", "not_json", "line 1"),
    ("single quotes", b"{'task_id': 'a'}", "not_json", "line 1"),
    ("null", b"null", "not_an_object", "null"),
    ("a list", b"[" + SMALLEST + b"]", "not_an_object", "array"),
    ("a text", b'"task"', "not_an_object", "string"),
    ("a number", b"1.5", "not_an_object", "number"),
    ("true", b"true", "not_an_object", "boolean"),
    ("levels without end", task_with(b'"x": ' + b"[" * 200_000), "message_too_deep", "MAX_MESSAGE_DEPTH"),
    ("objects without end", task_with(b'"x": ' + b'{"x":' * 200_000), "message_too_deep", "MAX_MESSAGE_DEPTH"),
    ("no task id", b'{"topic": "t"}', "missing_task_id", "task_id"),
    ("no topic", b'{"task_id": "a"}', "missing_topic", "topic"),
    ("an empty task id", b'{"task_id": "", "topic": "t"}', "bad_task_id", "non-empty"),
    ("an empty topic", b'{"task_id": "a", "topic": ""}', "bad_topic", "non-empty"),
    ("a number for a task id", b'{"task_id": 7, "topic": "t"}', "bad_task_id", "7"),
    ("null for a task id", b'{"task_id": null, "topic": "t"}', "bad_task_id", "null"),
    ("a list for a topic", b'{"task_id": "a", "topic": ["t"]}', "bad_topic", '["t"]'),
    ("a wrapped task id", b'{"task_id": {"value": "a", "type": "String"}, "topic": "t"}', "bad_task_id", "value"),
    ("only spaces", b'{"task_id": "   ", "topic": "t"}', "bad_task_id", "spaces"),
    ("a space behind the id", b'{"task_id": "a ", "topic": "t"}', "bad_task_id", "'a '"),
    ("a no-break space before it", '{"task_id": "\u00a0a", "topic": "t"}'.encode(), "bad_task_id", "\\xa0"),
    ("a line break in the id", b'{"task_id": "a\\nb", "topic": "t"}', "bad_task_id", "\\n"),
    ("a zero byte in the id", b'{"task_id": "a\\u0000", "topic": "t"}', "bad_task_id", "\\x00"),
    ("an invisible character", '{"task_id": "a\u200b", "topic": "t"}'.encode(), "bad_task_id", "\\u200b"),
    ("a tab in the topic", b'{"task_id": "a", "topic": "t\\t"}', "bad_topic", "\\t"),
    ("201 bytes", json.dumps({"task_id": "a" * 201, "topic": "t"}).encode(), "bad_task_id", "201"),
    ("101 letters of two bytes", json.dumps({"task_id": "я" * 101, "topic": "t"}).encode(), "bad_task_id", "202"),
]


@pytest.mark.parametrize(("body", "code", "word"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_two_readers_would_not_read_alike_is_refused_with_its_reason(body: bytes, code: str, word: str) -> None:
    refused = refusal(body)
    assert refused.code == code
    assert word in refused.reason
    assert len(refused.reason) < 1000, "one huge key or value must not become one huge reason"
    refused.reason.encode("utf-8")  # the reason itself is going to be written


def test_a_huge_duplicate_key_or_wrong_id_makes_no_huge_reason() -> None:
    key = b'"' + b"k" * 1_000_000 + b'"'
    assert len(refusal(task_with(key + b": 1, " + key + b": 2")).reason) < 1000
    assert len(refusal(b'{"task_id": [' + key + b'], "topic": "t"}').reason) < 1000
    assert len(refusal(b'{"task_id": ' + key + b', "topic": "t"}').reason) < 1000


def test_no_depth_escapes_as_another_error_when_surrogates_are_looked_for() -> None:
    # Python's JSON reader and writer give up at slightly different depths, and both depend on the caller's own.
    def code_at(depth: int) -> str | None:
        body = b'{"x": ' + b"[" * depth + b'"\\ud83d\\ude00"' + b"]" * depth + b"}"
        return refusal_code(lambda: decode_object(body, 10_000))

    codes = [code_at(depth) for depth in range(800, 1001)]
    assert codes == sorted(codes, key=str), "readable up to some depth, too deep beyond it"
    assert set(codes) == {None, "message_too_deep"}


class TestTheTaskAsAHandlerSeesIt:
    def test_variables_are_plain_values_in_both_forms_of_the_contract(self) -> None:
        variables = {
            "plain": "123",
            "typed": {"value": "Название", "type": "String"},
            "with_info": {"value": 7, "valueInfo": {}},
            "typed_null": {"value": None, "type": "Null"},
            "document": {"value": 1},
            "object": {"type": "Json", "name": "x"},
            "list": [{"value": 1, "type": "Integer"}],
            "none": None,
        }
        task = decode(json.dumps({"task_id": "a", "topic": "t", "variables": variables}).encode())
        assert task.variables == {
            "plain": "123",
            "typed": "Название",
            "with_info": 7,
            "typed_null": None,
            "document": {"value": 1},
            "object": {"type": "Json", "name": "x"},
            "list": [{"value": 1, "type": "Integer"}],
            "none": None,
        }

    @settings(deadline=None)
    @given(json_values.filter(lambda value: not isinstance(value, dict)))
    def test_a_value_that_is_no_object_is_never_unwrapped(self, value: Any) -> None:
        body = json.dumps({"task_id": "a", "topic": "t", "variables": {"x": value}}).encode()
        assert decode(body).variables["x"] == value

    @pytest.mark.parametrize("nothing", [None, [], {}])
    def test_variables_and_metadata_may_be_nothing(self, nothing: Any) -> None:
        body = json.dumps({"task_id": "a", "topic": "t", "variables": nothing, "metadata": nothing}).encode()
        assert decode(body).variables == {}
        assert decode(body).metadata_section("extensionProperties") == {}

    @pytest.mark.parametrize("name", ["variables", "metadata"])
    @pytest.mark.parametrize("given", ["text", 5, [{"name": "title", "value": "x"}], True])
    def test_variables_or_metadata_of_another_form_are_refused_and_not_lost(self, name: str, given: Any) -> None:
        body = json.dumps({"task_id": "a", "topic": "t", name: given}).encode()
        assert refusal_code(lambda: decode(body)) == f"bad_{name}"

    def test_a_section_of_the_metadata_may_be_absent_null_or_something_else(self) -> None:
        metadata = {"extensionProperties": {"assigneeId": "3"}, "inputParameters": None, "activityInfo": "x"}
        task = decode(json.dumps({"task_id": "a", "topic": "t", "metadata": metadata}).encode())
        assert task.metadata_section("extensionProperties") == {"assigneeId": "3"}
        for name in ("inputParameters", "activityInfo", "fieldInjections"):
            assert task.metadata_section(name) == {}

    @pytest.mark.parametrize(
        ("attribute", "snake", "camel"),
        [
            ("process_instance_id", "process_instance_id", "processInstanceId"),
            ("process_definition_key", "process_definition_key", "processDefinitionKey"),
            ("activity_id", "activity_id", "activityId"),
        ],
    )
    def test_camel_case_is_read_when_the_contract_s_own_name_says_nothing(
        self, attribute: str, snake: str, camel: str
    ) -> None:
        def read(**fields: Any) -> Any:
            return getattr(decode(json.dumps({"task_id": "a", "topic": "t", **fields}).encode()), attribute)

        assert read(**{snake: "s", camel: "c"}) == "s"
        assert read(**{camel: "c"}) == "c"
        no_texts: list[Any] = [None, "", 7, {}]
        for nothing in no_texts:
            assert read(**{snake: nothing, camel: "c"}) == "c"
        assert read() is None


class TestAnyMessage:
    @settings(deadline=None)
    @given(
        st.dictionaries(texts, json_values, max_size=6),
        identifiers,
        identifiers,
        st.booleans(),
        st.sampled_from([0, 2]),
    )
    def test_any_object_with_the_two_identifiers_stands_byte_for_byte_in_its_sent_message(
        self, fields: dict[str, Any], task_id: str, topic: str, escaped: bool, spaces: int
    ) -> None:
        message = {**fields, "task_id": task_id, "topic": topic}
        body = json.dumps(message, ensure_ascii=escaped, indent=spaces or None).encode()
        task = decode(body)
        assert task.fields == message
        sent = encode_sent(task, "bitrix24.queue", Accepted({"result": {"task": {"id": "42"}}}), now=1.0)
        assert b', "original_message": %b, "response_data"' % body in sent.body
        assert decode_sent(sent.body).original == message

    @settings(deadline=None)
    @given(st.binary(max_size=200))
    def test_any_bytes_are_a_task_or_refused_and_nothing_else(self, body: bytes) -> None:
        assert_task_or_refusal(body)

    # Bytes that look like JSON get further than bytes of pure chance.
    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.lists(
            st.sampled_from(
                [
                    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"-", b"e9", b"NaN", b"null", b"1" * 4400),
                    *(b'"task_id"', b'"topic"', b'"a"', b"\\ud800", b"\\ude00", b"\xff", codecs.BOM_UTF8, b"[" * 1500),
                    REQUIRED,
                ]
            ),
            max_size=30,
        )
    )
    def test_any_shuffled_json_is_a_task_or_refused_and_nothing_else(self, pieces: list[bytes]) -> None:
        assert_task_or_refusal(b"".join(pieces))
        assert_task_or_refusal(task_with(b"".join(pieces)))


def assert_task_or_refusal(body: bytes) -> None:
    def read_and_write() -> None:
        json.dumps(decode(body).fields, ensure_ascii=False, allow_nan=False).encode("utf-8")

    assert refusal_code(read_and_write) != "", "a refusal has a code"
