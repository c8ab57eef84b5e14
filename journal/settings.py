"""The settings of the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from core.texts import Text
from settings.base import Count, EnvironmentSettings, StateDir
from settings.errors import ValueProblem

FILE = "journal.sqlite"
OFF = "off"
SCHEME = "postgresql"


def _url(value: SecretStr) -> SecretStr:
    given = value.get_secret_value()
    if given in {"", OFF}:
        return value
    try:
        parts = urlsplit(given)
        is_database = parts.scheme == SCHEME and bool(parts.hostname) and len(parts.path) > 1
    except ValueError:
        is_database = False
    if not is_database:
        raise ValueProblem(
            Text("is no address of a journal", "это не адрес журнала"),
            Text(
                "postgresql://user:password@host/database, off, or nothing: a file in STATE_DIR",
                "postgresql://user:password@host/database, off или пусто: файл в STATE_DIR",
            ),
        )
    return value


class JournalSettings(EnvironmentSettings):
    """Where the journal is and how long it remembers what is finished; 0 is for ever, or any size."""

    env_prefix: ClassVar[str] = "JOURNAL_"

    state_dir: StateDir = Path("state")
    url: Annotated[SecretStr, AfterValidator(_url)] = SecretStr("")
    keep_days: Count = 400
    max_bytes: Count = 5_000_000_000

    @property
    def is_wanted(self) -> bool:
        return self.url.get_secret_value() != OFF

    @property
    def database(self) -> str | None:
        """The address of the database with its password; None for the file."""
        given = self.url.get_secret_value()
        return given if given.startswith(f"{SCHEME}:") else None

    @property
    def file(self) -> Path:
        return self.state_dir / FILE

    @property
    def keep(self) -> float | None:
        """Seconds that a finished message is remembered."""
        return self.keep_days * 86400.0 if self.keep_days else None
