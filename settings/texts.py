"""Says what pydantic says about a value, in the words of the person who has to correct it."""

from __future__ import annotations

from collections import abc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from core.texts import Text
from settings.errors import ValueProblem
from settings.names import alternatives

_PROBLEMS: Mapping[str, Text] = {
    "int_parsing": Text("is not a whole number", "это не целое число"),
    "int_parsing_size": Text("is too large", "слишком велико"),
    "int_from_float": Text("is not a whole number", "это не целое число"),
    "int_type": Text("is not a whole number", "это не целое число"),
    "float_parsing": Text("is not a number", "это не число"),
    "float_type": Text("is not a number", "это не число"),
    "finite_number": Text("is not a finite number", "это не конечное число"),
    "bool_parsing": Text("is neither true nor false", "это не true и не false"),
    "literal_error": Text("is not one of the choices", "нет среди допустимых значений"),
    "too_short": Text("has too few entries", "слишком мало значений"),
    "missing": Text("is not set", "не задано"),
    "string_type": Text("is not a text", "это не текст"),
    "model_type": Text("is not a JSON object", "это не объект JSON"),
    "dict_type": Text("is not a JSON object", "это не объект JSON"),
    "mapping_type": Text("is not a JSON object", "это не объект JSON"),
    "list_type": Text("is not a list", "это не список"),
    "bool_type": Text("is neither true nor false", "это не true и не false"),
    "extra_forbidden": Text("is not a known key", "неизвестный ключ"),
}

_BOUNDS: Mapping[str, Text] = {
    "ge": Text("at least", "не меньше"),
    "gt": Text("more than", "больше"),
    "le": Text("at most", "не больше"),
    "lt": Text("less than", "меньше"),
}
_TEXT = Text("a text", "текст")
_LIST = Text("values separated by commas", "значения через запятую")
_MAP = Text("a map as shown in config.env.example", "набор пар, как показано в config.env.example")
_KINDS: Mapping[Any, Text] = {
    bool: Text("true or false", "true или false"),
    int: Text("a whole number", "целое число"),
    float: Text("a number", "число"),
    Path: Text("a path", "путь"),
    list: _LIST,
    tuple: _LIST,
    frozenset: _LIST,
    dict: _MAP,
    abc.Mapping: _MAP,
}


def explain(error: Mapping[str, Any], field: FieldInfo, variable: str) -> tuple[Text, Text]:
    """Return (problem, hint) of one entry of `ValidationError.errors()`."""
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, ValueProblem):
        problem, hint = cause.problem, cause.hint
    else:
        problem = _PROBLEMS.get(error["type"], Text(error["msg"], error["msg"]))
        if bounds := _bounds(error.get("ctx", {})):
            problem = Text(f"must be {bounds.en}", f"должно быть {bounds.ru}")
        hint = _expected(field, variable)
    # Inside a map or a list the value as a whole is shown: say which part of it is meant.
    parts = (f"{error['input']!r}" if isinstance(part, int) else part for part in error["loc"][1:])
    where = ".".join(part for part in parts if part != "[key]")
    return (Text(f"{where}: {problem.en}", f"{where}: {problem.ru}") if where else problem), hint


def default_text(field: FieldInfo) -> str:
    """Return the default as it would be written in `.env`; empty when there is none to write."""
    value = field.default
    if field.is_required() or value is None or field.default_factory or isinstance(value, SecretStr):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, frozenset):
        return ",".join(str(each) for each in sorted(value))
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return _number(value)


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _expected(field: FieldInfo, variable: str) -> Text:
    kinds = alternatives(field.annotation)
    choices = ", ".join(str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind))
    if choices:
        text = Text(f"one of: {choices}", f"одно из: {choices}")
    else:
        kind = next((_KINDS[kind] for kind in (*kinds, *map(get_origin, kinds)) if kind in _KINDS), _TEXT)
        bounds = _bounds(
            {name: getattr(each, name) for each in field.metadata for name in _BOUNDS if hasattr(each, name)}
        )
        text = Text(f"{kind.en}, {bounds.en}", f"{kind.ru}, {bounds.ru}") if bounds else kind
    if default := default_text(field):
        return Text(f"{text.en}, for example {variable}={default}", f"{text.ru}, например {variable}={default}")
    return text


def _bounds(limits: Mapping[str, Any]) -> Text | None:
    found = [(_BOUNDS[name], _number(value)) for name, value in limits.items() if name in _BOUNDS]
    return Text.join(", ", (Text(f"{each.en} {n}", f"{each.ru} {n}") for each, n in found)) if found else None
