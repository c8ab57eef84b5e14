"""Finds which environment variables belong to a settings class, and which one a misspelt name was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import SecretStr

from settings.base import EnvironmentSettings, NamedSecrets, Prefixed, Shared

# How like a known name an unknown one must be. Whatever stands in `.env` was written for this program; the
# environment belongs to everybody.
_LIKE_IN_FILE = 0.8
_LIKE_IN_ENVIRONMENT = 0.88
_SURELY_LIKE = 0.9
_LIKE_PREFIX = 0.6


@dataclass(frozen=True, slots=True)
class NamesOfOthers:
    """Variables that look like ours and belong to other software."""

    names: frozenset[str]
    prefixes: tuple[str, ...]
    synonyms: Mapping[str, str]  # what people write who know that software, and which of ours they mean by it

    def __contains__(self, name: str) -> bool:
        return name in self.names or name.startswith(self.prefixes)


def variables_of(settings_class: type[EnvironmentSettings]) -> dict[str, str]:
    """Return field -> variable: the class's `env_prefix` and the field's name in capitals, or the `Shared` one.

    Named secrets and what is marked by a prefix are left out: their variables have any names.
    """
    prefix = settings_class.env_prefix
    names = {}
    for field, info in settings_class.model_fields.items():
        if field in named_secrets(settings_class) or field in prefixed(settings_class):
            continue
        shared = next((each.variable for each in info.metadata if isinstance(each, Shared)), None)
        names[field] = shared or f"{prefix}{field}".upper()
    return names


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the parts of `A | B`; anything else as the only one."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def secret_fields(settings_class: type[EnvironmentSettings]) -> frozenset[str]:
    fields = settings_class.model_fields.items()
    return frozenset(name for name, info in fields if SecretStr in alternatives(info.annotation))


def named_secrets(settings_class: type[EnvironmentSettings]) -> dict[str, NamedSecrets]:
    """Return the fields whose variables are named by other values."""
    fields = settings_class.model_fields.items()
    return {name: mark for name, info in fields for mark in info.metadata if isinstance(mark, NamedSecrets)}


def prefixed(settings_class: type[EnvironmentSettings]) -> dict[str, Prefixed]:
    """Return the fields that take every variable with a prefix."""
    fields = settings_class.model_fields.items()
    return {name: mark for name, info in fields for mark in info.metadata if isinstance(mark, Prefixed)}


def closest_name(name: str, known: Collection[str], synonyms: Mapping[str, str], *, in_file: bool) -> str | None:
    """Return the known name that this one was probably meant to be.

    Of a synonym the nearest spelling would be wrong.
    """
    upper = name.upper()
    if upper in known:
        return upper
    if synonyms.get(upper) in known:
        return synonyms[upper]
    cutoff = _LIKE_IN_FILE if in_file else _LIKE_IN_ENVIRONMENT
    for candidate in difflib.get_close_matches(upper, sorted(known), n=3, cutoff=cutoff):
        # SMTP_REQUEST_TIMEOUT is another system's variable, BITRX_REQUEST_TIMEOUT a slip.
        if _likeness(upper, candidate) >= _SURELY_LIKE or _likeness(*map(_prefix, (upper, candidate))) >= _LIKE_PREFIX:
            return candidate
    return None


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _prefix(name: str) -> str:
    return name.partition("_")[0]
