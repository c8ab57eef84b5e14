"""Links as they are written: `{"href": "/api/v3/types/1"}` (lib/api/utilities/resource_link_parser.rb)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from sandbox.openproject.errors import ApiError, violation

_ADDRESS = re.compile(r"/api/v3/(?P<namespace>[\w/]+)/(?P<id>[^/]+)$")
PRINCIPALS = ("groups", "users", "placeholder_users")


def links_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    links = body.get("_links", {})
    if not isinstance(links, Mapping):
        raise ApiError(400, "BadRequest", "_links: ожидается объект.")
    for name, target in links.items():
        if not isinstance(target, Mapping | list):
            raise ApiError(400, "BadRequest", f"_links.{name}: ожидается объект.")
    return links


def target_of(links: Mapping[str, Any], name: str, *namespaces: str) -> str | None:
    """The id that a link ends in, as text; None when it is empty or not there."""
    target = links.get(name)
    address = target.get("href") if isinstance(target, Mapping) else None
    if address is None:
        return None
    match = _ADDRESS.search(str(address))
    if match is None or match["namespace"] not in namespaces:
        expected = ", ".join(f"/api/v3/{namespace}/:id" for namespace in namespaces)
        # This error tells no attribute (lib/api/errors/invalid_resource_link.rb).
        raise ApiError(422, "ResourceTypeMismatch", f"Для {name} ожидается ссылка {expected}, а не {address}.")
    return unquote(match["id"])


def number_of(links: Mapping[str, Any], name: str, known: Mapping[int, Any], *namespaces: str) -> int | None:
    """The same for one of the objects in `known`."""
    text = target_of(links, name, *namespaces)
    if text is None:
        return None
    if not text.isdecimal() or int(text) not in known:
        raise violation(name, f"{name}: не найдено.")
    return int(text)
