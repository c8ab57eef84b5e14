"""Reads what lies in the error queue: reports of this worker and of Camunda's side, and whatever else is there.

Nothing is refused: what has no known shape is a report of kind "foreign", which is shown and kept.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from broker.properties import ReceivedProperties
from core.envelopes import unreadable_name
from core.errors import InvalidMessageError
from core.messages import HEADER_ERROR, CamundaTask, Limits, decode_task, title_of
from core.texts import Text
from journal.groups import group_of

Kind = Literal["task", "tracking", "unreadable", "camunda_task", "camunda_response", "foreign"]

UNLIMITED = Limits(max_bytes=1 << 31, max_depth=500)
_RESPONSES = "camunda.responses.queue"
_UNKNOWN_SHAPE = Text("a message of unknown shape", "сообщение неизвестного вида")
_NO_ORIGINAL = Text(
    "the report does not hold the original; Camunda offers the task again when its lock ends",
    "исходного сообщения в отчёте нет; Camunda предложит задачу снова, когда кончится её блокировка",
)
_NO_RESPONSE = Text(
    "Camunda's side could not read this response, and would not another time",
    "сторона Camunda не смогла прочитать этот ответ, и снова не сможет",
)
_NO_WAY_BACK = Text("nothing says which queue it came from", "неизвестно, из какой очереди оно пришло")


@dataclass(frozen=True, slots=True)
class Report:
    """One message of the error queue.

    `name` is what the journal calls it; `at` in unix seconds. `original` goes back into `target` when it is retried;
    where that means nothing `target` is None and `not_retried` says why. `code`, `group` as in the journal.
    """

    kind: Kind
    name: str
    group: str
    code: str
    reason: Text
    task_id: str | None = None
    process_instance_id: str | None = None
    business_key: str | None = None
    title: str | None = None
    topic: str | None = None
    system: str | None = None
    external_id: str | None = None
    outcome: str | None = None
    attempts: int | None = None
    first_seen: float | None = None
    at: float | None = None
    source_queue: str | None = None
    original: bytes | None = None
    target: str | None = None
    not_retried: Text | None = None


def report_of(body: bytes, properties: ReceivedProperties, input_queue_of: Mapping[str, str]) -> Report:
    """Read a message of the error queue. `input_queue_of` names the input queue of a sent queue. Raises nothing."""
    headers = properties.headers or {}
    told_aside = headers.get(HEADER_ERROR)
    if isinstance(told_aside, str):
        fields = _object(told_aside.encode("utf-8", "surrogateescape"))
        return _ours(fields, body, properties, input_queue_of)
    fields = _object(body)
    if headers.get("source") == "task-creator" and "source_queue" in fields:
        return _ours(fields, _original_of(fields, body), properties, input_queue_of)
    info = fields.get("error_info")
    if isinstance(info, Mapping) and "original_message" in fields:
        return _of_response(fields, info, body, properties)
    if fields.get("type") == "task_error" and isinstance(fields.get("error"), str):
        return _of_unpublished(fields, properties, body)
    return _foreign(body, properties, headers, input_queue_of)


def _ours(
    fields: Mapping[str, Any], original: bytes | None, properties: ReceivedProperties, input_queue_of: Mapping[str, str]
) -> Report:
    source, system, code = _text(fields, "source_queue"), _text(fields, "system"), _text(fields, "code") or "unknown"
    reason = Text(_text(fields, "error") or "", _text(fields, "error_ru") or _text(fields, "error") or "")
    task = _task_of(original)
    is_tracking = source in input_queue_of
    kind: Kind = "tracking" if is_tracking and task is not None else "task" if task is not None else "unreadable"
    target = source
    if kind == "tracking" and source is not None:
        target = input_queue_of[source]  # the task is created anew, not its old result brought back
    return Report(
        kind=kind,
        name=_text(fields, "task_id") or _name(properties, original or b""),
        group=group_of(system, code, reason.en),
        code=code,
        reason=reason,
        task_id=_text(fields, "task_id"),
        topic=_text(fields, "topic"),
        system=system,
        external_id=_text(fields, "external_id"),
        outcome=_text(fields, "outcome"),
        attempts=fields["attempts"] if isinstance(fields.get("attempts"), int) else None,
        first_seen=_moment(fields.get("first_seen")),
        at=_moment(fields.get("last_seen")),
        source_queue=source,
        original=original,
        target=target if original is not None else None,
        not_retried=None if original is not None and target is not None else _NO_WAY_BACK,
        **_of_task(task),
    )


def _of_response(
    fields: Mapping[str, Any], info: Mapping[str, Any], body: bytes, properties: ReceivedProperties
) -> Report:
    """Read the report of Camunda's side on a response that it could not apply."""
    code, reason = _text(info, "type") or "unknown", Text.of(_text(info, "message") or "")
    original = _original_of(fields, body)
    response = fields["original_message"]
    is_readable = isinstance(response, Mapping) and "raw_body" not in response
    inner = response.get("original_message") if isinstance(response, Mapping) else None
    task = _task_of(json.dumps(inner).encode()) if isinstance(inner, Mapping) else None
    task_id = _text(fields, "task_id") or (None if task is None else task.task_id)
    return Report(
        kind="camunda_response",
        name=task_id or _name(properties, body),
        group=group_of("camunda", code, reason.en),
        code=code,
        reason=reason,
        task_id=task_id,
        topic=None if task is None else task.topic,
        system="camunda",
        at=_milliseconds(fields.get("error_timestamp")),
        source_queue=_text(info, "source_queue"),
        original=original,
        target=_RESPONSES if is_readable and original is not None else None,
        not_retried=None if is_readable and original is not None else _NO_RESPONSE,
        **_of_task(task),
    )


