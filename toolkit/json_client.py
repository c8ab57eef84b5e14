"""A client for a system whose API takes and gives JSON objects: one request, one object or one outcome."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.errors import AmbiguousError, OutageError, OutcomeError, StoppingError
from core.request_figures import RequestFigures
from core.texts import Text
from toolkit.http import Guard, HttpAnswer, HttpClient, unguarded
from toolkit.http_outcomes import COMMON, Rule, refusal, refused, rule_of

Json = dict[str, Any]


class JsonClient:
    """A client of one server, usable from any thread.

    `base` is the address that paths are appended to, with a slash between, or gives it (for an address that is a
    secret).

    `rules` say what a status means (toolkit.http_outcomes); a system with an error format of its own overrides
    `refused`, one whose answers are read in another way `content` and `accepted`. `accept` is the answers' media type.
    """

    def __init__(
        self,
        system: str | Text,
        http: HttpClient,
        base: str | Callable[[], str],
        stop: threading.Event,
        *,
        rules: Mapping[int, Rule] = COMMON,
        accept: str = "application/json",
    ) -> None:
        self._system = Text.of(system)
        self._http = http
        self._base = base if callable(base) else lambda: base
        self._stop = stop
        self._rules = rules
        self._accept = accept
        self._lock = threading.Lock()
        self._requests = 0

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        write: bool | None = None,
        headers: Mapping[str, str] | None = None,
        guard: Guard = unguarded,
    ) -> Json:
        """Return the answer's JSON object. Raises an outcome; StoppingError on stop.

        `write` says whether executing it twice would matter; everything but GET does unless `write` says otherwise.
        `guard` is asked at the last moment (HttpClient.send).
        """
        if self._stop.is_set():
            raise StoppingError
        with self._lock:
            self._requests += 1
        is_write = method != "GET" if write is None else write
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        sent = {"Accept": self._accept, **({"Content-Type": "application/json"} if method != "GET" else {})}
        base = self._base()
        address = f"{base}/{path}" if path else base
        answer = self._http.send(
            method, address, write=is_write, body=content, headers={**sent, **(headers or {})}, guard=guard
        )
        return self._read(answer, f"{method} {path.partition('?')[0]}".rstrip(), write=is_write)

    @property
    def figures(self) -> Sequence[RequestFigures]:
        """What became of the requests."""
        return (self._http.figures,)

    def stats(self) -> Json:
        with self._lock:
            return {"requests": self._requests}

    def refused(self, answer: HttpAnswer, content: Json | None, what: str, *, write: bool) -> OutcomeError:
        """Return the outcome of an answer that is not 2xx; `what` names the request for people."""
        rule = rule_of(answer.status, self._rules, write=write, is_theirs=content is not None)
        reason = refused(self._system, what, f"HTTP {answer.status}")
        return refusal(
            rule, reason, text=_text(content or {}), code=f"http_{answer.status}", retry_after=answer.retry_after
        )

    def content(self, answer: HttpAnswer) -> Json | None:
        """Return the object in an answer, None where there is none."""
        return answer.json_object()

    def accepted(self, answer: HttpAnswer, what: str, *, write: bool) -> Json:
        """Return what an answer of success gives. Raises an outcome when it cannot be used."""
        content = self.content(answer)
        if content is not None:
            return content
        # A page in HTML with status 200: a proxy's log-in, say. Behind it the request may have been executed.
        text = Text(
            f"{self._system.en} gave no usable answer to {what}: no JSON object (HTTP {answer.status})",
            f"{self._system.ru}: ответ на {what} использовать нельзя: в нём нет объекта JSON (HTTP {answer.status})",
        )
        raise (AmbiguousError if write else OutageError)(text, code="no_json")

    def _read(self, answer: HttpAnswer, what: str, *, write: bool) -> Json:
        if not 200 <= answer.status < 300:
            raise self.refused(answer, self.content(answer), what, write=write)
        return self.accepted(answer, what, write=write)


def _text(content: Mapping[str, Any]) -> str:
    """Return the text in which most servers say why."""
    found = next((content[name] for name in ("message", "error", "detail") if content.get(name)), "")
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
