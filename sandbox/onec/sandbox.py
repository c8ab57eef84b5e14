"""The sandbox as tests and demo see it: a publication of 1C with an HTTP address, and people who execute tasks."""

from __future__ import annotations

import base64
import hmac
import json
import random
import re
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from sandbox.finisher import Finisher
from sandbox.http_front import HttpRequest, RawAnswer
from sandbox.http_sandbox import HttpSandbox
from sandbox.onec.api import Call, answer, parse_query, too_long
from sandbox.onec.errors import ODataError, platform_xml
from sandbox.onec.schema import EMPTY_GUID, ENTITIES, Entity
from sandbox.onec.store import Row, Store

_ODATA = "/odata/standard.odata/"
_SERVICES = "/hs/"
_BOM = b"\xef\xbb\xbf"
_TASK_ID = re.compile(r"Camunda: (\S+)")
PEOPLE = ("Анна Соколова", "Борис Лебедев")

Service = Callable[[dict[str, Any], str], tuple[int, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """`path` decoded, `query` as it came, `status` None when the connection was dropped or something else answered."""

    method: str
    path: str
    query: str
    status: int | None


class OneCSandbox(HttpSandbox):
    """A running local infobase, published as `/base`.

    `bom`: JSON begins with a byte order mark. `keeps_keys`, `tells_lengths`, `counted_pages`: see Store.
    `longest_query` is what the web server before it takes, in bytes. Faults are for calls like
    `POST Document_ЗаказКлиента`; they are given the body.
    """

    def __init__(
        self,
        *,
        entities: Iterable[Entity] = ENTITIES,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        latency: float = 0.0,
        seed: int = 0,
        log_size: int = 10_000,
        username: str = "Интегратор",
        password: str | None = None,
        bom: bool = False,
        keeps_keys: bool = True,
        tells_lengths: bool = True,
        counted_pages: bool = False,
        longest_query: int = 2048,
    ) -> None:
        self.store = Store(entities, keeps_keys=keeps_keys, tells_lengths=tells_lengths, counted_pages=counted_pages)
        super().__init__(host=host, port=port, tls=tls, seed=seed, changed=self.store.changed)
        self.latency = latency
        self.username = username
        self.password = password or f"пароль-{secrets.token_hex(12)}"
        self.bom = bom
        self.log: deque[LoggedRequest] = deque(maxlen=log_size)
        self.requests = 0
        self.busiest = 0  # the most requests that were here at once
        self.synced: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)  # by Idempotency-Key, each call
        self.services: dict[str, Service] = {"camunda/sync": self._sync}
        self._present = 0
        self._longest_query = longest_query
        self._refuses = False
        self._sessions: set[str] = set()
        with self.store.lock:
            for name in PEOPLE:
                if "Catalog_Пользователи" in self.store.entities:
                    self.store.create("Catalog_Пользователи", {"Description": name})

    @property
    def url(self) -> str:
        return f"{self.base_url}/base"

    def revoke_password(self) -> None:
        self._refuses = True

    def restore_password(self) -> None:
        self._refuses = False

    def end_sessions(self) -> None:
        """As after a restart of the server: whoever comes with an old cookie is refused."""
        self._sessions.clear()

    # -- people ---------------------------------------------------------------------------------------------------

    def rows(self, entity: str) -> list[Row]:
        with self.store.lock:
            return list(self.store.rows[entity].values())

    def by_key(self) -> dict[str, list[str]]:
        """The objects made for each Camunda task, which a text of theirs names; two under one are a duplicate.

        Tasks that a business process has made are part of it.
        """
        found: defaultdict[str, list[str]] = defaultdict(list)
        with self.store.lock:
            for entity, rows in self.store.rows.items():
                for row in rows.values():
                    texts = " ".join(value for value in row.values() if isinstance(value, str))
                    match = _TASK_ID.search(texts)
                    if match is not None and row.get("BusinessProcess_Key", EMPTY_GUID) == EMPTY_GUID:
                        found[match[1]].append(f"{entity}/{row['Ref_Key']}")
            for key, calls in self.synced.items():
                found[key] += [f"hs/{key}"] * min(len(calls), 1)
        return dict(found)

    def finish(self, external_id: str, result: str = "Исполнено") -> None:
        """A person finishes `Entity/guid`: executes the task, posts the document. Raises LookupError."""
        entity, _, key = external_id.partition("/")
        with self.store.lock:
            self._finished(entity, self.store.rows[entity][key], result)

    def change(self, external_id: str, stored: Mapping[str, Any]) -> None:
        """A person edits stored attributes: `change(ref, {"DeletionMark": True})`. Raises LookupError."""
        entity, _, key = external_id.partition("/")
        with self.store.lock:
            row = self.store.rows[entity][key]
            row |= stored
            self.store.touch(row)

    def delete(self, external_id: str) -> None:
        entity, _, key = external_id.partition("/")
        with self.store.lock:
            self.store.delete(entity, key)

    def people(self, auto_finish_after: float = 1.0, results: Sequence[str] = ("Исполнено",)) -> Finisher:
        """Starts people who finish tasks, processes and documents `auto_finish_after` seconds after they appear."""
        finisher = Finisher(
            open_tasks=lambda after: range(after + 1, len(self.store.made) + 1),
            finish=self._finish_if_open,
            changed=self.store.changed,
            clock=time.monotonic,
            delay=auto_finish_after,
            answers=list(results),
            share=1.0,
            seed=random.Random(self._seed).getrandbits(32),
        )
        self._finishers.append(finisher)
        return finisher.start()

    def _finish_if_open(self, number: int, result: str | None) -> None:
        entity, key = self.store.made[number]
        row = self.store.rows[entity].get(key)
        if row is not None and row.get("Executed") is not True and not entity.startswith("BusinessProcess_"):
            self._finished(entity, row, result or "")

    def _finished(self, entity: str, row: Row, result: str) -> None:
        if entity.startswith("Task_"):
            self.store.execute(row, result)
        elif entity.startswith("Document_"):
            row["Posted"] = True
        elif entity.startswith("BusinessProcess_"):
            tasks = self.store.rows["Task_ЗадачаИсполнителя"].values()
            for task in [each for each in tasks if each["BusinessProcess_Key"] == row["Ref_Key"]]:
                self.store.execute(task, result)
        self.store.touch(row)

    # -- HTTP -----------------------------------------------------------------------------------------------------

    def _serve(self, request: HttpRequest) -> RawAnswer:
        status: int | None = None
        with self.store.lock:
            self._present += 1
            self.busiest = max(self.busiest, self._present)
        try:
            made = self._answer(request)
            status = made.status
        finally:
            with self.store.lock:
                self._present -= 1
                self.requests += 1
                self.log.append(LoggedRequest(request.method, unquote(request.path), request.query, status))
                self.store.changed.notify_all()
        return made

    def _answer(self, request: HttpRequest) -> RawAnswer:
        if self.latency:
            self._front.wait(self.latency)
        if len(request.query) > self._longest_query:
            return too_long()
        if self._refuses or not self._is_authorised(request.headers.get("authorization", "")):
            headers = {"WWW-Authenticate": 'Basic realm="1C:Enterprise 8.3"'}
            return RawAnswer(401, "Идентификация пользователя не выполнена".encode(), "text/plain", headers)
        query = parse_query(request.query)
        try:
            made = self._in_session(request, query)
        except ODataError as error:
            made = error.answer(as_json=query.get("$format") == "json")
        if self.bom and isinstance(made.body, bytes) and made.body.startswith(b"{"):
            made = replace(made, body=_BOM + made.body)
        return made

    def _in_session(self, request: HttpRequest, query: Mapping[str, str]) -> RawAnswer:
        cookie = re.search(r"ibsession=(\w+)", request.headers.get("cookie", ""))
        if cookie is not None and cookie[1] not in self._sessions:
            return platform_xml(406, "Сеанс отсутствует или удален")
        made = self._executed(request, query)
        session = cookie[1] if cookie is not None else secrets.token_hex(8)
        self._sessions.add(session)
        return replace(made, headers={**made.headers, "Set-Cookie": f"ibsession={session}; path=/base"})

    def _executed(self, request: HttpRequest, query: Mapping[str, str]) -> RawAnswer:
        path = unquote(request.path)
        root = "/base"
        if path.startswith(root + _SERVICES):
            return self._service(path[len(root + _SERVICES) :], request)
        if not path.startswith(root + _ODATA):
            return RawAnswer(404, b"<html><body>404 Not Found</body></html>", "text/html")
        path = path[len(root + _ODATA) :]
        body = _body(request)
        drawn = self._faults.draw(f"{request.method} {path}".lower(), body)
        self._strike(drawn, after_execution=False)
        call = Call(request.method, path, query, body, request.headers.get("if-match"))
        with self.store.lock:
            made = answer(self.store, call, f"{self.url}{_ODATA}")
        self._strike(drawn, after_execution=True)
        return made

    def _service(self, path: str, request: HttpRequest) -> RawAnswer:
        service = self.services.get(path)
        if service is None or request.method != "POST":
            return RawAnswer(404, b"", "text/plain")
        body = _body(request)
        drawn = self._faults.draw(f"POST hs/{path}".lower(), body)
        self._strike(drawn, after_execution=False)
        with self.store.lock:
            status, content = service(body, unquote(request.headers.get("idempotency-key", "").strip('"')))
        self._strike(drawn, after_execution=True)
        return RawAnswer(status, json.dumps(content, ensure_ascii=False).encode())

    def _sync(self, body: dict[str, Any], key: str) -> tuple[int, dict[str, Any]]:
        """The sample service: does the work once per key, and tells the same each time."""
        self.synced[key].append(body)
        return 200, {"status": "synced", "received": len(body.get("data") or {})}

    def _is_authorised(self, header: str) -> bool:
        expected = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return hmac.compare_digest(header.encode(), f"Basic {expected}".encode())


def _body(request: HttpRequest) -> dict[str, Any]:
    if request.method == "GET" or not request.body:
        return {}
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ODataError(400, 2, "Неправильный формат тела запроса")
    return body
