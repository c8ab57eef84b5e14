"""Calls methods of one portal through its incoming webhook: limits kept, codes turned into outcomes.

The body is read before the HTTP status is judged, since the portal sends its codes with 4xx and 5xx
(error-codes.md). Everything goes as JSON by POST (data-encoding.md).
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from consumers.bitrix.batch import BATCH_LIMIT, Answer, Command, command_keys, moment_of, number_of, section
from consumers.bitrix.config import BitrixSettings
from consumers.bitrix.errors import (
    OPERATION_TIME_LIMIT,
    QUERY_LIMIT_EXCEEDED,
    UnclearAnswerError,
    outcome_of,
)
from consumers.bitrix.limiter import Limiter, shared_limiter
from core.errors import (
    AmbiguousError,
    ConfigurationError,
    NotConfiguredError,
    OutageError,
    OutcomeError,
    StoppingError,
    TransientError,
)
from core.request_figures import RequestFigures
from core.texts import Text
from toolkit.http import Guard, HttpAnswer, unguarded

_LONGEST_PAUSE = 60.0  # seconds between two tries after QUERY_LIMIT_EXCEEDED
_PRECEDENCE = 0.001  # seconds in which the thread that gets the slot sends its request before this one reads its answer
_LONGEST_NUMBER = 18  # digits; Python refuses texts of more than 4,300


class Turn(ExitStack):
    """A slot and a place in the bucket, for one request. Closing it frees the slot."""


@dataclass(frozen=True, slots=True)
class BatchReply:
    """A batch's reply: one outcome for each command, in their order, and the seconds that the portal worked on them."""

    outcomes: list[Answer | OutcomeError]
    seconds: float


