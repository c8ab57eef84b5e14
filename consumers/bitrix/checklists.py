"""Adds the checklists of a task: what the process wants, what the task has, and the difference.

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
from consumers.bitrix.rows import id_of, plain_id, rows_of
from core import values
from core.errors import OutcomeError, PermanentError, TransientError
from core.texts import Text
from toolkit.http import Guard

_TITLE_LIMIT = 255  # characters
_TRIES = 3  # of a message whose checklists cannot be added for the moment
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


def parse(value: Any, warnings: list[Text]) -> list[Checklist]:
    """Return checklists from JSON text or a list `[{"name", "items": [text, …]}]`; those of one name are one.

    What is left out (nameless and empty ones) or cut is noted in `warnings`. Raises PermanentError when it is something
    else.
    """
    if values.is_blank(value):
        return []
    decoded = value
    if isinstance(value, str):
        try:
            decoded = json.loads(value)
        except (ValueError, RecursionError):
            wanted_json = Text(f"JSON such as {_SHAPE}", f"JSON вида {_SHAPE}")
            raise values.BadValueError("checklists", value, wanted_json) from None
    if not isinstance(decoded, list):
        raise values.BadValueError("checklists", value, Text(f"a list such as {_SHAPE}", f"список вида {_SHAPE}"))
    wanted: dict[str, tuple[str, ...]] = {}
    for entry in decoded:
        checklist = _one(entry, warnings)
        if checklist.name and checklist.items:
            wanted[checklist.name] = wanted.get(checklist.name, ()) + checklist.items
        else:
            shown = values.shown(entry)
            warnings.append(
                Text(
                    f"checklists: {shown} has no name or no items and was left out",
                    f"checklists: {shown} пропущено, нет названия или пунктов",
                )
            )
    return [Checklist(name, items) for name, items in wanted.items()]


def told(errors: Sequence[OutcomeError], attempt: int) -> list[Text]:
    """Return the warnings for a task whose checklists met `errors`. Raises what makes the message come again.

    It then finds its task and adds only what is missing. At last the task is accepted without: the process must not be
    kept waiting for a task that exists.
    """
    passing = [error for error in errors if not isinstance(error, PermanentError)]
    last_try = attempt >= _TRIES and all(isinstance(error, TransientError) for error in passing)
    if passing and not last_try:
        raise passing[0]
    return [Text(f"Checklist incomplete: {error.text.en}", f"Чек-лист неполный: {error.text.ru}") for error in errors]


def add(client: BitrixClient, jobs: Sequence[ChecklistJob]) -> None:
    """Add what is missing, in at most three batches for all tasks; failures are left in each job's `errors`."""
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
        elif (root := plain_id(outcome.result)) is None:
            # Items under an id that is none would become checklists of their own.
            text = Text("Bitrix24 does not tell the id of a new checklist", "Bitrix24 не сообщает id нового чек-листа")
            job.errors.append(TransientError(text, code="no_checklist_id"))
        else:
            roots[id(job)][checklist.name] = root
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


def _one(entry: Any, warnings: list[Text]) -> Checklist:
    items = entry.get("items", []) if isinstance(entry, Mapping) else None
    if not isinstance(items, list):
        raise values.BadValueError("checklists", entry, Text(f"of the form {_SHAPE}", f"запись вида {_SHAPE}"))
    if further := sorted(str(key) for key in entry if key not in {"name", "items"}):
        names = ", ".join(further)
        warnings.append(
            Text(
                f"checklists: {names} means nothing there and was not used",
                f"checklists: не использовано, там такого не бывает: {names}",
            )
        )
    titles = [_title(item, warnings) for item in items if not values.is_blank(item)]
    return Checklist(_title(entry.get("name") or "", warnings), tuple(titles))


def _title(value: Any, warnings: list[Text]) -> str:
    text = values.text(value)
    kept = values.cut_characters(text, _TITLE_LIMIT)
    if kept != text:
        shown = values.shown(text)
        warnings.append(
            Text(
                f"checklists: {shown} was cut to {_TITLE_LIMIT} characters",
                f"checklists: {shown} обрезано до {_TITLE_LIMIT} символов",
            )
        )
    return kept


def _read(client: BitrixClient, jobs: Sequence[ChecklistJob]) -> None:
    commands = [Command("task.checklistitem.getlist", {"TASKID": job.task_id}) for job in jobs]
    for job, outcome in zip(jobs, client.batch(commands).outcomes, strict=True):
        if isinstance(outcome, OutcomeError):
            job.errors.append(outcome)
        elif (rows := rows_of(outcome.result)) is None or not all(id_of(row, "ID") for row in rows):
            # What cannot be read would be added a second time.
            text = Text(
                f"Bitrix24 does not tell the checklists of task {job.task_id} in a readable form",
                f"Bitrix24: чек-листы задачи {job.task_id} пришли в нечитаемом виде",
            )
            job.errors.append(TransientError(text, code="checklists_unreadable"))
        else:
            job.rows = [row for row in rows if isinstance(row, Mapping)]


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
