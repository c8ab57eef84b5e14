"""`offset` and `pageSize` of lists that come in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.openproject import views

LARGEST_PAGE = 1000
USUAL_PAGE = 20


def bounds(query: Mapping[str, str]) -> tuple[int, int]:
    """Which page (from 1), and how many on it: -1 is the largest page, 0 is none (url_props_parsing_helper.rb)."""
    size = min(_number(query, "pageSize", USUAL_PAGE), LARGEST_PAGE)
    return max(1, _number(query, "offset", 1)), LARGEST_PAGE if size < 0 else size


def page(kind: str, path: str, rows: Sequence[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    at, size = bounds(query)
    shown = rows[(at - 1) * size : at * size]
    body = views.collection(kind, path, shown, total=len(rows), pageSize=size, offset=at)
    body["_links"] |= {
        "changeSize": {"href": f"/api/v3/{path}?pageSize=%7Bsize%7D", "templated": True},
        "jumpTo": {"href": f"/api/v3/{path}?offset=%7Boffset%7D", "templated": True},
    }
    return body


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    """What is no number is 0, as Ruby's `to_i` has it."""
    try:
        return int(query.get(name, default))
    except ValueError:
        return 0
