"""Encodes and decodes what the daemon writes: sent messages, responses and error reports.

With core.copies it is the other half of core.messages. Shapes are the contract with Camunda's live worker and with
external monitors of the sent queues (docs/contract.md).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, TypeGuard

from core.errors import InvalidMessageError, OutcomeError, PermanentError
from core.messages import (
    HEADER_ERROR,
    HEADER_EXTERNAL_ID,
    HEADER_STATE,
    HEADER_TASK_ID,
    TASK_ID_LIMIT,
    CamundaTask,
    OutgoingMessage,
    text_of_value,
)
from core.results import Accepted, Done, JsonObject
from core.strict_json import decode_object
from core.texts import Text

PROCESSING_SUCCESS = "success"
PROCESSING_COMPLETED = "completed"
PROCESSING_COMPLETED_BY_TRACKER = "completed_by_tracker"

STATE_ACCEPTED = "accepted"
STATE_DONE = "done"

ERROR_TEXT_LIMIT = 8 * 1024  # bytes; a header table over frame_max (128 KiB) closes the connection
EMBED_LIMIT = 4 * 1024 * 1024  # bytes; a larger original stays the body of its error report, nothing wraps it
SENT_DEPTH_LIMIT = 900  # Python's JSON reader goes deeper than its writer: what is read here must be answered
HEADER_REPORT_LIMIT = 64 * 1024  # bytes; a report in a header tells no unreadable properties that are longer
HEADER_TEXT_LIMIT = 255  # bytes; for header values that come from outside
EXTERNAL_ID_LIMIT = 2048  # bytes; it may be the address of a job


@dataclass(frozen=True, slots=True)
class SentHeader:
    """What a sweep must know about a sent message; `state` distinguishes Accepted from Done."""

    task_id: str
    external_id: str | None
    state: str


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message of a sent queue, read whole. `original` is the Camunda task as it came."""

    fields: Mapping[str, Any]
    task_id: str
    external_id: str | None

    @property
    def original(self) -> Mapping[str, Any]:
        original: Mapping[str, Any] = self.fields["original_message"]
        return original


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message goes to the error queue and what its history was. Times are unix seconds."""

    error: OutcomeError
    source_queue: str
    system: str
    attempts: int
    first_seen: float
    failed_at: float
    properties: Mapping[str, Any] = field(default_factory=dict)  # what can be told of properties that are unreadable


def encode_sent(task: CamundaTask, queue: str, result: Accepted | Done, now: float) -> OutgoingMessage:
    """Return the result of a handler for `<system>.sent.queue`; the original message is echoed byte for byte.

    Raises PermanentError when the handler's response is nothing that JSON can hold, or its external id no header.
    """
    timestamp = task.fields.get("timestamp")
    fields = {
        "timestamp": timestamp if isinstance(timestamp, int | float) else now,
        "original_queue": queue,
        "original_message": None,
        "response_data": result.response,
        "processing_status": PROCESSING_SUCCESS,
        "processed_at": now,
    }
    # The first such place is ours: within a text, as of the queue's name, quotes would be escaped.
    body = _json(fields).replace(b'"original_message": null', b'"original_message": %b' % task.body, 1)
    headers = {
        HEADER_TASK_ID: task.task_id,
        HEADER_STATE: STATE_DONE if isinstance(result, Done) else STATE_ACCEPTED,
    }
    if result.external_id is not None:
        external_id = str(result.external_id)  # a handler is foreign code: it may have passed the system's number on
        if cut_bytes(external_id, EXTERNAL_ID_LIMIT) != external_id:  # not cut: a part of an id is another task's
            reason = Text(
                "the handler's external_id cannot be written into a header",
                "external_id от обработчика нельзя записать в заголовок",
            )
            raise PermanentError(reason, code="bad_result")
        headers[HEADER_EXTERNAL_ID] = external_id
    return OutgoingMessage(body, f"{task.task_id}:sent", headers)


def decode_sent(body: bytes) -> SentMessage:
    """Read a message of a sent queue, ours or the origin's. Raises InvalidMessageError."""
    fields = decode_object(text_of_value(body), SENT_DEPTH_LIMIT)
    original = fields.get("original_message")
    task_id = original.get("task_id") if isinstance(original, Mapping) else None
    if not isinstance(task_id, str) or not task_id:
        reason = Text(
            "the message of a sent queue has no original_message.task_id",
            "в сообщении очереди отправленных нет original_message.task_id",
        )
        raise InvalidMessageError(reason, code="missing_task_id")
    if not _fits(task_id, TASK_ID_LIMIT):  # it becomes a message id and a header, which have no room for it
        reason = Text(
            f"original_message.task_id is longer than {TASK_ID_LIMIT} bytes",
            f"original_message.task_id длиннее {TASK_ID_LIMIT} байт",
        )
        raise InvalidMessageError(reason, code="bad_task_id")
    return SentMessage(fields, task_id, _created_task_id(fields.get("response_data")))


