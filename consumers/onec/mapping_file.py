"""Reads the mapping file (TOML) and reports everything that is wrong with it, in both languages."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from consumers.onec.mapping import OneCMapping
from core.texts import BilingualError, Text
from settings.texts import explain

SHIPPED = Path(__file__).parent / "mapping.toml"


class MappingProblem(BilingualError, ValueError):  # noqa: N818  # like ValueProblem, told as a mistake of the settings
    """The file is wrong; the text says all that is wrong with it."""

    def __init__(self, problems: Sequence[Text]) -> None:
        super().__init__(Text.join("; ", problems))


def read_mapping(path: Path) -> OneCMapping:
    """Read the mapping. Raises MappingProblem with everything that is wrong."""
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise MappingProblem([Text(f"cannot be read: {why}", f"не читается: {why}")]) from error
    except UnicodeDecodeError as error:
        raise MappingProblem([Text("is not UTF-8", "не в кодировке UTF-8")]) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        text = Text(
            f"is not TOML: {error} (Cyrillic names on the left of = are written in quotes)",
            f"это не TOML: {error} (русские имена слева от = пишутся в кавычках)",
        )
        raise MappingProblem([text]) from error
    try:
        return OneCMapping.model_validate(document)
    except ValidationError as error:
        raise MappingProblem([_problem(each) for each in error.errors(include_url=False)]) from error


def _problem(error: Any) -> Text:
    place = [part for part in error["loc"] if part not in {"odata", "http_service", "[key]"}]
    problem, _ = explain({**error, "loc": ()}, FieldInfo(), "")
    expected = error.get("ctx", {}).get("expected")
    more = f": {expected}" if expected else ""
    where = ".".join(str(part) for part in place)
    lead = f"{where}: " if where else ""
    return Text(f"{lead}{problem.en}{more}", f"{lead}{problem.ru}{more}")
