"""Defines what settings classes are made of: their base, the types of their fields, the marks that the loader reads.

The variable of a field is the class's `env_prefix` plus the field's name in capitals. All times are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from core.texts import Text
from settings.errors import FieldProblem, ValueProblem
from settings.values import parse_pairs


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueProblem(
            Text("is not a known time zone", "неизвестный часовой пояс"),
            Text(
                "an IANA name such as Europe/Moscow or UTC (a bare system needs the package tzdata)",
                "имя IANA, например Europe/Moscow или UTC (на голой системе нужен пакет tzdata)",
            ),
        ) from error
    return name


@dataclass(frozen=True, slots=True)
class Shared:
    """Marks a field of a system's settings whose variable is one of the daemon's own."""

    variable: str


@dataclass(frozen=True, slots=True)
class NamedSecrets:
    """Marks a field `variable -> secret` whose variables are named elsewhere, as in a file that another setting gives.

    `names` separates them from the other values, which are still texts then. Each may also be given as
    `<VARIABLE>_FILE`; `accepts` checks them all again when such a file has changed.
    """

    names: Callable[[Mapping[str, str]], Iterable[str]]
    accepts: Callable[[Mapping[str, str], Mapping[str, str]], bool] = lambda values, secrets: True


@dataclass(frozen=True, slots=True)
class Prefixed:
    """Marks a field `variable -> value` that takes every variable with this prefix: other software reads them.

    One that ends in `hidden_suffix` is a secret, and may be given as `<VARIABLE>_FILE`, which is read once.
    """

    prefix: str
    hidden_suffix: str

    def names(self, given: Iterable[str]) -> set[str]:
        """Return the variables among these, a file as the secret that it gives."""
        return {self._given_by(name) for name in given if name.startswith(self.prefix)}

    def is_secret(self, name: str) -> bool:
        return name.endswith(self.hidden_suffix)

    def _given_by(self, name: str) -> str:
        secret = name.removesuffix("_FILE")
        return secret if self.is_secret(secret) else name


Timezone = Annotated[str, AfterValidator(_time_zone)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
StateDir = Annotated[Path, Shared("STATE_DIR")]


def _pairs(value: object) -> object:
    return parse_pairs(value) if isinstance(value, str) else value


Pairs = BeforeValidator(_pairs)  # `a=1,b=2` or a JSON object


class EnvironmentSettings(BaseModel):
    """The base of all settings classes, those of the systems in `consumers/` included.

    Nothing is read here: the loader passes what it found, a test passes what it wants. A `SecretStr` field may also be
    given as `<VARIABLE>_FILE`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)

    env_prefix: ClassVar[str] = ""

    def cross_check(self) -> Iterator[FieldProblem]:
        """Yield the mistakes that only several fields together, or a look at the file system, can show."""
        yield from ()

    def notices(self) -> Iterator[tuple[str, Text]]:
        """Yield (field, text) of what works but should be known."""
        yield from ()


def missing_files(settings: EnvironmentSettings, *fields: str) -> Iterator[FieldProblem]:
    """Yield one problem for each of these path fields that names no file."""
    for name in fields:
        path: Path | None = getattr(settings, name)
        if path is not None and not path.is_file():
            yield FieldProblem(
                name,
                Text("there is no such file", "такого файла нет"),
                Text("give the path of an existing file", "укажите путь к существующему файлу"),
            )
