"""OpenProject's API v3 over HTTP: one request, one JSON object or one outcome.

Documentation: docs/api/introduction of OpenProject. Every request that is no GET carries a content type, addresses of
the answers are not followed but made anew: they are relative to the site, not to where it was mounted.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import SecretStr

from consumers.openproject.config import OpenProjectSettings
from consumers.openproject.errors import outcome_of
from core.errors import NotConfiguredError, OutcomeError
from runtime.http import Guard, HttpAnswer
from runtime.json_client import Json, JsonClient


class OpenProjectClient(JsonClient):
    """One server, usable from any thread."""

    def __init__(self, settings: OpenProjectSettings, stop: threading.Event) -> None:
        """Raises NotConfiguredError when OPENPROJECT_URL is empty."""
        if settings.url is None or settings.token is None:
            raise NotConfiguredError(variable="OPENPROJECT_URL")
        self.url = settings.url
        self._page_size = settings.page_size
        self._notify = settings.notify
        http = settings.http_client("OpenProject", credentials=partial(_credentials, settings.auth, settings.token))
        super().__init__("OpenProject", http, f"{self.url}/api/v3", stop, accept="application/hal+json")

    def get(self, path: str, **query: Any) -> Json:
        """`path` below /api/v3; lists and maps in `query` are written as JSON. Raises an outcome."""
        return self.ask("GET", f"{path}{_query(query)}")

    def write(self, method: str, path: str, body: Json, guard: Guard) -> Json:
        """POST or PATCH; people are notified as OPENPROJECT_NOTIFY says. Raises an outcome."""
        return self.ask(method, f"{path}{_query({'notify': self._notify})}", body, guard=guard)

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

    def refused(self, answer: HttpAnswer, content: Json | None, what: str, *, write: bool) -> OutcomeError:
        return outcome_of(answer.status, content or {}, what=what, write=write, retry_after=answer.retry_after)


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


def _credentials(kind: str, secret: SecretStr) -> dict[str, str]:
    token = secret.get_secret_value()
    if kind == "bearer":
        return {"Authorization": f"Bearer {token}"}
    return {"Authorization": "Basic " + base64.b64encode(f"apikey:{token}".encode()).decode("ascii")}


def _query(query: Mapping[str, Any]) -> str:
    if not query:
        return ""
    pairs = {name: _parameter(value) for name, value in query.items()}
    return "?" + urlencode(pairs, quote_via=quote, safe="")


def _parameter(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value)  # true, 500, [["updatedAt", "asc"]]