def _of_unpublished(fields: Mapping[str, Any], properties: ReceivedProperties, body: bytes) -> Report:
    """Read the report of Camunda's side on a task that it could not publish."""
    reason = Text.of(str(fields["error"]))
    task_id = _text(fields, "task_id")
    return Report(
        kind="camunda_task",
        name=task_id or _name(properties, body),
        group=group_of("camunda", "task_error", reason.en),
        code="task_error",
        reason=reason,
        task_id=task_id,
        topic=_text(fields, "topic"),
        system="camunda",
        at=_milliseconds(fields.get("timestamp")),
        not_retried=_NO_ORIGINAL,
    )


def _foreign(
    body: bytes, properties: ReceivedProperties, headers: Mapping[str, Any], input_queue_of: Mapping[str, str]
) -> Report:
    # A policy or an argument of somebody's queue may have put it here; then RabbitMQ itself says where it was.
    source = headers.get("x-first-death-queue")
    target = source if isinstance(source, str) and source in {*input_queue_of.values(), _RESPONSES} else None
    task = _task_of(body)
    return Report(
        kind="foreign",
        name=(None if task is None else task.task_id) or _name(properties, body),
        group=group_of(None, "foreign", ""),
        code="foreign",
        reason=_UNKNOWN_SHAPE,
        task_id=None if task is None else task.task_id,
        topic=None if task is None else task.topic,
        source_queue=source if isinstance(source, str) else None,
        original=body if target is not None else None,
        target=target,
        not_retried=None if target is not None else _NO_WAY_BACK,
        **_of_task(task),
    )


def _original_of(fields: Mapping[str, Any], body: bytes) -> bytes | None:
    """Return the original byte for byte, out of the report that holds it."""
    encoded = fields.get("original_body_base64")
    if isinstance(encoded, str):
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error:
            return None
    original = fields.get("original_message")
    if not isinstance(original, Mapping):
        return None
    return _as_it_stands(body, original) or json.dumps(original, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _as_it_stands(body: bytes, original: Mapping[str, Any]) -> bytes | None:
    text = body.decode("utf-8", "replace")
    decoder, key, start = json.JSONDecoder(), '"original_message":', 0
    while (found := text.find(key, start)) >= 0:
        start = found + len(key)
        begin = start + (len(text[start:]) - len(text[start:].lstrip()))
        try:
            value, end = decoder.raw_decode(text, begin)
        except (ValueError, RecursionError):
            continue
        if value == original:
            return text[begin:end].encode()
    return None


def _task_of(original: bytes | None) -> CamundaTask | None:
    if original is None:
        return None
    try:
        return decode_task(original, UNLIMITED)
    except InvalidMessageError:
        return None


def _of_task(task: CamundaTask | None) -> dict[str, Any]:
    if task is None:
        return {}
    return {
        "process_instance_id": task.process_instance_id,
        "business_key": task.business_key,
        "title": title_of(task),
    }


def _name(properties: ReceivedProperties, body: bytes) -> str:
    named = properties.message_id
    return named if named and not named.startswith("unreadable:") else unreadable_name(body)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


def _moment(told: object) -> float | None:
    if not isinstance(told, str):
        return None
    try:
        return datetime.fromisoformat(told).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _milliseconds(told: object) -> float | None:
    is_number = isinstance(told, int | float) and not isinstance(told, bool)
    return float(told) / 1000 if is_number and 0 < float(told) < 1e15 else None  # type: ignore[arg-type]
