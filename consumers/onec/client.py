"""A client of 1C's standard OData interface and HTTP services: one request, one JSON object or one outcome.

Facts are those of the platform's developer guide, chapter 17.4. No session is asked for and no cookie kept: a session
that the server has ended meanwhile would make every further request fail.
"""

from __future__ import annotations

import base64
import json
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

from consumers.onec.config import OneCSettings
from consumers.onec.errors import NAME, RefusalError, SessionLostError, outcome_of
from consumers.onec.literals import entity_path, query_string
from core import values
from core.errors import AmbiguousError, NotConfiguredError, OutageError, StoppingError
from core.request_figures import RequestFigures
from core.texts import Text
from toolkit.http import Guard, HttpAnswer, HttpClient, unguarded
from toolkit.json_answers import read_answer

Json = dict[str, Any]

_LARGEST_METADATA = 128 * 1024 * 1024  # bytes; those of large configurations have dozens of megabytes
_SLOT_WAIT = 0.5  # seconds between two looks at whether the daemon is stopping


@dataclass(frozen=True, slots=True)
class _Request:
    """One request. `what` names it for people; the address is in no text. `guard` is asked last (HttpClient.send)."""

    method: str
    url: str
    what: Text
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    guard: Guard = unguarded

    @property
    def write(self) -> bool:
        return self.method != "GET"


class OneCClient:
    """A client of one infobase, usable from any thread; at most ONEC_MAX_CALLS requests at once in this process."""

    def __init__(self, settings: OneCSettings, stop: threading.Event) -> None:
        """Raise NotConfiguredError when ONEC_URL is empty."""
        if settings.url is None:
            raise NotConfiguredError(variable="ONEC_URL")
        self._odata = f"{settings.url}/odata/standard.odata/"
        self._services = f"{settings.url}/hs/"
        self._stop = stop
        self._slots = _shared_slots(settings.url, settings.max_calls)
        open_http = partial(settings.http_client, NAME, credentials=partial(_credentials, settings), keep_cookies=False)
        self._http = open_http()
        self._metadata_http = open_http(max_body=_LARGEST_METADATA)
        self._lock = threading.Lock()
        self._requests = 0

    def metadata(self) -> bytes:
        """Return the XML of `$metadata`. Raises an outcome."""
        what = Text.of("$metadata")
        request = _Request("GET", self._odata + "$metadata", what, headers={"Accept": "application/xml"})
        return self._send(request, self._metadata_http).body

    def root(self) -> Json:
        """Return the service document, which names what is available."""
        return self._read("", {}, Text("the list of objects", "списка объектов"))

    def query(self, entity: str, **options: str | int) -> Json:
        """Return one page; `filter="…"` becomes `$filter`, `allowed_only=1` leaves out what the user may not see."""
        written = {f"${name}": str(value) for name, value in options.items() if name != "allowed_only"}
        if options.get("allowed_only"):
            written["allowedOnly"] = "true"
        what = Text(f"a query of {entity}", f"выборки {entity}")
        page = self._read(entity_path(entity), written, what)
        if not isinstance(page.get("value"), list):
            # Taken for an empty list, it would make every task look deleted.
            text = Text(
                f"1C gave no usable answer to {what.en}: no list of objects",
                f"1С: ответ на запрос {what.ru} использовать нельзя: в нём нет списка объектов",
            )
            raise OutageError(text, code="no_rows")
        return page

    def get(self, entity: str, key: str) -> Json:
        """Return an object. Raises NotFoundError when there is no such object, and only then."""
        return self._read(entity_path(entity, key), {}, Text.of(f"{entity}/{key}"))

    def create(self, entity: str, body: Json, guard: Guard = unguarded) -> Json:
        """Create an object; an empty answer gives `{}`. Raises KeyExistsError when there is one with this Ref_Key."""
        what = Text(f"to create {entity}", f"на создание {entity}")
        return self._write("POST", entity_path(entity), body, what, guard=guard)

    def patch(self, entity: str, key: str, body: Json, version: str, guard: Guard = unguarded) -> Json:
        """Change the object only if it still has this DataVersion; else raise ChangedError."""
        headers = {"If-Match": version} if version else {}
        what = Text(f"to change {entity}/{key}", f"на изменение {entity}/{key}")
        return self._write("PATCH", entity_path(entity, key), body, what, guard=guard, headers=headers)

    def action(self, entity: str, key: str, name: str, guard: Guard = unguarded) -> None:
        """Call `Post`, `Start`, …; everything that comes back with 2xx means done."""
        parameters = "?PostingModeOperational=false" if name == "Post" else ""
        url = f"{self._odata}{entity_path(entity, key)}/{name}{parameters}"
        what = Text(f"{name} of {entity}/{key}", f"{name} для {entity}/{key}")
        self._send(_Request("POST", url, what, guard=guard))

    def call_service(self, path: str, body: Json, key: str, guard: Guard = unguarded) -> HttpAnswer:
        """POST to /hs/<path>; `key` lets the service recognise what it has done already.

        Raises RefusalError beside outcomes: what a refusal means is the service's own contract.
        """
        url, headers = self._services + quote(path), {"Idempotency-Key": values.header_string(key)}
        what = Text(f"the HTTP service {path}", f"к HTTP-сервису {path}")
        request = _Request("POST", url, what, body, headers, guard)
        return self._attempt(request, self._http)

    @property
    def figures(self) -> Sequence[RequestFigures]:
        """What became of the requests."""
        return (self._http.figures, self._metadata_http.figures)

    def stats(self) -> dict[str, Any]:
        with self._lock:
            return {"requests": self._requests}

    def _read(self, path: str, options: Mapping[str, str], what: Text) -> Json:
        request = _Request("GET", self._odata + path + query_string(options), what)
        return _object(self._send(request), request)

    def _write(
        self, method: str, path: str, body: Json, what: Text, *, guard: Guard, headers: Mapping[str, str] | None = None
    ) -> Json:
        request = _Request(method, self._odata + path + query_string({}), what, body, headers or {}, guard)
        return _object_or_nothing(self._send(request), request)

    def _send(self, request: _Request, http: HttpClient | None = None) -> HttpAnswer:
        try:
            return self._judged(request, http or self._http)
        except SessionLostError:
            # Nothing was executed, and the next request is given another session.
            return self._judged(request, http or self._http)

    def _judged(self, request: _Request, http: HttpClient) -> HttpAnswer:
        try:
            return self._attempt(request, http)
        except RefusalError as refused:
            raise outcome_of(refused) from None

    def _attempt(self, request: _Request, http: HttpClient) -> HttpAnswer:
        headers = {"Accept": "application/json", **request.headers}
        body = None
        if request.body is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
            body = json.dumps(request.body, ensure_ascii=False).encode("utf-8", "replace")
        with self._slot():
            with self._lock:
                self._requests += 1
            answer = http.send(
                request.method, request.url, write=request.write, body=body, headers=headers, guard=request.guard
            )
        if not 200 <= answer.status < 300:
            raise RefusalError(answer, request.what, write=request.write)
        return answer

    @contextmanager
    def _slot(self) -> Iterator[None]:
        while not self._slots.acquire(timeout=_SLOT_WAIT):
            if self._stop.is_set():
                raise StoppingError
        try:
            if self._stop.is_set():
                raise StoppingError
            yield
        finally:
            self._slots.release()


