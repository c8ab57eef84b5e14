"""Services over HTTP, with answers at once and with jobs; functions; the webhook of the default queue.

A service knows the Idempotency-Key: what it has done it tells again. A function is called once or, when its worker was
killed in the middle, told to people.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.faults.account import PortalTask, Published
from benchmarks.faults.executed import FILE_VARIABLE, SECONDS_VARIABLE, executed
from benchmarks.faults.stage_spec import StageSpec
from benchmarks.faults.systems.base import Call, Promise, Target
from benchmarks.faults.tasks import key_of, message
from sandbox.faults import Fault
from sandbox.http_front import HttpRequest
from sandbox.python_services import ServicesSandbox, faults

_AT_ONCE = 4  # calls of a function, each in a process
_REGISTRY = """
[services.reports]
kind = "http"
topics = ["make_report"]
url = "{base}/jobs/report"
poll = {{min = 0.3, max = 0.6, deadline = 600}}
timeout = {{connect = 1, read = {patience}}}

[services.users]
kind = "http"
topics = ["create_user"]
url = "{base}/sync/users"
timeout = {{connect = 1, read = {patience}}}
"""
_FUNCTIONS = """
[services.execute]
kind = "python"
topics = ["execute"]
callable = "benchmarks.faults.executed:execute"
at_once = {at_once}
"""


class _Http(Target):
    """What a server that knows our key has in common, whatever it is called by."""

    promise: ClassVar[Promise] = "once by key"
    create = Call("post *")

    def __init__(self, spec: StageSpec, folder: Path) -> None:
        super().__init__(spec, folder)
        self._is_revoked = False
        arguments = {"authorized": self._is_authorized, **spec.portal}
        self.server: ServicesSandbox = ServicesSandbox(work=spec.latency, **arguments)

    @property
    def created(self) -> int:
        return sum(map(len, self.server.by_key().values()))

    @staticmethod
    def failure(*, after_execution: bool = False) -> Fault:
        return faults.refusal(500, after_execution=after_execution)

    @staticmethod
    def limited() -> Fault:
        return faults.refusal(429, retry_after=1)

    def revoke(self) -> None:
        self._is_revoked = True

    def restore(self) -> None:
        self._is_revoked = False

    @property
    def requests(self) -> int:
        return self.server.requests

    def _is_authorized(self, _request: HttpRequest) -> bool:
        return not self._is_revoked


class Services(_Http):
    """Every second task is a job, which the tracker asks about; the others are answered at once."""

    name = "python-services"
    queue = "python-services.queue"
    sent_queue = "python-services.sent.queue"
    routing_key = "python.task"
    ambiguous_wait = "SERVICES_AMBIGUOUS_WAIT"
    settings: ClassVar[Mapping[str, str]] = {"SERVICES_AMBIGUOUS_WAIT": "1", "SERVICES_OUTAGE_WAIT": "1"}
    status = Call("get status/*")

    def variables(self) -> dict[str, str]:
        registry = self.folder / "services.toml"
        patience = 1 if self.spec.impatient else 65
        registry.write_text(_REGISTRY.format(base=self.server.base_url, patience=patience), encoding="utf-8")
        return {"SERVICES_FILE": str(registry)}

    @staticmethod
    def task(number: int) -> Published:
        topic = "make_report" if number % 2 else "create_user"
        body = message(number, "python-services", topic, {"name": f"Отчёт № {number}"})
        return Published(key_of(number), body)

    def let_people_work(self, after: float) -> None:
        self.server.people(auto_finish_after=after)

    def objects(self) -> Mapping[str, Sequence[PortalTask]]:
        found: defaultdict[str, list[PortalTask]] = defaultdict(list)
        for job in self.server.jobs:
            found[job.task_id].append(PortalTask(str(job.number)))
        for key, numbers in self.server.by_key().items():
            if key not in found:
                found[key] = [PortalTask(key) for _ in numbers]
        return found

    @staticmethod
    def read(response: Mapping[str, Any]) -> tuple[str, str | None]:
        result = response.get("result", {})
        return str(result.get("done") or result.get("task")), None


class Webhook(_Http):
    name = "default"
    queue = "default.queue"
    sent_queue = "default.sent.queue"
    routing_key = "crm.notify"
    ambiguous_wait = "DEFAULT_QUEUE_WEBHOOK_WAIT"
    settings: ClassVar[Mapping[str, str]] = {"DEFAULT_QUEUE_WEBHOOK_WAIT": "1"}
    impatient: ClassVar[Mapping[str, str]] = {
        "DEFAULT_QUEUE_REQUEST_TIMEOUT": "1",
        "DEFAULT_QUEUE_CONNECT_TIMEOUT": "1",
    }

    def variables(self) -> dict[str, str]:
        return {"DEFAULT_QUEUE_WEBHOOK_URL": f"{self.server.base_url}/sync/webhook"}

    @staticmethod
    def task(number: int) -> Published:
        body = message(number, "crm", "notify", {"text": f"Договор № {number} согласован"})
        return Published(key_of(number), body)

    def objects(self) -> Mapping[str, Sequence[PortalTask]]:
        return {key: [PortalTask(key) for _ in numbers] for key, numbers in self.server.by_key().items()}

    @staticmethod
    def read(response: Mapping[str, Any]) -> tuple[str, str | None]:
        return str(response.get("task")), None


class Functions(_Http):
    """A function that is not idempotent. Nothing listens: the server of its family stays idle."""

    name = "callables"
    queue = "python-services.queue"
    sent_queue = "python-services.sent.queue"
    routing_key = "python.task"
    promise: ClassVar[Promise] = "once"
    at_once = _AT_ONCE

    @property
    def _file(self) -> Path:
        return self.folder / "executed"

    def variables(self) -> dict[str, str]:
        registry = self.folder / "services.toml"
        registry.write_text(_FUNCTIONS.format(at_once=_AT_ONCE), encoding="utf-8")
        return {
            "SERVICES_FILE": str(registry),
            FILE_VARIABLE: str(self._file),
            SECONDS_VARIABLE: str(self.spec.latency),
        }

    @staticmethod
    def task(number: int) -> Published:
        body = message(number, "python-services", "execute", {"name": f"Отчёт № {number}"})
        return Published(key_of(number), body)

    @property
    def created(self) -> int:
        return len(executed(self._file))

    def objects(self) -> Mapping[str, Sequence[PortalTask]]:
        return {key: [PortalTask(key)] * count for key, count in Counter(executed(self._file)).items()}

    @staticmethod
    def read(response: Mapping[str, Any]) -> tuple[str, str | None]:
        return str(response.get("result", {}).get("done")), None
