"""A hold: the pause that a person has put on a system, which only a person or its own end lifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal["all", "create", "track"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Hold:
    """A person's pause. Times in unix seconds; `until` None: until somebody resumes the system.

    `scope` says what rests: the creation of new tasks, the questions about those that exist, or all of it.
    """

    system: str
    by: str
    since: float
    until: float | None = None
    reason: str = ""
    scope: Scope = "all"

    def covers(self, work: Scope) -> bool:
        return self.scope in (work, "all")
