"""What stands before all operations: the request's id, the token, the size of what is sent."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem, answer_of
from api.tokens import HOLDER, Tokens
from core.texts import Text

PREFIX = "/api/"  # what needs a token
MOST_SENT = 1 << 20  # bytes of a request's body
PATIENCE = 30.0  # seconds in which a body must have come

_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_SAFE = {"GET", "HEAD", "OPTIONS"}
_NO_TOKEN = Text("a bearer token is wanted", "нужен токен: Authorization: Bearer …")
_WRONG_TOKEN = Text("nobody has this token", "такого токена нет")
_TOO_LARGE = Text(f"more than {MOST_SENT} bytes", f"больше {MOST_SENT} байт")
_TOO_SLOW = Text(f"the body did not come within {PATIENCE:g} s", f"тело запроса не пришло за {PATIENCE:g} с")


class Front:
    """Middleware around the whole application."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            self._admit(scope, headers)
            told = receive if scope["method"] in _SAFE else await _received(headers, receive)
        except Problem as problem:
            answer = answer_of(headers, scope["path"], request_id, problem)
            await answer(scope, receive, send_with_id)
            return
        await self._app(scope, told, send_with_id)

    def _admit(self, scope: MutableMapping[str, Any], headers: Headers) -> None:
        if not scope["path"].startswith(PREFIX):
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Problem(401, "no-token", _NO_TOKEN)
        holder = self._tokens.holder_of(token.strip().encode("latin-1"))
        if holder is None:
            raise Problem(401, "wrong-token", _WRONG_TOKEN)
        scope["state"][HOLDER] = holder


async def _received(headers: Headers, receive: Receive) -> Receive:
    """Return what hands on the body, which has been received whole. Raises Problem."""
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > MOST_SENT:
        raise Problem(413, "too-large", _TOO_LARGE)
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    break
                body += message.get("body", b"")
                if len(body) > MOST_SENT:
                    raise Problem(413, "too-large", _TOO_LARGE)
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise Problem(408, "too-slow", _TOO_SLOW) from None
    is_told = False

    async def told() -> Message:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return told
