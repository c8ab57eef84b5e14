"""Checklists of a task: what the process wants, what the task has, and the difference.

Adding is made repeatable by comparing first: a task that was created earlier gets only what is missing.
Documentation: api-reference/tasks/checklist-item/task-checklist-item-add.md and -get-list.md. These old methods
take their parameters by position (data-encoding.md), so TASKID always stands before FIELDS.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from consumers.bitrix.batch import Command
from consumers.bitrix.client import BitrixClient
from core import values
from core.errors import OutcomeError
from runtime.http import Guard

_TITLE_LIMIT = 255  # characters
_SHAPE = '[{"name": "…", "items": ["…"]}]'


@dataclass(frozen=True, slots=True)
class Checklist:
    name: str
    items: tuple[str, ...]


@dataclass(slots=True)
class ChecklistJob:
    """One task's checklists. `fresh`: the task was created a moment ago and has none. `errors` is filled by `add`.

    `guard` is asked before each request that adds to them.
    """

    task_id: str
    wanted: Sequence[Checklist]
    guard: Guard
    fresh: bool
    errors: list[OutcomeError] = field(default_factory=list)
    rows: Sequence[Mapping[str, Any]] = ()


def parse(value: Any) -> list[Checklist]:
    """Checklists from JSON text or a list `[{"name", "items": [text, …]}]`; nameless and empty ones are left out.

    Raises PermanentError when it is something else.
    """
    if values.is_blank(value):
        return []
    decoded = value
    if isinstance(value, str):
        try:
            decoded = json.loads(value)
        except ValueError:
            raise values.BadValueError("checklists", value, f"JSON such as {_SHAPE}") from None
    if not isinstance(decoded, list):
        raise values.BadValueError("checklists", value, f"a list such as {_SHAPE}")
    return [checklist for checklist in map(_one, decoded) if checklist.name and checklist.items]


def add(client: BitrixClient, jobs: Sequence[ChecklistJob]) -> None:
    """Adds what is missing, in three batches at the most for all tasks; failures are left in each job's `errors`."""
    _read(client, [job for job in jobs if not job.fresh])
    roots = {id(job): _roots(job.rows) for job in jobs}
    new = [
        (job, checklist, _command(job, checklist.name, 0, position))
        for job in jobs
        if not job.errors
        for position, checklist in enumerate(job.wanted)
        if checklist.name not in roots[id(job)]
    ]
    for (job, checklist, _), outcome in zip(new, client.batch([entry[2] for entry in new]).outcomes, strict=True):
        if isinstance(outcome, OutcomeError):
            job.errors.append(outcome)
        else:
            roots[id(job)][checklist.name] = str(outcome.result)
    lines = [
        (job, command)
        for job in jobs
        for checklist in job.wanted
        if (root := roots[id(job)].get(checklist.name)) is not None
        for command in _missing_items(job, checklist, root)
    ]
    for (job, _), outcome in zip(lines, client.batch([line[1] for line in lines]).outcomes, strict=True):
        if isinstance(outcome, OutcomeError):
            job.errors.append(outcome)


def _one(entry: Any) -> Checklist:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("items", []), list):
        raise values.BadValueError("checklists", entry, f"of the form {_SHAPE}")
    titles = [_title(item) for item in entry.get("items", []) if not values.is_blank(item)]
    return Checklist(_title(entry.get("name") or ""), tuple(titles))


def _title(value: Any) -> str:
    return values.cut(values.text(value), _TITLE_LIMIT)


def _read(client: BitrixClient, jobs: Sequence[ChecklistJob]) -> None:
    commands = [Command("task.checklistitem.getlist", {"TASKID": job.task_id}) for job in jobs]
    for job, outcome in zip(jobs, client.batch(commands).outcomes, strict=True):
        if isinstance(outcome, OutcomeError):
            job.errors.append(outcome)
        elif isinstance(outcome.result, list):
            job.rows = outcome.result


def _roots(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {
        str(row.get("TITLE", "")).strip(): str(row["ID"]) for row in rows if str(row.get("PARENT_ID") or "0") == "0"
    }


def _missing_items(job: ChecklistJob, checklist: Checklist, root: str) -> Iterator[Command]:
    present = Counter(str(row.get("TITLE", "")).strip() for row in job.rows if str(row.get("PARENT_ID")) == root)
    for position, title in enumerate(checklist.items):
        if present[title] > 0:
            present[title] -= 1
        else:
            yield _command(job, title, root, position)


def _command(job: ChecklistJob, title: str, parent: str | int, position: int) -> Command:
    fields = {"TITLE": title, "PARENT_ID": parent, "SORT_INDEX": position + 1}
    return Command("task.checklistitem.add", {"TASKID": job.task_id, "FIELDS": fields}, write=True, guard=job.guard)
