"""Messages that are no tasks, or none that can be done: each with the reason that its error report must give.

`number` makes the bytes of each message its own: the account knows a message that cannot be read by its bytes.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.faults.account import Published
from benchmarks.faults.tasks import task

_TOO_DEEP = 10_000
_TOO_MANY_DIGITS = 5_000


def bad_message(number: int) -> Published:
    """One of BAD_BODIES, in turn."""
    names = list(BAD_BODIES)
    name = names[number % len(names)]
    make_body, code = BAD_BODIES[name]
    return Published(f"{name}-{number:05}", make_body(number), ends="parked", code=code)


def with_byte_order_mark(number: int) -> Published:
    """A good task from a writer that begins its texts with a BOM."""
    good = task(number)
    return Published(good.key, codecs.BOM_UTF8 + good.body, checklist=good.checklist)


def oversized(number: int, size: int) -> Published:
    """A task of `size` bytes, more than MAX_MESSAGE_BYTES."""
    return Published(f"oversized-{number}", task(number, padding=size).body, ends="parked")


def _changed(number: int, **changes: Any) -> bytes:
    fields: Mapping[str, Any] = json.loads(task(number).body)
    return json.dumps({**fields, "task_id": f"bad-{number}", **changes}, ensure_ascii=False).encode()


def _without(number: int, name: str) -> bytes:
    fields = json.loads(_changed(number))
    del fields[name]
    return json.dumps(fields, ensure_ascii=False).encode()


def _with_raw(number: int, json_text: str) -> bytes:
    """A task with a variable whose value is `json_text`, valid or not."""
    return _changed(number, variables={"raw": "@@"}).replace(b'"@@"', json_text.encode())


def unknown_topic(number: int) -> Published:
    return Published(f"bad-{number}", _changed(number, topic="bitrix_dance"), ends="parked", code="unknown_topic")


# name -> (bytes for a number, code of the report)
BAD_BODIES: Mapping[str, tuple[Callable[[int], bytes], str]] = {
    "torn": (lambda number: _changed(number).decode()[: -2 - number % 50].encode(), "not_json"),
    "blank": (lambda number: b" " * number, "not_json"),
    "cp1251": (lambda number: _changed(number).decode().encode("cp1251"), "not_utf8"),
    "null": (lambda number: b"null" + b" " * number, "not_an_object"),
    "list": (lambda number: b"[%d]" % number, "not_an_object"),
    "no-task-id": (lambda number: _without(number, "task_id"), "missing_task_id"),
    "empty-task-id": (lambda number: _changed(number, task_id="", activity_id=f"a{number}"), "bad_task_id"),
    "number-as-task-id": (lambda number: _changed(number, task_id=number), "bad_task_id"),
    "object-as-task-id": (lambda number: _changed(number, task_id={"id": number}), "bad_task_id"),
    "no-topic": (lambda number: _without(number, "topic"), "missing_topic"),
    "empty-topic": (lambda number: _changed(number, topic=""), "bad_topic"),
    "list-as-topic": (lambda number: _changed(number, topic=["bitrix_create_task"]), "bad_topic"),
    "twice-the-same-key": (lambda number: _changed(number)[:-1] + b', "topic": "other"}', "duplicate_key"),
    "nan": (lambda number: _with_raw(number, "NaN"), "bad_number"),
    "beyond-double": (lambda number: _with_raw(number, "1e999"), "bad_number"),
    "endless-integer": (lambda number: _with_raw(number, "7" * _TOO_MANY_DIGITS), "bad_number"),
    "half-a-character": (lambda number: _with_raw(number, '"\\ud800"'), "lone_surrogate"),
    "deep": (lambda number: _with_raw(number, "[" * _TOO_DEEP + "]" * _TOO_DEEP), "message_too_deep"),
}
