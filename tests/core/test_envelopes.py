"""What the daemon writes is what Camunda's worker and the monitors of the sent queues read, byte for byte.

tests/support/data/camunda_task.json is a task message as the live Camunda side writes it: UTF-8, Cyrillic unescaped,
one line.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.copies import FOREIGN_HEADERS_LIMIT, decode_history, encode_copy
from core.envelopes import (
    EMBED_LIMIT,
    ERROR_TEXT_LIMIT,
    PROCESSING_COMPLETED,
    PROCESSING_COMPLETED_BY_TRACKER,
    Failure,
    SentHeader,
    cut_bytes,
    decode_sent,
    decode_sent_header,
    encode_failed_task,
    encode_failed_tracking,
    encode_response,
    encode_sent,
    encode_unreadable,
)
from core.errors import BusinessError, InvalidMessageError, PermanentError, TransientError
from core.messages import CamundaTask, Limits, OutgoingMessage, decode_task
from core.policy import Tries
from core.results import Accepted, Done
from core.texts import Text
from sandbox.address import BrokerAddress
from sandbox.broker_view import Broker
from testbench.harness import Bench
from tests.support.places import DATA

BODY = (DATA / "camunda_task.json").read_bytes().rstrip()
TASK_ID = "b512fa46-cece-11f0-9207-00b436387543"
FRAME_MAX = 128 * 1024  # RabbitMQ's default frame_max; one header table must fit into one frame
FOUR_BYTES = "😀"


def a_task(**changes: Any) -> CamundaTask:
    body = json.dumps({**json.loads(BODY), **changes}, ensure_ascii=False).encode() if changes else BODY
    return decode_task(body, Limits())


def a_failure(**changes: Any) -> Failure:
    values: dict[str, Any] = {
        "error": PermanentError(Text("there is no user 99", "нет пользователя 99"), code="unknown_user"),
        "source_queue": "bitrix24.queue",
        "system": "bitrix24",
        "attempts": 4,
        "first_seen": 1795416000.0,
        "failed_at": 1795416839.5,
    }
    return Failure(**{**values, **changes})


def fields_of(message: OutgoingMessage) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(message.body)
    return fields


def wire_size(message: OutgoingMessage) -> int:
    """An upper bound for the header table of texts and small numbers (AMQP 0-9-1, section 4.2.5.5)."""
    return sum(len(name.encode()) + len(str(value).encode()) + 16 for name, value in message.headers.items())


class TestSentMessage:
    def test_it_is_the_literal_of_the_contract(self) -> None:
        response = {"result": {"task": {"id": "42", "title": "Согласовать"}}, "success": True}
        message = encode_sent(a_task(), "bitrix24.queue", Accepted(response, "42"), now=1795416839.5)
        assert message.body == (
            b'{"timestamp": 1795416779220, "original_queue": "bitrix24.queue", "original_message": '
            + BODY
            + ', "response_data": {"result": {"task": {"id": "42", "title": "Согласовать"}}, "success": true}, '
            '"processing_status": "success", "processed_at": 1795416839.5}'.encode()
        )
        assert b'"retries": null' in message.body
        assert "Согласовать договор".encode() in message.body
        assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")
        assert message.message_id == f"{TASK_ID}:sent"

    def test_its_headers_tell_a_sweep_everything_without_the_body(self) -> None:
        accepted = encode_sent(a_task(), "bitrix24.queue", Accepted({}, "42"), now=1.0)
        done = encode_sent(a_task(), "bitrix24.queue", Done({}), now=1.0)
        assert decode_sent_header(b"not even JSON", accepted.headers) == SentHeader(TASK_ID, "42", "accepted")
        assert decode_sent_header(b"not even JSON", done.headers) == SentHeader(TASK_ID, None, "done")

    @pytest.mark.parametrize("timestamp", [None, "yesterday", {}])
    def test_a_task_without_a_timestamp_gets_ours(self, timestamp: Any) -> None:
        sent = encode_sent(a_task(timestamp=timestamp), "q", Accepted({}), now=1795416839.5)
        assert fields_of(sent)["timestamp"] == 1795416839.5

    @pytest.mark.parametrize(
        "response",
        [
            {"x": float("nan")},
            {"x": float("inf")},
            {"x": "\ud800"},
            {"\udfff": 1},
            {("a", "pair"): 1},
        ],
    )
    def test_a_response_that_json_cannot_hold_is_the_handler_s_mistake(self, response: dict[Any, Any]) -> None:
        with pytest.raises(PermanentError) as refused:
            encode_sent(a_task(), "q", Accepted(response), now=1.0)
        assert refused.value.code == "bad_result"
        refused.value.reason.encode()

    def test_so_is_a_response_that_holds_itself(self) -> None:
        response: dict[str, Any] = {}
        response["again"] = response
        with pytest.raises(PermanentError):
            encode_sent(a_task(), "q", Accepted(response), now=1.0)

    @pytest.mark.parametrize("external_id", ["\ud800", "7" * 2049, "я" * 1025])
    def test_an_external_id_that_no_header_can_hold_is_refused_and_never_cut(self, external_id: str) -> None:
        with pytest.raises(PermanentError) as refused:
            encode_sent(a_task(), "q", Accepted({}, external_id), now=1.0)
        assert refused.value.code == "bad_result"

    def test_a_number_for_an_external_id_is_found_again_as_text(self) -> None:
        number: Any = 42
        sent = encode_sent(a_task(), "q", Accepted({}, number), now=1.0)
        assert decode_sent_header(b"", sent.headers).external_id == "42"

    def test_values_of_python_that_json_does_not_know_become_text(self) -> None:
        sent = encode_sent(a_task(), "q", Accepted({"at": datetime(2026, 11, 23, 9, 0)}), now=1.0)  # noqa: DTZ001
        assert fields_of(sent)["response_data"] == {"at": "2026-11-23 09:00:00"}

    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            b'{"original_message": null}',
            b'{"original_message": {"task_id": ""}}',
            b'{"original_message": {"task_id": 7}}',
            b'{"original_message": ["task_id"]}',
            b"\xff",
            b'{"original_message": {"task_id": "a"}, "x": ' + b"[" * 901 + b"]" * 901 + b"}",
        ],
    )
    def test_a_sent_message_without_a_task_id_is_refused(self, body: bytes) -> None:
        with pytest.raises(InvalidMessageError):
            decode_sent(body)

    @pytest.mark.parametrize(
        ("response", "external_id"),
        [
            ({"result": {"task": {"id": "42"}}}, "42"),
            ({"result": {"task": {"id": 42}}}, "42"),
            ({"result": {"task": []}}, None),
            ({"result": True}, None),
            ([], None),
            (None, None),
        ],
    )
    def test_a_message_of_the_origin_tells_the_id_in_its_response(self, response: Any, external_id: str | None) -> None:
        body = json.dumps({"original_message": {"task_id": "a"}, "response_data": response}).encode()
        assert decode_sent_header(body, {}) == SentHeader("a", external_id, "accepted")

    @pytest.mark.parametrize(
        "headers",
        [
            {"task-creator-task-id": 7},
            {"task-creator-task-id": ""},
            {"task-creator-task-id": "forged", "task-creator-external-id": {"id": 1}},
            {"task-creator-external-id": "1"},
        ],
    )
    def test_headers_that_are_not_ours_are_not_believed(self, headers: dict[str, Any]) -> None:
        body = b'{"original_message": {"task_id": "real"}, "response_data": {"result": {"task": {"id": "42"}}}}'
        assert decode_sent_header(body, headers) == SentHeader("real", "42", "accepted")

    def test_what_is_read_at_the_greatest_depth_can_be_answered(self) -> None:
        body = b'{"original_message": {"task_id": "a"}, "x": ' + b"[" * 899 + b"]" * 899 + b"}"
        response = encode_response(decode_sent(body), {}, status="completed", echo_variables=True, now=1.0)
        assert body[:-1].split(b'"x": ')[1] in response.body


class TestResponse:
    def sent(self, **changes: Any) -> OutgoingMessage:
        return encode_sent(
            a_task(**changes), "bitrix24.queue", Accepted({"result": {"task": {"id": "42"}}}, "42"), now=1795416780.0
        )

    def test_it_is_the_literal_of_the_contract(self) -> None:
        response = {
            "result": {
                "task": {"id": "42", "title": "X", "status": "5", "ufResultExpected": "1", "ufResultAnswer_text": "ДА"}
            }
        }
        message = encode_response(
            decode_sent(self.sent().body),
            response,
            status=PROCESSING_COMPLETED_BY_TRACKER,
            echo_variables=True,
            now=1795416839.5,
        )
        assert message.body == (
            b'{"timestamp": 1795416779220, "original_queue": "bitrix24.queue", "original_message": '
            + BODY
            + b', "response_data": {"result": {"task": {"id": "42", "title": "X", "status": "5", '
            + '"ufResultExpected": "1", "ufResultAnswer_text": "ДА"}}}, "processing_status": "completed_by_tracker", '
            '"processed_at": 1795416839.5}'.encode()
        )
        assert message.message_id == f"{TASK_ID}:response"
        assert message.headers == {"task-creator-task-id": TASK_ID, "task-creator-external-id": "42"}

    def test_only_the_two_statuses_that_complete_a_task_are_ever_written(self) -> None:
        # Camunda's live worker drops any other status without a word, and the process hangs for a year.
        assert {PROCESSING_COMPLETED, PROCESSING_COMPLETED_BY_TRACKER} == {"completed", "completed_by_tracker"}

    @pytest.mark.parametrize("key", ["activity_id", "activityId"])
    def test_the_answers_of_an_earlier_pass_are_not_sent_back(self, key: str) -> None:
        task = {
            "task_id": "a",
            "topic": "t",
            key: "Activity_1",
            "variables": {
                "projectId": "123",
                "Activity_1": "ok",
                "Activity_1_Q1_b": True,
                "Activity_12": "another activity",
                "xActivity_1": "kept",
            },
        }
        sent = encode_sent(decode_task(json.dumps(task).encode(), Limits()), "q", Accepted({}), now=1.0)
        response = encode_response(decode_sent(sent.body), {}, status="completed", echo_variables=True, now=2.0)
        assert fields_of(response)["original_message"] == {
            **task,
            "variables": {"projectId": "123", "Activity_12": "another activity", "xActivity_1": "kept"},
        }

    def test_without_the_echo_nothing_of_camunda_s_variables_is_written_back(self) -> None:
        sent = decode_sent(self.sent().body)
        response = encode_response(sent, {}, status="completed", echo_variables=False, now=2.0)
        assert fields_of(response)["original_message"] == {**json.loads(BODY), "variables": {}}

    @pytest.mark.parametrize("changes", [{"activity_id": None}, {"activity_id": 7}, {"activity_id": ""}])
    def test_without_an_activity_every_variable_stays(self, changes: dict[str, Any]) -> None:
        sent = decode_sent(self.sent(**changes).body)
        response = encode_response(sent, {}, status="completed", echo_variables=True, now=2.0)
        assert fields_of(response)["original_message"] == {**json.loads(BODY), **changes}

    @pytest.mark.parametrize("variables", [None, []])
    @pytest.mark.parametrize("echo", [True, False])
    def test_variables_that_are_no_object_are_echoed_as_they_came(self, variables: Any, echo: bool) -> None:
        sent = decode_sent(self.sent(variables=variables).body)
        response = encode_response(sent, {}, status="completed", echo_variables=echo, now=2.0)
        assert fields_of(response)["original_message"]["variables"] == variables

    def test_a_huge_integer_comes_back_exactly(self) -> None:
        huge = int("1234567890" * 20 + "1")
        sent = decode_sent(self.sent(variables={"n": huge}).body)
        response = encode_response(sent, {}, status="completed", echo_variables=True, now=2.0)
        assert str(huge).encode() in response.body


class TestErrorReport:
    # Camunda's side writes two reports into the same queue: (a) a task that could not be published, (b) a response
    # that could not be applied. A reader of either finds its keys in ours.
    KEYS_A = frozenset({"task_id", "topic", "error", "timestamp", "type"})
    KEYS_B = frozenset({"error_info", "original_message", "task_id", "activity_id", "error_timestamp"})
    ERROR_INFO = frozenset({"type", "message", "timestamp", "source_queue"})

    def test_a_failed_task_is_told_with_its_history_and_its_original(self) -> None:
        message = encode_failed_task(a_task(), a_failure())
        assert fields_of(message) == {
            "task_id": TASK_ID,
            "topic": "bitrix_create_task",
            "error": "there is no user 99",
            "timestamp": 1795416839500,
            "type": "task_error",
            "error_info": {
                "type": "unknown_user",
                "message": "there is no user 99",
                "timestamp": "2026-11-23T06:53:59.500+00:00",
                "source_queue": "bitrix24.queue",
            },
            "activity_id": "Activity_1",
            "error_timestamp": 1795416839500,
            "error_ru": "нет пользователя 99",
            "outcome": "permanent",
            "code": "unknown_user",
            "system": "bitrix24",
            "attempts": 4,
            "first_seen": "2026-11-23T06:40:00.000+00:00",
            "last_seen": "2026-11-23T06:53:59.500+00:00",
            "source_queue": "bitrix24.queue",
            "original_message": json.loads(BODY),
        }
        assert b'"original_message": ' + BODY + b"}" in message.body
        assert message.headers == {
            "error_type": "unknown_user",
            "task_id": TASK_ID,
            "activity_id": "Activity_1",
            "source": "task-creator",
        }
        assert message.message_id == f"{TASK_ID}:error"

    def test_readers_of_both_shapes_find_their_keys(self) -> None:
        sent = decode_sent(encode_sent(a_task(), "q", Accepted({"x": 1}, "42"), now=1.0).body)
        for message in (encode_failed_task(a_task(), a_failure()), encode_failed_tracking(sent, a_failure())):
            report = fields_of(message)
            assert set(report) >= self.KEYS_A | self.KEYS_B
            assert set(report["error_info"]) >= self.ERROR_INFO

    def test_a_deleted_task_is_told_with_its_id_and_what_the_system_had_said(self) -> None:
        sent = decode_sent(encode_sent(a_task(), "q", Accepted({"x": 1}, "42"), now=1.0).body)
        error = BusinessError("somebody has deleted the task", code="task_deleted")
        message = encode_failed_tracking(sent, a_failure(error=error, source_queue="bitrix24.sent.queue"))
        report = fields_of(message)
        assert (report["external_id"], report["outcome"], report["code"]) == (None, "business", "task_deleted")
        assert (report["original_message"], report["response_data"]) == (json.loads(BODY), {"x": 1})
        assert message.headers["error_type"] == "task_deleted"

    @given(st.binary(max_size=300))
    @settings(deadline=None)
    def test_any_bytes_can_be_told_and_come_back_unchanged(self, body: bytes) -> None:
        message = encode_unreadable(body, "some-id", a_failure())
        report = fields_of(message)
        assert base64.b64decode(report["original_body_base64"]) == body
        assert set(report) >= self.KEYS_A
        assert (report["task_id"], message.message_id, message.headers["task_id"]) == (None, "some-id", "")

    def test_an_original_too_large_to_be_wrapped_stays_the_body(self) -> None:
        large = a_task(padding="x" * EMBED_LIMIT)
        for body, message in (
            (large.body, encode_failed_task(large, a_failure())),
            (b"{" + b" " * EMBED_LIMIT, encode_unreadable(b"{" + b" " * EMBED_LIMIT, "id", a_failure())),
        ):
            assert message.body == body
            assert json.loads(message.headers["task-creator-error"])["code"] == "unknown_user"
            assert (message.content_type, message.content_encoding) == ("application/octet-stream", None)

    # A header table over frame_max makes the broker close the connection, at every try again: one such report
    # would stop all publishing for ever.
    @pytest.mark.parametrize(
        "error",
        [
            PermanentError("x" * 1_000_000),
            PermanentError(FOUR_BYTES * 100_000),
            PermanentError("short", code="c" * 1_000_000),
            PermanentError("\x00" * 1_000_000, code="\x00" * 1_000_000),
        ],
    )
    @pytest.mark.parametrize("padding", ["", "x" * EMBED_LIMIT])
    def test_no_error_makes_headers_that_close_the_connection(self, error: PermanentError, padding: str) -> None:
        task = a_task(activity_id="A" * 300_000, padding=padding)
        message = encode_failed_task(task, a_failure(error=error))
        assert wire_size(message) < FRAME_MAX / 2
        if not padding:
            assert len(fields_of(message)["error"].encode()) <= ERROR_TEXT_LIMIT

    def test_half_of_a_surrogate_pair_in_an_error_does_not_make_it_unspeakable(self) -> None:
        # An answer cut by the other system in the middle of an emoji ends up in the text and the code of an error.
        error = TransientError("title is too long: \ud83d", code="bad_\udc00")
        message = encode_failed_task(a_task(), a_failure(error=error))
        assert (fields_of(message)["error"], fields_of(message)["code"]) == ("title is too long: ?", "bad_?")
        copy = encode_copy(BODY, "id", {}, tries=Tries(), first_seen=1.0, error=str(error))
        for value in (*message.headers.values(), *copy.headers.values()):
            str(value).encode()


class TestCopyForALaterTry:
    def copy(self, headers: dict[str, Any], **changes: Any) -> OutgoingMessage:
        values: dict[str, Any] = {"tries": Tries(3, 1), "first_seen": 1795416000.25, "error": "the row is locked"}
        return encode_copy(BODY, "id-1", headers, **{**values, **changes})

    def test_it_is_the_message_itself_with_our_counts_brought_up_to_date(self) -> None:
        earlier = {
            "camunda_topic": "bitrix_create_task",
            "target_system": "bitrix24",
            "task_id": TASK_ID,
            "task-creator-attempt": 2,
            "task-creator-ambiguous": 0,
            "task-creator-first-seen": "1.0",
            "task-creator-last-error": "another",
        }
        message = self.copy(earlier)
        assert (message.body, message.message_id) == (BODY, "id-1")
        assert message.headers == {
            "camunda_topic": "bitrix_create_task",
            "target_system": "bitrix24",
            "task_id": TASK_ID,
            "task-creator-attempt": 3,
            "task-creator-ambiguous": 1,
            "task-creator-first-seen": "1795416000.25",
            "task-creator-last-error": "the row is locked",
        }

    def test_what_speaks_to_the_broker_is_dropped_and_what_others_wrote_is_kept(self) -> None:
        # RabbitMQ drops a message that comes back to a queue it has died in, by x-death. CC and BCC are routed by
        # (rabbit_basic:header_routes/1), and close the channel when they are no list. A plugin drops, and confirms,
        # what repeats an x-deduplication-header (noxdafox/rabbitmq-message-deduplication).
        brokers = {
            "CC": ["elsewhere.queue"],
            "BCC": "elsewhere.queue",
            "x-delay": 60_000,
            "x-deduplication-header": "once",
            "x-stream-filter-value": "eu",
            "x-match": "any",
            "x-opt-partition": 3,
            "x-tenant": "north",
            "x-death": [{"count": 5, "queue": "bitrix24.queue.retry.5000ms"}],
            "x-first-death-queue": "q",
            "x-first-death-reason": "expired",
            "x-first-death-exchange": "",
            "x-last-death-queue": "q",
            "x-delivery-count": 19,
            "x-acquired-count": 20,
        }
        foreign = {"traceparent": "00-1-2-01", "cc": "the manager", "numbers": [1, 2], "table": {"CC": None}}
        kept = self.copy({**brokers, **foreign}).headers
        assert {name: value for name, value in kept.items() if not name.startswith("task-creator-")} == foreign

    @pytest.mark.parametrize("letter", ["x", "я", FOUR_BYTES])
    def test_foreign_headers_near_the_frame_size_are_left_behind(self, letter: str) -> None:
        room = FOREIGN_HEADERS_LIMIT - len("name")
        fits = letter * (room // len(letter.encode()))
        assert self.copy({"name": fits}).headers["name"] == fits
        message = self.copy({"name": fits + letter}, error="e" * 100_000)
        assert "name" not in message.headers
        assert message.headers["task-creator-attempt"] == 3, "ours are never left behind"

    @given(st.integers(1, 10**5), st.integers(0, 30), st.floats(1, 1e10), st.text(max_size=50))
    @settings(deadline=None)
    def test_the_history_that_is_written_is_the_history_that_is_read(
        self, attempt: int, ambiguous: int, first_seen: float, error: str
    ) -> None:
        tries = Tries(attempt, ambiguous)
        message = self.copy({}, tries=tries, first_seen=first_seen, error=error)
        assert decode_history(message.headers, now=1e11) == (tries, first_seen)


def test_the_largest_headers_that_we_write_are_taken_by_a_real_broker(vhost: BrokerAddress, broker: Broker) -> None:
    # RabbitMQ closes the connection over a header table that fits into no frame, and pika's thread ends over half of
    # a surrogate pair: either would come again at every reconnection and stop all publishing.
    task = a_task(activity_id="я" * 150_000)
    error = PermanentError("\ud83d" + "\x00" * 1_000_000, code="\udc00" + FOUR_BYTES * 100_000)
    foreign = {f"header-{number}": FOUR_BYTES * 15 for number in range(450)}
    copy = encode_copy(BODY, "copy", foreign, tries=Tries(), first_seen=1.0, error=str(error))
    large = encode_unreadable(b"x" * (EMBED_LIMIT + 1), "large", a_failure(error=error))
    messages = [
        encode_failed_task(task, a_failure(error=error)),
        copy,
        large,
        encode_sent(task, "q", Accepted({}, "7" * 255), now=1.0),
    ]
    assert len(copy.headers) == len(foreign) + 4, "they are within the limit"
    broker.declare("1c.queue")
    bench = Bench(vhost)
    with bench.running():
        for message in messages:
            bench.publisher.publish("1c.queue", message).result(20)
    stored = broker.get_all("1c.queue")
    assert [body for _, body in stored] == [message.body for message in messages]
    assert [properties.headers for properties, _ in stored] == [dict(message.headers) for message in messages]


class TestHistoryFromOutside:
    def test_a_message_without_history_is_at_its_first_try_and_first_seen_now(self) -> None:
        assert decode_history({}, now=1000.0) == (Tries(1, 0), 1000.0)

    @pytest.mark.parametrize("garbage", ["7", b"7", 7.5, None, [], {}, -1, -(2**63), 2**63 - 1, 10**6])
    def test_a_count_that_cannot_be_ours_counts_as_none(self, garbage: Any) -> None:
        headers = {"task-creator-attempt": garbage, "task-creator-ambiguous": garbage}
        assert decode_history(headers, now=1000.0)[0] == Tries(1, 0)

    def test_attempt_zero_is_the_first(self) -> None:
        assert decode_history({"task-creator-attempt": 0}, now=1000.0)[0].attempt == 1

    @pytest.mark.parametrize(
        "garbage",
        [
            "",
            "yesterday",
            "nan",
            "inf",
            "-inf",
            "-5",
            "0",
            "1000.001",
            "1e400",
            None,
            [],
            {},
            b"\xff",
            2000,
            -1,
            10**400,
        ],
    )
    def test_a_first_time_that_cannot_be_true_becomes_now(self, garbage: Any) -> None:
        assert decode_history({"task-creator-first-seen": garbage}, now=1000.0)[1] == 1000.0

    @given(
        st.dictionaries(
            st.sampled_from(["task-creator-attempt", "task-creator-ambiguous", "task-creator-first-seen"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text() | st.binary(),
        )
    )
    @settings(deadline=None)
    def test_no_header_at_all_stops_the_reader(self, headers: dict[str, Any]) -> None:
        tries, first_seen = decode_history(headers, now=1000.0)
        assert 1 <= tries.attempt < 1_000_000
        assert 0 < first_seen <= 1000.0


class TestClip:
    @pytest.mark.parametrize("letter", ["x", "я", "€", FOUR_BYTES])
    def test_a_text_of_exactly_the_limit_stays_and_one_letter_more_is_cut(self, letter: str) -> None:
        whole = letter * (ERROR_TEXT_LIMIT // len(letter.encode()))
        assert cut_bytes(whole) == whole
        cut = cut_bytes(whole + letter)
        assert cut.endswith("...")
        assert whole.startswith(cut.removesuffix("..."))
        assert ERROR_TEXT_LIMIT - 6 <= len(cut.encode()) <= ERROR_TEXT_LIMIT

    @given(st.text(max_size=60), st.integers(3, 60))
    @settings(deadline=None)
    def test_any_text_is_cut_on_a_character_and_can_be_written(self, text: str, limit: int) -> None:
        cut = cut_bytes(text, limit)
        assert len(cut.encode("utf-8")) <= limit
        readable = text.encode("utf-8", "replace").decode()
        assert cut == readable or readable.startswith(cut.removesuffix("..."))
