"""Results as a file: written after every row, so that a run can be interrupted, split, resumed and put together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.account import Account
from benchmarks.faults.row import Row
from benchmarks.faults.runner import Result

_LISTS = ("lost", "created_twice", "in_doubt", "answered_twice", "contradicted", "stuck", "misrouted", "suspected")
_COUNTS = ("published", "answered", "parked", "copies")
_OWN = ("rounds", "complaints", "tracebacks", "first", "done", "seconds", "in_flight")


class ResultsError(Exception):
    """The file is none of ours, or of another RabbitMQ than it should be; the text says which."""


@dataclass(frozen=True, slots=True)
class Results:
    """What was played on one version of RabbitMQ; `surroundings` is what one must know to repeat it."""

    rabbitmq: str
    surroundings: Mapping[str, str]
    results: Sequence[Result]

    @property
    def green(self) -> set[str]:
        return {result.row.name for result in self.results if result.is_green}


def write(path: Path, results: Results) -> None:
    """Never half a file, whenever the run is killed."""
    content = {
        "rabbitmq": results.rabbitmq,
        "surroundings": dict(results.surroundings),
        "rows": [_as_json(result) for result in results.results],
    }
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    os.replace(draft, path)


def read(path: Path, rows: Iterable[Row]) -> Results:
    """Rows that are no longer there are left out. Raises ResultsError."""
    known = {row.name: row for row in rows}
    try:
        content = json.loads(path.read_text())
        found = [_from_json(each, known[each["row"]]) for each in content["rows"] if each["row"] in known]
        return Results(content["rabbitmq"], content["surroundings"], found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path} holds no results of the matrix: {type(error).__name__} {error}") from error


def merged(parts: Sequence[Results], rows: Iterable[Row]) -> Results:
    """One table of several runs, in the order of the rows; of a row that was played twice the later result counts.

    Raises ResultsError for runs on different versions.
    """
    versions = {part.rabbitmq for part in parts}
    if len(versions) != 1:
        raise ResultsError(f"the results are of different versions of RabbitMQ: {', '.join(sorted(versions))}")
    by_name = {result.row.name: result for part in parts for result in part.results}
    ordered = [by_name[row.name] for row in rows if row.name in by_name]
    return Results(versions.pop(), parts[-1].surroundings, ordered)


def _as_json(result: Result) -> dict[str, Any]:
    account = asdict(result.account)
    return {
        "row": result.row.name,
        "group": result.row.group,
        "system": result.row.system,
        "green": result.is_green,
        **{name: getattr(result, name) for name in _OWN},
        **{name: account[name] for name in (*_COUNTS, *_LISTS)},
    }


def _from_json(fields: Mapping[str, Any], row: Row) -> Result:
    account = Account(**{name: fields[name] for name in (*_COUNTS, *_LISTS)})
    return Result(row, account=account, **{name: fields[name] for name in _OWN})
