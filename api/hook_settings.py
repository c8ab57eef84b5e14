"""The settings of the hooks by which systems tell of changed tasks. Only the API uses them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator, SecretStr

from core.texts import Text
from settings.base import EnvironmentSettings
from settings.errors import FieldProblem, ValueProblem

SHORTEST = 16  # characters of a name

_NAME = re.compile(r"[A-Za-z0-9_-]*")


def _name(value: SecretStr) -> SecretStr:
    given = value.get_secret_value()
    if given and (len(given) < SHORTEST or not _NAME.fullmatch(given)):
        raise ValueProblem(
            Text("is too short: it could be guessed", "слишком коротко: можно угадать")
            if _NAME.fullmatch(given)
            else Text("does not fit into an address", "не годится для адреса"),
            Text(
                f"at least {SHORTEST} letters and digits, e.g. of: openssl rand -hex 16",
                f"не меньше {SHORTEST} латинских букв и цифр, например: openssl rand -hex 16",
            ),
        )
    return value


Name = Annotated[SecretStr, AfterValidator(_name)]

_PAIRS = (("bitrix24_name", "bitrix24_token"), ("openproject_name", "openproject_secret"))


class HookSettings(EnvironmentSettings):
    """Which hooks are taken: the last part of the address of each, and what proves that it is genuine."""

    env_prefix: ClassVar[str] = "HOOK_"

    bitrix24_name: Name = SecretStr("")
    bitrix24_token: SecretStr = SecretStr("")
    openproject_name: Name = SecretStr("")
    openproject_secret: SecretStr = SecretStr("")

    def cross_check(self) -> Iterator[FieldProblem]:
        for pair in _PAIRS:
            given = [bool(getattr(self, each).get_secret_value()) for each in pair]
            if any(given) and not all(given):
                missing, beside = pair if given[1] else reversed(pair)
                yield FieldProblem(
                    missing,
                    Text("is not set", "не задан"),
                    Text(
                        "a hook needs a name and a secret; without either it is not taken",
                        "хуку нужны и имя, и секрет; без обоих он не принимается",
                    ),
                    beside=beside,
                )
