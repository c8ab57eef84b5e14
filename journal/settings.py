"""The settings of the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from settings.base import Count, EnvironmentSettings, StateDir

FILE = "journal.sqlite"


class JournalSettings(EnvironmentSettings):
    """Where the journal is and how long it remembers what is finished; 0 is for ever, or any size."""

    env_prefix: ClassVar[str] = "JOURNAL_"

    state_dir: StateDir = Path("state")
    keep_days: Count = 400
    max_bytes: Annotated[int, Field(ge=0)] = 5_000_000_000
    url: Literal["", "off"] = ""

    @property
    def file(self) -> Path | None:
        """The file of SQLite; None where no journal is wanted."""
        return None if self.url == "off" else self.state_dir / FILE

    @property
    def keep(self) -> float | None:
        """Seconds that a finished message is remembered."""
        return self.keep_days * 86400.0 if self.keep_days else None
