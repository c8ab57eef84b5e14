"""Finds the type that the engine has declared for a variable: a Date travels as a text, and only its type shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core import values
from core.messages import CamundaTask
from core.variables import is_typed

_SECTIONS = ("extensionProperties", "inputParameters")


def declared_type(task: CamundaTask, name: str) -> str | None:
    """Return `Date`, `String`, …, of the input that Inputs takes; None when nobody has declared it.

    Typed values stand in `variables` itself; Camunda's live side sends plain ones there and the same typed in
    `process_variables` (docs/contract.md).
    """
    given = _object(task.fields.get("variables")).get(name)
    beside = _object(task.fields.get("process_variables")).get(name)
    if not values.is_blank(_plain(given)):
        return _type(given) or (_type(beside) if _plain(beside) == given else None)
    for section in _SECTIONS:
        told = task.metadata_section(section).get(name)
        if not values.is_blank(_plain(told)):
            return _type(told)
    return None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _plain(value: Any) -> Any:
    return value.get("value") if _type(value) is not None else value


def _type(value: Any) -> str | None:
    return value.get("type") if is_typed(value) else None
