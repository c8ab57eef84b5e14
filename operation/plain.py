"""Makes plain data of an answer: what JSON can hold, with stable English names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import IntEnum
from typing import Any

from core.texts import Text


def plain(value: Any) -> Any:
    """Return the value as dictionaries, lists and texts: a `Text` in both languages, a state by its name."""
    if isinstance(value, Text):
        return {"en": value.en, "ru": value.ru}
    if isinstance(value, IntEnum):
        return value.name.lower()
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def masked(value: Any, mask: Callable[[str], str]) -> Any:
    """Return plain data without secrets."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {name: masked(each, mask) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked(each, mask) for each in value]
    return value
