"""JSON by rules under which two readers cannot disagree on what was meant.

Refused: duplicate keys, NaN and Infinity, numbers beyond a double (1e999), lone surrogates, nesting over a limit.
Whole numbers are kept exactly, up to Python's 4,300 digits.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from core.errors import InvalidMessageError

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def decode_object(body: bytes, max_depth: int) -> dict[str, Any]:
    """A JSON object; raises InvalidMessageError."""
    value = decode_value(body, max_depth)
    if not isinstance(value, dict):
        raise InvalidMessageError(
            f"the message is a JSON {_json_type(value)}, an object is expected", code="not_an_object"
        )
    return value


def decode_value(body: bytes, max_depth: int) -> Any:
    """Any JSON value; raises InvalidMessageError."""
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidMessageError(
            f"the message is not UTF-8: byte 0x{body[error.start]:02x} at offset {error.start}",
            code="not_utf8",
        ) from None
    except json.JSONDecodeError as error:
        raise InvalidMessageError(
            f"the message is not JSON: {error.msg} (line {error.lineno}, column {error.colno})",
            code="not_json",
        ) from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    except ValueError as error:  # an integer beyond sys.get_int_max_str_digits()
        raise InvalidMessageError(f"the message holds an unusable number: {error}", code="bad_number") from None
    # Counting brackets bounds the depth from above without walking: nearly every message ends here.
    if body.count(b"{") + body.count(b"[") > max_depth and _depth(value) > max_depth:
        raise _too_deep(max_depth)
    if _SURROGATE_ESCAPE.search(body):
        _refuse_lone_surrogates(value, max_depth)
    return value


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InvalidMessageError(f"the key {twice[:200]!r} stands twice in one object", code="duplicate_key")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidMessageError(f"{name} is no JSON number", code="bad_number")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidMessageError(f"the number {text[:50]} is too large", code="bad_number")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object_without_duplicates, parse_constant=_refuse_constant, parse_float=_finite_float
)


def _depth(value: Any) -> int:
    depth = 0
    level = [value]
    while level:
        depth += 1
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
    return depth


def _too_deep(max_depth: int) -> InvalidMessageError:
    return InvalidMessageError(
        f"the message is nested deeper than MAX_MESSAGE_DEPTH={max_depth}", code="message_too_deep"
    )


def _refuse_lone_surrogates(value: Any, max_depth: int) -> None:
    # json.loads lets them pass and encoding fails later, when the outside task exists already.
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        code_point = ord(error.object[error.start])
        raise InvalidMessageError(
            f"the message holds half of a surrogate pair (\\u{code_point:04x}), which is no character",
            code="lone_surrogate",
        ) from None
    except RecursionError:  # the writer gives up a few levels before the reader
        raise _too_deep(max_depth) from None


def _json_type(value: Any) -> str:
    names = {
        type(None): "null",
        bool: "boolean",
        int: "number",
        float: "number",
        str: "string",
        list: "array",
    }
    return names[type(value)]
