"""The settings of the REST API. The worker reads them, too, so that it knows their names; it serves nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr

from core.texts import Text
from settings.base import EnvironmentSettings, StateDir, missing_files
from settings.errors import FieldProblem, ValueProblem

FILE = "api-token"  # within the state directory: the token that is made where none is configured
SHORTEST = 16  # characters of a token


def _token(value: SecretStr) -> SecretStr:
    given = value.get_secret_value()
    if given and (len(given) < SHORTEST or not (given.isascii() and given.isprintable()) or " " in given):
        raise ValueProblem(
            Text("is no token", "это не токен"),
            Text(
                f"at least {SHORTEST} printable ASCII characters without spaces, e.g. of: openssl rand -hex 32",
                f"не меньше {SHORTEST} печатных символов ASCII без пробелов, например: openssl rand -hex 32",
            ),
        )
    return value


Token = Annotated[SecretStr, AfterValidator(_token)]


class ApiSettings(EnvironmentSettings):
    """Where the API listens, and who may use it."""

    env_prefix: ClassVar[str] = "API_"

    state_dir: StateDir = Path("state")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8090
    tokens_file: Path | None = None
    token_operator: Token = SecretStr("")
    token_viewer: Token = SecretStr("")

    @property
    def has_tokens(self) -> bool:
        """Whether somebody has said who may use the API."""
        given = (self.token_operator, self.token_viewer)
        return self.tokens_file is not None or any(each.get_secret_value() for each in given)

    @property
    def made_token_file(self) -> Path:
        return self.state_dir / FILE

    def cross_check(self) -> Iterator[FieldProblem]:
        yield from missing_files(self, "tokens_file")
        if not is_loopback(self.host) and not self.has_tokens:
            yield FieldProblem(
                "host",
                Text(
                    "the API would be open to other machines, and no token is configured",
                    "API был бы доступен с других машин, а токены не заданы",
                ),
                Text(
                    "set API_TOKENS_FILE or API_TOKEN_OPERATOR, or API_HOST=127.0.0.1",
                    "задайте API_TOKENS_FILE или API_TOKEN_OPERATOR, либо API_HOST=127.0.0.1",
                ),
            )


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches it; a name other than localhost may be anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
