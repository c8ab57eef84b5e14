"""`offset` and `pageSize` of lists that come in pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from sandbox.openproject import views

Json = dict[str, Any]
View = Callable[[Any], Json]

LARGEST_PAGE = 1000
USUAL_PAGE = 20


def bounds(query: Mapping[str, str]) -> tuple[int, int]:
    """Which page (from 1), and how many on it: -1 is the largest page, 0 is none (url_props_parsing_helper.rb)."""
    size = min(_number(query, "pageSize", USUAL_PAGE), LARGEST_PAGE)
    return max(1, _number(query, "offset", 1)), LARGEST_PAGE if size < 0 else size


def page(kind: str, path: str, rows: Sequence[Any], query: Mapping[str, str], view: View | None = None) -> Json:
    """The page that was asked for, with the address of the next one (offset_paginated_collection.rb)."""
    at, size = bounds(query)
    shown = [view(each) if view else each for each in rows[(at - 1) * size : at * size]]
    body = views.collection(kind, path, shown, total=len(rows), pageSize=size, offset=at)
    body["_links"] |= {
        "changeSize": {"href": _address(path, query, offset=str(at), pageSize="{size}"), "templated": True},
        "jumpTo": {"href": _address(path, query, offset="{offset}", pageSize=str(size)), "templated": True},
    }
    if at * size < len(rows):
        body["_links"]["nextByOffset"] = {"href": _address(path, query, offset=str(at + 1), pageSize=str(size))}
    return body


def _address(path: str, query: Mapping[str, str], **changes: str) -> str:
    return f"/api/v3/{path}?{urlencode({**query, **changes})}"


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    """What is no number is 0, as Ruby's `to_i` has it."""
    try:
        return int(query.get(name, default))
    except ValueError:
        return 0
