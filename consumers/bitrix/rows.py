"""Reads the shapes that answers come in: lists that PHP may write as objects, ids as numbers or texts, and the rest.

Whatever an answer holds, reading it raises nothing: a row that is no row is the caller's matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]

_LONGEST_ID = 18  # digits


def rows_of(value: Any) -> list[Any] | None:
    """Return the rows of a list, or of one that PHP wrote as an object (its keys are not 0..n-1); None for no list."""
    if isinstance(value, list):
        return value
    return list(value.values()) if isinstance(value, Mapping) else None


def rows_in(result: Any, name: str) -> list[Any] | None:
    """Return the rows of the list `name` in an answer; None when it holds no such list."""
    return rows_of(result.get(name)) if isinstance(result, Mapping) else None


def id_of(row: Any, name: str = "id") -> str | None:
    """Return the id of a row; None when it has none."""
    return plain_id(row.get(name)) if isinstance(row, Mapping) else None


def plain_id(value: Any) -> str | None:
    """Return `"5"` for `5` and `"5"`; None for anything that is no positive number."""
    digits = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    is_id = digits.isascii() and digits.isdecimal() and len(digits) <= _LONGEST_ID and int(digits) > 0
    return str(int(digits)) if is_id else None


def number_of_status(row: Any) -> int | None:
    """Return the `status` of a task; None when it is missing or no number."""
    status = plain_id(row.get("status")) if isinstance(row, Mapping) else None
    return int(status) if status is not None else None
