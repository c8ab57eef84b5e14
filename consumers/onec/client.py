"""1C's standard OData interface and HTTP services: one request, one JSON object or one outcome.

Facts are those of the platform's developer guide, chapter 17.4. No session is asked for and no cookie kept: a session
that the server has ended meanwhile would make every further request fail.
"""

from __future__ import annotations

import base64
import json
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import quote

from consumers.onec.config import OneCSettings
from consumers.onec.errors import RefusalError, SessionLostError, outcome_of
from consumers.onec.literals import entity_path, query_string
from core.errors import AmbiguousError, NotConfiguredError, OutageError, StoppingError
from runtime.http import HttpAnswer

Json = dict[str, Any]

MAX_BODY = 128 * 1024 * 1024  # bytes: $metadata of a large configuration
_SLOT_WAIT = 0.5  # seconds between two looks at whether the daemon is stopping


class OneCClient:
    """One infobase, usable from any thread; at most ONEC_MAX_CALLS requests at once in this process."""

    def __init__(self, settings: OneCSettings, stop: threading.Event) -> None:
        """Raises NotConfiguredError when ONEC_URL is empty."""
        if settings.url is None:
            raise NotConfiguredError("ONEC_URL is not set")
        self._odata = f"{settings.url}/odata/standard.odata/"
        self._services = f"{settings.url}/hs/"
        self._stop = stop
        self._slots = _shared_slots(settings.url, settings.max_calls)
        self._http = settings.http_client(
            "1C",
            headers={"Authorization": _basic(settings), "Accept": "application/json"},
            max_body=MAX_BODY,
            keep_cookies=False,
        )
        self._lock = threading.Lock()
        self._requests = 0

    def metadata(self) -> bytes:
        """The XML of `$metadata`. Raises an outcome."""
        return self._send("GET", self._odata + "$metadata", what="$metadata", accept="application/xml").body

    def root(self) -> Json:
        """The service document, which names what is available."""
        return self._read("", {}, "the list of objects")

    def query(self, entity: str, **options: str | int) -> Json:
        """One page; `filter="…"` becomes `$filter`, `allowed_only=1` leaves out what the user may not see."""
        written = {f"${name}": str(value) for name, value in options.items() if name != "allowed_only"}
        if options.get("allowed_only"):
            written["allowedOnly"] = "true"
        return self._read(entity_path(entity), written, f"a query of {entity}")

    def get(self, entity: str, key: str) -> Json:
        """Raises NotFoundError when there is no such object, and only then."""
        return self._read(entity_path(entity, key), {}, f"{entity}/{key}")

    def create(self, entity: str, body: Json) -> Json:
        """Raises KeyExistsError when there is one with this Ref_Key."""
        return self._write("POST", entity_path(entity), body, f"to create {entity}")

    def patch(self, entity: str, key: str, body: Json, version: str) -> Json:
        """Only if the object has still this DataVersion, else ChangedError."""
        headers = {"If-Match": version} if version else {}
        what = f"to change {entity}/{key}"
        return self._write("PATCH", entity_path(entity, key), body, what, headers=headers)

    def action(self, entity: str, key: str, name: str) -> None:
        """`Post`, `Start`, …; whatever comes back with 2xx means done."""
        parameters = "?PostingModeOperational=false" if name == "Post" else ""
        url = f"{self._odata}{entity_path(entity, key)}/{name}{parameters}"
        self._send("POST", url, what=f"{name} of {entity}/{key}")

    def call_service(self, path: str, body: Json, key: str) -> Json:
        """POST to /hs/<path>; `key` lets the service recognise what it has done already. Empty answer: `{}`.

        Raises RefusalError beside outcomes: what a refusal means is the service's own contract.
        """
        what = f"the HTTP service {path}"
        headers = {"Idempotency-Key": key, "Accept": "application/json"}
        answer = self._attempt("POST", self._services + quote(path), what, _encoded(body), headers)
        return {} if not answer.body.strip() else _object(answer, what, write=True)

    def stats(self) -> dict[str, Any]:
        with self._lock:
            return {"requests": self._requests}

    def _read(self, path: str, options: Mapping[str, str], what: str) -> Json:
        return _object(self._send("GET", self._odata + path + query_string(options), what=what), what, write=False)

    def _write(self, method: str, path: str, body: Json, what: str, headers: Mapping[str, str] | None = None) -> Json:
        url = self._odata + path + query_string({})
        return _object(self._send(method, url, what=what, body=_encoded(body), headers=headers), what, write=True)

    def _send(
        self,
        method: str,
        url: str,
        *,
        what: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> HttpAnswer:
        attempt = partial(self._judged, method, url, what, body, {**(headers or {}), "Accept": accept})
        try:
            return attempt()
        except SessionLostError:
            return attempt()  # nothing was executed, and the next request is given another session

    def _judged(self, method: str, url: str, what: str, body: bytes | None, headers: Mapping[str, str]) -> HttpAnswer:
        try:
            return self._attempt(method, url, what, body, headers)
        except RefusalError as refused:
            raise outcome_of(refused) from None

    def _attempt(self, method: str, url: str, what: str, body: bytes | None, headers: Mapping[str, str]) -> HttpAnswer:
        write = method != "GET"
        content_type = {"Content-Type": "application/json; charset=utf-8"} if body is not None else {}
        with self._slot():
            with self._lock:
                self._requests += 1
            answer = self._http.send(method, url, write=write, body=body, headers={**content_type, **headers})
        if not 200 <= answer.status < 300:
            raise RefusalError(answer, what, write=write)
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
    """What `$inlinecount=allpages` has told."""
    names = ("odata.count", "@odata.count", "__count")
    text = next((str(page[name]) for name in names if name in page), "")
    return int(text) if text.isascii() and text.isdecimal() else None


def _object(answer: HttpAnswer, what: str, *, write: bool) -> Json:
    content = answer.json_object()
    if content is None:
        # A page in HTML with status 200: a proxy's log-in, say. Behind it the request may have been executed.
        text = f"1C gave no usable answer to {what}: no JSON object (HTTP {answer.status})"
        raise (AmbiguousError if write else OutageError)(text, code="no_json")
    return content


def _encoded(body: Json) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _basic(settings: OneCSettings) -> str:
    # In UTF-8, because logins of 1C are Cyrillic as a rule.
    pair = f"{settings.username}:{settings.password.get_secret_value()}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


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
