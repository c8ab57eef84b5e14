"""A POST with an `Idempotency-Key` is done once: whoever sends it again gets the answer of the first time.

As in draft-ietf-httpapi-idempotency-key-header-07. Answers are kept in memory, for a day at the most; only what was
done is kept, since what was refused may be tried again under the same key.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header, Request, Response
from fastapi.routing import APIRoute
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from api.problems import Problem
from api.tokens import HOLDER
from core.texts import Text

HEADER = "Idempotency-Key"
PATTERN = r"^[!-~]{8,255}$"
KEPT = 86_400.0  # seconds
MOST = 10_000  # answers
MOST_BYTES = 16 << 20

Key = Annotated[
    Annotated[str, Field(pattern=PATTERN)] | SkipJsonSchema[None],
    Header(
        alias=HEADER,
        description="the same key with the same body gets the answer of the first time, for 24 hours",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]
_KEY = re.compile(PATTERN)
_OTHER = Text("this Idempotency-Key was used for another request", "этот Idempotency-Key уже был у другого запроса")
_RUNNING = Text(
    "the first request with this Idempotency-Key is still running",
    "первый запрос с этим Idempotency-Key ещё выполняется",
)


@dataclass(slots=True)
class _Kept:
    """`answer` is None while the request runs."""

    body: bytes  # SHA-256
    at: float
    answer: tuple[int, dict[str, str], bytes] | None = None


class Answers:
    """The answers that were given. For one thread, the loop's."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    def begin(self, key: str, body: bytes) -> Response | None:
        """Return the answer that was given; None: none was, and the request is begun. Raises Problem."""
        digest, now = hashlib.sha256(body).digest(), time.monotonic()
        self._forget(now)
        kept = self._kept.get(key)
        if kept is None:
            self._kept[key] = _Kept(digest, now)
            return None
        if kept.body != digest:
            raise Problem(422, "key-of-another-request", _OTHER)
        if kept.answer is None:
            raise Problem(409, "still-running", _RUNNING)
        status, headers, content = kept.answer
        return Response(content, status, headers)

    def end(self, key: str, response: Response | None) -> None:
        """Keep the answer of what was done; None: it was not."""
        if response is None or not 200 <= response.status_code < 300:
            del self._kept[key]
            return
        content = bytes(response.body)
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        self._kept[key].answer = (response.status_code, headers, content)
        self._bytes += len(content)

    def _forget(self, now: float) -> None:
        for key, kept in list(self._kept.items()):
            is_over = now - kept.at > KEPT or len(self._kept) >= MOST or self._bytes > MOST_BYTES
            if not is_over:
                return
            if kept.answer is not None:
                self._bytes -= len(kept.answer[2])
                del self._kept[key]


def route_class(answers: Answers) -> type[APIRoute]:
    """Return the class of the routes whose requests may have a key."""

    class OnceRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def once(request: Request) -> Response:
                given = request.headers.get(HEADER, "")
                if request.method != "POST" or not _KEY.fullmatch(given):
                    return await handle(request)
                key = f"{request.scope['state'][HOLDER].name} {request.url.path} {given}"
                if (answer := answers.begin(key, await request.body())) is not None:
                    return answer
                done: Response | None = None
                try:
                    done = await handle(request)
                finally:
                    answers.end(key, done)
                return done

            return once

    return OnceRoute
