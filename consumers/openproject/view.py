"""Shows a work package as the process gets to see it.

Camunda's side copies `id`, `title` and `status` into variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumers.openproject.client import OpenProjectClient
from consumers.openproject.reading import linked_number, number_of
from toolkit.json_client import Json

_COPIED = (
    "displayId",
    "subject",
    "startDate",
    "dueDate",
    "date",
    "estimatedTime",
    "percentageDone",
    "createdAt",
    "updatedAt",
)
_LINKED = ("project", "type", "priority", "assignee", "responsible", "version")


def task_view(work_package: Json, client: OpenProjectClient) -> dict[str, Any]:
    """Return a view that is flat and small: ids as text, linked things by their titles, custom fields as they are."""
    links = work_package.get("_links")
    number = str(number_of(work_package))
    view: dict[str, Any] = {
        "id": number,
        "title": work_package.get("subject"),
        "status": _title(links, "status"),
        "statusId": _text(linked_number(links, "status")),
        "url": client.address_of(number),
    }
    view |= {name: work_package[name] for name in _COPIED if work_package.get(name) is not None}
    view |= {name: title for name in _LINKED if (title := _title(links, name)) is not None}
    view |= {name: value for name, value in work_package.items() if name.startswith("customField")}
    if isinstance(links, Mapping):
        own = {name: _title(links, name) for name in links if str(name).startswith("customField")}
        view |= {name: title for name, title in own.items() if title is not None}
    return view


def _title(links: Any, name: str) -> Any:
    target = links.get(name) if isinstance(links, Mapping) else None
    if isinstance(target, list):
        return [each.get("title") for each in target if isinstance(each, Mapping)]
    return target.get("title") if isinstance(target, Mapping) else None


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
