"""Finds tasks by our key, in bulk: what makes every creation repeatable.

tasks.task.list with an array of keys (api-reference/tasks/tasks-task-list.md). The portal ignores a filter that it
does not know and then returns everything, so a row counts only when its own key is one that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from consumers.bitrix.batch import Answer, Command
from consumers.bitrix.client import BitrixClient
from consumers.bitrix.rows import Row, id_of, rows_in
from core.errors import ConfigurationError, OutageError, OutcomeError, TransientError
from core.texts import Text

PAGE = 50  # rows in one answer

# More rows than keys exist only where somebody copied a task together with its key: nobody does so that often.
_MOST_PAGES = 20

Found = dict[str, Row | OutcomeError]


class TaskLookup:
    """Looks up tasks by `key_field`: XML_ID or a user field of type string."""

    def __init__(self, client: BitrixClient, key_field: str) -> None:
        self._client = client
        self._key_field = key_field

    def command(self, keys: Sequence[str], start: int = 0) -> Command:
        """Return the command for one page of at most 50 keys, to be sent alone or beside other commands."""
        params: dict[str, Any] = {
            "order": {"ID": "asc"},
            "filter": {self._key_field: list(keys)},
            "select": ["ID", "TITLE", "STATUS", "RESPONSIBLE_ID", self._key_field],
        }
        if start:
            params["start"] = start
        return Command("tasks.task.list", params)

    def find(self, keys: Sequence[str]) -> Found:
        """Return key -> the oldest task with it, for any number of keys; an outcome for one that nothing is known of.

        Raises an outcome when the portal cannot be asked.
        """
        pages = [list(keys[start : start + PAGE]) for start in range(0, len(keys), PAGE)]
        outcomes = self._client.batch([self.command(page) for page in pages]).outcomes
        found: Found = {}
        for page, outcome in zip(pages, outcomes, strict=True):
            if isinstance(outcome, OutcomeError):
                raise outcome
            found.update(self.read(page, outcome))
        return found

    def one(self, key: str) -> Row | None:
        """Return the task of this key. Raises an outcome."""
        task = self.find([key]).get(key)
        if isinstance(task, OutcomeError):
            raise task
        return task

    def read(self, keys: Sequence[str], answer: Answer) -> Found:
        """Return the tasks in the answer to `command(keys)`, further pages included.

        A row that was not asked for may be any of the tasks that are not found: these are asked for one by one, so that
        it costs the one that it belongs to.
        """
        found = self._read(keys, answer)
        unclear = [key for key, task in found.items() if isinstance(task, OutcomeError)]
        if unclear and len(keys) > 1:
            outcomes = self._client.batch([self.command([key]) for key in unclear]).outcomes
            for key, outcome in zip(unclear, outcomes, strict=True):
                del found[key]
                found.update({key: outcome} if isinstance(outcome, OutcomeError) else self._read_alone(key, outcome))
        return found

    def _read_alone(self, key: str, answer: Answer) -> Found:
        try:
            return self._read([key], answer)
        except ConfigurationError:  # the portal applies the filter, as the answer for all keys has shown
            return {key: _unclear(Text("another task", "другая задача"))}

    def _read(self, keys: Sequence[str], answer: Answer) -> Found:
        wanted = set(keys)
        alike = {key.casefold() for key in keys}  # the portal's database compares without case
        found: Found = {}
        has_strange_rows = False
        for rows in self._pages(keys, answer):
            tasks = [row for row in rows if isinstance(row, Mapping)]
            keyed = [(str(value_of(row, self._key_field)), row) for row in tasks]
            ours = [(key, row) for key, row in keyed if key.casefold() in alike]
            if tasks and not ours:
                text = Text(
                    f"Bitrix24 ignores the filter by {self._key_field}: tasks cannot be recognised. Create the field "
                    "with `python main.py bitrix init-fields` or set BITRIX_KEY_FIELD=XML_ID",
                    f"Bitrix24 не учитывает фильтр по {self._key_field}: задачи нельзя узнать. Создайте поле командой "
                    "`python main.py bitrix init-fields` или задайте BITRIX_KEY_FIELD=XML_ID",
                )
                raise ConfigurationError(text, code="key_filter_ignored")
            has_strange_rows |= len(ours) < len(rows)
            for key, row in ours:
                if key in wanted:
                    nameless = Text("a task of this key without its id", "задача с этим ключом без id")
                    found.setdefault(key, row if id_of(row) else _unclear(nameless))
        if has_strange_rows:
            other = Text("something that it was not asked for", "то, о чём не спрашивали")
            found.update({key: _unclear(other) for key in wanted - found.keys()})
        return found

    def _pages(self, keys: Sequence[str], answer: Answer) -> Iterator[list[Any]]:
        for _ in range(_MOST_PAGES):
            yield _rows(answer)
            if answer.next is None:
                return
            command = self.command(keys, start=answer.next)
            answer = self._client.call(command.method, command.params)
        text = Text(
            "Bitrix24 tells more and more tasks of a few keys",
            "Bitrix24: на несколько ключей приходят всё новые и новые задачи",
        )
        raise OutageError(text, code="endless_pages")


def value_of(row: Row, field: str) -> Any:
    """Return a field of a reply by its request name (`XML_ID` comes back as `xmlId`); None when it is absent."""
    name = reply_name(field)
    if name in row:
        return row[name]
    # Digits are joined differently from version to version (UF_AUTO_12 -> ufAuto12 or ufAuto_12).
    bare = name.lower()
    return next((value for key, value in row.items() if key.replace("_", "").lower() == bare), None)


def key_of(row: Row, field: str) -> str | None:
    """Return the Camunda task id that a row keeps in the key field; None for a task that is not ours."""
    key = value_of(row, field)
    return key if isinstance(key, str) and key else None


def reply_name(field: str) -> str:
    """Return the name in a reply: `UF_RESULT_ANSWER` -> `ufResultAnswer`."""
    head, *rest = field.lower().split("_")
    return head + "".join(part.capitalize() for part in rest)


def task_of(result: Any) -> Row | None:
    """Return the task in `{"task": {...}}`; None for the `[]` of a task that is missing or may not be read."""
    task = result.get("task") if isinstance(result, Mapping) else None
    return task if isinstance(task, Mapping) and id_of(task) else None


def _rows(answer: Answer) -> list[Any]:
    """Return the rows of an answer.

    Raises OutageError for an answer without rows: it says nothing of what is there, and must not be read as none.
    """
    rows = rows_in(answer.result, "tasks")
    if rows is None:
        text = Text(
            "Bitrix24 gave no usable answer to tasks.task.list: no list of tasks",
            "Bitrix24: ответ на tasks.task.list использовать нельзя: в нём нет списка задач",
        )
        raise OutageError(text, code="no_rows")
    return rows


def _unclear(what: Text) -> TransientError:
    text = Text(
        f"Bitrix24 was asked for the task of this message and told {what.en}",
        f"Bitrix24: спрошена задача этого сообщения, а в ответе {what.ru}",
    )
    return TransientError(text, code="unreadable_row")
