"""The sandbox as tests and demo see it: a server with an HTTP address and hands to work it."""

from __future__ import annotations

import base64
import hmac
import json
import random
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from sandbox.finisher import Finisher
from sandbox.http_front import AnswerReplacedError, HttpRequest, RawAnswer
from sandbox.http_sandbox import HttpSandbox
from sandbox.openproject import query
from sandbox.openproject.api import Call, answer, normal
from sandbox.openproject.errors import ApiError, not_found
from sandbox.openproject.hooks import AGGREGATION, UPDATED, Webhook, Webhooks
from sandbox.openproject.objects import CUSTOM_FIELDS, PROJECTS, CustomField, Instance, Project, WorkPackage
from sandbox.openproject.state import State

_ROOT = "/api/v3"
CLOSED, REJECTED = 12, 14


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """`query` as it came, `status` None when the connection was dropped or something else answered."""

    method: str
    path: str
    query: str
    status: int | None


class OpenProjectSandbox(HttpSandbox):
    """A running local OpenProject. `mounted` is the path that it lives under, `basic=False` refuses Basic, `instance`
    is what its administrator has set.

    Faults are for calls like `POST projects/*/work_packages`; they are given the body.
    """

    def __init__(
        self,
        *,
        projects: Iterable[Project] = PROJECTS,
        custom_fields: Iterable[CustomField] = CUSTOM_FIELDS,
        instance: Instance | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        mounted: str = "",
        basic: bool = True,
        latency: float = 0.0,
        seed: int = 0,
        log_size: int = 10_000,
        token: str | None = None,
    ) -> None:
        self.state = State(projects, custom_fields, instance)
        super().__init__(host=host, port=port, tls=tls, seed=seed, changed=self.state.changed)
        self.latency = latency
        self.token = token or f"opapi-{secrets.token_hex(16)}"
        self.basic = basic
        self.log: deque[LoggedRequest] = deque(maxlen=log_size)
        self.requests = 0
        self._mounted = mounted
        self._refusal: ApiError | None = None
        self._webhooks: Webhooks | None = None

    def revoke_token(self) -> None:
        self._refusal = _unauthenticated()

    def restore_token(self) -> None:
        self._refusal = None

    @property
    def url(self) -> str:
        return self.base_url + self._mounted

    # -- webhooks -------------------------------------------------------------------------------------------------

    def tell(self, url: str, events: Collection[str] = (UPDATED,), *, aggregation: float = AGGREGATION) -> Webhook:
        """An administrator makes a webhook with a `secret`; `aggregation` is the time of his journals, in seconds."""
        hook = Webhook(url, events, aggregation)
        with self.state.lock:
            self._webhooks = self._webhooks or Webhooks(self._view)
            self._webhooks.hooks.append(hook)
            self.state.on_event = self._webhooks.tell
        return hook

    @property
    def hooks_sent(self) -> int:
        return 0 if self._webhooks is None else self._webhooks.sender.sent

    def stop(self) -> None:
        super().stop()
        if self._webhooks is not None:
            self._webhooks.sender.stop()

    def _view(self, number: int) -> dict[str, Any] | None:
        with self.state.lock:
            each = self.state.work_packages.get(number)
            return None if each is None else query.view(self.state, each)

    # -- people ---------------------------------------------------------------------------------------------------

    @property
    def work_packages(self) -> list[WorkPackage]:
        with self.state.lock:
            return list(self.state.work_packages.values())

    def by_key(self, field: str = "customField7") -> dict[str, list[int]]:
        """Ids of the work packages under each value of the key field; two under one key are a duplicate."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for each in self.work_packages:
            if each.custom.get(field):
                found[each.custom[field]].append(each.id)
        return dict(found)

    def close(self, number: int | str, status: int = CLOSED) -> None:
        """A person closes the work package. Raises LookupError."""
        self.change(number, status=status)

    def change(self, number: int | str, **stored: Any) -> None:
        """A person edits stored fields: `change(7, subject="…", visible=False)`. Raises LookupError."""
        with self.state.lock:
            each = self.state.work_packages[int(number)]
            for name, value in stored.items():
                setattr(each, name, value)
            self.state.touch(each)

    def delete(self, number: int | str) -> None:
        with self.state.lock:
            del self.state.work_packages[int(number)]
            self.state.changed.notify_all()

    def people(self, auto_finish_after: float = 1.0, statuses: Sequence[int] = (CLOSED,)) -> Finisher:
        """Starts people who close every work package `auto_finish_after` seconds after it appears."""
        finisher = Finisher(
            open_tasks=lambda after: [number for number in self.state.work_packages if number > after],
            finish=self._finish_if_there,
            changed=self.state.changed,
            clock=time.monotonic,
            delay=auto_finish_after,
            answers=[str(status) for status in statuses],
            share=1.0,
            seed=random.Random(self._seed).getrandbits(32),
        )
        self._finishers.append(finisher)
        return finisher.start()

    def _finish_if_there(self, number: int, status: str | None) -> None:
        if number in self.state.work_packages:
            self.close(number, int(status or CLOSED))

    # -- HTTP -----------------------------------------------------------------------------------------------------

    def _serve(self, request: HttpRequest) -> RawAnswer:
        status: int | None = None
        try:
            made = self._answer(request)
            status = made.status
        finally:
            with self.state.lock:
                self.requests += 1
                self.log.append(LoggedRequest(request.method, request.path, request.query, status))
                self.state.changed.notify_all()
        return made

    def _answer(self, request: HttpRequest) -> RawAnswer:
        if self.latency:
            self._front.wait(self.latency)
        try:
            return _hal(*self._executed(request))
        except ApiError as error:
            return _hal(error.status, error.body, error.headers)

    def _executed(self, request: HttpRequest) -> tuple[int, dict[str, Any]]:
        self._check(request)
        root, asked = normal(self._mounted + _ROOT), normal(request.path)
        if asked != root and not asked.startswith(root + "/"):
            raise not_found()
        path = unquote(asked[len(root) + 1 :])
        body = _body(request)
        drawn = self._faults.draw(f"{request.method} {path}".lower(), body)
        self._strike(drawn, after_execution=False)
        with self.state.lock:
            made = answer(self.state, request.method, path, Call(dict(parse_qsl(request.query)), body))
        self._strike(drawn, after_execution=True)
        return made

    def _check(self, request: HttpRequest) -> None:
        if self._refusal is not None or not self._is_authorised(request.headers.get("authorization", "")):
            raise self._refusal or _unauthenticated()
        if request.method not in {"GET", "DELETE"}:
            kind = request.content_type.partition(";")[0].strip().lower()
            if not kind:
                raise AnswerReplacedError(RawAnswer(406, b"Missing content-type header", "text/plain"))
            if kind not in {"application/json", "application/hal+json"}:
                raise ApiError(415, "TypeNotSupported", "Ожидается application/json.")

    def _is_authorised(self, header: str) -> bool:
        scheme, _, value = header.partition(" ")
        if scheme == "Bearer":
            return hmac.compare_digest(value, self.token)
        expected = base64.b64encode(f"apikey:{self.token}".encode()).decode()
        return self.basic and scheme == "Basic" and hmac.compare_digest(value, expected)


def _unauthenticated() -> ApiError:
    headers = {"WWW-Authenticate": 'Basic realm="OpenProject API"'}
    return ApiError(401, "Unauthenticated", "Вы должны пройти аутентификацию.", headers=headers)


def _body(request: HttpRequest) -> dict[str, Any]:
    if request.method == "GET" or not request.body:
        return {}
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError(400, "InvalidRequestBody", "Тело запроса не является объектом JSON.")
    return body


def _hal(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> RawAnswer:
    if status == 204:
        return RawAnswer(204, b"")
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return RawAnswer(status, text.encode(), "application/hal+json; charset=utf-8", headers or {})
