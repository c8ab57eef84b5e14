"""The `batch` method: up to 50 commands in one request, each able to use the results of those before it.

Source: page how-to-call-rest-api/batch; the reach of `$result[...]` was read in the REST module's published code: the
replacement is done after URL-decoding, in every value, so a text that contains it is changed, encoded or not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.bitrix24 import php
from sandbox.bitrix24.errors import RestError, system_error

MAX_COMMANDS = 50
_NOT_IN_BATCH = frozenset({"batch", "upload", "download"})
_REFERENCE = re.compile(r"\$(result|next|total|time|error)(\S*)", re.IGNORECASE)
_SUBSCRIPT = re.compile(r"\[([^\]]+)\]")

Parts = dict[str, dict[str, Any]]
RunCommand = Callable[[str, dict[str, Any]], Mapping[str, Any]]


def run_batch(params: Mapping[str, Any], run: RunCommand) -> dict[str, Any]:
    """The result of `batch`: five parts, each keyed by command; commands after a halt are in none of them.

    `run(method, params)` executes one command and returns its answer, or raises RestError.
    """
    named = {str(key).upper(): value for key, value in params.items()}
    halt = php.truthy(named.get("HALT"))
    parts: Parts = {"result": {}, "next": {}, "total": {}, "time": {}, "error": {}}
    for position, (key, command) in enumerate(php.items(named.get("CMD"))):
        if not isinstance(command, str):
            continue
        try:
            if position >= MAX_COMMANDS:
                raise system_error("ERROR_BATCH_LENGTH_EXCEEDED")
            for part, value in _run_command(command, parts, run).items():
                parts[part][key] = value
        except RestError as error:
            parts["error"][key] = error.body
            if halt:
                break
    return {
        "result": php.array(parts["result"]),
        "result_error": php.array(parts["error"]),
        "result_total": php.array(parts["total"]),
        "result_next": php.array(parts["next"]),
        "result_time": php.array(parts["time"]),
    }


def _run_command(command: str, parts: Parts, run: RunCommand) -> Mapping[str, Any]:
    method, _, query = command.partition("#")[0].partition("?")
    if method.lower() in _NOT_IN_BATCH:
        raise system_error("ERROR_BATCH_METHOD_NOT_ALLOWED")
    return run(method, {key: substitute(value, parts) for key, value in php.parse_query(query).items()})


def substitute(value: Any, parts: Mapping[str, Any]) -> Any:
    """Replaces references in every text inside `value`; one that is the whole text may become any value."""
    if isinstance(value, dict):
        return {key: substitute(item, parts) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, parts) for item in value]
    return _substitute_text(value, parts) if isinstance(value, str) and "$" in value else value


def _substitute_text(text: str, parts: Mapping[str, Any]) -> Any:
    replaced = text
    for reference in _REFERENCE.finditer(text):
        keys = _SUBSCRIPT.findall(reference[2])
        if not keys:
            continue
        found = _follow(parts.get(reference[1].lower()), keys)
        if reference[0] == text:
            return found
        if isinstance(found, (str, int, float)) and not isinstance(found, bool):
            replaced = replaced.replace(reference[0], str(found))
    return replaced


def _follow(value: Any, keys: list[str]) -> Any:
    """The value at the end of the path; at the first key that is missing, the value reached so far."""
    for key in keys:
        if isinstance(value, dict) and value.get(key) is not None:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            break
    return value
