"""Where the value of a setting comes from: the environment, `.env`, or neither."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Origin = Literal["environment", "env_file", "default"]


@dataclass(frozen=True, slots=True)
class Origins:
    """Which variables stand where, also those that are no settings. `env_file` None: there is no such file."""

    env_file: Path | None = None
    environment: frozenset[str] = frozenset()
    in_file: frozenset[str] = frozenset()

    def of(self, variable: str) -> Origin:
        if variable in self.environment:
            return "environment"
        return "env_file" if variable in self.in_file else "default"


NOWHERE = Origins()
