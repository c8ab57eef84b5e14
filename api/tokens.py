"""Who may use the API: bearer tokens and their roles.

A file holds a line for each token, `name:role:sha256` with the SHA-256 of the token in hexadecimal digits; `#` begins a
remark. The token itself stands nowhere.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from api.settings import ApiSettings
from core.texts import BilingualError, Text

Role = Literal["viewer", "operator"]
HOLDER = "holder"  # of the request's state, set by api.front

_LINE = re.compile(r"(?P<name>[\w.@-]{1,64}):(?P<role>viewer|operator):(?P<digest>[0-9a-fA-F]{64})")
_MADE = "api"  # the name of whoever uses the token that was made at the first start


class TokensError(BilingualError):
    """The tokens cannot be read, or none can be made."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever holds a token."""

    name: str
    role: Role
    digest: bytes = field(repr=False)

    @property
    def may_act(self) -> bool:
        return self.role == "operator"


class Tokens:
    """The holders of all tokens. Immutable; usable from any thread."""

    def __init__(self, holders: Iterable[Holder]) -> None:
        self._holders = tuple(holders)

    def holder_of(self, token: bytes) -> Holder | None:
        """Return who holds a token; it takes as long for a wrong one as for a right one."""
        digest, found = hashlib.sha256(token).digest(), None
        for holder in self._holders:
            if hmac.compare_digest(holder.digest, digest):
                found = holder
        return found


def tokens_of(told: ApiSettings) -> tuple[Tokens, Path | None]:
    """Return the tokens, and the file of the one that was made now, if so. Raises TokensError."""
    if told.has_tokens:
        return Tokens(_configured(told)), None
    path = told.made_token_file
    made = _make(path)
    return Tokens([_holder(_MADE, "operator", _made_token(path))]), path if made else None


def parse_tokens(text: str, path: Path) -> Sequence[Holder]:
    """Read the lines of a file. Raises TokensError for the first that is wrong, without what stands in it."""
    holders = []
    for number, line in enumerate(text.splitlines(), 1):
        told = line.partition("#")[0].strip()
        if not told:
            continue
        found = _LINE.fullmatch(told)
        if found is None:
            raise TokensError(
                Text(
                    f"{path}, line {number}: wanted is name:role:sha256, role viewer or operator",
                    f"{path}, строка {number}: нужно имя:роль:sha256, роль viewer или operator",
                )
            )
        holders.append(Holder(found["name"], cast(Role, found["role"]), bytes.fromhex(found["digest"])))
    if not holders:
        raise TokensError(Text(f"{path} holds no token", f"в {path} нет ни одного токена"))
    return holders


def _configured(told: ApiSettings) -> Iterator[Holder]:
    if told.tokens_file is not None:
        try:
            text = told.tokens_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TokensError(Text.of(f"API_TOKENS_FILE={told.tokens_file}: {error}")) from error
        yield from parse_tokens(text, told.tokens_file)
    given: tuple[tuple[Role, str], ...] = (
        ("operator", told.token_operator.get_secret_value()),
        ("viewer", told.token_viewer.get_secret_value()),
    )
    yield from (_holder(role, role, token) for role, token in given if token)


def _holder(name: str, role: Role, token: str) -> Holder:
    return Holder(name, role, hashlib.sha256(token.encode()).digest())


def _make(path: Path) -> bool:
    """Make a token, for this user alone; return False where there is one already. Raises TokensError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        raise TokensError(Text.of(f"{path}: {error}")) from error
    with os.fdopen(made, "w") as file:
        file.write(f"{secrets.token_urlsafe(32)}\n")
    return True


def _made_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TokensError(Text.of(f"{path}: {error}")) from error
    if not token:
        text = Text(f"{path} is empty: delete it", f"{path} пуст: удалите его")
        raise TokensError(text)
    return token
