"""Reads answers without trust: a row that cannot be read costs itself and not the rest.

Shapes: docs/api/apiv3/tags/collections.yml and basic_objects.yml of opf/openproject. An answer that is no collection
where one was asked for is something else than "there is nothing": it would be read as "there is no such work package".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core import values
from core.errors import OutageError
from core.texts import Text
from toolkit.json_client import Json

# Site-relative, below whatever path the site is mounted at; an id may be a word (users/me, project_statuses/on_track).
_ADDRESS = re.compile(r"/api/v3/(?P<kind>[a-z_]+)/(?P<id>[^/?#]+)$")


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a list: its rows, how many of them are no objects, and how many rows the whole list has."""

    rows: list[Json]
    unreadable: int
    total: int

    def __len__(self) -> int:
        return len(self.rows) + self.unreadable


def page_of(answer: Mapping[str, Any], what: str) -> Page:
    """Return a page. Raises OutageError when it is no collection; `what` names the question for people."""
    total = answer.get("total")
    found = embedded(answer, "elements")
    if found is None and total == 0:
        found = []
    if not isinstance(found, list) or not isinstance(total, int) or isinstance(total, bool) or total < 0:
        text = Text(
            f"OpenProject's answer to {what} is no list of anything", f"OpenProject: в ответе на {what} нет списка"
        )
        raise OutageError(text, code="bad_answer")
    rows = [each for each in found if isinstance(each, dict)]
    return Page(rows, len(found) - len(rows), total)


def embedded(answer: Mapping[str, Any], name: str) -> Any:
    found = answer.get("_embedded")
    return found.get(name) if isinstance(found, Mapping) else None


def number_of(row: Mapping[str, Any]) -> int | None:
    """Return the id of a row; None when it has none that could be one."""
    return values.as_identifier(row.get("id"))


def href_of(links: Any, name: str) -> str | None:
    """Return `/api/v3/users/4`, without what the site is mounted at; None for an empty, hidden or unreadable link."""
    target = links.get(name) if isinstance(links, Mapping) else None
    href = target.get("href") if isinstance(target, Mapping) else None
    match = _ADDRESS.search(href) if isinstance(href, str) else None
    return match[0] if match else None


def linked_number(links: Any, name: str) -> int | None:
    """Return the id at the end of `_links.<name>.href`."""
    return values.as_identifier((href_of(links, name) or "").rpartition("/")[2])


def text_of(value: Any) -> str | None:
    """Return a text as it is, None for anything else."""
    return value if isinstance(value, str) else None
