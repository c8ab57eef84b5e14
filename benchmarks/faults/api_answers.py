"""Asks the API of each worker all that it answers: nothing of that may hold a secret."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from urllib.parse import quote

import requests

from api.app import make_app
from api.tokens import Holder, Tokens
from assembly.startup import read_configuration
from benchmarks.faults.stage import Stage
from benchmarks.faults.worker import Worker
from operation.desk import Desk
from testbench.api_served import served

TOKEN = "of-the-faults"  # noqa: S105 - nobody but this module can use it
PATIENCE = 60.0  # seconds
MOST = 10  # messages that are asked about one by one
_TOKENS = Tokens([Holder("faults", "operator", hashlib.sha256(TOKEN.encode()).digest())])
_PLACES = (
    "/metrics",
    "/readyz?verbose",
    "/api/v1/status",
    "/api/v1/messages?limit=200",
    "/api/v1/events?limit=200",
    "/api/v1/errors/groups",
    "/api/v1/errors/export",
    "/api/v1/config",
    "/api/v1/trace?q=nowhere",
)
_OF_ONE = ("", "/events", "/trace", "/bundle", "/failure")


def api_answers_of(stage: Stage) -> str:
    """Return what the API answers for every worker, also where that is a problem."""
    return "\n".join(answer for worker in stage.workers for answer in _answers(worker))


def _answers(worker: Worker) -> Iterator[str]:
    startup = read_configuration(worker.variables, worker.folder / ".env")
    desk = Desk(startup.settings, startup.secrets.mask, startup.handlers)
    try:
        with served(make_app(desk, _TOKENS)) as base, requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {TOKEN}"
            for place in _PLACES:
                yield session.get(base + place, timeout=PATIENCE).text
            known = session.get(f"{base}/api/v1/messages?limit={MOST}", timeout=PATIENCE).json().get("items", ())
            for message in known:
                for part in _OF_ONE:
                    place = f"/api/v1/messages/{quote(message['id'], safe='')}{part}"
                    answer = session.get(base + place, timeout=PATIENCE)
                    yield _unpacked(answer.content) if part == "/bundle" and answer.ok else answer.text
    finally:
        desk.close()


def _unpacked(content: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return "\n".join(packed.read(name).decode("utf-8", "replace") for name in packed.namelist())
