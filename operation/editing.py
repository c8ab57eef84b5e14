"""What a person may change in a failed message before it is put back."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from core.errors import InvalidMessageError
from core.messages import Limits, decode_task
from core.texts import BilingualError, Text
from operation.reports import Report


class EditError(BilingualError):
    """The changed message is none that can be put back."""


class OtherTaskError(EditError):
    """It has become another task."""


def pretty(original: bytes) -> str:
    """Return a message as people read it; what is no JSON as it stands."""
    try:
        return text_of(json.loads(original))
    except (ValueError, RecursionError):
        return original.decode("utf-8", "backslashreplace")


def text_of(message: Mapping[str, Any]) -> str:
    """Return a message as people read it."""
    return json.dumps(message, ensure_ascii=False, indent=2) + "\n"


def edited_body(report: Report, text: str, limits: Limits) -> bytes:
    """Return what is put back instead of the original. Raises EditError."""
    body = text.strip().encode("utf-8", "surrogatepass")
    try:
        task = decode_task(body, limits)
    except InvalidMessageError as error:
        raise EditError(error.text) from None
    if report.task_id is not None and task.task_id != report.task_id:
        raise OtherTaskError(
            Text(
                f"task_id must stay {report.task_id}: Camunda waits for an answer to this one",
                f"task_id должен остаться {report.task_id}: Camunda ждёт ответа на эту задачу",
            )
        )
    return body


def difference(before: str, after: str) -> list[str]:
    """Return the lines of a unified diff; none where nothing was changed."""
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), "-", "+", lineterm="", n=1))
