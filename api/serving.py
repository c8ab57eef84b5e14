"""Serves the API until it is told to stop."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.app import make_app
from api.event_stream import ABORT
from api.settings import ApiSettings
from api.tokens import Tokens
from operation.desk import Desk

MOST_AT_ONCE = 200  # connections and requests beside the streams of events, which are long; more are refused at once
STOPPING = 10  # seconds for the requests that are running


def serve(desk: Desk, told: ApiSettings, tokens: Tokens) -> bool:
    """Return whether it was served: an address that is taken cannot be. For the main thread."""
    _log_to_stderr(desk.mask)
    server = make_server(make_app(desk, tokens), told.host, told.port)
    # uvicorn has handlers of its own while it serves, and raises the signal once more for this one when it has ended.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    try:
        server.run()
    except SystemExit:  # it has said why
        return False
    return server.started


def make_server(app: FastAPI, host: str, port: int) -> uvicorn.Server:
    """Return what serves the application, and ends its streams before it waits for what is running."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_AT_ONCE + app.state.streams.pace.streams,
        timeout_graceful_shutdown=STOPPING,
        http=_Protocol,
        ws="none",
        loop="asyncio",
    )
    return _Server(config, app.state.streams.end)


class _Server(uvicorn.Server):
    """uvicorn waits for streams, which do not end by themselves, and tells the application afterwards."""

    def __init__(self, config: uvicorn.Config, before_waiting: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_waiting = before_waiting

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_waiting()
        await super().shutdown(sockets)


class _Protocol(H11Protocol):
    """Lets the application end a connection whose client takes nothing: closing it would wait for the client."""

    def __init__(self, *told: Any, **named: Any) -> None:
        super().__init__(*told, **named)
        app = self.app

        async def with_abort(scope: Scope, receive: Receive, send: Send) -> None:
            extensions = {**scope.get("extensions", {}), ABORT: self.transport.abort}
            await app({**scope, "extensions": extensions}, receive, send)

        self.app = with_abort


class _Masking(logging.Formatter):
    """A line without a secret, also where it is a traceback's."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        return self._mask(super().format(record))


def _log_to_stderr(mask: Callable[[str], str]) -> None:
    """Log to stderr alone: the files are the worker's."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Masking(mask))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # its attempts are told in the answers
