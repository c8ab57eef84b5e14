"""Reads JSON by rules under which two readers cannot disagree on what was meant.

Refused: duplicate keys, NaN and Infinity, numbers beyond a double (1e999), lone surrogates, nesting over a limit.
Whole numbers are kept exactly, up to Python's 4,300 digits.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from core.errors import InvalidMessageError
from core.texts import Text

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def decode_object(body: bytes, max_depth: int) -> dict[str, Any]:
    """Return a JSON object; raise InvalidMessageError for anything else."""
    value = decode_value(body, max_depth)
    if not isinstance(value, dict):
        kind = _json_type(value)
        raise InvalidMessageError(
            Text(
                f"the message is a JSON {kind}, an object is expected",
                f"сообщение – это {kind} в JSON, а должен быть объект (object)",
            ),
            code="not_an_object",
        )
    return value


def decode_value(body: bytes, max_depth: int) -> Any:
    """Return any JSON value; raise InvalidMessageError for what is none."""
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidMessageError(
            Text(
                f"the message is not UTF-8: byte 0x{body[error.start]:02x} at offset {error.start}",
                f"сообщение не в UTF-8: байт 0x{body[error.start]:02x} на месте {error.start}",
            ),
            code="not_utf8",
        ) from None
    except json.JSONDecodeError as error:
        raise InvalidMessageError(
            Text(
                f"the message is not JSON: {error.msg} (line {error.lineno}, column {error.colno})",
                f"сообщение не в JSON: {error.msg} (строка {error.lineno}, столбец {error.colno})",
            ),
            code="not_json",
        ) from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    except ValueError as error:  # an integer beyond sys.get_int_max_str_digits()
        reason = Text(f"the message holds an unusable number: {error}", f"сообщение: негодное число: {error}")
        raise InvalidMessageError(reason, code="bad_number") from None
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
        key = repr(twice[:200])
        reason = Text(f"the key {key} stands twice in one object", f"ключ {key} стоит в одном объекте дважды")
        raise InvalidMessageError(reason, code="duplicate_key")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidMessageError(Text(f"{name} is no JSON number", f"{name} – не число JSON"), code="bad_number")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        reason = Text(f"the number {text[:50]} is too large", f"число {text[:50]} слишком велико")
        raise InvalidMessageError(reason, code="bad_number")
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
        Text(
            f"the message is nested deeper than MAX_MESSAGE_DEPTH={max_depth}",
            f"сообщение: вложенность больше, чем MAX_MESSAGE_DEPTH={max_depth}",
        ),
        code="message_too_deep",
    )


def _refuse_lone_surrogates(value: Any, max_depth: int) -> None:
    # json.loads lets them pass and encoding fails later, when the outside task exists already.
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        code_point = ord(error.object[error.start])
        raise InvalidMessageError(
            Text(
                f"the message holds half of a surrogate pair (\\u{code_point:04x}), which is no character",
                f"сообщение: половина суррогатной пары (\\u{code_point:04x}), это не символ",
            ),
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
