"""The common part of the settings of every system that is reached over HTTP, and the client made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core.policy import LONGEST_LEASE
from core.texts import Text
from settings.base import EnvironmentSettings, Seconds, missing_files
from settings.errors import FieldProblem, ValueProblem
from settings.values import LOOPBACK_HOSTS
from toolkit.http import HttpClient

_ADDRESS = re.compile(r"https?://[^\s?#@]+", re.IGNORECASE)


class HttpSystemSettings(EnvironmentSettings):
    """The base of a system's settings class. Times are in seconds."""

    connect_timeout: Seconds = 10.0
    # Servers mostly end a request after 60 s: who gives up earlier doubts what has been decided.
    request_timeout: Seconds = 65.0
    ca_file: Path | None = None
    tls_verify: bool = True

    def http_client(
        self, system: str | Text, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> HttpClient:
        """Return a client. `system` is its name in texts for people, `options` are further ones of HttpClient."""
        return HttpClient(
            system,
            connect_timeout=self.connect_timeout,
            read_timeout=self.request_timeout,
            verify=str(self.ca_file) if self.ca_file and self.tls_verify else self.tls_verify,
            ca_setting=f"{self.env_prefix}CA_FILE",
            headers=headers,
            **options,
        )

    def safe_wait(self) -> float:
        """Return the seconds after which no request of a worker that has lost RabbitMQ can be running any more."""
        return self.request_timeout + LONGEST_LEASE

    def wait_notice(self, field: str, seconds: float) -> Iterator[tuple[str, Text]]:
        """Yield a notice when a redelivered task is created anew after less than `safe_wait`."""
        if seconds < self.safe_wait():
            yield (
                field,
                Text(
                    f"less than {self.safe_wait():g}: a worker that lost RabbitMQ may be creating the same task still",
                    f"меньше {self.safe_wait():g}: воркер, потерявший RabbitMQ, возможно, ещё создаёт ту же задачу",
                ),
            )

    def cross_check(self) -> Iterator[FieldProblem]:
        yield from missing_files(self, "ca_file")

    def notices(self) -> Iterator[tuple[str, Text]]:
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


def base_address(value: str, *, system: Text, example: str, suffix: str = "") -> str:
    """Return `value` without a slash or `suffix` at its end.

    Raises ValueProblem when it is no plain http(s) address.
    """
    url = value.strip().rstrip("/").removesuffix(suffix).rstrip("/")
    if not _ADDRESS.fullmatch(url) or not urlsplit(url).hostname:
        raise ValueProblem(
            Text(f"is not the address of {system.en}", f"это не адрес {system.ru}"),
            Text(f"without user and password, like {example}", f"без имени и пароля, например {example}"),
        )
    return url


def clear_text_notice(field: str, url: str, secret: Text) -> Iterator[tuple[str, Text]]:
    """Yield a notice when `secret` would travel to another machine over plain http."""
    address = urlsplit(url)
    if address.scheme == "http" and address.hostname not in LOOPBACK_HOSTS:
        yield (
            field,
            Text(
                f"http: {secret.en}, which is a password, crosses the network in clear",
                f"http: {secret.ru}, а это пароль, передаётся по сети открытым текстом",
            ),
        )
