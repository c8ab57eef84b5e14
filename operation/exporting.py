"""Failed messages as data: for commands, for the API, and as files for whoever evaluates them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import IO, Any, Literal

from operation.plain import masked, plain
from operation.reports import Report

Format = Literal["jsonl", "csv"]
Mask = Callable[[str], str]

COLUMNS = (
    "name", "group", "kind", "system", "topic", "code", "outcome", "reason", "reason_ru", "task_id",
    "process_instance_id", "business_key", "title", "external_id", "attempts", "first_seen", "at", "source_queue",
    "target",
)  # fmt: skip


def as_data(report: Report, mask: Mask, *, whole: bool = False) -> dict[str, Any]:
    """Return a report without secrets; `whole`: with the original message as text."""
    told: dict[str, Any] = plain({**asdict(report), "reason": report.reason, "not_retried": report.not_retried})
    del told["original"]
    if whole:
        told["original"] = (report.original or b"").decode("utf-8", "backslashreplace")
    hidden: dict[str, Any] = masked(told, mask)
    return hidden


def writer_of(form: Format, stream: IO[str], mask: Mask) -> Callable[[Report], None]:
    """Return what writes a report into a file: an object a line, or a row below the names of the columns."""
    if form == "jsonl":
        return lambda report: _write_line(stream, as_data(report, mask, whole=True))
    rows = csv.writer(stream)
    rows.writerow(COLUMNS)

    def write(report: Report) -> None:
        told = as_data(report, mask)
        told = {**told, "reason": told["reason"]["en"], "reason_ru": told["reason"]["ru"]}
        rows.writerow(["" if told[name] is None else told[name] for name in COLUMNS])

    return write


def _write_line(stream: IO[str], told: dict[str, Any]) -> None:
    stream.write(json.dumps(told, ensure_ascii=False, default=str) + "\n")
