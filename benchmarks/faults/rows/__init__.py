"""All rows of the matrix. A new group is a module with `rows()` beside these, named in GROUPS."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from benchmarks.faults.row import Row
from benchmarks.faults.rows import (
    access,
    broker,
    everywhere,
    hooks,
    host,
    input,
    network,
    operator,
    partition,
    people,
    portal,
    properties,
    queues,
    returns,
    shards,
    worker,
)

# Played with Bitrix24, and some of them with others.
GROUPS = (
    worker,
    partition,
    broker,
    access,
    network,
    queues,
    returns,
    portal,
    people,
    shards,
    hooks,
    operator,
    input,
    properties,
    host,
)


def all_rows() -> list[Row]:
    return [row for group in (*GROUPS, everywhere) for row in group.rows()]


def by_name(name: str) -> Row:
    """Raises LookupError."""
    [row] = matching(all_rows(), [name])
    return row


def matching(rows: Sequence[Row], patterns: Sequence[str], systems: Sequence[str] = ()) -> list[Row]:
    """The rows whose name or group matches one of the patterns, as file names do, and which play one of the systems.

    No pattern means all, no system all of them. Raises LookupError for a useless pattern.
    """
    rows = [row for row in rows if not systems or row.system in systems]
    for pattern in patterns:
        if not any(_matches(row, pattern) for row in rows):
            raise LookupError(f"no row matches {pattern!r}; --list shows them")
    return [row for row in rows if not patterns or any(_matches(row, pattern) for pattern in patterns)]


def _matches(row: Row, pattern: str) -> bool:
    return fnmatchcase(row.name, pattern) or fnmatchcase(row.group, pattern)
