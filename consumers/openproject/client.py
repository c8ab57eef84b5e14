"""A client of OpenProject's API v3 over HTTP: one request, one JSON object or one outcome.

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
from urllib.parse import parse_qsl, quote, urlencode

from pydantic import SecretStr

from consumers.openproject.config import OpenProjectSettings
from consumers.openproject.errors import outcome_of
from consumers.openproject.reading import Page, page_of
from core.errors import NotConfiguredError, OutageError, OutcomeError
from core.texts import Text
from toolkit.http import Guard, HttpAnswer
from toolkit.json_client import Json, JsonClient

_ROOT = "/api/v3/"


class OpenProjectClient(JsonClient):
    """A client of one server, usable from any thread."""

    def __init__(self, settings: OpenProjectSettings, stop: threading.Event) -> None:
        """Raise NotConfiguredError when OPENPROJECT_URL is empty."""
        if settings.url is None or settings.token is None:
            raise NotConfiguredError(variable="OPENPROJECT_URL")
        self.url = settings.url
        self._page_size = settings.page_size
        self._notify = settings.notify
        http = settings.http_client("OpenProject", credentials=partial(_credentials, settings.auth, settings.token))
        super().__init__("OpenProject", http, f"{self.url}/api/v3", stop, accept="application/hal+json")

    def get(self, path: str, **query: Any) -> Json:
        """Return what is at `path` below /api/v3; lists and maps in `query` are written as JSON. Raises an outcome."""
        return self.ask("GET", f"{path}{_query(query)}")

    def form(self, path: str, body: Json) -> Json:
        """Return the form of what could be written: it creates and changes nothing (docs/api/endpoints/forms)."""
        return self.ask("POST", path, body, write=False)

    def write(self, method: str, path: str, body: Json, guard: Guard) -> Json:
        """Send a POST or PATCH; people are notified as OPENPROJECT_NOTIFY says. Raises an outcome."""
        return self.ask(method, f"{path}{_query({'notify': self._notify})}", body, guard=guard)

    def elements(self, path: str, **query: Any) -> Iterator[Json]:
        """Yield all elements of a collection that can be read, page after page."""
        for page in self.pages(path, **query):
            yield from page.rows

    def linked(self, href: str) -> Iterator[Json]:
        """Yield all elements of the collection that an address in an answer leads to."""
        path, _, query = href.rpartition(_ROOT)[2].partition("?")
        pairs = {name: value for name, value in parse_qsl(query) if name not in {"offset", "pageSize"}}
        return self.elements(path, **pairs)

    def pages(self, path: str, **query: Any) -> Iterator[Page]:
        """Yield the pages of a collection, until as many elements as its `total` says were there."""
        number, seen = 1, 0
        previous: Page | None = None
        while True:
            answer = self.get(path, offset=number, pageSize=self._page_size, **query)  # offset counts pages from 1
            page = page_of(answer, f"GET {path}")
            if previous is not None and len(page) and page == previous:
                text = Text(
                    f"OpenProject turns no pages of GET {path}",
                    f"OpenProject не перелистывает страницы: на GET {path} приходит одно и то же",
                )
                raise OutageError(text, code="bad_answer")
            yield page
            seen += len(page)
            if not len(page) or seen >= page.total:
                return
            number, previous = number + 1, page

    def address_of(self, work_package: int | str) -> str:
        """Return the address where people see it."""
        return f"{self.url}/work_packages/{work_package}"

    def refused(self, answer: HttpAnswer, content: Json | None, what: str, *, write: bool) -> OutcomeError:
        return outcome_of(answer.status, content or {}, what=what, write=write, retry_after=answer.retry_after)


def filters(**conditions: tuple[str, list[str]]) -> str:
    """Return the JSON that the parameter `filters` takes, for `status=("c", [])`; all conditions must hold.

    Without any, the server shows open work packages only.
    """
    return json.dumps([{name: {"operator": op, "values": wanted}} for name, (op, wanted) in conditions.items()])


def link(kind: str, number: int | None) -> dict[str, str | None]:
    """Return how a resource is written: `{"href": "/api/v3/types/1"}`; None clears it."""
    return {"href": None if number is None else f"{_ROOT}{kind}/{number}"}


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