def rows_of(page: Mapping[str, Any]) -> list[Json]:
    found = page.get("value")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def count_of(page: Mapping[str, Any]) -> int | None:
    """Return what `$inlinecount=allpages` says."""
    names = ("odata.count", "@odata.count", "__count")
    text = next((str(page[name]) for name in names if name in page), "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _object(answer: HttpAnswer, request: _Request) -> Json:
    told = read_answer(answer)
    if told.content is None or told.is_empty:
        # A page in HTML with status 200: a proxy's log-in, say. Behind it the request may have been executed.
        text = Text(
            f"1C gave no usable answer to {request.what.en}: no JSON object (HTTP {answer.status})",
            f"1С: ответ на запрос {request.what.ru} использовать нельзя: в нём нет объекта JSON (HTTP {answer.status})",
        )
        raise (AmbiguousError if request.write else OutageError)(text, code="no_json")
    return told.content


def _object_or_nothing(answer: HttpAnswer, request: _Request) -> Json:
    return _object(answer, request) if answer.body.strip() else {}


def _credentials(settings: OneCSettings) -> dict[str, str]:
    # In UTF-8, because logins of 1C are Cyrillic as a rule.
    pair = f"{settings.username}:{settings.password.get_secret_value()}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii")}


# Handler and tracker are built apart but share the infobase's sessions; so the bound belongs to the process. It lives
# as long as somebody holds it.
_slots: weakref.WeakValueDictionary[tuple[str, int], threading.BoundedSemaphore] = weakref.WeakValueDictionary()
_slots_lock = threading.Lock()


def _shared_slots(url: str, size: int) -> threading.BoundedSemaphore:
    with _slots_lock:
        slots = _slots.get((url, size))
        if slots is None:
            slots = _slots[url, size] = threading.BoundedSemaphore(size)
        return slots
