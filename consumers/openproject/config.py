"""Settings of the OpenProject system. An empty OPENPROJECT_URL switches the system off."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from config import EnvironmentSettings, Pairs, Seconds, Timezone, missing_files
from core.settings_errors import FieldProblem, Text, ValueProblem
from core.settings_values import LOOPBACK_HOSTS

_ADDRESS = re.compile(r"https?://[^\s?#@]+", re.IGNORECASE)


def _address(value: str | None) -> str | None:
    if value is None:
        return None
    url = value.strip().rstrip("/").removesuffix("/api/v3")
    if not _ADDRESS.fullmatch(url) or not urlsplit(url).hostname:
        raise ValueProblem(
            Text("is not the address of an OpenProject", "это не адрес OpenProject"),
            Text(
                "as in the browser, without user and password: https://host or https://host/openproject",
                "как в браузере, без имени и пароля: https://host или https://host/openproject",
            ),
        )
    return url


class OpenProjectSettings(EnvironmentSettings):
    """How to reach OpenProject and how work packages are made there. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="OPENPROJECT_")

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
    # The application server ends a request after 60 s: who gives up earlier doubts what has been decided.
    request_timeout: Seconds = 65.0
    connect_timeout: Seconds = 10.0
    cache_ttl: Seconds = 600.0
    page_size: Annotated[int, Field(ge=1, le=1000)] = 500  # the server cuts at its own limit, 1000 by default
    id_chunk: Annotated[int, Field(ge=1, le=300)] = 250  # ids in one question; with more the address gets too long
    ambiguous_wait: Seconds = 60.0
    timezone: Timezone = "Europe/Moscow"
    ca_file: Path | None = None
    tls_verify: bool = True

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
        yield from missing_files(self, "ca_file")

    def notices(self) -> Iterator[tuple[str, Text]]:
        if self.url is not None:
            address = urlsplit(self.url)
            if address.scheme == "http" and address.hostname not in LOOPBACK_HOSTS:
                yield (
                    "url",
                    Text(
                        "http: the token, which is a password, crosses the network in clear",
                        "http: маркер доступа, а это пароль, передаётся по сети открытым текстом",
                    ),
                )
        if self.request_timeout <= 60:
            yield (
                "request_timeout",
                Text(
                    "the server may work for 60 s: a slow answer would be taken for a lost one",
                    "сервер может работать 60 с: медленный ответ будет принят за потерянный",
                ),
            )
        if not self.tls_verify:
            yield "tls_verify", Text("the server's certificate is not checked", "сертификат сервера не проверяется")
