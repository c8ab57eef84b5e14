"""A client of the Bot API over HTTP: one request, one result or one outcome.

core.telegram.org/bots/api#making-requests
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from consumers.telegram.config import TelegramSettings
from consumers.telegram.errors import FloodError, outcome_of
from core.errors import AmbiguousError, NotConfiguredError, OutageError, StoppingError
from core.request_figures import RequestFigures
from core.texts import Text
from toolkit.http import Guard, HttpAnswer, unguarded

Json = dict[str, Any]


class TelegramClient:
    """A client of one bot, usable from any thread.

    The token is part of every address, which no text raised here contains.
    """

    def __init__(self, settings: TelegramSettings, stop: threading.Event) -> None:
        """Raise NotConfiguredError when TELEGRAM_BOT_TOKEN is empty."""
        if settings.bot_token is None:
            raise NotConfiguredError(variable="TELEGRAM_BOT_TOKEN")
        self._api_url, self._token = settings.api_url, settings.bot_token
        self._stop = stop
        proxy = settings.proxy
        self._http = (
            settings.http_client("Telegram")
            if proxy is None
            else settings.http_client("Telegram", proxy=proxy.get_secret_value)
        )
        self._lock = threading.Lock()
        self._requests = 0

    def throttled(self, seconds: float) -> None:
        """Count seconds in which a chat's turn was waited for."""
        self._http.figures.throttled(seconds)

    def get_me(self) -> Json:
        """Return the bot itself. Raises OutageError or ConfigurationError."""
        self._count()
        try:
            return self._result("getMe", self._http.send("GET", f"{self._root()}/getMe", write=False), write=False)
        except FloodError as flood:
            raise OutageError(flood.text, code=flood.code, retry_after=flood.retry_after) from None

    def send_message(self, parameters: Json, guard: Guard = unguarded) -> Json:
        """Return the message as it was sent. Raises an outcome, AmbiguousError when it may have been sent.

        `guard` is asked at the last moment (HttpClient.send).
        """
        self._count()
        answer = self._http.post_json(f"{self._root()}/sendMessage", parameters, write=True, guard=guard)
        return self._result("sendMessage", answer, write=True)

    @property
    def figures(self) -> Sequence[RequestFigures]:
        """What became of the requests."""
        return (self._http.figures,)

    def stats(self) -> dict[str, Any]:
        with self._lock:
            return {"requests": self._requests}

    def _root(self) -> str:
        return f"{self._api_url}/bot{self._token.get_secret_value()}"

    def _count(self) -> None:
        if self._stop.is_set():
            raise StoppingError
        with self._lock:
            self._requests += 1

    @staticmethod
    def _result(method: str, answer: HttpAnswer, *, write: bool) -> Json:
        body = answer.json_object()
        if body is not None and body.get("ok") is True and isinstance(body.get("result"), dict):
            result: Json = body["result"]
            return result
        if not 200 <= answer.status < 300 or (body or {}).get("ok") is False:
            raise outcome_of(answer.status, body, what=method, write=write, retry_after=answer.retry_after)
        if answer.body.lstrip()[:1] == b"<":
            text = Text(
                f"A page in HTML came instead of Telegram's answer to {method}: a proxy's or a filter's",
                f"Вместо ответа Telegram на {method} пришла страница HTML: от прокси или фильтра",
            )
            raise OutageError(text, code="html")
        text = Text(
            f"Telegram gave no usable answer to {method} (HTTP {answer.status})",
            f"Telegram: ответ на {method} использовать нельзя (HTTP {answer.status})",
        )
        raise (AmbiguousError if write else OutageError)(text, code="no_json")
