"""The API served by a thread of the test, and a client of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from api.app import make_app
from api.tokens import Holder, Role, Tokens
from assembly.startup import read_configuration
from core.events.base import Event
from journal.opening import open_store
from journal.settings import JournalSettings
from operation.desk import Desk
from testbench.api_served import served
from testbench.harness import wait_until
from tests.journal.support import NOON, batch

PASSWORD = "s3cret-of-the-broker"
OPERATOR, VIEWER = "operator-0123456789", "viewer-0123456789"
TIMEOUT = 60.0  # seconds


def holder(name: str, role: Role, token: str) -> Holder:
    return Holder(name, role, hashlib.sha256(token.encode()).digest())


TOKENS = Tokens([holder("ops", "operator", OPERATOR), holder("guest", "viewer", VIEWER)])


class Client:
    """Speaks to an API; `client.get("/api/v1/status")`."""

    def __init__(self, base: str, token: str | None = OPERATOR) -> None:
        self.base = base
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Connection"] = "close"  # nobody closes a client: none of its sockets may stay
        if token is not None:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, **told: Any) -> requests.Response:
        return self._session.request(method, self.base + path, timeout=TIMEOUT, **told)

    def is_there(self) -> bool:
        """Whether the API answers at all."""
        try:
            return self.ask("GET", "/livez").status_code == 200
        except requests.RequestException:
            return False

    def get(self, path: str, **told: Any) -> Any:
        """The answer of what has to succeed."""
        answer = self.ask("GET", path, **told)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait_for_job(self, place: str) -> Mapping[str, Any]:
        """The job when it has ended."""
        wait_until(lambda: self.get(place)["finished"] is not None, TIMEOUT, f"the end of {place}")
        job: Mapping[str, Any] = self.get(place)
        return job


@contextmanager
def desk_in(folder: Path, more: Mapping[str, str] | None = None) -> Iterator[Desk]:
    """A desk without RabbitMQ."""
    environ = {
        "RABBITMQ_HOST": "127.0.0.1",
        "RABBITMQ_PORT": "1",
        "RABBITMQ_PASSWORD": PASSWORD,
        "STATE_DIR": str(folder / "state"),
        "LOG_DIR": str(folder / "logs"),
        **(more or {}),
    }
    (folder / "state").mkdir(parents=True)
    startup = read_configuration(environ, folder / ".env")
    desk = Desk(startup.settings, startup.secrets.mask)
    yield desk
    desk.close()


@contextmanager
def serving(desk: Desk, **options: Any) -> Iterator[Client]:
    with served(make_app(desk, TOKENS, **options)) as base:
        yield Client(base)


def journalled(desk: Desk, events: Sequence[Event], start: float = NOON) -> None:
    """Write into the journal what a worker would tell it."""
    store = open_store(desk.settings.for_system(JournalSettings))
    try:
        store.open()
        store.write(batch(*events, start=start))
        while store.index(1000):
            time.sleep(0)
    finally:
        store.close()
