"""Writes and reads the `batch` method's own little language: one query string per command, answers keyed by command.

Documentation: settings/how-to-call-rest-api/batch.md and data-encoding.md of the Bitrix24 REST documentation.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from toolkit.http import Guard, unguarded

BATCH_LIMIT = 50  # commands in one request

# The portal replaces such references in every decoded value of a batch, so no encoding protects a text that
# contains one: a title could pull another task's data. The pattern is wider than the portal's on purpose.
_REFERENCE = re.compile(r"\$(?:result|next|total|time|error)", re.IGNORECASE)

# What is percent-encoded: all but RFC 3986's unreserved characters; brackets stay legible in names.
_NOT_IN_TEXTS = re.compile(rb"[^A-Za-z0-9_.~-]+")
_NOT_IN_NAMES = re.compile(rb"[^A-Za-z0-9_.~\[\]-]+")


@dataclass(frozen=True, slots=True)
class Command:
    """One method call. `write` says whether executing it twice would matter; `guard` may prevent it until the last.

    Encoded when it is made: at the time of sending, a place at the portal is waiting for it.
    """

    method: str
    params: Mapping[str, Any]
    write: bool = False
    guard: Guard = unguarded
    encoded: str = field(init=False)  # `method?key=value&…`, each key and value encoded once, for PHP's parse_str
    fits_batch: bool = field(init=False)  # False: a text in it would be taken for a reference to another's result

    def __post_init__(self) -> None:
        pairs = "&".join(
            f"{_quoted(_NOT_IN_NAMES, name)}={_quoted(_NOT_IN_TEXTS, text)}" for name, text in flatten(self.params)
        )
        object.__setattr__(self, "encoded", f"{self.method}?{pairs}" if pairs else self.method)
        object.__setattr__(self, "fits_batch", not any(_REFERENCE.search(text) for text in _texts(self.params)))


@dataclass(frozen=True, slots=True)
class Answer:
    """What one command returned: `result` as the method's page describes it, `next` when there are more rows.

    `total` counts the rows of all pages; `asked_at` is the portal's own clock when it began to work, given for a method
    called alone.
    """

    result: Any
    next: int | None = None
    total: int | None = None
    asked_at: datetime | None = None


def command_keys(count: int) -> list[str]:
    """Return unguessable names: no text written in advance can refer to a command of this batch."""
    digits = secrets.token_hex(8 * count)  # at once: each call to the system gives the other threads a turn
    return [f"c{digits[start : start + 16]}" for start in range(0, len(digits), 16)]


def flatten(params: Mapping[str, Any] | Sequence[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield pairs: `{"a": {"b": [1, True]}}` gives `a[b][0]=1`, `a[b][1]=1`.

    False is 0 and None is empty, never their names. An empty list or map cannot be expressed in a query string; it
    becomes one empty value, which is how the portal clears a field.
    """
    items = params.items() if isinstance(params, Mapping) else enumerate(params)
    for key, value in items:
        name = f"{prefix}[{key}]" if prefix else str(key)
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, Mapping | list | tuple) and value:
            yield from flatten(value, name)
        else:
            yield name, _scalar(value)


def section(reply: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return one map of the batch's reply; the portal sends an empty one as `[]`."""
    part = reply.get(name)
    return part if isinstance(part, Mapping) else {}


def moment_of(value: Any) -> datetime | None:
    """Return a date of an answer (`2026-11-23T19:38:34+03:00`); None when it is none or has no offset."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def number_of(value: Any) -> float | None:
    """Return a number of an answer; None when it is none or none that can be reckoned with."""
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _quoted(unsafe: re.Pattern[bytes], text: str) -> str:
    # A run of bytes at a time: urllib.parse looks at each byte of Russian text by itself, which was a sixth of the
    # CPU time of a creation.
    return unsafe.sub(_percent_encoded, text.encode("utf-8", "replace")).decode("ascii")


def _percent_encoded(run: re.Match[bytes]) -> bytes:
    return b"%" + run[0].hex("%").upper().encode("ascii")


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, Mapping | list | tuple):
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
