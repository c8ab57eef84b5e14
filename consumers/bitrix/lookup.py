"""Finds tasks by our key, in bulk: what makes every creation repeatable.

tasks.task.list with an array of keys (api-reference/tasks/tasks-task-list.md). The portal ignores a filter that it
does not know and then returns everything, so a row counts only when its own key is one that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from consumers.bitrix.batch import Answer, Command
from consumers.bitrix.client import BitrixClient
from core.errors import ConfigurationError, OutcomeError

PAGE = 50  # rows in one answer

Row = Mapping[str, Any]


class TaskLookup:
    """Looks up by `key_field`: XML_ID or a user field of type string."""

    def __init__(self, client: BitrixClient, key_field: str) -> None:
        self._client = client
        self._key_field = key_field

    def command(self, keys: Sequence[str], start: int = 0) -> Command:
        """One page of at most 50 keys, to be sent alone or beside other commands."""
        params: dict[str, Any] = {
            "order": {"ID": "asc"},
            "filter": {self._key_field: list(keys)},
            "select": ["ID", "TITLE", "STATUS", "RESPONSIBLE_ID", self._key_field],
        }
        if start:
            params["start"] = start
        return Command("tasks.task.list", params)

    def find(self, keys: Sequence[str]) -> dict[str, Row]:
        """Key -> the oldest task that bears it, for any number of keys. Raises an outcome when it cannot be asked."""
        pages = [list(keys[start : start + PAGE]) for start in range(0, len(keys), PAGE)]
        outcomes = self._client.batch([self.command(page) for page in pages]).outcomes
        found: dict[str, Row] = {}
        for page, outcome in zip(pages, outcomes, strict=True):
            if isinstance(outcome, OutcomeError):
                raise outcome
            found.update(self.read(page, outcome))
        return found

    def read(self, keys: Sequence[str], answer: Answer) -> dict[str, Row]:
        """The tasks in the answer to `command(keys)`, further pages included."""
        wanted = set(keys)
        alike = {key.casefold() for key in keys}  # the portal's database compares without case
        found: dict[str, Row] = {}
        for rows in self._pages(keys, answer):
            keyed = [(str(value_of(row, self._key_field)), row) for row in rows]
            if keyed and not any(key.casefold() in alike for key, _ in keyed):
                raise ConfigurationError(
                    f"Bitrix24 ignores the filter by {self._key_field}: tasks cannot be recognised. Create the field "
                    "with `python main.py bitrix init-fields` or set BITRIX_KEY_FIELD=XML_ID",
                    code="key_filter_ignored",
                )
            for key, row in keyed:
                if key in wanted:
                    found.setdefault(key, row)
        return found

    def _pages(self, keys: Sequence[str], answer: Answer) -> Iterator[list[Row]]:
        """More rows than keys exist only where somebody copied a task together with its key."""
        yield _rows(answer)
        while answer.next is not None:
            command = self.command(keys, start=answer.next)
            answer = self._client.call(command.method, command.params)
            yield _rows(answer)


def value_of(row: Row, field: str) -> Any:
    """A field of a reply by its request name (`XML_ID` comes back as `xmlId`); None when it is absent."""
    name = reply_name(field)
    if name in row:
        return row[name]
    # Digits are joined differently from version to version (UF_AUTO_12 -> ufAuto12 or ufAuto_12).
    bare = name.lower()
    return next((value for key, value in row.items() if key.replace("_", "").lower() == bare), None)


def reply_name(field: str) -> str:
    """`UF_RESULT_ANSWER` -> `ufResultAnswer`."""
    head, *rest = field.lower().split("_")
    return head + "".join(part.capitalize() for part in rest)


def task_of(result: Any) -> Row | None:
    """The task in `{"task": {...}}`; None for the `[]` of a task that is missing or may not be read."""
    task = result.get("task") if isinstance(result, Mapping) else None
    return task if isinstance(task, Mapping) and task.get("id") else None


def _rows(answer: Answer) -> list[Row]:
    rows = answer.result.get("tasks") if isinstance(answer.result, Mapping) else None
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
