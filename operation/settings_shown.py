"""Shows the settings as they count, and where each value comes from. No secret is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, SecretStr

from config import Settings
from core.secrets import MASK, Secrets
from settings.base import EnvironmentSettings
from settings.names import named_secrets, prefixed, secret_fields, variables_of

Source = Literal["environment", "env_file", "file", "default"]
SHOWN_OF_A_SECRET = 3  # characters at most, and no more than a quarter


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """One setting. `value` as text, None for none; `file`: the one that a secret stands in."""

    variable: str
    value: str | None
    source: Source
    is_secret: bool
    file: str | None = None


def shown_settings(settings: Settings) -> list[ShownSetting]:
    """Return every setting once, in the order of the settings classes."""
    found: dict[str, ShownSetting] = {}
    for part in (settings.rabbitmq, settings.worker, *settings.systems.values()):
        for each in _shown(settings, part):
            found.setdefault(each.variable, each)
    return list(found.values())


def hint_of(secret: str) -> str:
    """Return what may be shown of a secret: of an address all but the secret in it, else its first characters."""
    if "://" in secret and (address := Secrets().mask(secret)) != secret:
        return address
    return secret[: min(SHOWN_OF_A_SECRET, len(secret) // 4)] + MASK


def _shown(settings: Settings, part: EnvironmentSettings) -> Iterator[ShownSetting]:
    secrets = secret_fields(type(part))
    for field, variable in variables_of(type(part)).items():
        value = getattr(part, field)
        if field in secrets:
            yield _secret(settings, variable, value)
        else:
            yield ShownSetting(variable, _text(value), settings.origins.of(variable), is_secret=False)
    for field in named_secrets(type(part)):
        named: Mapping[str, SecretStr] = getattr(part, field)
        for variable, value in named.items():
            yield _secret(settings, variable, value)
    for field in prefixed(type(part)):
        passed: Mapping[str, str | SecretStr] = getattr(part, field)
        for variable, value in passed.items():
            if isinstance(value, SecretStr):
                yield _secret(settings, variable, value)
            else:
                yield ShownSetting(variable, Secrets().mask(value), settings.origins.of(variable), is_secret=False)


def _secret(settings: Settings, variable: str, value: SecretStr | None) -> ShownSetting:
    told = value.get_secret_value() if value is not None else ""
    shown = hint_of(told) if told else None
    origin = settings.origins.of(variable)
    if origin == "default" and settings.origins.of(f"{variable}_FILE") != "default":
        file = getattr(value, "path", None)
        return ShownSetting(variable, shown, "file", is_secret=True, file=None if file is None else str(file))
    return ShownSetting(variable, shown, origin, is_secret=True)


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str | int | Path):
        return str(value)
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(each) for name, each in value if each not in ("", None)}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return str(value)
