"""The sandbox as tests, demo and benchmarks see it: a portal with an HTTP address and hands to work it."""

from __future__ import annotations

import json
import random
import secrets
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sandbox.bitrix24.api import Api, LoggedCall, RequestCounts, request_params
from sandbox.bitrix24.clock import Clock
from sandbox.bitrix24.crm_fields import CrmField
from sandbox.bitrix24.desk import Desk
from sandbox.bitrix24.errors import RestError, system_error
from sandbox.bitrix24.hooks import EVENTS, OutgoingWebhook, Webhooks
from sandbox.bitrix24.limits import LeakyBucket, OperatingLimit, OperatingTime, RateLimit
from sandbox.bitrix24.people import DEFAULT_DEPARTMENTS, Department, User
from sandbox.bitrix24.portal import ALL_SCOPES, Portal
from sandbox.bitrix24.userfields import DEFAULT_USER_FIELDS, UserField
from sandbox.finisher import Finisher
from sandbox.http_front import HttpRequest, RawAnswer
from sandbox.http_sandbox import HttpSandbox


class BitrixSandbox(Desk, HttpSandbox):
    """A running local portal.

    `admin=False` gives the webhook to an ordinary user, who creates tasks that it may not read; `rate` and `operating`
    are the limits (none by default), `time_scale` makes their clock run faster; `latency` is seconds per request;
    `crm_fields` are the user fields of each kind of CRM item (1 lead, 2 deal, 3 contact, 4 company);
    `honours_key_filter=False` ignores filters by XML_ID and UF_*; `language` (ru, en) is that of refusals; `tls=True`
    listens with a certificate of its own (`ca_file`).
    """

    def __init__(
        self,
        *,
        users: Iterable[User] | None = None,
        departments: Iterable[Department] = DEFAULT_DEPARTMENTS,
        user_fields: Iterable[UserField] = DEFAULT_USER_FIELDS,
        crm_fields: Mapping[int, Sequence[CrmField]] | None = None,
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
        HttpSandbox.__init__(self, host=host, port=port, tls=tls, seed=seed)
        Desk.__init__(
            self,
            Portal(
                users=users,
                departments=departments,
                user_fields=user_fields,
                crm_fields=crm_fields,
                webhook_user=webhook_user,
                admin=admin,
                scopes=scopes,
                language=language,
                honours_key_filter=honours_key_filter,
            ),
        )
        self.latency = latency
        self.bucket = LeakyBucket(rate, clock)
        self.operating = OperatingTime(operating or OperatingLimit(), clock)
        self._secret = secret or secrets.token_hex(8)
        self._refusal: str | None = None
        self._webhooks: Webhooks | None = None
        self._api = Api(self.state, self._faults, self.operating, self._front.wait, log_size)

    # -- the webhook ----------------------------------------------------------------------------------------------

    def revoke_webhook(self, code: str = "NO_AUTH_FOUND") -> None:
        """Every call is refused with `code`: NO_AUTH_FOUND, expired_token (401), INVALID_CREDENTIALS (403), …"""
        system_error(code)  # a misspelt code must fail here and not in a server thread
        self._refusal = code

    def restore_webhook(self) -> None:
        self._refusal = None

    def replace_webhook(self) -> None:
        """The webhook is deleted, and another one made: `webhook_url` is a new address from now on."""
        self._secret = secrets.token_hex(8)

    @property
    def webhook_token(self) -> str:
        """`1/<secret>`"""
        return f"{self.state.webhook_user}/{self._secret}"

    @property
    def webhook_url(self) -> str:
        return f"{self.base_url}/rest/{self.webhook_token}/"

    # -- outgoing webhooks ----------------------------------------------------------------------------------------

    def tell(self, url: str, events: Collection[str] = EVENTS, *, delay: float = 0.0) -> OutgoingWebhook:
        """An administrator makes an outgoing webhook; its `token` is shown to him. `delay` in seconds."""
        hook = OutgoingWebhook(url, events, delay)
        with self.state.lock:
            self._webhooks = self._webhooks or Webhooks(self.address)
            self._webhooks.hooks.append(hook)
            self.state.tasks.on_event = self._webhooks.tell
        return hook

    @property
    def webhooks(self) -> list[OutgoingWebhook]:
        """Those that there are; an administrator may take one away."""
        return [] if self._webhooks is None else self._webhooks.hooks

    @property
    def hooks_sent(self) -> int:
        return 0 if self._webhooks is None else self._webhooks.sender.sent

    def stop(self) -> None:
        super().stop()
        if self._webhooks is not None:
            self._webhooks.sender.stop()

    # -- observation -----------------------------------------------------------------------------------

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
