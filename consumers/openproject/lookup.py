"""Finds work packages by our key, in bulk: what makes every creation repeatable.

`filters=[{"customField7": {"operator": "=", "values": [keys]}}]` in the project's own list, whatever their status
(docs/api/filters). A row counts only when its key is one that was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from consumers.openproject.client import OpenProjectClient, filters
from consumers.openproject.errors import InvalidQueryError
from core.errors import ConfigurationError
from runtime.json_client import Json

KEYS_AT_ONCE = 50  # 36 characters each, and the address must stay below 8 KB


class WorkPackageLookup:
    def __init__(self, client: OpenProjectClient) -> None:
        self._client = client

    def find(self, project: int, key_name: str, keys: Sequence[str]) -> dict[str, Json]:
        """Key -> the oldest work package that bears it. Raises an outcome when it cannot be asked."""
        found: dict[str, Json] = {}
        for start in range(0, len(keys), KEYS_AT_ONCE):
            found |= self._page(project, key_name, keys[start : start + KEYS_AT_ONCE])
        return found

    def _page(self, project: int, key_name: str, keys: Sequence[str]) -> dict[str, Json]:
        wanted = set(keys)
        found: dict[str, Json] = {}
        try:
            condition = filters(**{key_name: ("=", list(keys))})
            path, order = f"projects/{project}/work_packages", [["id", "asc"]]
            rows = list(self._client.elements(path, filters=condition, sortBy=order))
        except InvalidQueryError as error:
            raise ConfigurationError(
                f"OpenProject does not filter by {key_name}, which keeps the Camunda task id: tick “Used as a filter” "
                f"and “For all projects” for this custom field ({error})",
                code="key_filter",
            ) from None
        if rows and not any(str(row.get(key_name)) in wanted for row in rows):
            raise ConfigurationError(
                f"OpenProject ignores the filter by {key_name}: work packages cannot be recognised", code="key_filter"
            )
        for row in rows:
            if (key := str(row.get(key_name))) in wanted:
                found.setdefault(key, row)
        return found
