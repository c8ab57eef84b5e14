"""Settings of the 1C system. An empty ONEC_URL switches the system off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr

from consumers.onec.mapping import OneCMapping
from consumers.onec.mapping_file import SHIPPED, MappingProblem, read_mapping
from core.texts import Text
from settings.base import PositiveCount, Seconds, Timezone, missing_files
from settings.errors import FieldProblem, ValueProblem
from toolkit.http_settings import HttpSystemSettings, base_address, clear_text_notice


def _address(value: str | None) -> str | None:
    if value is None:
        return None
    # As a browser shows the publication; whoever has tried OData adds its path.
    system = Text("a publication of 1C", "публикации 1С")
    return base_address(value, system=system, example="https://host/base", suffix="/odata/standard.odata")


def _namespace(value: str) -> str:
    try:
        return str(UUID(value))
    except ValueError:
        raise ValueProblem(
            Text("is not a UUID", "это не UUID"),
            Text("make one once, for example with uuidgen, and keep it", "создайте один раз, например uuidgen"),
        ) from None


class OneCSettings(HttpSystemSettings):
    """The settings of 1C: how to reach one infobase and how its objects are made. Times are in seconds."""

    env_prefix = "ONEC_"

    url: Annotated[str | None, AfterValidator(_address)] = None  # without a slash at the end
    username: str = ""
    password: SecretStr = SecretStr("")  # 1C allows users without one
    mapping_file: Path | None = None  # none: the shipped one
    # Changing it makes all tasks new ones: what is under way would be created again.
    namespace: Annotated[str, AfterValidator(_namespace)] = "b6a1bd3c-5f2e-4f0a-9d1f-0c6a1c3e9a11"
    max_calls: Annotated[int, Field(ge=1, le=100)] = 4  # the pool of sessions is shared with everybody else
    keys_per_query: Annotated[int, Field(ge=1, le=100)] = 25  # more make a query longer than IIS takes by default
    page_size: PositiveCount = 500
    metadata_ttl: Seconds = 3600.0
    timezone: Timezone = "Europe/Moscow"

    @property
    def mapping_path(self) -> Path:
        return self.mapping_file or SHIPPED

    def mapping(self) -> OneCMapping:
        """Read the mapping. Raises MappingProblem."""
        return read_mapping(self.mapping_path)

    def cross_check(self) -> Iterator[FieldProblem]:
        if self.url is not None and not self.username:
            yield FieldProblem(
                "username",
                Text("is not set", "не задано"),
                Text(
                    "a user of the infobase with the rights for OData; or leave ONEC_URL empty",
                    "пользователь базы с правами на OData; или оставьте ONEC_URL пустым",
                ),
                beside="url",
            )
        missing = list(missing_files(self, "mapping_file"))
        yield from missing
        if self.mapping_file is not None and not missing:
            try:
                self.mapping()
            except MappingProblem as error:
                yield FieldProblem(
                    "mapping_file",
                    error.text,
                    Text(
                        "consumers/onec/README.md explains the file, consumers/onec/mapping.toml is an example",
                        "файл описан в consumers/onec/README.ru.md, пример: consumers/onec/mapping.toml",
                    ),
                )
        yield from super().cross_check()

    def notices(self) -> Iterator[tuple[str, Text]]:
        if self.url is not None:
            yield from clear_text_notice("url", self.url, Text("the password", "пароль"))
        yield from super().notices()
