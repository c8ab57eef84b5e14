"""Holds the steps that bring a journal's tables to the version of this program: `<dialect>/<number>.sql`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

VERSION = 1
_FOLDER = Path(__file__).parent


def steps(dialect: str, after: int) -> Iterator[tuple[int, str]]:
    """Yield (number, script) of each step that a journal of version `after` still needs."""
    for number in range(after + 1, VERSION + 1):
        yield number, (_FOLDER / dialect / f"{number:04}.sql").read_text(encoding="utf-8")