class BitrixClient:
    """A client of one portal, usable from any thread.

    `first_pause` and `patience` (seconds) rule the waits for the bucket.
    """

    def __init__(
        self,
        settings: BitrixSettings,
        stop: threading.Event,
        *,
        limiter: Limiter | None = None,
        first_pause: float = 1.0,
        patience: float = 180.0,
    ) -> None:
        if settings.webhook_url is None or not settings.webhook_url.get_secret_value():
            raise NotConfiguredError(variable="BITRIX_WEBHOOK_URL")
        self._webhook = settings.webhook_url
        self._stop = stop
        self._first_pause = first_pause
        self._patience = patience
        self.limiter = limiter or shared_limiter(urlsplit(self._base()).netloc, settings)
        self._http = settings.http_client("Bitrix24")
        # To be held by a thread of the handler while it asks the portal: bounds how many do at once.
        self.slots: AbstractContextManager[object] = contextlib.nullcontext()
        self._lock = threading.Lock()
        self._stats = {"requests": 0, "refused_by_limit": 0}

    def call(
        self, method: str, params: Mapping[str, Any] | None = None, *, write: bool = False, guard: Guard = unguarded
    ) -> Answer:
        """Call one method. Raises the outcome that its error code stands for; StoppingError when asked to stop."""
        body = self._post(method, params or {}, {method}, write=write, guard=guard)
        self.limiter.note(method, body.get("time"))
        asked_at = moment_of(section(body, "time").get("date_start"))
        return Answer(body["result"], _int(body.get("next")), _int(body.get("total")), asked_at)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Wait for a slot and until the bucket lets one request through, which is then made by `batch(…, turn=…)`.

        A request that is composed only when its turn has come can carry what has arrived meanwhile. The slot is free
        again as soon as the answer is there, so that the next request need not wait until this one's is read.
        """
        with Turn() as turn:
            turn.enter_context(self.slots)
            self._http.figures.throttled(self.limiter.wait_for_place(self._stop))
            yield turn

    def batch(self, commands: Sequence[Command], *, turn: Turn | None = None) -> BatchReply:
        """Run the commands in as few requests as possible, each independently of the others.

        Never raises an outcome: a request that fails as a whole is the outcome of each of its commands (for a read
        inside an ambiguous batch: Outage). A command whose text the portal would rewrite goes alone. The guard of one
        command keeps the whole request from being sent.
        """
        outcomes: dict[int, Answer | OutcomeError] = {}
        seconds = 0.0
        fitting = [index for index, command in enumerate(commands) if command.fits_batch]
        for start in range(0, len(fitting), BATCH_LIMIT):
            chosen = fitting[start : start + BATCH_LIMIT]
            answers, took = self._batch_request([commands[index] for index in chosen], turn if start == 0 else None)
            seconds += took
            outcomes.update(zip(chosen, answers, strict=True))
        for index, command in enumerate(commands):
            if index not in outcomes:
                outcomes[index] = self._single(command)
        return BatchReply([outcomes[index] for index in range(len(commands))], seconds)

    def _base(self) -> str:
        """Return the webhook as it is now: the file that it stands in may hold a new one."""
        return self._webhook.get_secret_value().rstrip("/")

    @property
    def figures(self) -> Sequence[RequestFigures]:
        """What became of the requests."""
        return (self._http.figures,)

    @property
    def portal(self) -> str:
        """The address of the portal for people, without the webhook."""
        parts = urlsplit(self._base())
        return f"{parts.scheme}://{parts.netloc}"

    def stats(self) -> dict[str, Any]:
        with self._lock:
            return {**self._stats, "limit_waits_seconds": round(self.limiter.waited, 1)}

    def _single(self, command: Command) -> Answer | OutcomeError:
        try:
            return self.call(command.method, command.params, write=command.write, guard=command.guard)
        except OutcomeError as error:
            return error

    def _batch_request(
        self, commands: Sequence[Command], turn: Turn | None
    ) -> tuple[list[Answer | OutcomeError], float]:
        keys = command_keys(len(commands))
        payload = {"halt": 0, "cmd": {key: command.encoded for key, command in zip(keys, commands, strict=True)}}
        write = any(command.write for command in commands)
        guards = {command.guard for command in commands}

        def guard() -> None:
            for each in guards:
                each()

        began = time.monotonic()
        try:
            methods = {command.method for command in commands}
            body = self._post("batch", payload, methods, write=write, guard=guard, turn=turn)
            reply = body["result"]
            if not isinstance(reply, Mapping):
                text = Text(
                    "Bitrix24 answered a batch without its results", "Bitrix24: в ответе на batch нет результатов"
                )
                raise AmbiguousError(text, code="batch_shape")
        except OutcomeError as error:
            return [_for_command(error, command) for command in commands], time.monotonic() - began
        for key, command in zip(keys, commands, strict=True):
            self.limiter.note(command.method, section(reply, "result_time").get(key))
        times = body.get("time")
        seconds = number_of(times.get("duration")) if isinstance(times, Mapping) else None
        return [self._pick(reply, *pair) for pair in zip(keys, commands, strict=True)], seconds or 0.0

    def _pick(self, reply: Mapping[str, Any], key: str, command: Command) -> Answer | OutcomeError:
        error = section(reply, "result_error").get(key)
        if error is not None:
            details = error if isinstance(error, Mapping) else {"error": "", "error_description": error}
            return self._refusal(details, command.method, write=command.write, status=None)
        results = section(reply, "result")
        if key in results:
            return Answer(results[key], _int(section(reply, "result_next").get(key)))
        text = Text(
            f"Bitrix24 left {command.method} out of its answer to a batch",
            f"Bitrix24: в ответе на batch нет результата {command.method}",
        )
        return (AmbiguousError if command.write else TransientError)(text, code="batch_command_missing")

    def _post(
        self,
        method: str,
        params: Mapping[str, Any],
        gated: set[str],
        *,
        write: bool,
        guard: Guard,
        turn: Turn | None = None,
    ) -> dict[str, Any]:
        """Send one request.

        Repeat it only while the portal refuses it for its rate, which means it was not executed.
        """
        pause, gives_up_at = self._first_pause, time.monotonic() + self._patience
        while True:
            self._http.figures.throttled(self.limiter.acquire(gated, self._stop, has_place=turn is not None))
            with self._lock:
                self._stats["requests"] += 1
            answer = self._http.post_json(f"{self._base()}/{method}", params, write=write, guard=guard)
            if turn is not None:
                turn.close()
                turn = None
                time.sleep(_PRECEDENCE)
            body = answer.json_object() or {}
            if str(body.get("error", "")).lower() != QUERY_LIMIT_EXCEEDED:
                self.limiter.accepted()
                return self._judged(answer, body, method, write=write)
            self.limiter.refused()
            with self._lock:
                self._stats["refused_by_limit"] += 1
            if time.monotonic() + pause > gives_up_at:
                text = Text(
                    "Bitrix24 keeps refusing requests as too many: other programs of this address use up its limit",
                    "Bitrix24 всё время отвечает, что запросов слишком много: лимит этого адреса расходуют другие "
                    "программы",
                )
                raise OutageError(text, code=QUERY_LIMIT_EXCEEDED, retry_after=_LONGEST_PAUSE)
            wait = pause * random.uniform(0.5, 1.0)
            if self._stop.wait(wait):
                raise StoppingError
            self._http.figures.throttled(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _judged(self, answer: HttpAnswer, body: dict[str, Any], method: str, *, write: bool) -> dict[str, Any]:
        if "error" in body:
            raise self._refusal(body, method, write=write, status=answer.status, told=answer.retry_after)
        if answer.status == 200 and "result" in body:
            return body
        if answer.status in {401, 403, 404}:
            text = Text(
                f"Bitrix24 answered HTTP {answer.status} without a reason: check BITRIX_WEBHOOK_URL",
                f"Bitrix24 отвечает HTTP {answer.status} без объяснений: проверьте BITRIX_WEBHOOK_URL",
            )
            raise ConfigurationError(text, code=f"http_{answer.status}")
        # A proxy's 502 or 504, or a page in HTML: behind it the method may be running still.
        text = Text(
            f"Bitrix24 gave no usable answer to {method} (HTTP {answer.status})",
            f"Bitrix24: ответ на {method} использовать нельзя (HTTP {answer.status})",
        )
        raise (AmbiguousError if write else OutageError)(text, code=f"http_{answer.status}")

    def _refusal(
        self, details: Mapping[str, Any], method: str, *, write: bool, status: int | None, told: float | None = None
    ) -> OutcomeError:
        code = details.get("error")
        # An error text may quote the request, and with it the webhook.
        text = str(details.get("error_description") or "").replace(self._base().rsplit("/", 1)[-1], "***")
        error = outcome_of(code, text, method=method, write=write, status=status)
        if str(code).lower() == OPERATION_TIME_LIMIT:
            error.retry_after = self.limiter.close(method, told)
        elif told is not None:
            error.retry_after = told
        return error


def _for_command(error: OutcomeError, command: Command) -> OutcomeError:
    if command.write or not isinstance(error, AmbiguousError):
        return error
    lost = TransientError if isinstance(error, UnclearAnswerError) else OutageError
    return lost(error.text, code=error.code, retry_after=error.retry_after)


def _int(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isdecimal() and len(value) <= _LONGEST_NUMBER else None
    return int(value) if isinstance(value, int) else None
