"""A worker with a portal, RabbitMQ and the API, and somebody who types commands and makes calls."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from core.events.base import Event, Identity
from core.events.messages import MessageReceived, TaskAccepted, TaskCompleted
from core.texts import Language
from journal.entries import Batch
from journal.opening import open_store
from journal.settings import JournalSettings
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox, User
from sandbox.broker_view import Broker
from sandbox.process import ROOT
from testbench.api import Api
from testbench.daemon import Daemon
from testbench.harness import camunda_message, wait_until

INPUT, ERRORS = "bitrix24.queue", "errors.camunda_tasks.queue"
TOKEN = "of-the-questions-0123456789"  # noqa: S105 - of an API on loopback that lives for a minute
NEWCOMER = 77  # an employee whom the portal does not know at first
YEAR = 365 * 86_400.0  # seconds
PATIENCE = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Told:
    """What was asked, how long it took (seconds), how it ended, and what was answered."""

    asked: str
    seconds: float
    ended: str
    answer: str


@dataclass(slots=True)
class Scene:
    """`numbers` by Camunda task id: that of the task in the portal."""

    lang: Language
    broker: Broker
    portal: BitrixSandbox
    base: str
    environ: Mapping[str, str]
    folder: Path
    numbers: dict[str, str] = field(default_factory=dict)

    def command(self, *words: str, editor: str | None = None) -> Told:
        environ = {**self.environ, "LC_ALL": f"{self.lang}.UTF-8"} | ({} if editor is None else {"EDITOR": editor})
        began = time.monotonic()
        done = subprocess.run(
            (sys.executable, str(ROOT / "main.py"), *words),
            env=environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        seconds = time.monotonic() - began
        typed = " ".join(f'"{word}"' if " " in word else word for word in words)
        said = (done.stdout + done.stderr).replace(str(self.folder), "…")
        return Told(f"main.py {typed}", seconds, str(done.returncode), said)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Told:
        began = time.monotonic()
        answer = requests.request(
            method,
            self.base + path,
            json=body,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=PATIENCE,
            proxies={"http": ""},
        )
        seconds = time.monotonic() - began
        said = f"{method} {path}" + ("" if body is None else f" {json.dumps(body, ensure_ascii=False)}")
        return Told(said, seconds, str(answer.status_code), _as_text(answer))

    def job(self, method: str, path: str, body: Mapping[str, Any]) -> Told:
        """A call that begins a job, with its end."""
        begun = self.call(method, path, body)
        place = f"/api/v1/retries/{json.loads(begun.answer)['id']}"
        began = time.monotonic()
        while json.loads((ended := self.call("GET", place)).answer)["finished"] is None:
            if time.monotonic() - began > PATIENCE:
                raise TimeoutError(f"{place} has no end")
            time.sleep(0.1)
        seconds = begun.seconds + time.monotonic() - began
        return Told(f"{begun.asked}, GET {{Location}}", seconds, f"{begun.ended}, {ended.ended}", ended.answer)

    def publish(self, task_id: str, title: str, business_key: str, *, responsible: int = 1) -> None:
        inputs = {"title": title, "responsible_id": str(responsible)}
        metadata = {"inputParameters": inputs, "extensionProperties": {}, "activityInfo": {}}
        self.broker.publish(INPUT, camunda_message(task_id, metadata=metadata, business_key=business_key))

    def wait_for(self, task_id: str, state: str) -> Mapping[str, Any]:
        found: dict[str, Any] = {}

        def is_there() -> bool:
            answer = self.call("GET", f"/api/v1/messages/{task_id}")
            found.update(json.loads(answer.answer))
            return found.get("state") == state

        wait_until(is_there, PATIENCE, f"{task_id} is {state}")
        self.numbers[task_id] = found["external_id"]
        return found

    def hire(self) -> None:
        self.portal.state.users[NEWCOMER] = User(NEWCOMER, "Новая", "Сотрудница")

    def dismiss(self) -> None:
        self.portal.state.users.pop(NEWCOMER, None)


@contextmanager
def scene(address: BrokerAddress, folder: Path, lang: Language) -> Iterator[Scene]:
    """The stage, with a task in the journal that was finished a year ago."""
    with ExitStack() as stack:
        portal = stack.enter_context(BitrixSandbox())
        broker = Broker(address)
        broker.declare(INPUT)
        variables = {
            "BITRIX_WEBHOOK_URL": portal.webhook_url,
            "HEARTBEAT_INTERVAL": "20",  # nothing is found out before somebody asks
            "API_TOKEN_OPERATOR": TOKEN,
        }
        _remember(folder / "state")
        stack.enter_context(Daemon(address, folder, variables))
        environ = {
            **address.environment(),
            **variables,
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "STATE_DIR": str(folder / "state"),
            "LOG_DIR": str(folder / "logs"),
            "COLUMNS": "150",
            "TZ": "Europe/Moscow",
        }
        api = stack.enter_context(Api(folder / "api", environ))
        told = Scene(lang, broker, portal, api.url, environ, folder)
        wait_until(lambda: _is_ready(told), PATIENCE, "the worker and the API")
        yield told


def _is_ready(told: Scene) -> bool:
    try:
        return told.call("GET", "/readyz").ended == "200"
    except requests.ConnectionError:
        return False


def _remember(state_dir: Path) -> None:
    """Write into the journal what a worker has told it a year ago."""
    state_dir.mkdir(parents=True)
    began = time.time() - YEAR
    old = Identity(INPUT, "bitrix24", "task-of-last-year", "process-of-last-year", "bitrix_create_task", 1, "4711")
    events: list[Event] = [
        MessageReceived(old, False, "Согласовать договор 17", "ORD-17"),
        TaskAccepted(old, created=True, stored=True),
        TaskCompleted(old),
    ]
    batch = Batch()
    for hours, event in enumerate(events):
        batch.add(began + hours * 3600, event)
    store = open_store(JournalSettings(state_dir=state_dir))
    try:
        store.open()
        store.write(batch)
    finally:
        store.close()


def _as_text(answer: requests.Response) -> str:
    if "json" not in answer.headers.get("Content-Type", ""):
        size = len(answer.content)
        return answer.text if answer.headers["Content-Type"].startswith("text/") else f"{size} bytes"
    return json.dumps(answer.json(), ensure_ascii=False, indent=1)
