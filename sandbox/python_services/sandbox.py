"""The services as tests and demo see them: an HTTP address, and hands that finish jobs."""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.faults import Injection
from sandbox.finisher import Finisher
from sandbox.http_front import AnswerReplacedError, ConnectionDroppedError, HttpRequest, RawAnswer
from sandbox.http_sandbox import HttpSandbox

_KEY = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """`status` is None when the connection was dropped or something else answered."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    status: int | None


@dataclass(slots=True)
class Job:
    """`status` is running, succeeded or failed; a lost one is unknown to its own service."""

    number: int
    task_id: str
    service: str
    status: str = "running"
    result: Any = None
    error: dict[str, Any] | None = None
    lost: bool = False


@dataclass(slots=True)
class _Keyed:
    """What is kept under an Idempotency-Key; `answer` is None while the request is in work."""

    fingerprint: bytes
    answer: RawAnswer | None = None


@dataclass(slots=True)
class _State:
    executed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # task id, request
    keys: dict[str, _Keyed] = field(default_factory=dict)
    jobs: dict[int, Job] = field(default_factory=dict)


class ServicesSandbox(HttpSandbox):
    """`/sync/<service>` answers with the result, `/jobs/<service>` with the address of a job.

    `work` is how many seconds a request takes after it was accepted: with its key it is refused meanwhile (409), as
    the draft of the Idempotency-Key header has it. `keyed=False` is a service that knows no keys. `authorized` looks
    at each request. `style` is how a job tells its state: `status` (200 with a status), or `redirect` (202, then 303).
    Faults are for calls like `post jobs/report` and `get status/*`; they are given the body.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        work: float = 0.0,
        keyed: bool = True,
        style: str = "status",
        retry_after: int | None = None,
        authorized: Callable[[HttpRequest], bool] = lambda _request: True,
        seed: int = 0,
        log_size: int = 20_000,
    ) -> None:
        super().__init__(host=host, port=port, tls=tls, seed=seed)
        self.work = work
        self.style = style
        self.retry_after = retry_after
        self.authorized = authorized
        self.log: deque[LoggedRequest] = deque(maxlen=log_size)
        self.requests = 0
        self._keyed = keyed
        self._state = _State()

    # -- what is there, and the hands that finish it --------------------------------------------------------------

    @property
    def jobs(self) -> list[Job]:
        with self._changed:
            return list(self._state.jobs.values())

    def by_key(self) -> dict[str, list[int]]:
        """The numbers of what was executed under each Camunda task id; two under one are a duplicate."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        with self._changed:
            for number, (task_id, _) in enumerate(self._state.executed, 1):
                found[task_id].append(number)
        return dict(found)

    def asked(self, method: str, part: str = "") -> list[LoggedRequest]:
        """The requests of this method whose path holds `part`."""
        with self._changed:
            return [each for each in self.log if each.method == method and part in each.path]

    def job_of(self, task_id: str) -> Job:
        """Raises LookupError."""
        for job in self.jobs:
            if job.task_id == task_id:
                return job
        raise LookupError(f"no job of task {task_id}")

    def finish(self, number: int, result: Any = None) -> None:
        self._change(number, status="succeeded", result={"done": number} if result is None else result)

    def fail(self, number: int, **error: Any) -> None:
        """`fail(7, code="no_space", message="…", bpmn_error="DISK_FULL")`"""
        self._change(number, status="failed", error=error)

    def lose(self, number: int, *, lost: bool = True) -> None:
        """The service forgets the job, or remembers it again."""
        self._change(number, lost=lost)

    def put_job(self, task_id: str, service: str = "report") -> Job:
        """A job that was begun before the test."""
        with self._changed:
            job = Job(len(self._state.jobs) + 1, task_id, service)
            self._state.jobs[job.number] = job
            return job

    def status_url(self, number: int) -> str:
        return f"{self.base_url}/status/{number}"

    def people(self, auto_finish_after: float = 1.0, share: float = 1.0) -> Finisher:
        """Starts whoever finishes every job `auto_finish_after` seconds after it appears."""
        finisher = Finisher(
            open_tasks=lambda after: [number for number in self._state.jobs if number > after],
            finish=lambda number, _answer: self.finish(number),
            changed=self._changed,
            clock=time.monotonic,
            delay=auto_finish_after,
            answers=[None],
            share=share,
            seed=random.Random(self._seed).getrandbits(32),
        )
        self._finishers.append(finisher)
        return finisher.start()

    def _change(self, number: int, **changes: Any) -> None:
        with self._changed:
            for name, value in changes.items():
                setattr(self._state.jobs[number], name, value)
            self._changed.notify_all()

    # -- HTTP -----------------------------------------------------------------------------------------------------

    def _serve(self, request: HttpRequest) -> RawAnswer:
        status: int | None = None
        try:
            answer = self._answer(request)
            status = answer.status
        except AnswerReplacedError as replaced:
            status = replaced.answer.status
            raise
        finally:
            with self._changed:
                self.requests += 1
                self.log.append(
                    LoggedRequest(
                        request.method, request.path, request.query, dict(request.headers), request.body, status
                    )
                )
                self._changed.notify_all()
        return answer

    def _answer(self, request: HttpRequest) -> RawAnswer:
        if not self.authorized(request):
            return _json(401, {"error": {"code": "unauthorized", "message": "кто вы?"}})
        body = _body(request)
        drawn = self._faults.draw(f"{request.method} {request.path.strip('/')}".lower(), body or {})
        parts = request.path.strip("/").split("/")
        if request.method == "GET":
            self._strike(drawn, after_execution=False)
            told = self._look(parts)
            self._strike(drawn, after_execution=True)
            return told
        if body is None:
            return _json(400, {"error": {"code": "no_json", "message": "нужен объект JSON"}})
        key = _KEY.fullmatch(request.headers.get("idempotency-key", ""))
        if self._keyed and key is None:
            return _json(400, {"error": {"code": "no_key", "message": "нужен Idempotency-Key"}}, _PROBLEM)
        return self._once(key[1] if key and self._keyed else None, request, body, parts, drawn)

    def _once(
        self, key: str | None, request: HttpRequest, body: dict[str, Any], parts: list[str], drawn: Sequence[Injection]
    ) -> RawAnswer:
        fingerprint = hashlib.sha256(f"{request.method} {request.path}\n".encode() + request.body).digest()
        with self._changed:
            kept = self._state.keys.get(key) if key is not None else None
            if kept is not None and kept.fingerprint != fingerprint:
                return _json(422, {"error": {"code": "key_reused", "message": "ключ с другим запросом"}}, _PROBLEM)
            if kept is not None and kept.answer is None:
                return _json(409, {"error": {"code": "in_progress", "message": "ещё выполняется"}}, _PROBLEM)
            entry = _Keyed(fingerprint)
            if kept is None and key is not None:
                self._state.keys[key] = entry
        if kept is not None and kept.answer is not None:
            self._strike(drawn, after_execution=False)
            self._strike(drawn, after_execution=True)
            return kept.answer
        try:
            self._strike(drawn, after_execution=False)
            if self.work:
                self._front.wait(self.work)
            entry.answer = self._execute(body, parts)
        except (AnswerReplacedError, ConnectionDroppedError):
            with self._changed:
                self._state.keys.pop(key or "", None)  # not executed: the key is free
            raise
        self._strike(drawn, after_execution=True)
        return entry.answer

    def _execute(self, body: dict[str, Any], parts: list[str]) -> RawAnswer:
        kind, service = parts[0], parts[-1]
        task_id = str(body.get("task_id"))
        with self._changed:
            if kind not in {"sync", "jobs"}:
                return _json(404, {"error": {"code": "no_service", "message": "нет такого сервиса"}})
            self._state.executed.append((task_id, body))
            self._changed.notify_all()
            if kind == "sync":
                return _json(200, {"task": task_id, "service": service, "got": body.get("variables")})
            job = self.put_job(task_id, service)
            return _json(202, {"status": "running"}, headers={"Location": f"/status/{job.number}", **self._patience()})

    def _look(self, parts: list[str]) -> RawAnswer:
        with self._changed:
            job = self._state.jobs.get(int(parts[-1])) if parts[-1].isdecimal() else None
            if job is None or job.lost:
                return _json(404, {"error": {"code": "no_job", "message": "нет такого задания"}})
            if parts[0] == "result":
                return _json(200, job.result)
            if job.status == "failed":
                return _json(200, {"status": "failed", "error": job.error})
            if self.style == "redirect":
                if job.status == "running":
                    return _json(202, {}, headers=self._patience())
                return _json(303, {}, headers={"Location": f"/result/{job.number}"})
            told = {"status": job.status} if job.status == "running" else {"status": job.status, "result": job.result}
            return _json(200, told, headers=self._patience() if job.status == "running" else {})

    def _patience(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def _body(request: HttpRequest) -> dict[str, Any] | None:
    try:
        body = json.loads(request.body)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _json(
    status: int, body: Any, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> RawAnswer:
    return RawAnswer(status, json.dumps(body, ensure_ascii=False).encode(), content_type, headers or {})
