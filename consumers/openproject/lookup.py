"""Finds work packages by our key, in bulk: what makes every creation repeatable.

`filters=[{"customField7": {"operator": "=", "values": [keys]}}]` in the project's own list, whatever their status
(docs/api/filters). A row counts only when its key is one that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from consumers.openproject.client import OpenProjectClient, filters
from consumers.openproject.errors import InvalidQueryError
from consumers.openproject.reading import number_of
from core.errors import ConfigurationError, OutcomeError, TransientError
from core.texts import Text
from toolkit.json_client import Json

KEYS_AT_ONCE = 50  # 36 characters each, and the address must stay below 8 KB

Found = dict[str, Json | OutcomeError]


class WorkPackageLookup:
    def __init__(self, client: OpenProjectClient) -> None:
        self._client = client

    def find(self, project: int, key_name: str, keys: Sequence[str]) -> Found:
        """Return key -> the oldest work package with it, or why that cannot be said of this one key.

        Raises an outcome when nothing can be asked.
        """
        found: Found = {}
        for start in range(0, len(keys), KEYS_AT_ONCE):
            found |= self._looked(project, key_name, keys[start : start + KEYS_AT_ONCE])
        return found

    def anywhere(self, projects: Iterator[tuple[int, str]], key: str) -> Json | None:
        """Return the oldest work package with this key, in whichever project it is. Raises an outcome.

        Each of `projects` comes with the field that keeps the key.
        """
        if (first := next(projects, None)) is None:
            return None
        try:
            rows, _ = self._rows("work_packages", first[1], [key])
        except ConfigurationError:  # the field is not one “for all projects”: then only a project filters by it
            looks = (self.find(project, key_name, [key]).get(key) for project, key_name in chain([first], projects))
            found = next((each for each in looks if each is not None), None)
            if isinstance(found, OutcomeError):
                raise found from None
            return found
        return next((row for row in rows if row.get(first[1]) == key), None)

    def _looked(self, project: int, key_name: str, keys: Sequence[str]) -> Found:
        """Look for keys.

        A row that cannot be read may have any of them: those that were not found are asked about by halves.
        """
        rows, unreadable = self._rows(f"projects/{project}/work_packages", key_name, keys)
        found: Found = {}
        for row in rows:
            if (key := str(row.get(key_name))) in keys:
                found.setdefault(key, row)
        missing = [key for key in keys if key not in found]
        if not unreadable or not missing:
            return found
        if len(keys) == 1:
            reason = Text(
                f"OpenProject's answer to whether the work package of task {keys[0]} exists cannot be read",
                f"OpenProject: ответ на вопрос, есть ли рабочий пакет задачи {keys[0]}, не читается",
            )
            return {keys[0]: TransientError(reason, code="bad_answer")}
        middle = (len(missing) + 1) // 2
        for half in (missing[:middle], missing[middle:]):
            found |= self._looked(project, key_name, half) if half else {}
        return found

    def _rows(self, path: str, key_name: str, keys: Sequence[str]) -> tuple[list[Json], int]:
        rows: list[Json] = []
        unreadable = 0
        try:
            condition = filters(**{key_name: ("=", list(keys))})
            for page in self._client.pages(path, filters=condition, sortBy=[["id", "asc"]]):
                readable = [row for row in page.rows if number_of(row) is not None and key_name in row]
                rows += readable
                unreadable += len(page) - len(readable)
        except InvalidQueryError as error:
            reason = Text(
                f"OpenProject does not filter by {key_name}, which keeps the Camunda task id: tick “Used as a filter” "
                f"and “For all projects” for this custom field ({error.text.en})",
                f"OpenProject не фильтрует по полю {key_name}, где хранится id задачи Camunda: отметьте у этого "
                f"настраиваемого поля «Использовать как фильтр» и «Для всех проектов» ({error.text.ru})",
            )
            raise ConfigurationError(reason, code="key_filter") from None
        if rows and not any(str(row.get(key_name)) in keys for row in rows):
            reason = Text(
                f"OpenProject ignores the filter by {key_name}: work packages cannot be recognised",
                f"OpenProject не учитывает фильтр по {key_name}: рабочие пакеты нельзя узнать",
            )
            raise ConfigurationError(reason, code="key_filter")
        return rows, unreadable
