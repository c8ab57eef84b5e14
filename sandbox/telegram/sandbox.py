"""The sandbox as tests and demo see it: a Bot API with an HTTP address, and chats that things happen to."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.http_front import HttpRequest, RawAnswer
from sandbox.http_sandbox import HttpSandbox
from sandbox.telegram.api import answer
from sandbox.telegram.errors import ApiError
from sandbox.telegram.flood import Flood, FloodLimits
from sandbox.telegram.params import read_params
from sandbox.telegram.state import CHATS, Chat, Message, State

_PATH = re.compile(r"/bot([0-9]+:[A-Za-z0-9_-]+)/([A-Za-z]+)")


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """`status` is None when the connection was dropped or something else answered."""

    method: str
    params: dict[str, Any]
    status: int | None


class TelegramSandbox(HttpSandbox):
    """A running local Bot API with one bot. Faults are for its methods (`sendMessage`) and are given the parameters."""

    def __init__(
        self,
        *,
        chats: Iterable[Chat] = CHATS,
        limits: FloodLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        latency: float = 0.0,
        seed: int = 0,
        log_size: int = 10_000,
        token: str | None = None,
    ) -> None:
        self.state = State(chats)
        super().__init__(host=host, port=port, tls=tls, seed=seed, changed=self.state.changed)
        self.flood = Flood(limits or FloodLimits(), clock)
        self.latency = latency
        self.token = token or f"110201543:{secrets.token_hex(17)}"
        self.log: deque[LoggedRequest] = deque(maxlen=log_size)
        self.requests = 0
        self._revoked = False

    def revoke_token(self) -> None:
        self._revoked = True

    def restore_token(self) -> None:
        self._revoked = False

    # -- chats ----------------------------------------------------------------------------------------------------

    @property
    def messages(self) -> list[Message]:
        with self.state.lock:
            return list(self.state.messages)

    def texts(self, chat_id: int) -> list[str]:
        """What stands in a chat, the oldest first."""
        return [each.text for each in self.messages if each.chat_id == chat_id]

    def by_task(self, pattern: str) -> dict[str, list[Message]]:
        """Messages under the Camunda task id that `pattern` finds in their text; two under one were sent twice."""
        found: defaultdict[str, list[Message]] = defaultdict(list)
        for each in self.messages:
            if match := re.search(pattern, each.text):
                found[match[0]].append(each)
        return dict(found)

    def add_chat(self, chat: Chat) -> None:
        with self.state.lock:
            self.state.add(chat)

    def set_state(self, chat_id: int, state: str) -> None:
        """`blocked`, `kicked`, … (sandbox.telegram.state.REFUSALS), or empty for a chat that takes messages."""
        with self.state.lock:
            self.state.chats[chat_id].state = state

    def migrate(self, chat_id: int, to: int) -> None:
        """The group becomes a supergroup."""
        with self.state.lock:
            old = self.state.chats[chat_id]
            old.migrated_to = to
            self.state.add(Chat(to, "supergroup", old.name))

    # -- HTTP -----------------------------------------------------------------------------------------------------

    def _serve(self, request: HttpRequest) -> RawAnswer:
        status: int | None = None
        found = _PATH.fullmatch(request.path)
        params: dict[str, Any] = {}
        try:
            if self.latency:
                self._front.wait(self.latency)
            try:
                params = read_params(request)
                made = _json(200, {"ok": True, "result": self._result(found, params)})
            except ApiError as error:
                made = _json(error.code, error.body)
            status = made.status
        finally:
            with self.state.lock:
                self.requests += 1
                self.log.append(LoggedRequest(found[2] if found else "", params, status))
                self.state.changed.notify_all()
        return made

    def _result(self, found: re.Match[str] | None, params: dict[str, Any]) -> dict[str, Any]:
        if found is None:
            raise ApiError(404, "Not Found")
        if found[1] != self.token or self._revoked:
            raise ApiError(401, "Unauthorized")
        drawn = self._faults.draw(found[2].lower(), params)
        self._strike(drawn, after_execution=False)
        with self.state.lock:
            result = answer(self.state, self.flood, found[2], params)
        self._strike(drawn, after_execution=True)
        return result


def _json(status: int, body: dict[str, Any]) -> RawAnswer:
    return RawAnswer(status, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), "application/json")