def decode_sent_header(body: bytes, headers: Mapping[str, Any]) -> SentHeader:
    """Read the headers alone if they are ours, so that a sweep of 100,000 open tasks parses no body.

    The origin's messages have no headers: theirs are read whole. Raises InvalidMessageError.
    """
    task_id, external_id = headers.get(HEADER_TASK_ID), headers.get(HEADER_EXTERNAL_ID)
    if task_id and _fits(task_id, TASK_ID_LIMIT) and (external_id is None or _fits(external_id, EXTERNAL_ID_LIMIT)):
        return SentHeader(task_id, external_id, str(headers.get(HEADER_STATE, STATE_ACCEPTED)))
    sent = decode_sent(body)
    return SentHeader(sent.task_id, sent.external_id, STATE_ACCEPTED)


def encode_response(
    sent: SentMessage, response: JsonObject, *, status: str, echo_variables: bool, now: float
) -> OutgoingMessage:
    """Return the response on a finished task for `camunda.responses.queue`, as Camunda's live worker reads it."""
    fields = {
        **sent.fields,
        "original_message": _without_stale_answers(sent.original, echo_variables=echo_variables),
        "response_data": response,
        "processing_status": status,
        "processed_at": now,
    }
    headers = {HEADER_TASK_ID: sent.task_id}
    if sent.external_id is not None:
        headers[HEADER_EXTERNAL_ID] = sent.external_id
    return OutgoingMessage(_json(fields), f"{sent.task_id}:response", headers)


def encode_failed_task(task: CamundaTask, failure: Failure) -> OutgoingMessage:
    """Return the error report on a task that will not be done; the original is embedded byte for byte."""
    report = _report(failure, task.task_id, task.topic, task.activity_id)
    message_id = f"{task.task_id}:error"
    headers = _error_headers(failure, task.task_id, task.activity_id)
    if len(task.body) > EMBED_LIMIT:
        return _beside_original(task.body, message_id, headers, report)
    body = b'%b, "original_message": %b}' % (_json(report)[:-1], task.body)
    return OutgoingMessage(body, message_id, headers)


def encode_unreadable(body: bytes, message_id: str, failure: Failure) -> OutgoingMessage:
    """Return the error report on bytes that are no task; they travel unchanged (base64, or as the body when large)."""
    report = _report(failure, None, None, None)
    headers = _error_headers(failure, None, None)
    if len(body) > EMBED_LIMIT:
        return _beside_original(body, message_id, headers, report)
    report["original_body_base64"] = base64.b64encode(body).decode("ascii")
    return OutgoingMessage(_json(report), message_id, headers)


def encode_failed_tracking(sent: SentMessage, failure: Failure) -> OutgoingMessage:
    """Return the error report on a created task that will never be finished (deleted, declined)."""
    topic, activity_id = (_text_or_none(sent.original.get(name)) for name in ("topic", "activity_id"))
    report = _report(failure, sent.task_id, topic, activity_id)
    report["external_id"] = sent.external_id
    report["original_message"] = sent.original
    report["response_data"] = sent.fields.get("response_data")
    headers = _error_headers(failure, sent.task_id, activity_id)
    return OutgoingMessage(_json(report), f"{sent.task_id}:error", headers)


def unreadable_name(body: bytes) -> str:
    """Return what a message without a task id and a message id is called: the same for each delivery of it."""
    return f"unreadable:{blake2b(body, digest_size=8).hexdigest()}"


