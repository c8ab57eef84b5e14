"""Serves the API until it is told to stop."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable

import uvicorn

from api.app import make_app
from api.settings import ApiSettings
from api.tokens import Tokens
from operation.desk import Desk

MOST_AT_ONCE = 200  # connections and requests; more are refused at once
STOPPING = 10  # seconds for the requests that are running


def serve(desk: Desk, told: ApiSettings, tokens: Tokens) -> bool:
    """Return whether it was served: an address that is taken cannot be. For the main thread."""
    _log_to_stderr(desk.mask)
    config = uvicorn.Config(
        make_app(desk, tokens),
        host=told.host,
        port=told.port,
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_AT_ONCE,
        timeout_graceful_shutdown=STOPPING,
        http="h11",
        ws="none",
        loop="asyncio",
    )
    server = uvicorn.Server(config)
    # uvicorn has handlers of its own while it serves, and raises the signal once more for this one when it has ended.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    try:
        server.run()
    except SystemExit:  # it has said why
        return False
    return server.started


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
