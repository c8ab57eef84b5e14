"""Settings of the OpenProject system. An empty OPENPROJECT_URL switches the system off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from core.texts import Text
from settings.base import Pairs, Seconds, Timezone
from settings.errors import FieldProblem
from toolkit.http_settings import HttpSystemSettings, base_address, clear_text_notice


def _address(value: str | None) -> str | None:
    if value is None:
        return None
    # As in the browser; whoever has read about the API adds its path.
    system = Text("an OpenProject", "OpenProject")
    return base_address(value, system=system, example="https://host/openproject", suffix="/api/v3")


class OpenProjectSettings(HttpSystemSettings):
    """The settings of OpenProject: how to reach it and how work packages are made there. Times are in seconds."""

    env_prefix = "OPENPROJECT_"

    url: Annotated[str | None, AfterValidator(_address)] = None  # without a slash at the end
    token: SecretStr | None = None
    auth: Literal["basic", "bearer"] = "basic"  # an administrator may switch Basic off
    key_field: str = "Camunda ID"  # the title of a custom field of type text, or customField7
    default_project: str | None = None
    default_type: str | None = None
    default_assignee: str | None = None
    default_priority: str | None = None
    milestone_type: str = "Milestone"
    answers: Annotated[Mapping[str, str], Pairs] = Field(default_factory=dict)
    notify: bool = True
    cache_ttl: Seconds = 600.0
    page_size: Annotated[int, Field(ge=1, le=1000)] = 500  # the server cuts at its own limit, 1000 by default
    id_chunk: Annotated[int, Field(ge=1, le=300)] = 250  # ids in one question; with more the address gets too long
    ambiguous_wait: Seconds = 75.0  # HttpSystemSettings.safe_wait
    timezone: Timezone = "Europe/Moscow"

    def cross_check(self) -> Iterator[FieldProblem]:
        if self.url is not None and (self.token is None or not self.token.get_secret_value()):
            yield FieldProblem(
                "token",
                Text("is not set", "не задан"),
                Text(
                    "OpenProject: My account → Access tokens → API; or leave OPENPROJECT_URL empty",
                    "OpenProject: Моя учётная запись → Маркеры доступа → API; или оставьте OPENPROJECT_URL пустым",
                ),
                beside="url",
            )
        yield from super().cross_check()

    def notices(self) -> Iterator[tuple[str, Text]]:
        if self.url is not None:
            yield from clear_text_notice("url", self.url, Text("the token", "маркер доступа"))
        yield from self.wait_notice("ambiguous_wait", self.ambiguous_wait)
        yield from super().notices()
