"""The sandbox as tests, demo and benchmarks see it: a portal with an HTTP address and hands to work it."""

from __future__ import annotations

import json
import random
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.bitrix24.api import Api, LoggedCall, RequestCounts, request_params
from sandbox.bitrix24.clock import Clock
from sandbox.bitrix24.desk import Desk
from sandbox.bitrix24.errors import RestError, system_error
from sandbox.bitrix24.faults import Fault, FaultPlan, Injection
from sandbox.bitrix24.limits import LeakyBucket, OperatingLimit, OperatingTime, RateLimit
from sandbox.bitrix24.people import DEFAULT_DEPARTMENTS, Department, User
from sandbox.bitrix24.portal import ALL_SCOPES, Portal
from sandbox.bitrix24.userfields import DEFAULT_USER_FIELDS, UserField
from sandbox.certificate import make_certificate
from sandbox.finisher import Finisher
from sandbox.http_front import HttpFront, HttpRequest, RawAnswer


class BitrixSandbox(Desk):
    """A running local portal.

    `admin=False` gives the webhook to an ordinary user, who creates tasks that it may not read; `rate` and `operating`
    are the limits (none by default), `time_scale` makes their clock run faster; `latency` is seconds per request;
    `honours_key_filter=False` ignores filters by XML_ID and UF_*; `language` (ru, en) is that of refusals; `tls=True`
    listens with a certificate of its own (`ca_file`).
    """

    def __init__(
        self,
        *,
        users: Iterable[User] | None = None,
        departments: Iterable[Department] = DEFAULT_DEPARTMENTS,
        user_fields: Iterable[UserField] = DEFAULT_USER_FIELDS,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        webhook_user: int = 1,
        admin: bool = True,
        scopes: Sequence[str] = ALL_SCOPES,
        language: str = "ru",
        honours_key_filter: bool = True,
        rate: RateLimit | None = None,
        operating: OperatingLimit | None = None,
        time_scale: float = 1.0,
        latency: float = 0.0,
        log_size: int = 10_000,
        secret: str | None = None,
    ) -> None:
        clock = Clock(time_scale)
        super().__init__(
            Portal(
                users=users,
                departments=departments,
                user_fields=user_fields,
                webhook_user=webhook_user,
                admin=admin,
                scopes=scopes,
                language=language,
                honours_key_filter=honours_key_filter,
            )
        )
        self.latency = latency
        self.bucket = LeakyBucket(rate, clock)
        self.operating = OperatingTime(operating or OperatingLimit(), clock)
        self._seed = seed
        self._secret = secret or secrets.token_hex(8)
        self._refusal: str | None = None
        self._faults = FaultPlan(seed)
        self._folder = tempfile.TemporaryDirectory(prefix="bitrix-sandbox-") if tls else None
        self._certificate = make_certificate(Path(self._folder.name)) if self._folder else None
        self._front = HttpFront(
            self._serve,
            host,
            port,
            self._certificate.server_context() if self._certificate else None,
            answered=self._answered,
        )
        self._api = Api(self.state, self._faults, self.operating, self._front.wait, log_size)
        self._finishers: list[Finisher] = []

    # -- life -----------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        self._front.come_up()
        return self

    def stop(self) -> None:
        for finisher in self._finishers:
            finisher.stop()
        self._finishers.clear()
        self._front.go_down()
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def go_down(self) -> None:
        """The portal is gone: connections are refused, open ones reset. Nothing it stores is lost."""
        self._front.go_down()

    def come_back(self) -> None:
        """Listens again on the same port."""
        self._front.come_up()

    def revoke_webhook(self, code: str = "NO_AUTH_FOUND") -> None:
        """Every call is refused with `code`: NO_AUTH_FOUND, expired_token (401), INVALID_CREDENTIALS (403), …"""
        system_error(code)  # a misspelt code must fail here and not in a server thread
        self._refusal = code

    def restore_webhook(self) -> None:
        self._refusal = None

    @property
    def port(self) -> int:
        return self._front.port

    @property
    def address(self) -> str:
        """`127.0.0.1:port`, as clients want it that make the URL themselves."""
        return f"{self._front.host}:{self._front.port}"

    @property
    def webhook_token(self) -> str:
        """`1/<secret>`"""
        return f"{self.state.webhook_user}/{self._secret}"

    @property
    def webhook_url(self) -> str:
        scheme = "https" if self._certificate else "http"
        return f"{scheme}://{self.address}/rest/{self.webhook_token}/"

    @property
    def ca_file(self) -> Path:
        """What a client must trust. Raises LookupError when the portal was not made with `tls=True`."""
        if self._certificate is None:
            raise LookupError("the sandbox was made without tls=True")
        return self._certificate.ca_file

    # -- faults and observation -----------------------------------------------------------------------------------

    def inject(
        self,
        fault: Fault,
        method: str,
        *,
        count: int | None = 1,
        probability: float = 1.0,
        match: Callable[[dict[str, Any]], bool] | None = None,
    ) -> Injection:
        """Arms a fault of sandbox.faults for calls of `method` (`*` and `tasks.*` match as file names do),
        alone or inside a batch: `count` times (None: until removed), with `probability`, where `match(params)`."""
        return self._faults.inject(fault, method, count=count, probability=probability, match=match)

    def clear_faults(self) -> None:
        self._faults.clear()

    @property
    def requests(self) -> RequestCounts:
        with self.state.lock:
            counts = self._api.counts
            return replace(counts, methods=Counter(counts.methods), commands=Counter(counts.commands))

    @property
    def request_log(self) -> list[LoggedCall]:
        with self.state.lock:
            return list(self._api.log)

    # -- people ---------------------------------------------------------------------------------------------------

    def people(
        self,
        auto_finish_after: float = 1.0,
        answers: Sequence[str | None] = ("ДА",),
        share: float = 1.0,
    ) -> Finisher:
        """Starts people who finish every task `auto_finish_after` seconds after it appears, answering in turn.

        `share` of the tasks only, if below 1. They stop with the sandbox, or by `stop()`.
        """
        for answer in answers:
            if answer is not None and "UF_RESULT_ANSWER" in self.state.user_fields:
                self.state.user_fields.option_id("UF_RESULT_ANSWER", answer)  # a wrong one must fail here
        finisher = Finisher(
            open_tasks=self._open_tasks_after,
            finish=self._finish_if_there,
            changed=self.state.changed,
            clock=time.monotonic,
            delay=auto_finish_after,
            answers=answers,
            share=share,
            seed=random.Random(self._seed).getrandbits(32),
        )
        self._finishers.append(finisher)
        return finisher.start()

    def _open_tasks_after(self, task_id: int) -> Sequence[int]:
        return list(self.state.tasks.ids_after(task_id))

    def _finish_if_there(self, task_id: int, answer: str | None) -> None:
        if task_id in self.state.tasks:
            self.finish(task_id, answer=answer if "UF_RESULT_ANSWER" in self.state.user_fields else None)

    # -- HTTP -----------------------------------------------------------------------------------------------------

    def _serve(self, request: HttpRequest) -> RawAnswer:
        with self.state.lock:
            self._api.counts.http += 1
        try:
            return _json_answer(200, self._answer(request))
        except RestError as refusal:
            return _json_answer(refusal.status, refusal.body, refusal.headers)

    def _answer(self, request: HttpRequest) -> dict[str, Any]:
        if not self.bucket.admit(request.source):
            with self.state.lock:
                self._api.counts.limited += 1
            raise system_error("QUERY_LIMIT_EXCEEDED")
        if self.latency:
            self._front.wait(self.latency)
        method = self._authorised_method(request.path)
        return self._api.answer(method, request_params(request.query, request.body, request.content_type))

    def _answered(self, seconds: float) -> None:
        with self.state.lock:
            self._api.counts.seconds += seconds

    def _authorised_method(self, path: str) -> str:
        parts = path.strip("/").split("/")
        if len(parts) != 4 or parts[0] != "rest":
            raise RestError("ERROR_METHOD_NOT_FOUND", "Method not found!", status=404)
        if self._refusal is not None:
            raise system_error(self._refusal)
        if f"{parts[1]}/{parts[2]}" != self.webhook_token:
            raise system_error("NO_AUTH_FOUND")
        return parts[3].removesuffix(".json")


def _json_answer(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> RawAnswer:
    return RawAnswer(
        status, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), headers=headers or {}
    )