def cut_bytes(text: str, limit: int = ERROR_TEXT_LIMIT) -> str:
    """Return `text` cut to `limit` bytes of UTF-8 on a character boundary; half of a surrogate pair becomes "?"."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > limit:
        return encoded[: limit - 3].decode("utf-8", "ignore") + "..."
    return encoded.decode("utf-8")


def _report(failure: Failure, task_id: str | None, topic: str | None, activity_id: str | None) -> dict[str, Any]:
    # Down to error_timestamp these are the keys of the two reports that Camunda's side writes into the same queue
    # (with original_message, which follows); the rest is ours.
    error = failure.error
    reason, code = error.text.map(cut_bytes), cut_bytes(error.code, HEADER_TEXT_LIMIT)
    return {
        "task_id": task_id,
        "topic": topic,
        "error": reason.en,
        "timestamp": int(failure.failed_at * 1000),
        "type": "task_error",
        "error_info": {
            "type": code,
            "message": reason.en,
            "timestamp": _iso(failure.failed_at),
            "source_queue": failure.source_queue,
        },
        "activity_id": None if activity_id is None else cut_bytes(activity_id, HEADER_TEXT_LIMIT),
        "error_timestamp": int(failure.failed_at * 1000),
        "error_ru": reason.ru,
        "outcome": error.outcome,
        "code": code,
        "system": failure.system,
        "attempts": failure.attempts,
        "first_seen": _iso(failure.first_seen),
        "last_seen": _iso(failure.failed_at),
        "source_queue": failure.source_queue,
        **failure.properties,
    }


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _error_headers(failure: Failure, task_id: str | None, activity_id: str | None) -> dict[str, Any]:
    return {
        "error_type": cut_bytes(failure.error.code, HEADER_TEXT_LIMIT),
        "task_id": task_id or "",
        "activity_id": cut_bytes(activity_id or "", HEADER_TEXT_LIMIT),
        "source": "task-creator",
    }


def _beside_original(
    original: bytes, message_id: str, headers: dict[str, Any], report: dict[str, Any]
) -> OutgoingMessage:
    # Escaping makes a character six bytes long at the worst; the header stays whole JSON and far from frame_max.
    reason, reason_ru = (cut_bytes(report[name], ERROR_TEXT_LIMIT // 4) for name in ("error", "error_ru"))
    info = {**report["error_info"], "message": reason}
    short = {**report, "error": reason, "error_ru": reason_ru, "error_info": info}
    told = _json(short)
    if len(told) > HEADER_REPORT_LIMIT:
        told = _json({**short, "properties": {}, "properties_base64": ""})
    headers[HEADER_ERROR] = told.decode()
    return OutgoingMessage(
        original, message_id, headers, content_type="application/octet-stream", content_encoding=None
    )


def _without_stale_answers(original: Mapping[str, Any], *, echo_variables: bool) -> dict[str, Any]:
    # Camunda's worker writes the answer into the variable named after the activity only if the echo does not hold it
    # already: in a rework loop the first answer would stay for ever.
    message = dict(original)
    variables = message.get("variables")
    if not isinstance(variables, Mapping):
        return message
    if not echo_variables:
        message["variables"] = {}
        return message
    activity = message.get("activity_id") or message.get("activityId")
    if isinstance(activity, str) and activity:
        message["variables"] = {
            name: value for name, value in variables.items() if name != activity and not name.startswith(f"{activity}_")
        }
    return message


def _created_task_id(response: Any) -> str | None:
    match response:
        case {"result": {"task": {"id": str() | int() as task_id}}}:
            return str(task_id) if _fits(str(task_id), EXTERNAL_ID_LIMIT) else None
    return None


def _fits(value: object, limit: int) -> TypeGuard[str]:
    return isinstance(value, str) and len(value.encode()) <= limit


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str)  # json.dumps makes one for each call


def _json(value: Mapping[str, Any]) -> bytes:
    try:
        return _ENCODER.encode(value).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:  # a key that is no text, NaN, a lone surrogate, a cycle
        reason = Text(
            f"the handler's result cannot be written as JSON: {error}",
            f"результат обработчика нельзя записать как JSON: {error}",
        )
        raise PermanentError(reason, code="bad_result") from None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
