"""How PHP sees data: Bitrix24 runs on it, and clients meet its rules for forms, truth and empty arrays.

    "fields[TITLE]=a&fields[TAGS][]=b"  ->  {"fields": {"TITLE": "a", "TAGS": ["b"]}}

An array with the keys 0..n-1 is a list, any other a map, and an empty one is always `[]` in JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

_SUBSCRIPT = re.compile(r"\[([^\]]*)\]")
_INTEGER = re.compile(r"\s*[+-]?\d+")


def parse_query(text: str) -> dict[str, Any]:
    """A query string or form body as `parse_str` reads it; every scalar is a string."""
    result: dict[str, Any] = {}
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if path := _path(unquote_plus(name)):
            _assign(result, path, unquote_plus(value))
    return {key: _lists(value) for key, value in result.items()}


def _path(name: str) -> list[str]:
    name = name.lstrip(" ")
    head, bracket, rest = name.partition("[")
    head = head.replace(".", "_").replace(" ", "_")
    if not head or not bracket:
        return [head] if head else []
    if "]" not in rest:
        return [f"{head}_{rest}"]
    keys, position = [head], len(head)
    while subscript := _SUBSCRIPT.match(name, position):
        keys.append(subscript[1])
        position = subscript.end()
    return keys


def _assign(target: dict[str, Any], path: list[str], value: str) -> None:
    for key, following in zip(path, [*path[1:], None], strict=True):
        slot = key or _next_index(target)
        if following is None:
            target[slot] = value
            return
        if not isinstance(target.get(slot), dict):
            target[slot] = {}
        target = target[slot]


def _next_index(array: Mapping[str, Any]) -> str:
    return str(max((int(key) for key in array if key.isdecimal()), default=-1) + 1)


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return array({key: _lists(item) for key, item in value.items()})


def array(items: Mapping[str, Any]) -> Any:
    """A PHP array as JSON shows it: `[]` when empty, a list when its keys are 0..n-1 in this order."""
    if all(key == str(index) for index, key in enumerate(items)):
        return list(items.values())
    return dict(items)


def items(value: Any) -> Iterator[tuple[str, Any]]:
    """Keys and values of a PHP array that arrived as a list or as an object; nothing for a scalar."""
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())
    elif isinstance(value, list):
        yield from ((str(index), item) for index, item in enumerate(value))


def values(value: Any) -> list[Any]:
    """A PHP array's values; a scalar counts as an array of one."""
    if isinstance(value, (Mapping, list)):
        return [item for _, item in items(value)]
    return [value]


def mapping(value: Any) -> dict[str, Any]:
    """A PHP array as a dict; `{}` for a scalar."""
    return dict(items(value))


def truthy(value: Any) -> bool:
    """PHP's `if ($value)`: the string "N" is true, and so is "False"; "0" is false."""
    return value not in ("", "0", 0, None) and value not in ([], {})


def integer(value: Any) -> int:
    """PHP's `(int)$value`: leading digits count, everything else is 0."""
    if isinstance(value, (bool, int, float)):
        return int(value)
    match = _INTEGER.match(value) if isinstance(value, str) else None
    return int(match[0]) if match else 0


def is_empty(value: Any) -> bool:
    """True for what a form leaves blank: null, the empty string, the empty array."""
    return value is None or value in ("", [], {})
