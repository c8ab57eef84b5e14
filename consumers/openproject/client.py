"""OpenProject's API v3 over HTTP: one request, one JSON object or one outcome.

Documentation: docs/api/introduction of OpenProject. Every request that is no GET carries a content type, addresses of
the answers are not followed but made anew: they are relative to the site, not to where it was mounted.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from consumers.openproject.config import OpenProjectSettings
from consumers.openproject.errors import outcome_of
from core.errors import AmbiguousError, NotConfiguredError, OutageError, StoppingError

Json = dict[str, Any]


class OpenProjectClient:
    """One server, usable from any thread."""

    def __init__(self, settings: OpenProjectSettings, stop: threading.Event) -> None:
        """Raises NotConfiguredError when OPENPROJECT_URL is empty."""
        if settings.url is None or settings.token is None:
            raise NotConfiguredError("OPENPROJECT_URL is not set")
        self.url = settings.url
        self._stop = stop
        self._page_size = settings.page_size
        self._notify = settings.notify
        self._http = settings.http_client(
            "OpenProject",
            headers={
                "Authorization": _authorization(settings.auth, settings.token.get_secret_value()),
                "Accept": "application/hal+json",
            },
        )
        self._lock = threading.Lock()
        self._requests = 0

    def get(self, path: str, **query: Any) -> Json:
        """`path` below /api/v3; lists and maps in `query` are written as JSON. Raises an outcome."""
        return self._ask("GET", path, query, None)

    def write(self, method: str, path: str, body: Json) -> Json:
        """POST or PATCH; people are notified as OPENPROJECT_NOTIFY says. Raises an outcome."""
        return self._ask(method, path, {"notify": self._notify}, body)

    def elements(self, path: str, **query: Any) -> Iterator[Json]:
        """All elements of a collection, page after page."""
        for answer in self.pages(path, **query):
            yield from elements_of(answer)

    def pages(self, path: str, **query: Any) -> Iterator[Json]:
        """The answers that a collection comes in, until as many elements as its `total` says were there."""
        page, seen = 1, 0
        while True:
            answer = self.get(path, offset=page, pageSize=self._page_size, **query)  # offset counts pages from 1
            yield answer
            found = len(elements_of(answer))
            seen += found
            if not found or seen >= int(answer.get("total") or 0):
                return
            page += 1

    def address_of(self, work_package: int | str) -> str:
        """Where people see it."""
        return f"{self.url}/work_packages/{work_package}"

    def stats(self) -> dict[str, Any]:
        with self._lock:
            return {"requests": self._requests}

    def _ask(self, method: str, path: str, query: Mapping[str, Any], body: Json | None) -> Json:
        if self._stop.is_set():
            raise StoppingError
        with self._lock:
            self._requests += 1
        write = method != "GET"
        answer = self._http.send(
            method,
            f"{self.url}/api/v3/{path}{_query(query)}",
            write=write,
            body=None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            headers={"Content-Type": "application/json"} if write else None,
        )
        content = answer.json_object()
        if not 200 <= answer.status < 300:
            raise outcome_of(
                answer.status,
                content or {},
                what=f"{method} {path}",
                write=write,
                retry_after=answer.retry_after,
            )
        if content is None:
            # A page in HTML with status 200: a proxy's log-in, say. Behind it the request may have been executed.
            text = f"OpenProject gave no usable answer to {method} {path}: no JSON object (HTTP {answer.status})"
            raise (AmbiguousError if write else OutageError)(text, code="no_json")
        return content


def elements_of(answer: Mapping[str, Any]) -> list[Json]:
    embedded = answer.get("_embedded")
    found = embedded.get("elements") if isinstance(embedded, Mapping) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def filters(**conditions: tuple[str, list[str]]) -> str:
    """`status=("c", [])` -> the JSON that the parameter `filters` takes; all conditions must hold.

    Without any, the server shows open work packages only.
    """
    return json.dumps([{name: {"operator": op, "values": wanted}} for name, (op, wanted) in conditions.items()])


def link(kind: str, number: int | None) -> dict[str, str | None]:
    """How a resource is written: `{"href": "/api/v3/types/1"}`; None clears it."""
    return {"href": None if number is None else f"/api/v3/{kind}/{number}"}


def id_of(links: Any, name: str) -> int | None:
    """The id at the end of `_links.<name>.href`; None when there is none or the caller may not see it."""
    target = links.get(name) if isinstance(links, Mapping) else None
    href = target.get("href") if isinstance(target, Mapping) else None
    last = str(href or "").rpartition("/")[2]
    return int(last) if last.isascii() and last.isdecimal() else None


def _authorization(kind: str, token: str) -> str:
    if kind == "bearer":
        return f"Bearer {token}"
    return "Basic " + base64.b64encode(f"apikey:{token}".encode()).decode("ascii")


def _query(query: Mapping[str, Any]) -> str:
    if not query:
        return ""
    pairs = {name: _parameter(value) for name, value in query.items()}
    return "?" + urlencode(pairs, quote_via=quote, safe="")


def _parameter(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value)  # true, 500, [["updatedAt", "asc"]]
